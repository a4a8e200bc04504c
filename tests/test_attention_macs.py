"""Multiplications of an attention without zeros, counted pair by pair."""

from itertools import product

import numpy as np
import pytest

from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Attention


@pytest.mark.parametrize("causal", ["none", "skip", "full"])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_products_without_zeros_are_those_counted_pair_by_pair(causal, density):
    a = Attention(2, 4, 2, 3, 5, 3, causal)
    inputs = tuple(Tensor(name, dims, 4, density=density) for name, dims in zip("qkv", a.input_shapes, strict=True))
    operands = of(LayerView("a", a, inputs, (), (Tensor("y", a.output_shape, 8),)))
    q, k, v = (operand.mask for operand in operands.inputs)
    q, k, v = q.reshape(2, 3, 4, 3), k.reshape(2, 5, 2, 3), v.reshape(2, 5, 2, 3)
    found = np.zeros(3, int)
    for b, h, i, j, c in product(range(2), range(4), range(3), range(5), range(3)):
        if causal == "skip" and j > 2 + i:
            continue
        query, key, value = q[b, i, h, c], k[b, j, h // 2, c], v[b, j, h // 2, c]
        found += [int(query) + 1, int(key) + int(value), int(query and key) + int(value)]
    counted = [operands.nonzero_input_macs, operands.nonzero_weight_macs, operands.effective_macs]
    assert counted == found.tolist()
