"""Every compressed format: round trips, exact sizes, refusals; and what is particular to each."""

import tracemalloc
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles.bitmap import Bitmap
from oracles.csr import Csr
from oracles.sparsity_map import SparsityMap
from oracles.zfnaf import Zfnaf

from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.operands.csc import Csc
from accelsim.operands.rlc import Rlc
from accelsim.operands.step_index import StepIndex
from accelsim.operands.zero_run import ZeroRun

# --- sizes, counted element by element ------------------------------------------------------------------------


def entries(line, span):
    """Entries of a line of values: one per non-zero, and a padding one for each ``span`` zeros on the way to it."""
    count = pending = zeros = 0
    for value in line:
        if value:
            count += 1 + pending
            pending = zeros = 0
        else:
            zeros += 1
            if zeros == span:
                pending, zeros = pending + 1, 0
    return count


def nonzeros(x):
    return sum(1 for value in x.flat if value)


def rlc_bits(codec, x):
    line = [*x.ravel().tolist()]
    line[-1:] = [1] * len(line[-1:])  # the last element ends a pair whatever it is
    return -(-entries(line, 2**codec.run_bits) // codec.pairs) * codec.word_bits


def csc_bits(codec, x):
    slices = [x[pe :: codec.pes, column] for pe in range(codec.pes) for column in range(x.shape[1])]
    count = sum(entries(line.tolist(), 2**codec.run_bits) for line in slices)
    return count * (codec.value_bits + codec.run_bits) + codec.pes * (x.shape[1] + 1) * codec.pointer_bits


def zero_run_bits(codec, x):
    cut = x.ndim - codec.block_axes
    blocks = x.reshape(prod(x.shape[:cut]), prod(x.shape[cut:])).tolist()
    count = sum(entries(block, 2**codec.run_bits) for block in blocks)
    return len(blocks) * codec.count_bits + count * (codec.value_bits + codec.run_bits)


def step_bits(codec, x):
    blocks = [row[at : at + codec.block].tolist() for row in x for at in range(0, x.shape[1], codec.block)]
    count = sum(entries(block, 2**codec.step_bits - 1) for block in blocks)
    return len(blocks) * codec.count_bits + count * (codec.value_bits + codec.step_bits)


def zfnaf_bits(codec, x):
    channels = x.shape[codec.channel_axis]
    columns = prod(n for axis, n in enumerate(x.shape) if axis != codec.channel_axis)
    return columns * len(range(0, channels, codec.brick)) * codec.brick * codec.slot_bits


def map_bits(codec, x):
    return -(-x.size // codec.map_word_bits) * codec.map_word_bits + nonzeros(x) * codec.value_bits


def bitmap_bits(codec, x):
    return x.size + nonzeros(x) * codec.value_bits + prod(x.shape[:-1]) * codec.pointer_bits


def csr_bits(codec, x):
    return nonzeros(x) * (codec.value_bits + codec.index_bits) + (x.shape[0] + 1) * codec.pointer_bits


FORMATS = {
    "rlc": (Rlc(), 3, rlc_bits),
    "rlc, short runs": (Rlc(2, 5, 4), 2, rlc_bits),
    "csc of EIE": (Csc(), 2, csc_bits),
    "csc, short runs": (Csc(pes=3, value_bits=4, run_bits=2), 2, csc_bits),
    "csc of ESE": (Csc(pes=1, value_bits=12, run_bits=1, signed=True), 2, csc_bits),
    "zero runs of SCNN": (ZeroRun(), 3, zero_run_bits),
    "zero runs, short": (ZeroRun(block_axes=3, value_bits=8, run_bits=1, count_bits=14), 4, zero_run_bits),
    "zfnaf of Cnvlutin": (Zfnaf(), 4, zfnaf_bits),
    "zfnaf, bricks of 5": (Zfnaf(brick=5, value_bits=8, channel_axis=0), 2, zfnaf_bits),
    "steps of Cambricon-X": (StepIndex(), 2, step_bits),
    "steps, short": (StepIndex(block=7, value_bits=5, step_bits=2), 2, step_bits),
    "steps of one": (StepIndex(block=6, value_bits=5, step_bits=1), 2, step_bits),
    "sparsity map of NullHop": (SparsityMap(), 3, map_bits),
    "sparsity map in words": (SparsityMap(value_bits=6, map_word_bits=16, signed=False), 1, map_bits),
    "bitmap": (Bitmap(), 2, bitmap_bits),
    "bitmap with pointers": (Bitmap(value_bits=3, pointer_bits=14), 3, bitmap_bits),
    "csr": (Csr(), 2, csr_bits),
    "csr of doubles": (Csr(value_bits=64, index_bits=16, pointer_bits=20), 2, csr_bits),
}
each_format = pytest.mark.parametrize(("codec", "axes", "count"), FORMATS.values(), ids=FORMATS)
relaxed = settings(deadline=None, max_examples=80)


def tensors(codec, axes):
    """Tensors of any shape with few non-zeros, of the format's own range."""
    bits = codec.level_bits if isinstance(codec, Rlc) else codec.value_bits
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if codec.signed else (0, 2**bits - 1)
    longest = {1: 300, 2: 40, 3: 12, 4: 7}[axes]
    shapes = st.tuples(*(st.integers(0, longest) for _ in range(axes)))
    return hnp.arrays(np.int64, shapes, elements=st.integers(low, high), fill=st.just(0))


@each_format
@relaxed
@given(st.data())
def test_what_goes_in_comes_out(codec, axes, count, data):
    values = data.draw(tensors(codec, axes))
    decoded = codec.decode(codec.encode(values))
    assert decoded.dtype == np.int64
    assert decoded.shape == values.shape
    assert np.array_equal(decoded, values)


@each_format
@relaxed
@given(st.data())
def test_the_size_is_the_one_counted_by_hand_and_known_from_the_mask(codec, axes, count, data):
    values = data.draw(tensors(codec, axes))
    coded = codec.encode(values)
    assert coded.shape == values.shape
    assert coded.bits == count(codec, values) == codec.size_bits(values != 0)
    assert type(coded.bits) is type(codec.size_bits(values != 0)) is int


@each_format
def test_a_dense_and_an_empty_tensor_are_held(codec, axes, count):
    for values in (np.ones((9,) * axes, np.int64), np.zeros((9,) * axes, np.int64)):
        assert np.array_equal(codec.decode(codec.encode(values)), values)
        assert codec.encode(values).bits == count(codec, values)


@each_format
def test_a_value_wider_than_its_field_is_refused_with_the_tensors_name(codec, axes, count):
    bits = codec.level_bits if isinstance(codec, Rlc) else codec.value_bits
    wide = np.uint64(2**63) if bits == 64 else 2**bits
    values = np.full((1,) * axes, wide)
    with pytest.raises(WorkloadError, match=rf"^tensor 'fc7.weight': value {values.flat[0]} does not fit {bits} "):
        codec.encode(values, "fc7.weight")
    with pytest.raises(WorkloadError, match="cannot be coded; quantise them to integers"):
        codec.encode(np.full((1,) * axes, 0.5))


@each_format
def test_booleans_and_small_types_are_integers(codec, axes, count):
    mask = np.arange(3**axes).reshape((3,) * axes) % 2 == 1
    for values in (mask, mask.astype(np.int8), mask.astype(np.uint16)):
        assert np.array_equal(codec.decode(codec.encode(values)), mask)


# --- CSC ------------------------------------------------------------------------------------------------------


def test_a_column_of_eie_is_coded_as_in_the_paper():
    """Han et al., section III: 1 and 2 after two zeros, 3 after 18 more, gives v = [1,2,0,3], z = [2,0,15,2]."""
    column = np.array([0, 0, 1, 2, *[0] * 18, 3])[:, None]
    coded = Csc(pes=1).encode(column)
    assert coded.values.tolist() == [1, 2, 0, 3]
    assert coded.runs.tolist() == [2, 0, 15, 2]
    assert coded.pointers.tolist() == [[0, 4]]


def test_rows_are_dealt_to_the_pes_in_turn_and_columns_start_afresh():
    matrix = np.array([[1, 0], [0, 2], [3, 0], [0, 4], [0, 5]])
    coded = Csc(pes=2).encode(matrix)
    assert coded.starts.tolist() == [0, 3, 5]
    assert coded.values.tolist() == [1, 3, 5, 2, 4]  # PE 0 holds rows 0 2 4, PE 1 rows 1 3
    assert coded.runs.tolist() == [0, 0, 2, 0, 0]
    assert coded.pointers.tolist() == [[0, 2, 3], [0, 0, 2]]


@pytest.mark.parametrize(("gap", "count"), [(0, 1), (15, 1), (16, 2), (31, 2), (32, 3)])
def test_a_padding_entry_is_needed_from_the_sixteenth_zero(gap, count):
    column = np.array([0] * gap + [1])[:, None]
    assert Csc(pes=1).entries(column != 0).tolist() == [[count]]


def test_zeros_at_the_end_of_a_column_take_no_entry():
    column = np.array([1] + [0] * 100)[:, None]
    assert Csc(pes=1).encode(column).values.size == 1


def test_entries_count_each_pe_and_column():
    rng = np.random.default_rng(5)
    mask = rng.random((50, 7)) < 0.2
    codec = Csc(pes=4, run_bits=1)
    found = codec.entries(mask)
    assert found.shape == (4, 7)
    for pe in range(4):
        for column in range(7):
            assert found[pe, column] == entries(mask[pe::4, column], 2)


def test_more_entries_than_a_pointer_can_count_are_refused():
    codec = Csc(pes=2, pointer_bits=3)
    codec.encode(np.ones((2, 7), np.int64))
    with pytest.raises(WorkloadError) as error:
        codec.encode(np.ones((2, 8), np.int64), "fc6.weight")
    assert str(error.value) == (
        "tensor 'fc6.weight': pointer to the end of PE 0 of 8 does not fit 3 bits;"
        " widen the field to 4 bits or split the tensor"
    )


def test_codes_outside_the_codebook_are_refused():
    with pytest.raises(WorkloadError, match=r"value 16 does not fit 4 unsigned bits; its range is 0\.\.15"):
        Csc().encode(np.array([[16]]))
    with pytest.raises(WorkloadError, match="value -1 does not fit"):
        Csc().encode(np.array([[-1]]))


# --- the others -----------------------------------------------------------------------------------------------


def test_scnn_blocks_start_afresh_and_placeholders_stand_for_sixteen_zeros():
    blocks = np.zeros((2, 40), np.int64)
    blocks[0, [3, 20]] = [7, -8]  # 3 zeros, 16 zeros
    blocks[1, 39] = 9  # 39 = 2 * 16 + 7 zeros
    coded = ZeroRun(block_axes=1).encode(blocks)
    assert coded.counts.tolist() == [3, 3]
    assert coded.values.tolist() == [7, 0, -8, 0, 0, 9]
    assert coded.runs.tolist() == [3, 15, 0, 15, 15, 7]
    assert coded.bits == 2 * 16 + 6 * 20


def test_a_block_with_more_entries_than_its_count_can_say_is_refused():
    codec = ZeroRun(block_axes=1, count_bits=3)
    codec.encode(np.ones((1, 7), np.int64))
    with pytest.raises(WorkloadError, match="a block's count of 8 does not fit 3 bits; widen the field to 4 bits"):
        codec.encode(np.ones((1, 8), np.int64))


def test_a_brick_of_cnvlutin_has_its_non_zeros_first_with_their_offsets():
    channels = np.zeros((1, 18, 1, 1), np.int64)
    channels[0, [2, 9, 17], 0, 0] = [5, -6, 7]
    coded = Zfnaf().encode(channels)
    assert coded.values.reshape(2, 16)[:, :3].tolist() == [[5, -6, 0], [7, 0, 0]]
    assert coded.offsets.reshape(2, 16)[:, :3].tolist() == [[2, 9, 0], [1, 0, 0]]


def test_the_non_zeros_of_a_wide_brick_keep_their_order():
    values = np.random.default_rng(4).integers(0, 3, (1, 200))
    coded = Zfnaf(brick=200).encode(values)
    used = np.count_nonzero(values)
    assert coded.offsets.ravel()[:used].tolist() == np.flatnonzero(values).tolist()


def test_zfnaf_costs_a_quarter_more_than_dense_whatever_the_zeros():
    assert Zfnaf().size_bits(np.zeros((2, 32, 5, 5))) == 2 * 32 * 25 * 16 * 5 // 4
    assert Zfnaf().size_bits(np.ones((2, 32, 5, 5))) == 2 * 32 * 25 * 20


def test_steps_count_from_just_before_the_block():
    row = np.zeros((1, 520), np.int64)
    row[0, [0, 3, 255, 256, 519]] = [1, 2, 3, 4, 5]
    coded = StepIndex().encode(row)
    assert coded.counts.tolist() == [[3, 1, 1]]
    assert coded.steps.tolist() == [1, 3, 252, 1, 8]
    short = StepIndex(step_bits=3).encode(row[:, :20])
    assert short.steps.tolist() == [1, 3]


def test_a_step_longer_than_its_field_takes_padding_entries():
    row = np.zeros((1, 20), np.int64)
    row[0, [0, 15, 16]] = 1  # step 15 = 7 + 7 + 1
    coded = StepIndex(step_bits=3).encode(row)
    assert coded.steps.tolist() == [1, 7, 7, 1, 1]
    assert coded.values.tolist() == [1, 0, 0, 1, 1]


def test_a_step_count_that_does_not_fit_is_refused():
    with pytest.raises(WorkloadError, match="a block's count of 4 does not fit 2 bits"):
        StepIndex(block=4, count_bits=2).encode(np.ones((1, 4), np.int64))


def test_nullhop_maps_cost_a_bit_per_pixel_and_a_word_per_non_zero():
    values = np.array([0, 3, 0, 0, 0, 0, 0, 0, 4])
    coded = SparsityMap().encode(values)
    assert coded.map.tolist() == [0b01000000, 0b10000000]
    assert coded.values.tolist() == [3, 4]
    assert coded.bits == 9 + 2 * 16
    assert SparsityMap(map_word_bits=16).encode(values).bits == 16 + 2 * 16


def test_bitmap_pointers_say_where_a_row_begins_and_must_fit():
    values = np.array([[1, 2], [0, 0], [0, 3]])
    assert Bitmap(pointer_bits=2).encode(values).pointers.tolist() == [0, 2, 2]
    with pytest.raises(WorkloadError, match="a row pointer of 2 does not fit 1 bits"):
        Bitmap(pointer_bits=1).encode(values)


def test_csr_is_scipys():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = np.random.default_rng(1).integers(-3, 4, (13, 17)) * (np.random.default_rng(2).random((13, 17)) < 0.3)
    coded, theirs = Csr().encode(matrix), sparse.csr_array(matrix)
    assert coded.columns.tolist() == theirs.indices.tolist()
    assert coded.pointers.tolist() == theirs.indptr.tolist()
    assert coded.values.tolist() == theirs.data.tolist()


@pytest.mark.parametrize(
    ("codec", "shape", "message"),
    [
        (Csr(index_bits=3), (1, 9), "a column index of 8 does not fit 3 bits"),
        (Csr(pointer_bits=3), (2, 4), "the last pointer of 8 does not fit 3 bits"),
        (Csr(), (2, 2, 2), r"shape \(2, 2, 2\) is not a matrix; reshape it to two axes"),
        (Csc(), (4,), r"shape \(4,\) is not a matrix; reshape it to two axes"),
        (StepIndex(), (4,), r"shape \(4,\) is not a matrix; reshape it to two axes"),
        (ZeroRun(block_axes=3), (4, 4), r"shape \(4, 4\) has fewer axes than a block; give 3 or more"),
        (Zfnaf(), (4,), r"shape \(4,\) has no axis 1"),
        (Bitmap(), (), "a single number has no rows"),
    ],
)
def test_a_shape_that_a_format_cannot_hold_is_refused(codec, shape, message):
    with pytest.raises(WorkloadError, match=message):
        codec.encode(np.ones(shape, np.int64), "conv3")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Csc(pes=0),
        lambda: Csc(run_bits=0),
        lambda: Csr(index_bits=63),
        lambda: ZeroRun(block_axes=0),
        lambda: ZeroRun(count_bits=0),
        lambda: Zfnaf(brick=0),
        lambda: StepIndex(step_bits=0),
        lambda: StepIndex(block=0),
        lambda: SparsityMap(value_bits=0),
        lambda: Bitmap(pointer_bits=-1),
    ],
)
def test_impossible_widths_are_refused(make):
    with pytest.raises(ConfigError) as error:
        make()
    assert isinstance(error.value, UserError)


# --- large tensors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 7, 64, 1 << 20])
def test_sizes_do_not_depend_on_how_many_elements_are_measured_at_once(at_once, monkeypatch):
    for module in ("codec", "rlc"):
        monkeypatch.setattr(f"accelsim.operands.{module}.MOST_AT_ONCE", at_once)
    rng = np.random.default_rng(7)
    x = (rng.random((9, 41)) < 0.12) * 3
    assert Rlc(run_bits=2).size_bits(x != 0) == Rlc(run_bits=2).encode(x).words.size * Rlc(run_bits=2).word_bits
    found = StepIndex(block=13, step_bits=2).entries(x != 0)
    blocks = [[entries(row[first : first + 13], 3) for first in range(0, 41, 13)] for row in x]
    assert found.tolist() == blocks
    assert ZeroRun(block_axes=1, run_bits=2).entries(x != 0).tolist() == [entries(row, 4) for row in x]


def test_a_group_with_just_enough_zeros_for_a_padding_entry_has_one():
    row = np.zeros((1, 5), np.int64)
    row[0, 4] = 1
    assert ZeroRun(block_axes=1, run_bits=2).entries(row != 0).tolist() == [2]
    assert ZeroRun(block_axes=1, run_bits=2).entries(row[:, 1:] != 0).tolist() == [1]


def test_counting_entries_takes_little_more_than_the_mask():
    mask = np.ones((1 << 16, 256), np.bool_)
    mask[::5, 1:] = False
    tracemalloc.start()
    StepIndex(step_bits=7).entries(mask)
    Rlc().size_bits(mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * mask.nbytes
