"""Run-length compression of Eyeriss: exact words, exact sizes, every array comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim.errors import ConfigError, UserError
from accelsim.operands.rlc import Rlc, RlcCode


def stream(values, longest):
    """The (run, level) pairs of a hardware encoder that sees one value after the other."""
    pairs, run = [], 0
    for index, value in enumerate(values):
        if value == 0 and run < longest and index < len(values) - 1:
            run += 1
        else:
            pairs.append((run, int(value)))
            run = 0
    return pairs


def sparse(dtype, least, most, length=400):
    some = st.integers(least, most)
    return hnp.arrays(dtype, st.integers(0, length), elements=some, fill=st.just(0))


any_int16 = sparse(np.int16, -(2**15), 2**15 - 1)
relaxed = settings(deadline=None, max_examples=150)


@relaxed
@given(any_int16)
def test_every_int16_array_comes_back(values):
    decoded = Rlc().decode(Rlc().encode(values))
    assert decoded.dtype == np.int64
    assert np.array_equal(decoded, values)


@relaxed
@given(any_int16)
def test_the_size_is_that_of_the_pairs_counted_one_by_one(values):
    words = -(-len(stream(values, 31)) // 3)
    assert Rlc().encode(values).bits == words * 64 == Rlc().size_bits(values != 0)


@relaxed
@given(st.integers(1, 6), st.integers(2, 20), st.integers(1, 4), st.booleans(), st.data())
def test_other_widths_keep_every_array_and_its_size(run_bits, level_bits, pairs, signed, data):
    if pairs * (run_bits + level_bits) + 1 > 64:
        pairs = 2
    codec = Rlc(run_bits, level_bits, pairs, signed)
    low, high = (-(2 ** (level_bits - 1)), 2 ** (level_bits - 1) - 1) if signed else (0, 2**level_bits - 1)
    values = data.draw(sparse(np.int64, low, high, 120))
    coded = codec.encode(values)
    assert np.array_equal(codec.decode(coded), values)
    words = -(-len(stream(values, 2**run_bits - 1)) // pairs)
    assert coded.bits == words * codec.word_bits == codec.size_bits(values != 0)


@pytest.mark.parametrize("zeros", [0, 1, 30, 31, 32, 33, 63, 64, 65, 96])
def test_runs_longer_than_the_field_take_a_pair_for_each_32_zeros(zeros):
    values = np.array([0] * zeros + [5])
    coded = Rlc().encode(values)
    assert np.array_equal(Rlc().decode(coded), values)
    assert coded.words.size == -(-(zeros // 32 + 1) // 3)


@pytest.mark.parametrize(("zeros", "pairs"), [(0, 0), (1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (97, 4)])
def test_zeros_at_the_end_end_in_a_pair_of_level_0(zeros, pairs):
    assert Rlc().size_bits(np.zeros(zeros)) == -(-pairs // 3) * 64
    values = np.array([7] + [0] * zeros)
    assert np.array_equal(Rlc().decode(Rlc().encode(values)), values)


def test_a_word_holds_three_pairs_from_the_top_and_the_mark_of_the_last_word():
    """By hand: (2, 1) (0, -1) (31, 0) | (1, 9), level -1 being 0xFFFF."""
    values = np.array([0, 0, 1, -1] + [0] * 32 + [0, 9])
    first = (2 << 16 | 1) << 43 | (0 << 16 | 0xFFFF) << 22 | (31 << 16 | 0) << 1
    second = (1 << 16 | 9) << 43 | 1
    assert Rlc().encode(values).words.tolist() == [first, second]


@relaxed
@given(any_int16)
def test_only_the_last_word_is_marked(values):
    marks = Rlc().encode(values).words & np.uint64(1)
    assert marks.tolist() == [0] * (marks.size - 1) + [1] * min(marks.size, 1)


def test_shapes_are_kept_and_nothing_takes_no_bits():
    values = np.arange(24).reshape(2, 3, 4) % 5
    assert np.array_equal(Rlc().decode(Rlc().encode(values)), values)
    empty = Rlc().encode(np.zeros((3, 0), np.int16))
    assert empty.bits == Rlc().size_bits(np.zeros((3, 0))) == 0
    assert Rlc().decode(empty).shape == (3, 0)


def test_dense_values_grow_by_the_run_and_the_mark():
    values = np.ones(300, np.int16)
    assert Rlc().encode(values).bits == 100 * 64


def test_unused_pairs_of_the_last_word_are_not_read_as_values():
    coded = Rlc().encode(np.array([4]))
    assert np.array_equal(Rlc().decode(RlcCode((1,), coded.words, 64)), [4])


@pytest.mark.parametrize(
    ("codec", "values", "problem"),
    [
        (Rlc(), np.array([1, 40000]), "value 40000 does not fit 16 signed bits; its range is -32768..32767"),
        (Rlc(), np.array([-32769]), "value -32769 does not fit 16 signed bits; its range is -32768..32767"),
        (Rlc(signed=False), np.array([-1]), "value -1 does not fit 16 unsigned bits; its range is 0..65535"),
        (Rlc(4, 8), np.array([999], np.uint64), "value 999 does not fit 8 signed bits; its range is -128..127"),
        (Rlc(), np.array([0.5]), "float64 values cannot be coded; quantise them to integers"),
    ],
)
def test_what_a_level_cannot_hold_is_refused(codec, values, problem):
    with pytest.raises(UserError) as error:
        codec.encode(values, "conv1")
    assert str(error.value) == f"tensor 'conv1': {problem}"


@pytest.mark.parametrize("widths", [(5, 16, 4), (0, 16, 3), (5, 0, 3), (5, 16, 0), (5, 63, 1)])
def test_impossible_words_are_refused(widths):
    with pytest.raises(ConfigError):
        Rlc(*widths)


def test_random_halves_compress_as_the_geometric_run_predicts():
    """At density d a pair carries 1/d values (runs over 31 apart): 64/3 bits per non-zero."""
    mask = np.random.default_rng(3).random(300_000) < 0.4
    assert Rlc().size_bits(mask) == pytest.approx(300_000 * 0.4 * 64 / 3, rel=0.01)
