"""Seeded tensors, exact counts, and the NumPy truth against plain loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import WorkloadError
from accelsim.operands import streams
from accelsim.operands.files import to_integers
from accelsim.operands.golden import convolve, golden
from accelsim.operands.handle import Operand, of
from accelsim.workload.csr_matrix import from_dense
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Pool, SpGemm


def test_a_stream_depends_on_seed_name_and_image_only():
    one = streams.nonzero_mask(1, "conv1.input", 0, 1000, 0.3)
    np.testing.assert_array_equal(one, streams.nonzero_mask(1, "conv1.input", 0, 1000, 0.3))
    np.testing.assert_array_equal(one[:500], streams.nonzero_mask(1, "conv1.input", 0, 500, 0.3))
    for other in ((2, "conv1.input", 0), (1, "conv2.input", 0), (1, "conv1.input", 1)):
        assert not np.array_equal(one, streams.nonzero_mask(*other, 1000, 0.3))


def test_a_stream_never_changes():
    # written down once: a different number means that every published run would change
    mask = streams.nonzero_mask(0, "pinned", 0, 100_000, 0.25)
    assert int(mask.sum()) == PINNED_ONES
    assert streams.nonzero_values(0, "pinned", 0, 4, 8, True).tolist() == PINNED_VALUES


PINNED_ONES = 25131
PINNED_VALUES = [21, -34, 40, -28]


def test_a_mask_has_its_density():
    count = int(streams.nonzero_mask(3, "x", 0, 200_000, 0.3).sum())
    assert abs(count - 60_000) < 5 * (200_000 * 0.3 * 0.7) ** 0.5
    assert streams.nonzero_mask(3, "x", 0, 50, 0.0).sum() == 0
    assert streams.nonzero_mask(3, "x", 0, 50, 1.0).all()


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (1, False), (2, True), (4, False), (8, True), (16, True)])
def test_values_are_non_zero_and_cover_their_width(bits, signed):
    values = streams.nonzero_values(0, "v", 0, 200_000 if bits == 16 else 5000, bits, signed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert 0 not in values
    assert values.min() >= low
    assert values.max() <= high
    if bits <= 8:
        assert set(values.tolist()) == set(range(low, high + 1)) - {0}


def test_a_dense_operand_draws_nothing(monkeypatch):
    def fail(*_):
        raise AssertionError("drew from a stream")

    monkeypatch.setattr(streams, "_words", fail)
    assert Operand(Tensor("d", (3, 4), 8)).nonzeros == 12


convs = st.builds(
    lambda g, c, k, h, w, r, s, st_, p, d, n: Conv2d(
        n, g * c, g * k, h, w, r, s, g, st_, (min(p[0], r), min(p[1], s), min(p[2], r), min(p[3], s)), d
    ),
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(5, 7), st.integers(5, 7), st.integers(1, 3),
    st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 2)),
    st.tuples(*[st.integers(0, 2)] * 4), st.tuples(st.integers(1, 2), st.integers(1, 2)), st.integers(1, 2),
)  # fmt: skip


def plain(conv, x, w):
    """Return the convolution, and its multiplications with a non-zero weight, input, and both, by nested loops."""
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    weights = inputs = effective = 0
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    for n, k, e, f, c, r, s in product(*map(range, (conv.n, conv.k, conv.e, conv.f, cg, conv.r, conv.s))):
        h = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
        v = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
        b = int(w[k, c, r, s])
        weights += bool(b)
        if 0 <= h < conv.h and 0 <= v < conv.w:
            a = int(x[n, k // kg * cg + c, h, v])
            out[n, k, e, f] += a * b
            inputs += bool(a)
            effective += bool(a and b)
    return out, (weights, inputs, effective)


def view_of(shape, densities=(1.0, 1.0)):
    inputs = tuple(Tensor(f"i{i}", s, 6, True, densities[i]) for i, s in enumerate(shape.input_shapes))
    weight = getattr(shape, "weight_shape", None)
    weights = (Tensor("w", weight, 6, True, densities[1], True),) if weight else ()
    return LayerView("l", shape, inputs, weights, (Tensor("o", shape.output_shape, 8),))


@given(convs, st.sampled_from([(1.0, 1.0), (0.5, 1.0), (1.0, 0.4), (0.3, 0.6)]))
@settings(max_examples=60, deadline=None)
def test_numpy_truth_and_classes_of_macs_equal_plain_loops(conv, densities):
    operands = of(view_of(conv, densities), seed=7)
    out, counts = plain(conv, *operands.conv_arrays())
    np.testing.assert_array_equal(golden(operands), out)
    assert (operands.nonzero_weight_macs, operands.nonzero_input_macs, operands.effective_macs) == counts


def test_a_matmul_and_a_linear_layer_are_their_numpy_products():
    operands = of(view_of(Matmul(batch=3, m=4, n=5, k=6), (0.5, 0.5)))
    a, b = (operand.values for operand in operands.inputs)
    np.testing.assert_array_equal(golden(operands), np.matmul(a, b))
    assert operands.effective_macs == int(np.matmul((a != 0).astype(int), (b != 0).astype(int)).sum())
    assert (operands.nonzero_input_macs, operands.nonzero_weight_macs) == ((a != 0).sum() * 5, (b != 0).sum() * 4)
    operands = of(view_of(Linear(n=3, c=7, k=4)))
    np.testing.assert_array_equal(golden(operands), operands.input.values @ operands.weight.values.T)


def test_wide_operands_do_not_pass_through_floats():
    conv = Conv2d(n=1, c=2, k=1, h=1, w=1, r=1, s=1)
    big = 2**31 - 1
    x, w = np.full((1, 2, 1, 1), big), np.full((1, 2, 1, 1), big)
    assert int(convolve(conv, x, w)[0, 0, 0, 0]) == 2 * big * big


def test_average_pooling_divides_by_the_taps_inside_the_image():
    pool = Pool("average", n=1, c=1, h=2, w=2, r=2, s=2, stride=(1, 1), pad=(1, 1, 0, 0))
    view = LayerView("p", pool, (Tensor("x", (1, 1, 2, 2), 8),), (), (Tensor("y", pool.output_shape, 8),))
    given_x = {"x": np.array([[[[1, 2], [3, 4]]]])}
    np.testing.assert_allclose(golden(of(view, 0, given_x))[0, 0], [[1, 1.5], [2, 2.5]])


def test_reals_are_quantised_symmetrically():
    tensor = Tensor("t", (4,), 8)
    assert to_integers(np.array([0.0, 0.5, -1.0, 1.0]), tensor).tolist() == [0, 64, -127, 127]
    assert to_integers(np.zeros(4), tensor).tolist() == [0, 0, 0, 0]


def test_infinite_reals_are_the_ends_of_their_width():
    tensor = Tensor("t", (4,), 8)
    assert to_integers(np.array([0.0, -np.inf, 0.5, np.inf]), tensor).tolist() == [0, -128, 127, 127]
    assert to_integers(np.array([0.0, -np.inf, 0.0, 0.0]), tensor).tolist() == [0, -128, 0, 0]
    with pytest.raises(WorkloadError, match="tensor 't' holds NaN"):
        to_integers(np.array([0.0, np.nan, 0.0, 0.0]), tensor)


def test_one_signed_bit_is_a_sign():
    tensor = Tensor("t", (4,), 1)
    assert to_integers(np.array([0.0, 0.5, -1.0, 1.0]), tensor).tolist() == [1, 1, -1, 1]
    assert to_integers(np.array([1, 1, -1, 0]), tensor).tolist() == [1, 1, -1, 0]


def test_what_does_not_fit_says_how_many_bits_would():
    for values, signed, words in (
        ([-3, 200], False, r"values -3\.\.200 do not fit 8 bits unsigned; declare at least 9 bits signed"),
        ([0, 300], False, r"values 0\.\.300 do not fit 8 bits unsigned; declare at least 9 bits"),
        ([-200, 3], True, r"values -200\.\.3 do not fit 8 bits signed; declare at least 9 bits"),
    ):
        with pytest.raises(WorkloadError, match=words):
            to_integers(np.array(values), Tensor("t", (2,), 8, signed))


@given(st.integers(1, 16), st.booleans(), st.integers(-40000, 70000))
def test_a_value_fits_exactly_when_its_width_holds_it(bits, signed, value):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    high = 1 if bits == 1 and signed else high  # a sign
    tensor = Tensor("t", (1,), bits, signed)
    if low <= value <= high:
        assert to_integers(np.array([value]), tensor).tolist() == [value]
    else:
        with pytest.raises(WorkloadError, match="do not fit"):
            to_integers(np.array([value]), tensor)


def test_a_product_of_sparse_matrices_counts_what_either_operand_alone_would_need():
    # A is 2 x 3 with 4 entries, B is 3 x 5 with 6: dense in the other operand they take 4 x 5 and 6 x 2 products
    a = np.array([[1, 0, 2], [0, 3, 4]])
    b = np.array([[1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1]])
    shape = SpGemm(2, 5, 3)
    inputs = (Tensor("a", (2, 3), 8), Tensor("b", (3, 5), 8))
    view = LayerView("layer", shape, inputs, (), (Tensor("c", (2, 5), 8),))
    found = of(view, 0, {"a": from_dense(a), "b": from_dense(b)})
    assert (found.nonzero_input_macs, found.nonzero_weight_macs) == (4 * 5, 6 * 2)
    # row 0 of A meets rows 0 and 2 of B, row 1 meets rows 1 and 2
    assert found.effective_macs == (2 + 4) + (0 + 4)


@pytest.mark.parametrize("what", ["values", "mask", "reals"])
def test_images_of_a_batch_have_numbers_of_their_own_whatever_the_batch(what):
    one, three = (getattr(Operand(Tensor("x", (n, 50), 8, density=0.5), 3, n), what) for n in (1, 3))
    np.testing.assert_array_equal(three[:1], one)
    assert not np.array_equal(three[0], three[1])
    assert not np.array_equal(three[1], three[2])
