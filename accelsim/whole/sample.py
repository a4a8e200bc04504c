"""Small random layers for the contract tests of engines that pool too."""

from __future__ import annotations

from accelsim.engine import Draw
from accelsim.tiled import sample
from accelsim.workload.shapes import Pool, Product


def layer(draw: Draw) -> Product | Pool:
    """Return a small product of any kind, or one in four times a pooling layer."""
    if draw(0, 3):
        return sample.product(draw)
    r, s = draw(1, 3), draw(1, 3)
    return Pool(
        ("max", "min", "sum", "average")[draw(0, 3)], n=draw(1, 2), c=draw(1, 4), h=draw(4, 9), w=draw(4, 9), r=r, s=s,
        stride=(draw(1, 3), draw(1, 3)), pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        ceil=bool(draw(0, 1)), count_pad=bool(draw(0, 1)),
    )  # fmt: skip
