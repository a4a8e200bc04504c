"""Every kind of product as pairs of sparse matrices: A held still, B streamed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from accelsim.operands.handle import Operands
from accelsim.workload.csr_matrix import CsrMatrix, from_dense
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Linear, Matmul, SpGemm

Pairs = tuple[tuple[CsrMatrix, CsrMatrix], ...]


class Sizes(NamedTuple):
    """What the operands take, whatever the machine does with them."""

    nnz_b: int
    bitmap_bits: int
    outputs: int
    """Elements of the result, which is written densely."""

    @classmethod
    def of(cls, pairs: Pairs) -> Sizes:
        """Return the sizes of a batch of pairs."""
        return cls(
            sum(b.nnz for _, b in pairs),
            sum(a.shape[0] * a.shape[1] + b.shape[0] * b.shape[1] for a, b in pairs),
            sum(a.shape[0] * b.shape[1] for a, b in pairs),
        )


def pairs(operands: Operands) -> Pairs:
    """Return (A, B) of each matrix of the batch; a linear layer holds its inputs and streams its weights."""
    shape = operands.view.shape
    if isinstance(shape, SpGemm):
        return ((operands.input.sparse, operands.weight.sparse),)
    x, w = operands.input.values, operands.weight.values
    if isinstance(shape, Linear):
        return ((from_dense(x.reshape(shape.n, shape.c)), from_dense(w.reshape(shape.k, shape.c).T)),)
    assert isinstance(shape, Matmul)  # which `supports` made sure of
    x, w = x.reshape(shape.batch, shape.m, shape.k), w.reshape(shape.batch, shape.k, shape.n)
    return tuple((from_dense(left), from_dense(right)) for left, right in zip(x, w, strict=True))


def result(view: LayerView, products: Sequence[CsrMatrix]) -> Any:
    """Return the layer's output: sparse of a sparse product, else an array."""
    if isinstance(view.shape, SpGemm):
        return products[0]
    return np.stack([product.to_dense() for product in products]).reshape(view.shape.output_shape)
