"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.mapping.loopnest import ORDERS
from accelsim.seam import Sample
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind, cut at random, on a small array of any brick."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    shape: Conv2d | Linear | Matmul
    kind = draw(0, 3)
    if kind == 0:
        shape = Linear(n=draw(1, 5), c=draw(1, 24), k=draw(1, 10))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 3), m=draw(1, 5), n=draw(1, 5), k=draw(1, 12))
    else:
        groups, r, s = draw(1, 2), draw(1, 3), draw(1, 3)
        shape = Conv2d(
            n=draw(1, 2),
            c=groups * draw(1, 5),
            k=groups * draw(1, 4),
            h=draw(4, 6),
            w=draw(4, 6),
            r=r,
            s=s,
            groups=groups,
            stride=(draw(1, 3), draw(1, 2)),
            pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
            dilation=(1, draw(1, 2) if s < 3 else 1),
        )
    brick, spatial, widest = ((2, 8, 16), (2, 8, 8), (1, 4, 8), (4, 8, 16))[draw(0, 3)]
    params = {
        "rows": draw(1, 4) if draw(0, 1) else 2,
        "cols": draw(1, 3),
        "brick_bits": brick,
        "spatial_bits": spatial,
        "max_bits": widest,
        "im2col_channels": draw(0, 3),
        "input_kib": 12,
        "weight_kib": 36,
        "output_kib": 12,
    }
    return Sample(shape, params, _tiling(shape.as_conv(), draw), widest)


def _tiling(conv: Conv2d, draw: Any) -> dict[str, Any]:
    """Return a random cut small enough for the smallest of these buffers."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(1, conv.n), "e": draw(1, conv.e), "f": draw(1, conv.f), "k": draw(1, kg)}
    cut["c"] = draw(1, cg)
    if (cut["k"], cut["c"]) == (kg, cg):
        bits = (cut["n"] * cg * conv.h * conv.w * 16, cut["n"] * cut["e"] * cut["f"] * kg * 32)
        cut["groups"] = max(1, min(draw(1, conv.groups), 49152 // max(bits)))
    inner = ("is", "os", "ws")[draw(0, 2)]
    return cut | {"order": ORDERS[draw(0, len(ORDERS) - 1)], "inner": inner}
