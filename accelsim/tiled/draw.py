"""A nest of loops as text: one line a loop, and at each level what of every tensor is held there."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from textwrap import wrap

from accelsim.tiled.nest import DIMS, TENSORS, Counts, Nest

WIDTH = 80
DEEPEST = 14
"""Loops further inside are drawn no further to the right."""
NAMES = {"W": "weights", "I": "inputs", "O": "outputs"}


def draw(
    nest: Nest, counts: Counts | None = None, names: Mapping[str, str] | None = None, levels: int | None = None
) -> str:
    """Return the drawing, at most 80 columns wide, ending in a newline.

    A level's line says how many words of each tensor an instance holds at most; with ``counts`` lines below it say
    what moves, over all instances. ``for P in 4 x 2`` is a loop over four chunks of two output rows, ``spread`` stands
    for instances that have a chunk each; loops that do not iterate are left out. ``names`` calls dimensions otherwise;
    of levels behind the first ``levels`` the loops are not drawn, their sizes are listed.
    """
    called = {dim: dim for dim in DIMS} | dict(names or {})
    lines: list[str] = []
    depth = 0
    reach = {dim: prod(x.times for cut in nest.mapping.cuts for x in (*cut.loops, *cut.spatial) if x.dim == dim)
             for dim in DIMS}  # fmt: skip
    for i, (level, cut) in enumerate(zip(nest.levels, nest.mapping.cuts, strict=True)):
        kept = [tensor for tensor in TENSORS if tensor in cut.keeps]
        extents = nest.extents(i)
        held = ", ".join(f"{NAMES[t]} {nest.problem.words(t, extents):,}" for t in kept)
        lines += _at(depth, f"{level.name} holds {held or 'nothing'}")
        if counts is not None:
            for tensor in kept:
                lines += _at(depth, f"  {_moved(counts, level.name, tensor)}")
        if levels is not None and i >= levels:
            sizes = ", ".join(f"{called[dim]} {extents[dim]:,}" for dim in DIMS if extents[dim] > 1)
            lines += _at(depth, f"work on {sizes or 'a single product'}")
            return "\n".join(lines) + "\n"
        for word, loops in (("for", cut.loops), ("spread", cut.spatial)):
            for loop in loops:
                reach[loop.dim] //= loop.times
                if loop.times == 1:
                    continue
                rest = nest.problem.sizes[loop.dim] % reach[loop.dim]
                edge = f", the last {rest:,}" if rest else ""
                axis = f" on axis {loop.axis}" if word == "spread" and len(level.mesh) > 1 else ""
                lines += _at(depth, f"{word} {called[loop.dim]} in {loop.times:,} x {reach[loop.dim]:,}{edge}{axis}")
                depth += 1
    lines += _at(depth, "multiply and add")
    return "\n".join(lines) + "\n"


def _moved(counts: Counts, level: str, tensor: str) -> str:
    words = counts.words[level, tensor]
    named = {"come in": words.fills, "go down": words.reads}
    if tensor == "O":
        named = {"back": words.fills, "added to": words.reads, "arrive": words.updates, "leave": words.drains}
    return f"{NAMES[tensor]}: " + (", ".join(f"{n:,} {what}" for what, n in named.items() if n) or "nothing moves")


def _at(depth: int, text: str) -> list[str]:
    """Return a text as lines behind the bars of its loops."""
    bars = "| " * min(depth, DEEPEST)
    indent = len(text) - len(text.lstrip())
    folded = wrap(text.strip(), WIDTH - len(bars) - indent, subsequent_indent="  ")
    return [bars + " " * indent + line for line in folded]
