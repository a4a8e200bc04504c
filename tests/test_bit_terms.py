"""Operands as signed powers of two."""

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.operands import terms

EVERY = np.arange(-(2**16), 2**16 + 1)


@pytest.mark.parametrize("recoding", terms.RECODINGS.values())
def test_terms_add_up_to_the_number(recoding):
    coded = recoding(EVERY)
    np.testing.assert_array_equal(coded.values, EVERY)
    assert not (coded.plus & coded.minus).any()


@pytest.mark.parametrize("bits", [2, 7, 16])
@pytest.mark.parametrize("signed", [True, False])
def test_planes_add_up_to_the_number(bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    numbers = np.arange(low, high)
    coded = terms.planes(numbers, bits, signed)
    np.testing.assert_array_equal(coded.values, numbers)
    assert coded.mask.max() < 2**bits


def test_the_nonadjacent_form_has_no_neighbours_and_the_fewest_terms():
    coded = terms.nonadjacent(EVERY)
    assert not (coded.mask & (coded.mask >> 1)).any()
    assert (coded.counts <= terms.magnitudes(EVERY).counts).all()


def test_the_booth_like_recoding_has_more_terms_than_the_nonadjacent_form_for_603_of_4096():
    numbers = np.arange(4096)
    booth, fewest = terms.booth(numbers).counts, terms.nonadjacent(numbers).counts
    assert ((booth > fewest).sum(), (booth < fewest).sum()) == (603, 0)


def test_booth_recodes_only_runs_of_three_and_more():
    counts = dict(zip((3, 7, 11, 15, 0b10111), terms.booth(np.array([3, 7, 11, 15, 0b10111])).counts, strict=True))
    assert counts == {3: 2, 7: 2, 11: 3, 15: 2, 0b10111: 3}


def test_needed_widths_hold_the_number_and_no_narrower_one_does():
    numbers = np.arange(-300, 300)
    widths = terms.needed_widths(numbers, True)
    assert ((numbers >= -(2 ** (widths - 1))) & (numbers < 2 ** (widths - 1))).all()
    narrow = widths[widths > 1] - 1
    inside = numbers[widths > 1]
    assert not ((inside >= -(2 ** (narrow - 1.0))) & (inside < 2 ** (narrow - 1.0))).any()
    assert terms.needed_widths(np.array([0, 1, 255]), False).tolist() == [0, 1, 8]


def test_a_negative_value_on_an_unsigned_port_asks_for_a_sign():
    with pytest.raises(
        WorkloadError, match=r"here: the value -3 does not fit in 8 unsigned bits; .*signed with 3 bits"
    ):
        terms.check_fit(np.array([5, -3]), 8, False, "here")
