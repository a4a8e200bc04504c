"""``accelsim list``: what is packaged."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Literal

import click

KINDS = ("arch", "network", "engine", "replica", "dram", "mapping", "profile")


@click.command(epilog="Example: accelsim list network")
@click.argument("what", type=click.Choice([*KINDS]), required=False)
def command(what: str | None) -> None:
    """List what is packaged: all of it, or one kind. Mappings and profiles are for --mapping and --density.

    A network is a table of the layers that multiply, isolated from each other, or connected (net:NAME, onnx:NAME):
    all of its layers with the edges between them. Sizes such as seq=128 are given with --dim.
    """
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for kind in [what] if what else KINDS:
        if what is None:
            click.echo(f"{kind}:")
        for name, text in _entries(kind):
            click.echo(_line(f"{'  ' if what is None else ''}{name:26} ", text, width))


def _line(head: str, text: str, width: int | None) -> str:
    """Return an entry, on a terminal broken between words, its later lines below its text."""
    if width is None or len(head) + len(text) <= width:
        return (head + text).rstrip()
    room = max(20, width - len(head))
    lines = wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return "\n".join((head if i == 0 else " " * len(head)) + line for i, line in enumerate(lines)).rstrip()


def _entries(kind: str) -> list[tuple[str, str]]:
    if kind == "engine":
        return _engines()
    if kind == "replica":
        from accelsim.cli import declared

        return list(declared("replica").items())
    if kind == "dram":
        from accelsim.cli.dram import entries

        return entries()
    if kind in ("mapping", "profile"):
        return _beside("mappings" if kind == "mapping" else "profiles")
    if kind == "arch":
        from accelsim.config import packaged

        folder = packaged.folder("arch_configs")
        return [(name, _description(folder, name)) for name in packaged.names("arch_configs")]
    from accelsim.workload import listing
    from accelsim.workload.onnx.file import light_names

    return listing.entries() + [
        (name, "   graph that ships with the onnx package; connected") for name in light_names()
    ]


def _beside(kind: Literal["mappings", "profiles"]) -> list[tuple[str, str]]:
    """Return the files that go with machines and networks, and where each comes from."""
    from accelsim.config import packaged

    return [(name, _source(path.read_text("utf-8"))) for name, path in packaged.files_beside(kind).items()]


def _source(text: str) -> str:
    """Return what a file says of where it comes from: under ``source``, else in its first comment."""
    import yaml

    if found := re.search(r"^source:.*\n(?:[ \t]+.*\n)*", text, re.MULTILINE):
        return str(yaml.safe_load(found[0])["source"]).partition("; ")[0].rstrip(".")
    comment = re.match(r"(?:#.*\n)*", text)
    lines = comment[0].splitlines() if comment else []
    return " ".join(line.lstrip("# ") for line in lines).partition(": ")[0].partition(". ")[0]


def _engines() -> list[tuple[str, str]]:
    """Return name and first line of every engine's docstring; of packaged ones read from the source, not imported."""
    import ast

    from accelsim.engines import names

    found = []
    for name, module in names.modules().items():
        if (path := names.source(module)) is not None:
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            found.append((name, text.partition("\n")[0]))
        else:
            from accelsim.engines import registry

            found.append((name, registry.get(name).notes.summary))
    return found


def _description(folder: Path, name: str) -> str:
    """Return what a packaged machine says of itself, and whether it or its base calls itself unvalidated."""
    text = _said(folder, name, "description")
    while name and not (doubt := _said(folder, name, "unvalidated")):
        name = _said(folder, name, "base")
    return f"unvalidated: {text}" if name and doubt else text


def _said(folder: Path, name: str, key: str) -> str:
    """Return the text under a key of a packaged machine file, reading no more of it; empty where it has none."""
    import yaml

    found = re.search(rf"^{key}:.*\n(?:[ \t]+.*\n)*", (folder / f"{name}.yaml").read_text("utf-8"), re.MULTILINE)
    return str(yaml.safe_load(found[0])[key]) if found else ""
