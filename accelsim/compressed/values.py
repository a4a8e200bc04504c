"""Values of a layer, image by image and convolution group by convolution group, as kernels take them."""

from __future__ import annotations

import numpy as np

from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.shapes import Conv2d


class Values:
    """Operands and output of a layer, int64; without operands nothing is given and kernels get single zeros."""

    def __init__(self, conv: Conv2d, operands: Operands | None) -> None:
        self._operands = operands
        self.given = operands is not None
        n, groups, c, k = conv.n, conv.groups, conv.c // conv.groups, conv.k // conv.groups
        self._x = self._w = self._out = np.zeros((1, 1, 1, 1, 1), dtype=np.int64)
        if operands is not None:
            x, w = map(np.ascontiguousarray, operands.conv_arrays())  # those of a matmul are transposed
            self._x = x.reshape(n, groups, c, conv.h, conv.w)
            self._w = w.reshape(groups, k, c, conv.r, conv.s)
            self._out = np.zeros((n, groups, k, conv.e, conv.f), dtype=np.int64)

    def of(self, image: int, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return input (c, h, w), weights (k, c, r, s) and output (k, e, f), which starts as zeros and is kept."""
        i, j = (image, group) if self.given else (0, 0)
        return self._x[i, j], self._w[j], self._out[i, j]

    def output(self) -> np.ndarray | None:
        """Return the output in the layer's own shape, None if no operands were given."""
        return None if self._operands is None else from_conv_output(self._operands.view, self._out)


def windows(conv: Conv2d, x: np.ndarray) -> np.ndarray:
    """Return what the filter meets at each output, padding included: (c, h, w) to (e, f, c, r, s)."""
    top, left, bottom, right = conv.pad
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    rows = np.arange(conv.e)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(conv.f)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    taps: np.ndarray = padded[:, rows[:, None, :, None], cols[None, :, None, :]].transpose(1, 2, 0, 3, 4)
    return taps
