"""Traces of requests in the text forms of other simulators.

``ramulator``: ``LD ADDRESS`` or ``ST ADDRESS`` a line, one offered after the other. ``dramsim3``: ``ADDRESS READ|WRITE
CLOCK`` a line, none offered before its clock. Addresses in bytes, decimal or hexadecimal with ``0x``. Empty lines and
lines that begin with ``#`` are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from accelsim.errors import ConfigError
from accelsim.memory.device.channel import Requests

FORMS = ("ramulator", "dramsim3")
LAST_CLOCK = 1 << 34
"""Later requests are refused: so long a trace holds a mistake, and refreshes would be walked until then."""
_WORDS = {"LD": (False, 0), "ST": (True, 0), "READ": (False, 1), "WRITE": (True, 1)}


def read(path: Path) -> Requests:
    """Read a trace, in the form of its first line.

    Raises
    ------
    ConfigError
        A file that cannot be read, or the line that is not of that form.
    """
    try:
        with path.open(encoding="utf-8") as file:
            rows = list(_rows(file, str(path)))
    except UnicodeDecodeError:
        raise ConfigError("not a text file in UTF-8", "give a trace as text", file=str(path)) from None
    except OSError as error:
        raise ConfigError.unreadable(error, path) from None
    except ValueError:
        raise ConfigError("is no path of a file", "check the path", file=str(path)) from None
    if not rows:
        raise ConfigError("the trace has no request", "write 'LD 0x40' lines", file=str(path))
    table = np.array(rows, dtype=np.int64)
    return Requests(table[:, 0].copy(), table[:, 1].astype(bool), table[:, 2].copy())


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, int, int]]:
    """Yield address, whether it is written, and clock of each line."""
    form = -1
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if form < 0:
            form = 0 if words[0].upper() in ("LD", "ST") else 1
        usual = "LD|ST ADDRESS" if form == 0 else "ADDRESS READ|WRITE CLOCK"
        write, kind = _WORDS.get(words[form].upper() if len(words) == 2 + form else "", (False, -1))
        if kind != form:
            raise ConfigError("not a request", f"write '{usual}', as the first line", file=name, line=number)
        address = _number(words[1 - form], 1 << 62, name, number)
        yield address, write, _number(words[2], LAST_CLOCK, name, number) if form else 0


def _number(text: str, most: int, name: str, line: int) -> int:
    try:
        value = int(text[:40], 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        raise ConfigError(f"'{text[:40]}' is not a number", "write 64 or 0x40", file=name, line=line) from None
    if not 0 <= value <= most:
        raise ConfigError(f"{text[:40]} is out of range", f"give 0 to {most}", file=name, line=line)
    return value


def text(requests: Requests, form: str) -> str:
    """Return requests as a trace; ``ramulator`` has no clocks, so there all are offered as soon as may be."""
    address, write = requests.address.tolist(), requests.write.tolist()
    if form == "ramulator":
        lines = [f"{'ST' if w else 'LD'} {a:#x}\n" for a, w in zip(address, write, strict=True)]
    else:
        clock = requests.earliest.tolist()
        lines = [f"{a:#x} {'WRITE' if w else 'READ'} {c}\n" for a, w, c in zip(address, write, clock, strict=True)]
    return "".join(lines)
