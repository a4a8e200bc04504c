"""Tables of users: a CSV file with a header, gzip'd or not, every mistake in one line with its place."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from accelsim.errors import ConfigError

MAX_FILE_BYTES = 64 * 2**20
MAX_COUNT = 10**9
"""Nothing that a cell counts is larger."""


@dataclass(frozen=True)
class Line:
    """A line of a table: its cells by column, and where it stands."""

    cells: dict[str, str]
    file: str
    number: int

    def error(self, problem: str, remedy: str, key: str | None = None) -> ConfigError:
        """Return an error at this line."""
        return ConfigError(problem, remedy, file=self.file, line=self.number, key=key)

    def whole(self, column: str, least: int = 0, most: int = MAX_COUNT) -> int:
        """Return a cell as a whole number; 64.0 is one.

        Raises
        ------
        ConfigError
            Anything else, or out of ``least`` to ``most``.
        """
        text = self.cells[column].strip()
        digits = text.removesuffix(".0")
        if digits.removeprefix("-").isdecimal() and digits.isascii() and len(digits) < 18:
            value = int(digits)
            if least <= value <= most:
                return value
        raise self.error(f"'{text}' is no whole number from {least} to {most}", "correct the cell", column)


def read(path: Path, columns: Collection[str]) -> list[Line]:
    """Return the lines of a table that has the columns, and maybe more; empty lines are left out.

    Raises
    ------
    ConfigError
        A file that cannot be read, a table without lines, columns that lack, a line of another length.
    """
    name = str(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError.unreadable(problem, name, "give a CSV file in UTF-8") from None
    if len(body) > MAX_FILE_BYTES:
        raise ConfigError(f"file is larger than {MAX_FILE_BYTES >> 20} MiB", "split it", file=name)
    header = [cell.strip() for cell in rows[0]] if rows else []
    if missing := [column for column in columns if header.count(column) != 1]:
        shown = ", ".join(f"'{column}'" for column in missing)
        raise ConfigError(
            f"the table lacks {shown}, or has it twice", f"columns: {','.join(columns)}", file=name, line=1
        )
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        if row and len(row) != len(header):
            what = f"{len(row)} values for {len(header)} columns"
            raise ConfigError(what, "give one per column", file=name, line=number)
        if row:
            lines.append(Line(dict(zip(header, row, strict=True)), name, number))
    if not lines:
        raise ConfigError("the table has no lines", "give one at least", file=name)
    return lines
