"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.mapping.loopnest import ORDERS
from accelsim.seam import Sample
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind, cut at random, on a small array of any shape."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    shape: Conv2d | Linear | Matmul
    kind = draw(0, 3)
    if kind == 0:
        shape = Linear(n=draw(1, 6), c=draw(1, 12), k=draw(1, 12))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 3), m=draw(1, 6), n=draw(1, 6), k=draw(1, 6))
    else:
        groups, r, s = draw(1, 3), draw(1, 3), draw(1, 3)
        shape = Conv2d(
            n=draw(1, 2),
            c=groups * draw(1, 4),
            k=groups * draw(1, 5),
            h=draw(5, 8),
            w=draw(5, 8),
            r=r,
            s=s,
            groups=groups,
            stride=(draw(1, 3), draw(1, 2)),
            pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
            dilation=(draw(1, 2), draw(1, 2)),
        )
    on_chip = bool(draw(0, 1))
    params = {
        "rows": draw(1, 6),
        "cols": draw(1, 6),
        "dataflow": ("ws", "os", "is")[draw(0, 2)],
        "overlap_folds": bool(draw(0, 1)),
        "accumulator_bits": 24,
        "input_kib": 4 if on_chip else 1,
        "weight_kib": 4 if on_chip else 1,
        "output_kib": 1,
    }
    return Sample(shape, params, _tiling(shape.as_conv(), rng), on_chip=on_chip)


def _tiling(conv: Conv2d, rng: np.random.Generator) -> dict[str, Any]:
    """Return a random cut small enough for scratchpads of 1 KiB, whose halves hold 4096 bits."""

    def draw(high: int) -> int:
        return int(rng.integers(1, high + 1))

    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(conv.n), "e": draw(conv.e), "f": draw(conv.f), "k": draw(kg), "c": draw(cg)}
    while cut["n"] * cut["e"] * cut["f"] * cut["k"] * 24 > 4096 or cut["n"] * cut["c"] * conv.h * conv.w * 8 > 4096:
        largest = max(("n", "e", "f", "k", "c"), key=lambda axis: cut[axis])
        if cut[largest] == 1:
            break
        cut[largest] -= 1
    bits = {"in": cut["n"] * cut["c"] * conv.h * conv.w * 8, "out": cut["n"] * cut["e"] * cut["f"] * cut["k"] * 24}
    if (cut["k"], cut["c"]) == (kg, cg):
        cut["groups"] = max(1, min(draw(conv.groups), 4096 // max(bits.values())))
    return cut | {"order": ORDERS[int(rng.integers(len(ORDERS)))]}
