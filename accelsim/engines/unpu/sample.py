"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.mapping.loopnest import ORDERS
from accelsim.seam import Sample
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind, cut at random, on a few small units."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    shape: Conv2d | Linear | Matmul
    kind = draw(0, 3)
    if kind == 0:
        shape = Linear(n=draw(1, 5), c=draw(1, 16), k=draw(1, 10))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 3), m=draw(1, 5), n=draw(1, 5), k=draw(1, 9))
    else:
        groups, r, s = draw(1, 3), draw(1, 3), draw(1, 3)
        shape = Conv2d(
            n=draw(1, 2),
            c=groups * draw(1, 4),
            k=groups * draw(1, 4),
            h=draw(3, 6),
            w=draw(3, 6),
            r=r,
            s=s,
            groups=groups,
            stride=(draw(1, 3), draw(1, 2)),
            pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        )
    units = draw(1, 6)
    params = {
        "units": units,
        "outputs": draw(1, 5),
        "table_inputs": draw(1, 3),
        "binary_inputs": draw(1, 4),
        "input_kib": 4,
        "weight_kib": 4,
        "output_kib": 8,
    }
    divisors = [n for n in range(1, units + 1) if units % n == 0]
    mapping = _tiling(shape.as_conv(), draw) | {"across": divisors[draw(0, len(divisors) - 1)]}
    return Sample(shape, params, mapping)


def _tiling(conv: Conv2d, draw: Any) -> dict[str, Any]:
    """Return a random cut small enough for half of these memories."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(1, conv.n), "e": draw(1, conv.e), "f": draw(1, conv.f), "k": draw(1, kg)}
    cut["c"] = draw(1, cg)
    if (cut["k"], cut["c"]) == (kg, cg):
        bits = max(2 * cut["n"] * cg * conv.h * conv.w * 8, cut["n"] * cut["e"] * cut["f"] * kg * 32)
        cut["groups"] = max(1, min(draw(1, conv.groups), 32768 // bits))
    return cut | {"order": ORDERS[draw(0, len(ORDERS) - 1)]}
