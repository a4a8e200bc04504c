"""Small random layers and cuts for the contract tests of engines that tile."""

from __future__ import annotations

from typing import Any

from accelsim.engine import Draw
from accelsim.mapping.loopnest import ORDERS
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def product(draw: Draw) -> Conv2d | Linear | Matmul:
    """Return a small layer of any product kind."""
    kind = draw(0, 3)
    if kind == 0:
        return Linear(n=draw(1, 5), c=draw(1, 24), k=draw(1, 10))
    if kind == 1:
        return Matmul(batch=draw(1, 3), m=draw(1, 5), n=draw(1, 5), k=draw(1, 12))
    groups, r, s = draw(1, 3), draw(1, 3), draw(1, 3)
    return Conv2d(
        n=draw(1, 2), c=groups * draw(1, 5), k=groups * draw(1, 4), h=draw(4, 7), w=draw(4, 7), r=r, s=s,
        groups=groups, stride=(draw(1, 3), draw(1, 2)),
        pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        dilation=(draw(1, 2) if r < 3 else 1, draw(1, 2) if s < 3 else 1),
    )  # fmt: skip


def tiling(conv: Conv2d, draw: Draw, element_bits: int, sum_bits: int, half_bits: int) -> dict[str, Any]:
    """Return a random cut whose tiles of several groups fit: elements and sums of so many bits, half a buffer."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(1, conv.n), "e": draw(1, conv.e), "f": draw(1, conv.f), "k": draw(1, kg)}
    cut["c"] = draw(1, cg)
    if (cut["k"], cut["c"]) == (kg, cg):
        bits = (
            cut["n"] * cg * conv.h * conv.w * element_bits,
            kg * cg * conv.r * conv.s * element_bits,
            cut["n"] * cut["e"] * cut["f"] * kg * sum_bits,
        )
        cut["groups"] = max(1, min(draw(1, conv.groups), half_bits // max(bits)))
    return cut | {"order": ORDERS[draw(0, len(ORDERS) - 1)]}
