"""A nest as the arrays of integers that `nest_kernel` takes, and its counts as values."""

from __future__ import annotations

import numpy as np

from accelsim.tiled.nest import DIMS, TENSORS, Counts, Nest, Words
from accelsim.tiled.nest_kernel import FIRST, IN, OUT, count

WITHOUT_END = 2**62


def arrays(nest: Nest) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return sizes (8,), windows (2, 4), loops (number, 4) and levels (number, 7) as `nest_kernel.count` wants them."""
    problem = nest.problem
    sizes = np.array(list(problem.sizes.values()), dtype=np.int64)
    image = problem.image or ((0, WITHOUT_END), (0, WITHOUT_END))
    windows = [(problem.stride[d], problem.dilation[d], image[d][0], image[d][0] + image[d][1]) for d in (0, 1)]
    if problem.image is None:
        windows = [(*row[:2], 0, WITHOUT_END) for row in windows]
    rows = []
    for i, cut in enumerate(nest.mapping.cuts):
        rows += [(DIMS.index(x.dim), x.times, i, 0) for x in cut.loops]
        rows += [(DIMS.index(x.dim), x.times, i, 1) for x in cut.spatial]
    levels = [
        (
            *(int(t in cut.keeps) for t in TENSORS),
            int(level.halo == "keep"),
            int(level.multicast or level.neighbours),
            int(level.neighbours),
            int(level.reduce),
        )
        for level, cut in zip(nest.levels, nest.mapping.cuts, strict=True)
    ]
    loops = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return sizes, np.array(windows, dtype=np.int64), loops, np.array(levels, dtype=np.int64)


def counted(nest: Nest) -> Counts:
    """Return what a nest takes, counted in machine code; MappingError where `Nest.check` raises one."""
    nest.check()
    sizes, windows, loops, levels = arrays(nest)
    moved = np.zeros((len(levels), 3, 3), dtype=np.int64)
    cycles, used = count(sizes, windows, loops, levels, moved)
    words = {}
    for i, (level, cut) in enumerate(zip(nest.levels, nest.mapping.cuts, strict=True)):
        extents = nest.extents(i)
        for t, tensor in enumerate(TENSORS):
            if tensor not in cut.keeps:
                continue
            came, went, first = (int(moved[i, t, which]) for which in (IN, OUT, FIRST))
            box = nest.problem.words(tensor, extents)
            if tensor == "O":
                back = max(0, came - first) if i else 0
                words[level.name, tensor] = Words(back, went - first, went, came, box)
            else:
                words[level.name, tensor] = Words(came, went, box=box)
    return Counts(int(cycles), nest.problem.macs, int(used), words)
