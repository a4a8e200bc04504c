"""Products of fused 2-bit bricks equal integer products at every width and sign."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import bricks

from accelsim.errors import WorkloadError

WIDTHS = range(1, 17)
SIGNS = list(product((False, True), repeat=2))


def bounds(bits, signed):
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def every_value(bits, signed):
    low, high = bounds(bits, signed)
    return np.arange(low, high + 1)


def corners_and_samples(bits, signed, rng):
    low, high = bounds(bits, signed)
    corners = [x for x in (low, low + 1, -1, 0, 1, high - 1, high) if low <= x <= high]
    return np.concatenate([corners, rng.integers(low, high + 1, 20)])


class TestBrick:
    @pytest.mark.parametrize(("a_signed", "b_signed"), SIGNS)
    def test_a_brick_multiplies_all_its_digits(self, a_signed, b_signed):
        values = {False: [0, 1, 2, 3], True: [0, 1, -2, -1]}  # by code
        for a, b in product(range(4), repeat=2):
            assert bricks.brick(a, b, a_signed, b_signed) == values[a_signed][a] * values[b_signed][b]

    def test_products_span_minus_six_to_nine(self):
        found = {int(bricks.brick(a, b, sa, sb)) for a, b in product(range(4), repeat=2) for sa, sb in SIGNS}
        assert (min(found), max(found)) == (-6, 9)


class TestDigits:
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("bits", WIDTHS)
    def test_digits_add_up_to_the_value(self, bits, signed):
        values = every_value(bits, signed)
        codes = bricks.digits(values, bits, signed)
        assert codes.shape == (len(values), bricks.supported_width(bits) // 2)
        weights = 4 ** np.arange(codes.shape[-1])
        top = np.where(codes[:, -1] >= 2, 4, 0) if signed else 0
        assert np.array_equal(codes @ weights - top * weights[-1], values)

    @pytest.mark.parametrize(
        ("value", "bits", "signed", "message"),
        [
            (8, 4, True, r"the value 8 does not fit in 4 signed bits; keep values in -8\.\.7"),
            (-9, 4, True, "the value -9 does not fit in 4 signed bits"),
            (-1, 4, False, r"the value -1 does not fit in 4 unsigned bits; keep values in 0\.\.15"),
            (1, 1, True, r"the value 1 does not fit in 1 signed bits; keep values in -1\.\.0"),
            (0, 17, True, "operands of 17 bits are not supported; use 1 to 16 bits"),
            (0, 0, True, "operands of 0 bits are not supported"),
        ],
    )
    def test_a_value_or_width_that_does_not_fit_is_refused(self, value, bits, signed, message):
        with pytest.raises(WorkloadError, match=message):
            bricks.digits([0, value], bits, signed)

    def test_fractions_are_refused(self):
        with pytest.raises(WorkloadError, match="float64 are not integers; quantise them first"):
            bricks.digits([0.5], 4, True)

    def test_large_unsigned_values_are_judged_before_they_wrap(self):
        with pytest.raises(WorkloadError, match="18446744073709551615 does not fit"):
            bricks.digits(np.array([2**64 - 1], dtype=np.uint64), 16, True)


class TestFusedProduct:
    @pytest.mark.parametrize(("a_signed", "b_signed"), SIGNS)
    @pytest.mark.parametrize(("a_bits", "b_bits"), [*product(range(1, 6), repeat=2), (8, 8), (8, 2), (3, 8), (16, 1)])
    def test_every_pair_of_values_of_narrow_operands(self, a_bits, b_bits, a_signed, b_signed):
        a, b = every_value(a_bits, a_signed)[:, None], every_value(b_bits, b_signed)
        assert np.array_equal(bricks.fused_product(a, b, a_bits, b_bits, a_signed, b_signed), a * b)

    @pytest.mark.parametrize(("a_signed", "b_signed"), SIGNS)
    def test_every_pair_of_widths_at_the_corners_and_on_samples(self, a_signed, b_signed):
        rng = np.random.default_rng(7)
        for a_bits, b_bits in product(WIDTHS, repeat=2):
            a = corners_and_samples(a_bits, a_signed, rng)[:, None]
            b = corners_and_samples(b_bits, b_signed, rng)
            assert np.array_equal(bricks.fused_product(a, b, a_bits, b_bits, a_signed, b_signed), a * b), (
                a_bits,
                b_bits,
            )

    @given(st.data())
    def test_any_operands_of_any_widths(self, data):
        operands = []
        for _ in range(2):
            bits, signed = data.draw(st.integers(1, 16)), data.draw(st.booleans())
            operands.append((data.draw(st.integers(*bounds(bits, signed))), bits, signed))
        (a, a_bits, a_signed), (b, b_bits, b_signed) = operands
        assert bricks.fused_product(a, b, a_bits, b_bits, a_signed, b_signed) == a * b
        assert bricks.fused_product(b, a, b_bits, a_bits, b_signed, a_signed) == a * b


class TestFusedMatmul:
    @pytest.mark.parametrize(("a_signed", "b_signed"), SIGNS)
    def test_a_matrix_product_equals_numpy_at_every_pair_of_widths(self, a_signed, b_signed):
        rng = np.random.default_rng(8)
        for a_bits, b_bits in product(WIDTHS, repeat=2):
            a_low, a_high = bounds(a_bits, a_signed)
            b_low, b_high = bounds(b_bits, b_signed)
            a, b = rng.integers(a_low, a_high + 1, (3, 17)), rng.integers(b_low, b_high + 1, (17, 4))
            assert np.array_equal(bricks.fused_matmul(a, b, a_bits, b_bits, a_signed, b_signed), a @ b)

    def test_sums_at_the_extremes_are_exact(self):
        a, b = np.full((1, 100_000), -(2**15)), np.full((100_000, 1), -(2**15))
        assert bricks.fused_matmul(a, b, 16, 16).tolist() == [[100_000 * 2**30]]

    def test_planes_and_bricks_agree(self):
        rng = np.random.default_rng(9)
        a, b = rng.integers(-128, 128, (5, 6)), rng.integers(0, 16, (6, 2))
        one_by_one = bricks.fused_product(a[:, :, None], b[None], 8, 4, True, False).sum(axis=1)
        assert np.array_equal(bricks.fused_matmul(a, b, 8, 4, True, False), one_by_one)


class TestFusion:
    @pytest.mark.parametrize(
        ("a_bits", "b_bits", "expected"),
        [
            (8, 8, (16, 1, 1)),  # the paper's cases, ISCA 2018: 16 bricks for 8b/8b,
            (8, 2, (4, 4, 1)),  # 4 bricks for 8b/2b,
            (4, 4, (4, 4, 1)),  # 4b/4b,
            (2, 8, (4, 4, 1)),  # and 2b/8b
            (2, 2, (1, 16, 1)),
            (16, 16, (16, 1, 4)),  # four passes of 8 x 8
            (16, 8, (16, 1, 2)),
            (1, 1, (1, 16, 1)),
            (3, 5, (8, 2, 1)),  # as 4 x 8
            (9, 2, (4, 4, 2)),  # as 16 x 2
        ],
    )
    def test_bricks_fuse_as_published(self, a_bits, b_bits, expected):
        found = bricks.fusion(a_bits, b_bits)
        assert (found.bricks, found.products, found.passes) == expected

    def test_the_rate_is_sixteen_over_the_product_of_digits(self):
        for a_bits, b_bits in product(WIDTHS, repeat=2):
            found = bricks.fusion(a_bits, b_bits)
            digits = bricks.supported_width(a_bits) // 2 * (bricks.supported_width(b_bits) // 2)
            assert found.products * digits == 16 * found.passes
            assert found.bricks * found.products == 16

    def test_widths_outside_1_to_16_are_refused(self):
        with pytest.raises(WorkloadError, match="use 1 to 16 bits"):
            bricks.fusion(8, 17)
