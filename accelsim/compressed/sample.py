"""Small random convolutions for contract cases."""

from __future__ import annotations

from accelsim.engine import Draw
from accelsim.workload.shapes import Conv2d

Range = tuple[int, int]


def convolution(draw: Draw, n: Range, c: Range, k: Range, plane: Range, stride: Range) -> Conv2d:
    """Return a convolution of one or two groups: images, channels of a group, rows and columns, strides of rows."""
    groups, r, s = draw(1, 2), draw(1, 3), draw(1, 3)
    return Conv2d(
        n=draw(*n), c=groups * draw(*c), k=groups * draw(*k), h=draw(*plane), w=draw(*plane), r=r, s=s,
        groups=groups, stride=(draw(*stride), draw(1, 2)), dilation=(draw(1, 2), draw(1, 2)),
        pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
    )  # fmt: skip
