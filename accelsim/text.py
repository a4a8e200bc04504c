"""Names of a user's files on their way out: a terminal, a table and a page show them and do not obey them.

And the name that a user may have meant.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")

FORMULA = re.compile("'*[=+\\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}]")
"""How a text begins that a spreadsheet would compute, or one that `csv_cell` made of such a text."""

MOST_QUOTED = 200
"""Characters of another library's message that one of ours repeats: it may hold bytes of a damaged file."""


def nearest(name: str, known: Collection[str], otherwise: str) -> str:
    """Return "did you mean ...?" with the name of ``known`` that is closest to ``name``, or ``otherwise``."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else otherwise


def visible(text: str) -> str:
    """Return the text with what is not shown or would be obeyed spelt out: controls, line ends, bidi overrides."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quoted(error: BaseException) -> str:
    """Return what another library says of a failure: its first line, cut, or the name of its type."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split())[:MOST_QUOTED] if lines else type(error).__name__


def folded(line: str, width: int, indent: int | str) -> list[str]:
    """Return a line as lines of at most ``width`` characters, later ones behind ``indent``: blanks, or a text.

    It breaks at blanks only, and keeps those between words of one line; a longer word stays whole.
    """
    margin = " " * indent if isinstance(indent, int) else indent
    lines: list[str] = []
    while len(line) > width:
        start = max(len(line) - len(line.lstrip()), len(margin) if lines else 0)
        cut = line.rfind(" ", start + 1, width + 1)
        cut = line.find(" ", width) if cut < 0 else cut
        if cut < 0:
            break
        lines.append(line[:cut].rstrip())
        line = margin + line[cut:].lstrip()
    return [*lines, line]


def visible_lines(text: str) -> str:
    """Return text of several lines, each as `visible` returns it."""
    return text if text.replace("\n", "").isprintable() else "\n".join(map(visible, text.split("\n")))


def visible_all(value: T) -> T:
    """Return a value with every text in it as `visible` returns it: dataclasses, named tuples, mappings, lists."""
    found: Any = value
    if isinstance(value, str):
        found = visible(value)
    elif isinstance(value, Mapping):
        found = {visible_all(key): visible_all(item) for key, item in value.items()}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        found = type(value)(*map(visible_all, value))
    elif isinstance(value, list | tuple):
        found = type(value)(map(visible_all, value))
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{f.name: visible_all(getattr(value, f.name)) for f in fields(value) if f.init})
    return found


def json_text(text: str) -> str:
    """Return JSON in which the same characters are escapes of JSON: it means what it meant."""
    if text.replace("\n", "").isprintable():
        return text
    return re.sub(r"[^\n\x20-\x7e]", lambda found: _escape(found[0]), text)


def _escape(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))


def markdown(text: str) -> str:
    """Return text that Markdown leaves alone, in one line: a layer's name may hold bars, stars or tags."""
    text = visible(" ".join(text.split()))
    for char in "\\|*_<`[":
        text = text.replace(char, f"\\{char}")
    return text


def csv_cell(value: Any) -> Any:
    """Return a cell of a table: booleans as true and false, None as nothing, numbers as they are.

    A text is spelt out by `visible`; one that a spreadsheet would compute gets an apostrophe in front, and one more if
    it has some already, so that taking one away gives the text again.
    """
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if not isinstance(value, str):
        return float(value) if isinstance(value, float) else value
    shown = visible(value)  # a tab or a carriage return in front of a formula is none any more
    return f"'{shown}" if FORMULA.match(shown) else shown


def csv_text(table: Iterable[Iterable[Any]]) -> str:
    """Return rows of cells as csv, each row one line; floats in their shortest exact form."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in table:
        writer.writerow([csv_cell(value) for value in row])
    return out.getvalue()
