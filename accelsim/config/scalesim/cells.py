"""What the two readers share: text, whole numbers and the notes about what was odd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accelsim.errors import UserError

MAX_FILE_BYTES = 16 * 2**20
"""Larger configuration or topology files are refused before they are read."""

MAX_NUMBER = 2**31 - 1
"""The largest value of a cell: products of a few of them still fit in 64 bits once checked."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd in a file: where it is, a stable slug for programs, a sentence for people.

    ``file`` and ``line`` are those of the cell or row; ``line`` is 0 when the whole file is meant. ``stops``
    says that SCALE-Sim itself cannot read the file because of it.
    """

    file: str
    line: int
    kind: str
    text: str
    stops: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


def read_text(path: str | Path, error: type[UserError], shown: str | None = None) -> str:
    """Return the text of ``path`` (UTF-8, a byte-order mark dropped), or raise ``error`` about ``shown``."""
    file, shown = Path(path), shown or str(path)
    try:
        with file.open("rb") as stream:
            body = stream.read(MAX_FILE_BYTES + 1)
        if len(body) > MAX_FILE_BYTES:
            raise error("file is larger than 16 MiB", "split it", file=shown)
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error("not a text file (UTF-8 expected)", "save it as UTF-8", file=shown) from None
    except OSError as failure:
        reason = failure.strerror or "cannot be read"
        raise error(reason[0].lower() + reason[1:], "check the path", file=shown) from None
    except ValueError:
        raise error("not a file name", "check the path", file=repr(shown)) from None


def whole(text: str) -> int:
    """Return the integer in ``text``, as Python's ``int`` reads it; raise ValueError otherwise.

    Strings too long to be a sensible size are refused before they are converted.
    """
    text = text.strip()
    if len(text) > 40:
        raise ValueError(text)
    return int(text)


def whole_or_float(text: str) -> tuple[int, bool]:
    """Return the integer in ``text`` and whether it was written as a float (``224.0``).

    Raises
    ------
    ValueError
        Neither an integer nor a float with nothing behind the point.
    """
    try:
        return whole(text), False
    except ValueError:
        value = float(text)
    if not value.is_integer():
        raise ValueError(text)
    return int(value), True
