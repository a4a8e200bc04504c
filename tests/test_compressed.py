"""What zero-skipping engines share, by hand: sizes and what follows from them, values by group, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from accelsim.activity import Flow, Transfer
from accelsim.compressed.sizes import Held, Size, check_homes, moved, on_chip, total
from accelsim.compressed.values import Values, windows
from accelsim.engine import check_counts
from accelsim.engines import registry
from accelsim.errors import MappingError
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear

SKIPPING = ("cnvlutin", "cambricon_x", "nullhop", "snapea", "dcnn", "scnn")


def layer(shape, bits=8):
    return LayerView(
        "fc", shape, (Tensor("x", shape.input_shapes[0], bits),), (Tensor("w", shape.weight_shape, bits, weight=True),),
        (Tensor("y", shape.output_shape, bits),),
    )  # fmt: skip


def test_a_size_is_its_values_and_its_index():
    assert Size(5, 3).bits == 8
    assert Size(5).bits == 5
    assert total(iter([Size(5, 3), Size(2), Size(1, 1)])) == Size(8, 4)
    assert Size(5, 3).stored(Tensor("x", (2, 3), 7)) == (42, 5, 3)


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 11])
def test_pieces_make_the_whole_and_differ_by_a_bit(pieces):
    cut = [Size(10, 3).piece(i, pieces) for i in range(pieces)]
    assert total(cut) == Size(10, 3)
    for bits in zip(*cut, strict=True):
        assert max(bits) - min(bits) <= 1


def test_values_move_before_their_index_and_what_is_empty_does_not():
    assert moved("weight", "read", 6, 2) == (Transfer("weight", "read", 6), Transfer("index", "read", 2))
    assert moved("output", "write", 6) == (Transfer("output", "write", 6),)
    assert moved("output", "write", 0, 2) == (Transfer("index", "write", 2),)
    assert moved("input", "read", *Size(0)) == ()


def test_sizes_that_cross_the_same_boundary_add_up():
    traffic = on_chip(
        ("glb.a", "input", "read", Size(8, 1)),
        ("glb.a", "output", "read", Size(4, 2)),
        ("glb.a", "input", "read", 16),
        ("glb.a", "input", "write", 3),
        ("glb.b", "weight", "read", 0),
    )
    assert {flow: bits for flow, bits in traffic.items() if bits} == {
        Flow("glb.a", "input", "read"): 24,
        Flow("glb.a", "output", "read"): 4,
        Flow("glb.a", "index", "read"): 3,
        Flow("glb.a", "input", "write"): 3,
    }
    assert traffic[Flow("glb.b", "weight", "read")] == 0


def test_what_fills_a_memory_to_the_last_bit_fits_and_what_does_not_uses_all_of_it():
    assert [Held(8, bits).fits for bits in (0, 8, 9)] == [True, True, False]
    assert [Held(8, bits).use for bits in (3, 8, 9)] == [(8, 3), (8, 8), (8, 8)]


def test_a_tensor_at_home_on_the_chip_must_stay_there():
    view = layer(Linear(1, 2, 3))
    at_home = replace(view.output, home="chip")
    check_homes(view, (view.input, at_home), True, "the RAM", "params.ram_kib")
    check_homes(view, (view.input,), False, "the RAM", "params.ram_kib")
    with pytest.raises(MappingError, match=r"does not fit the RAM; raise params\.ram_kib"):
        check_homes(view, (view.input, at_home), False, "the RAM", "params.ram_kib")


def test_counts_may_take_63_bits_and_no_more():
    view = layer(Linear(1, 1 << 10, 1 << 10))  # 2^20 multiplications
    check_counts(view, (1 << 43) - 1)
    with pytest.raises(MappingError, match="layer 'fc': its counts exceed 64-bit integers"):
        check_counts(view, 1 << 43)


@pytest.mark.parametrize("name", SKIPPING)
def test_operands_and_sums_are_refused_in_the_same_words(name):
    engine = registry.get(name)
    params = engine.params_schema.model_validate({"operand_bits": 6, "accumulator_bits": 9})
    view = layer(Conv2d(1, 1, 1, 4, 4, 1, 1), bits=6)
    assert engine.refuses(view, params) is None
    for part, tensor in (("inputs", "x"), ("weights", "w")):
        wide = replace(view, **{part: (replace(getattr(view, part)[0], bits=7),)})
        assert engine.refuses(wide, params) == f"'{tensor}' has 7 bits, the multipliers take 6"
    wide = replace(view, outputs=(replace(view.output, bits=10),))
    assert engine.refuses(wide, params) == "'y' has 10 bits, the accumulators take 9"


@pytest.mark.parametrize("seed", range(8))
def test_windows_hold_what_each_tap_meets(seed):
    rng = np.random.default_rng(seed)
    draw = rng.integers
    shape = Conv2d(
        1, 2, 1, 6, 7, 3, 2, stride=(int(draw(1, 4)), int(draw(1, 3))), pad=(2, 0, 1, 1), dilation=(int(draw(1, 3)), 2)
    )
    x = draw(1, 100, (2, 6, 7))
    found = windows(shape, x)
    assert found.shape == (shape.e, shape.f, 2, 3, 2)
    for e, f, c, r, s in np.ndindex(found.shape):
        y = e * shape.stride[0] + r * shape.dilation[0] - shape.pad[0]
        col = f * shape.stride[1] + s * shape.dilation[1] - shape.pad[1]
        inside = 0 <= y < 6 and 0 <= col < 7
        assert found[e, f, c, r, s] == (x[c, y, col] if inside else 0)


def test_values_come_by_image_and_group_and_the_output_is_kept():
    shape = Conv2d(2, 4, 6, 3, 3, 1, 1, groups=2)
    operands = of(layer(shape), 3)
    values = Values(shape, operands)
    x, w = operands.conv_arrays()
    for n, g in np.ndindex(2, 2):
        own_x, own_w, out = values.of(n, g)
        assert (own_x == x[n, 2 * g : 2 * g + 2]).all()
        assert (own_w == w[3 * g : 3 * g + 3]).all()
        assert out.shape == (3, 3, 3)
        out += 10 * n + g
    output = values.output()
    assert output.shape == shape.output_shape
    assert output[:, :, 0, 0].tolist() == [[0, 0, 0, 1, 1, 1], [10, 10, 10, 11, 11, 11]]


def test_without_operands_there_is_no_output_and_every_group_gets_the_same_zero():
    values = Values(Conv2d(2, 4, 6, 3, 3, 1, 1, groups=2), None)
    assert not values.given
    assert [array.size for array in values.of(1, 1)] == [1, 1, 1]
    assert values.output() is None
