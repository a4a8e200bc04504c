"""``python -m benchmarks.repetition``: how much of a group of engines stands in another of them too.

Lines are compared with every name and number replaced by one sign each; strings, docstrings, comments, imports and
empty lines are left aside, kernels are no part of it. A line is repeated if it is within a run of six or more lines
that another file of the group, in another folder, has too.
"""

from __future__ import annotations

import ast
import io
import keyword
import sys
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1] / "accelsim"
RUN = 6
SHORT_RUN = 4
"""Printed beside: the figures of a review of build 0ef236b, which counted in another way, are near these."""

TILED = ("systolic", "bitfusion", "unpu", "bismo", "diannao", "bitserial")
SKIPPING = ("cnvlutin", "cambricon_x", "nullhop", "snapea", "dcnn")

PIECES = {
    "nest, tilings, cost, timeline, columns of systolic (B6)": (
        "mapping/loopnest.py", "mapping/til*.py", "mapping/nest_kernel.py", "mapping/search*.py",
        "mapping/bound*.py", "mapping/table*.py",
        "memory/timeline.py", "engines/systolic/tilecost.py", "engines/systolic/candidates.py",
        "engines/systolic/columnar_kernel.py", "engines/systolic/columnar.py",
    ),
    "six tiled engines: engine, walk, sample (B7)": tuple(
        f"engines/{name}/{file}.py" for name in TILED for file in ("engine", "walk", "sample")
    ),
    "five zero skippers without kernels and references (B8)": tuple(f"engines/{name}/*.py" for name in SKIPPING),
    "what zero skippers share": ("compressed/*.py",),
    "references (B9)": ("engines/*/*reference.py",),
    "the wing": ("tiled/*.py",),
}  # fmt: skip
"""Pieces in which the redesign is counted, as patterns of files; kernels and references of B8 are apart."""


class Line(NamedTuple):
    """A line of code: its number in the file, and what it looks like without names and numbers."""

    number: int
    form: str


class Repeated(NamedTuple):
    """Of the lines of a group's member, how many stand in another one."""

    lines: int
    repeated: tuple[int, ...]

    @property
    def share(self) -> float:
        return len(self.repeated) / self.lines if self.lines else 0.0


def forms(text: str) -> list[Line]:
    """Return the lines of code of a file."""
    aside = _aside(text)
    words: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line = token.start[0]
        if line in aside or token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
                                           tokenize.DEDENT, tokenize.ENDMARKER, tokenize.STRING):  # fmt: skip
            continue
        named = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
        words.setdefault(line, []).append("x" if named else "1" if token.type == tokenize.NUMBER else token.string)
    return [Line(number, " ".join(words[number])) for number in sorted(words)]


def _aside(text: str) -> set[int]:
    """Return the numbers of the lines of imports and of strings that stand alone."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        alone = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if alone or isinstance(node, ast.Import | ast.ImportFrom):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def repeated(members: Mapping[str, Iterable[str]], run: int = RUN) -> dict[str, Repeated]:
    """Return what of each member (texts of its files) stands in a file of another member.

    Runs of ``run`` or more lines count. The numbers of `Repeated` are places in the member's lines, file after file.
    """
    lines = {name: [[line.form for line in forms(text)] for text in texts] for name, texts in members.items()}
    where: dict[tuple[str, ...], set[str]] = {}
    for name, files in lines.items():
        for file in files:
            for at in range(len(file) - run + 1):
                where.setdefault(tuple(file[at : at + run]), set()).add(name)
    found = {}
    for name, files in lines.items():
        places: set[int] = set()
        first = 0
        for file in files:
            for at in range(len(file) - run + 1):
                if where[tuple(file[at : at + run])] - {name}:
                    places.update(range(first + at, first + at + run))
            first += len(file)
        found[name] = Repeated(first, tuple(sorted(places)))
    return found


def _sum(found: Mapping[str, Repeated]) -> Repeated:
    return Repeated(sum(f.lines for f in found.values()), tuple(place for f in found.values() for place in f.repeated))


def is_kernel(path: Path) -> bool:
    return path.stem == "kernel" or path.stem.endswith("_kernel")


def is_reference(path: Path) -> bool:
    return path.stem.endswith("reference")


def group(names: Iterable[str], references: bool = False, root: Path = ROOT) -> dict[str, list[str]]:
    """Return the texts of the engines' files: all but kernels and references, or the references alone."""
    found = {}
    for name in names:
        files = sorted((root / "engines" / name).glob("*.py"))
        files = [p for p in files if not is_kernel(p) and is_reference(p) == references and p.stem != "__init__"]
        if files:
            found[name] = [p.read_text() for p in files]
    return found


def size(patterns: Iterable[str], apart: bool, root: Path = ROOT) -> int:
    """Return the lines of files; ``apart`` leaves kernels and references out."""
    files = {path for pattern in patterns for path in root.glob(pattern)}
    return sum(len(p.read_text().splitlines()) for p in files if not (apart and (is_kernel(p) or is_reference(p))))


def main() -> int:
    every = sorted(p.name for p in (ROOT / "engines").iterdir() if (p / "engine.py").is_file())
    groups = {
        "tiled engines": group(TILED),
        "zero-skipping engines": group(SKIPPING),
        "references": group(every, references=True),
    }
    for title, members in groups.items():
        found, short = repeated(members), repeated(members, SHORT_RUN)
        print(f"{title}: lines of code that stand in another, in runs of {RUN} or more ({SHORT_RUN} or more)")
        for name, f in [*sorted(found.items(), key=lambda item: -item[1].share), ("all", _sum(found))]:
            less = short[name] if name in short else _sum(short)
            print(f"  {name:16} {len(f.repeated):5,} of {f.lines:5,} {100 * f.share:5.1f} % ({100 * less.share:.0f} %)")
    print("lines of the pieces of the redesign (docstrings and empty lines too)")
    for title, patterns in PIECES.items():
        print(f"  {size(patterns, apart='B8' in title):6,}  {title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
