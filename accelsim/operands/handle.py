"""Lazy handles on a layer's operands: counts, masks and values are made only when an engine asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.operands import attention_macs, patterns, streams
from accelsim.workload.csr_matrix import MAX_DENSE, CsrMatrix, from_dense, product_count
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.pattern import FOLLOWS, parse
from accelsim.workload.shapes import Attention, Conv2d, Matmul, SpGemm

MAX_VALUE_BITS = 32
"""Widest element for which values are made: products of two still fit 64 bits."""

MAX_DRAWN = 1 << 28
"""Most elements of a tensor whose zeros or values are drawn: 2 GiB as int64."""


@dataclass(frozen=True)
class Operand:
    """One tensor's numbers: given ones, or synthetic ones from its stream.

    Attributes
    ----------
    batch : int
        Images of an activation; each has its own stream.
    given : ndarray, CsrMatrix or None
        Integers of the tensor's shape, or a sparse matrix.
    met : callable or None
        Of filters that follow an input, the share of it that is not zero: float64 (groups, channels of a group).
    """

    tensor: Tensor
    seed: int = 0
    batch: int = 1
    given: Any = field(default=None, repr=False, compare=False)
    met: Callable[[], np.ndarray] | None = field(default=None, repr=False, compare=False)

    @property
    def dense(self) -> bool:
        """Whether no element is zero, known without drawing anything."""
        return self.given is None and self.tensor.density >= 1

    @cached_property
    def mask(self) -> np.ndarray:
        """Which elements are non-zero: bool, of the tensor's shape."""
        if isinstance(self.given, CsrMatrix):
            return self.given.to_dense() != 0
        if self.given is not None:
            return np.asarray(self.given != 0)
        return self._draw(self._mask, np.bool_)

    @cached_property
    def nonzeros(self) -> int:
        """Number of non-zero elements."""
        if isinstance(self.given, CsrMatrix):
            return self.sparse.nnz
        return self.tensor.elements if self.dense else int(np.count_nonzero(self.mask))

    @cached_property
    def values(self) -> np.ndarray:
        """The elements: int64, of the tensor's shape."""
        if isinstance(self.given, CsrMatrix):
            return self.given.to_dense()
        if self.given is not None:
            return self.given.astype(np.int64)
        bits = self.bits
        if bits > MAX_VALUE_BITS:
            raise WorkloadError(
                f"tensor '{self.tensor.name}': values of {bits} bits cannot be made",
                f"use at most {MAX_VALUE_BITS} bits",
            )

        def image_values(image: int, size: int) -> np.ndarray:
            t = self.tensor
            drawn = streams.nonzero_values(self.seed, t.name, image, size, bits, t.signed)
            return drawn if self.dense else drawn * self._mask(image, size)

        return self._draw(image_values, np.int64)

    @cached_property
    def reals(self) -> np.ndarray:
        """Synthetic real numbers in place of the integers: standard normal, magnitudes if unsigned; float64.

        Zeros fall where the tensor's density and pattern put them.
        """

        def image_values(image: int, size: int) -> np.ndarray:
            t = self.tensor
            drawn = streams.normal_values(self.seed, t.name, image, size)
            drawn = drawn if t.signed else np.abs(drawn)
            return drawn if self.dense else drawn * self._mask(image, size)

        return self._draw(image_values, np.float64)

    @cached_property
    def sparse(self) -> CsrMatrix:
        """The non-zero elements of a matrix."""
        if isinstance(self.given, CsrMatrix):
            return self.given.without_zeros()
        if self.tensor.elements > MAX_DENSE:
            raise WorkloadError(
                f"tensor '{self.tensor.name}': {self.tensor.elements:,} elements are too many to draw",
                f"at most {MAX_DENSE:,}; use a generator such as uniform:n=...,nnz=...",
            )
        return from_dense(self.values)

    @property
    def bits(self) -> int:
        """Width of an element."""
        if self.tensor.bits is None:
            raise WorkloadError(f"tensor '{self.tensor.name}' has no width", "set its bits or a default precision")
        return self.tensor.bits

    def _mask(self, image: int, size: int) -> np.ndarray:
        return patterns.nonzero_mask(self.seed, self.tensor, image, size, self.met)

    def _draw(self, draw: Callable[[int, int], np.ndarray], dtype: type) -> np.ndarray:
        if self.tensor.elements > MAX_DRAWN:
            raise WorkloadError(
                f"tensor '{self.tensor.name}': {self.tensor.elements:,} elements are too many to draw",
                f"at most {MAX_DRAWN:,}; cut the layer, or leave it dense",
            )
        if self.tensor.weight:
            return np.asarray(draw(streams.WEIGHTS, self.tensor.elements), dtype).reshape(self.tensor.shape)
        size = self.tensor.elements // self.batch
        images: list[np.ndarray] = [draw(image, size).astype(dtype) for image in range(self.batch)]
        return np.concatenate(images).reshape(self.tensor.shape)


class MacCounts(NamedTuple):
    """Multiply-accumulates by which of their operands are not zero, as `Operands` has them; 0 of other layers."""

    effective_macs: int = 0
    nonzero_weight_macs: int = 0
    nonzero_input_macs: int = 0


@dataclass(frozen=True)
class Operands:
    """The operands of one layer."""

    view: LayerView
    inputs: tuple[Operand, ...]
    weights: tuple[Operand, ...]

    @property
    def input(self) -> Operand:
        """The first input."""
        return self.inputs[0]

    @property
    def weight(self) -> Operand:
        """The filters; of a matmul, the second activation."""
        return self.weights[0] if self.weights else self.inputs[1]

    @property
    def counts(self) -> MacCounts:
        """All three."""
        if not self.view.macs:
            return MacCounts()
        return MacCounts(self.effective_macs, self.nonzero_weight_macs, self.nonzero_input_macs)

    @cached_property
    def effective_macs(self) -> int:
        """Multiply-accumulates with both operands non-zero; padding taps have a zero operand.

        Counted exactly from the masks, tap by tap: non-zero inputs under the tap times non-zero weights in it.
        """
        if isinstance(self.view.shape, Attention):
            return attention_macs.count(self.view.shape, *self.inputs[:3]).both
        if isinstance(self.view.shape, SpGemm):
            return product_count(self.input.sparse, self.weight.sparse)
        if self.weight.dense:
            return self.nonzero_input_macs
        conv, mask = self._conv, to_conv_weight(self.view, self.weight.mask)
        g, kg, cg = conv.groups, conv.k // conv.groups, conv.c // conv.groups

        def weights(i: int) -> np.ndarray:
            row = mask[:, :, i, :].reshape(g, kg, cg, conv.s)
            return row.sum(axis=1, dtype=np.int64).reshape(conv.c, conv.s)

        return self._meetings(weights)

    @cached_property
    def nonzero_input_macs(self) -> int:
        """Multiply-accumulates whose input is not zero, whatever the weight; padding taps have a zero input."""
        if isinstance(self.view.shape, Attention):
            return attention_macs.count(self.view.shape, *self.inputs[:3]).input
        if isinstance(self.view.shape, SpGemm):
            return self.input.sparse.nnz * self.view.shape.n
        conv = self._conv
        if self.input.dense:
            rows, cols = _inside(conv)
            return conv.n * conv.k * (conv.c // conv.groups) * sum(map(_length, rows)) * sum(map(_length, cols))
        return self._meetings(lambda i: np.ones((1, conv.s), np.int64)) * (conv.k // conv.groups)

    @cached_property
    def nonzero_weight_macs(self) -> int:
        """Multiply-accumulates whose weight is not zero, whatever the input, padding taps among them."""
        if isinstance(self.view.shape, Attention):
            return attention_macs.count(self.view.shape, *self.inputs[:3]).weight
        if isinstance(self.view.shape, SpGemm):
            return self.weight.sparse.nnz * self.view.shape.m
        conv = self._conv
        return self.weight.nonzeros * conv.n * conv.e * conv.f

    def conv_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return input (n, c, h, w) and weight (k, c/groups, r, s) of the equivalent convolution, int64."""
        return to_conv_input(self.view, self.input.values), to_conv_weight(self.view, self.weight.values)

    @property
    def _conv(self) -> Conv2d:
        return self.view.conv

    def _meetings(self, weights: Callable[[int], np.ndarray]) -> int:
        """Return how often non-zero inputs meet weights, given the number of weights (c, s) of each filter row.

        One filter row at a time: no array is as large as the filters of all channels.
        """
        conv = self._conv
        rows, cols = _inside(conv)
        mask = None if self.input.dense else to_conv_input(self.view, self.input.mask)
        total = 0
        for i, row in enumerate(rows):
            if mask is None:
                lengths = np.array([_length(col) for col in cols], np.int64)
                total += conv.n * _length(row) * int(weights(i).sum(axis=0) @ lengths)
            else:
                columns = mask[:, :, row, :].sum(axis=(0, 2), dtype=np.int64)
                total += int((_sums(columns, cols) * weights(i)).sum())
        return total


def _sums(array: np.ndarray, parts: list[slice]) -> np.ndarray:
    """Return the sums (c, parts) over slices with one step of the last axis of (c, w), int64."""
    step = parts[0].step
    c, w = array.shape
    blocks = -(-w // step) + 1  # the first one is empty: what lies before the first step
    before = np.zeros((c, blocks * step), np.int64)
    before[:, step : step + w] = array
    before = before.reshape(c, blocks, step).cumsum(axis=1).reshape(c, blocks * step)
    starts = np.array([part.start for part in parts], np.int64)
    lengths = np.array([_length(part) for part in parts], np.int64)
    return before[:, starts + lengths * step] - before[:, starts]


def _inside(conv: Conv2d) -> tuple[list[slice], list[slice]]:
    """Return the input rows that each filter row meets over all outputs, and the same of columns."""
    rows = [_valid(conv.h, conv.e, conv.stride[0], conv.pad[0], i * conv.dilation[0]) for i in range(conv.r)]
    cols = [_valid(conv.w, conv.f, conv.stride[1], conv.pad[1], j * conv.dilation[1]) for j in range(conv.s)]
    return rows, cols


def _length(part: slice) -> int:
    return len(range(part.start, part.stop, part.step))


def _valid(size: int, outputs: int, stride: int, pad: int, offset: int) -> slice:
    """Return the in-image positions that a tap at ``offset`` meets: ``stride * o + offset - pad`` for all o."""
    first = max(0, -(-(pad - offset) // stride))
    last = min(outputs - 1, (size - 1 + pad - offset) // stride)
    if last < first:
        return slice(0, 0, stride)
    start = first * stride + offset - pad
    return slice(start, start + (last - first) * stride + 1, stride)


def to_conv_input(view: LayerView, array: np.ndarray) -> np.ndarray:
    """Lay an input out as (n, c, h, w) of the equivalent convolution."""
    shape = view.shape
    if isinstance(shape, Matmul):
        a = array.reshape(shape.batch, shape.m, shape.k)
        return a.transpose(1, 0, 2).reshape(shape.m, shape.batch * shape.k, 1, 1)
    conv = shape.as_conv()  # type: ignore[union-attr]
    return array.reshape(conv.n, conv.c, conv.h, conv.w)


def to_conv_weight(view: LayerView, array: np.ndarray) -> np.ndarray:
    """Lay weights (or a matmul's second operand) out as (k, c/groups, r, s)."""
    shape = view.shape
    if isinstance(shape, Matmul):
        b = array.reshape(shape.batch, shape.k, shape.n)
        return b.transpose(0, 2, 1).reshape(shape.batch * shape.n, shape.k, 1, 1)
    conv = shape.as_conv()  # type: ignore[union-attr]
    return array.reshape(conv.k, conv.c // conv.groups, conv.r, conv.s)


def from_conv_output(view: LayerView, array: np.ndarray) -> np.ndarray:
    """Lay an output (n, k, e, f) of the equivalent convolution out in the layer's own shape."""
    shape = view.shape
    if isinstance(shape, Matmul):
        return array.reshape(shape.m, shape.batch, shape.n).transpose(1, 0, 2)
    return array.reshape(shape.output_shape)


def of(
    view: LayerView, seed: int = 0, given: Mapping[str, Any] | None = None, counts: MacCounts | None = None
) -> Operands:
    """Return the lazy operands of a layer.

    Parameters
    ----------
    view : LayerView
    seed : int
    given : mapping, optional
        Tensor name -> integers of its shape, for those that are not synthetic.
    counts : MacCounts, optional
        Where they have been counted before.
    """
    table = given or {}

    def operand(tensor: Tensor) -> Operand:
        return one(tensor, seed, view.batch, table.get(tensor.name))

    inputs, weights = tuple(map(operand, view.inputs)), tuple(map(operand, view.weights))
    if weights and view.kind in ("conv2d", "linear") and parse(weights[0].tensor.pattern).kind == FOLLOWS:
        weights = (replace(weights[0], met=partial(_met, view, inputs[0])), *weights[1:])
    found = Operands(view, inputs, weights)
    if counts is not None and view.macs:
        vars(found).update(counts._asdict())
    return found


def _met(view: LayerView, operand: Operand) -> np.ndarray:
    """Return the share of each input channel that is not zero, float64 (groups, channels of a group)."""
    shares = to_conv_input(view, operand.mask).mean(axis=(0, 2, 3)) if not operand.dense else np.ones(view.conv.c)
    return np.asarray(shares.reshape(view.conv.groups, -1))


def one(tensor: Tensor, seed: int, images: int, given: Any = None) -> Operand:
    """Return the lazy operand of a tensor; one that is not made of whole images has a single stream."""
    batch = 1 if tensor.weight or not tensor.shape or tensor.shape[0] % images else images
    return Operand(tensor, seed, batch, given)
