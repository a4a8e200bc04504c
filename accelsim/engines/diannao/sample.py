"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.mapping.loopnest import ORDERS
from accelsim.seam import Sample
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind, cut at random, on a narrow unit."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    shape: Conv2d | Linear | Matmul
    kind = draw(0, 3)
    if kind == 0:
        shape = Linear(n=draw(1, 5), c=draw(1, 20), k=draw(1, 10))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 3), m=draw(1, 5), n=draw(1, 5), k=draw(1, 9))
    else:
        groups, r, s = draw(1, 3), draw(1, 3), draw(1, 3)
        shape = Conv2d(
            n=draw(1, 2), c=groups * draw(1, 5), k=groups * draw(1, 5), h=draw(4, 7), w=draw(4, 7), r=r, s=s,
            groups=groups, stride=(draw(1, 3), draw(1, 2)), dilation=(1, draw(1, 2) if s < 3 else 1),
            pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        )  # fmt: skip
    params = {
        "outputs": draw(1, 4), "inputs": draw(1, 4), "accumulator_bits": draw(8, 40),
        "input_kib": 8, "weight_kib": 8, "output_kib": 16,
    }  # fmt: skip
    return Sample(shape, params, _tiling(shape.as_conv(), draw), widest_bits=16)


def _tiling(conv: Conv2d, draw: Any) -> dict[str, Any]:
    """Return a random cut small enough for half of these buffers."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(1, conv.n), "e": draw(1, conv.e), "f": draw(1, conv.f), "k": draw(1, kg)}
    cut["c"] = draw(1, cg)
    if (cut["k"], cut["c"]) == (kg, cg):
        bits = max(2 * cut["n"] * cg * conv.h * conv.w * 16, cut["n"] * cut["e"] * cut["f"] * kg * 40)
        cut["groups"] = max(1, min(draw(1, conv.groups), 32768 // bits))
    return cut | {"order": ORDERS[draw(0, len(ORDERS) - 1)]}
