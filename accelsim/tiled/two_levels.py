"""A tiling of a layer as a nest of two levels, and its drawing."""

from __future__ import annotations

from accelsim.mapping.loopnest import AXES, Tiling
from accelsim.tiled.draw import draw
from accelsim.tiled.nest import Cut, Factor, Level, Mapping, Nest, Problem
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

DIMENSIONS = {"groups": "G", "n": "N", "e": "P", "f": "Q", "k": "M", "c": "C"}
"""Sizes of a tiling -> dimensions of the nest."""
SHOWN = {letter: axis for axis, letter in DIMENSIONS.items()} | {"R": "r", "S": "s"}


def two_levels(conv: Conv2d, tiling: Tiling) -> Nest:
    """Return loops over tiles at the DRAM, and a tile inside; halos are fetched again."""
    sizes = {"groups": conv.groups, "n": conv.n, "e": conv.e, "f": conv.f, "k": conv.k // conv.groups,
             "c": conv.c // conv.groups}  # fmt: skip
    tile = {axis: min(getattr(tiling, axis), size) for axis, size in sizes.items()}
    axes = ["groups", *(axis for loop in tiling.order for axis in AXES[loop])]
    outer = tuple(Factor(DIMENSIONS[axis], ceil_div(sizes[axis], tile[axis])) for axis in axes)
    inner = (*(Factor(DIMENSIONS[axis], tile[axis]) for axis in axes), Factor("R", conv.r), Factor("S", conv.s))
    levels = (Level("DRAM"), Level("chip", halo="refetch"))
    return Nest(Problem.of_conv(conv), levels, Mapping((Cut(outer), Cut(inner))))


def draw_tiling(conv: Conv2d, tiling: Tiling) -> str:
    """Return the drawing of the loops over tiles, at most 80 columns wide, called as in the mapping."""
    return draw(two_levels(conv, tiling), names=SHOWN, levels=1)
