"""SIGMA: packing, streaming, and the closed forms of the paper's comparison."""

from fractions import Fraction

import numpy as np
import pytest

from accelsim.engines.sigma.closed import sigma_cycles, tpu_cycles
from accelsim.simulation import load_arch, simulate
from accelsim.workload.csr_matrix import from_dense
from accelsim.workload.matrix_network import network_of

TABLE = [
    # m, n, k, TPU, SIGMA: E. Qin et al., HPCA 2020, from the TeAAL artifact's baseline files; density of A 0.2
    (128, 2048, 4096, 73_728, 66_454),
    (320, 3072, 4096, 319_488, 100_576),
    (2048, 4096, 32, 68_096, 4_213),
    (84, 1024, 4096, 40_960, 33_376),
    (256, 256, 2048, 16_384, 5_014),
]


@pytest.mark.parametrize(("m", "n", "k", "tpu", "sigma"), TABLE)
def test_closed_forms_give_the_published_cycles(m, n, k, tpu, sigma):
    assert tpu_cycles(m, n, k) == tpu
    assert float(sigma_cycles(m, n, k, Fraction(1, 5))) == pytest.approx(sigma, rel=0.02)


def test_the_engine_gives_the_closed_form_at_its_own_counts():
    ones = from_dense(np.ones((8, 32), np.int64))
    (layer,) = simulate(load_arch("sigma"), network_of("m", ones, from_dense(np.ones((32, 5), np.int64)))).layers
    assert layer.details["array_cycles"] == sigma_cycles(8, 5, 32, Fraction(1)) == 5 + 2


def small(a, b, **changes):
    sets = [(f"params.{key}", value) for key, value in ({"dpes": 2, "dpe_pes": 2, "load_words": 1} | changes).items()]
    return simulate(load_arch("sigma", sets), network_of("m", from_dense(a), from_dense(b)), check=True).layers[0]


def test_zeros_of_the_held_operand_take_no_multiplier_and_those_of_the_other_a_slot():
    layer = small(*map(np.array, ([[1, 0], [0, 2]], [[1, 0, 1], [1, 1, 1]])))
    assert layer.details["groups"] == 1
    assert layer.account == {"busy": 5, "zero": 1, "unmapped": 6, "starved": 8}
    assert layer.checked


def test_a_group_is_as_large_as_the_multipliers():
    layer = small(*map(np.array, ([[1, 1]] * 3, [[1], [1]])))
    assert layer.details["groups"] == 2
    assert layer.details["load_cycles"] == 6


def test_the_depth_of_the_tree_is_paid_once_per_group():
    arrays = tuple(map(np.array, ([[1, 1]] * 3, [[1], [1]])))
    plain, deep = small(*arrays), small(*arrays, pipeline=True)
    assert deep.details["array_cycles"] == plain.details["array_cycles"] + 2
