"""Which engines there are: the folders beside this file, and the entry-point group ``accelsim.engines``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "accelsim.engines"
"""Entry-point group in which other packages offer engines: ``name = "package.module"``, which holds ``ENGINE``."""


@cache
def modules() -> dict[str, str]:
    """Return engine name -> module that holds its ``ENGINE``; packaged engines cannot be shadowed."""
    here = Path(__file__).parent
    outside = {entry.name: entry.value for entry in entry_points(group=GROUP)}
    inside = {p.parent.name: f"accelsim.engines.{p.parent.name}.engine" for p in here.glob("*/engine.py")}
    return dict(sorted((outside | inside).items()))


def source(module: str) -> Path | None:
    """Return the file of a packaged engine's module, or None of another's."""
    parts = module.split(".")
    return Path(__file__).parent / parts[2] / "engine.py" if parts[:2] == ["accelsim", "engines"] else None
