"""Storages: which tensors share an address, how long they live, what they move."""

import pytest
import residency_reference as reference

from accelsim.errors import WorkloadError
from accelsim.workload.load import load_network
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network
from accelsim.workload.storage import layout, live_bits


def network(build):
    b = Builder()
    build(b)
    return Network("n", tuple(b.layers), b.tensors)


def rows(found):
    """Return storage -> bytes, first, last, moved bytes, role."""
    return {s.name: (s.bits // 8, s.first, s.last, s.moved_bits // 8, s.role) for s in found.storages}


def branches(b):
    """Add the example of the decision: two convolutions of one, joined, and one behind."""
    a = b.conv("a", b.input("x", 1, 10, 10), 1, 1)
    left, right = b.conv("b", a, 1, 1), b.conv("c", a, 1, 1)
    b.conv("y", b.concat("d", left, right), 1, 1)


def test_the_parts_of_a_concatenation_lie_side_by_side_in_one_storage():
    found = layout(network(branches))
    assert found.layers == ("a", "b", "c", "y")
    assert rows(found) == {
        "x": (100, 0, 0, 100, "input"),
        "a.output": (100, 0, 2, 300, "inner"),
        "d.output": (200, 1, 3, 400, "inner"),
        "y.output": (100, 3, 3, 100, "output"),
    }
    assert found.storages[2].tensors == ("b.output", "c.output", "d.output")
    assert live_bits(found.storages, 4) == [1600, 2400, 2400, 2400]
    assert not found.copies


def test_of_two_concatenations_that_claim_a_part_the_second_gets_a_copy():
    def build(b):
        branches(b)
        b.conv("z", b.concat("e", "b.output", b.conv("c2", "x", 1, 1)), 1, 1)

    found = layout(network(build))
    assert [(copy.tensor, copy.into, copy.bits, copy.position) for copy in found.copies] == [
        ("b.output", "e.output", 800, 4)
    ]
    assert rows(found)["d.output"] == (200, 1, 4, 500, "inner")  # read once more, and alive until then
    assert rows(found)["e.output"] == (200, 4, 5, 400, "inner")  # c2, the copy, the read of both
    assert rows(found)["x"] == (100, 0, 4, 200, "input")


def test_a_concatenation_of_all_that_lies_together_and_more_needs_no_copy():
    def build(b):
        one, two, three = (b.conv(name, b.input(f"x{name}", 1, 2, 2), 1, 1) for name in "abc")
        b.conv("p", b.concat("ab", one, two), 1, 1)
        b.conv("q", b.concat("abc", one, two, three), 1, 1)

    found = layout(network(build))
    assert not found.copies
    assert rows(found)["abc.output"] == (12, 0, 4, 4 * 3 + 8 + 12, "inner")


def test_a_concatenation_in_a_concatenation_is_one_storage():
    def build(b):
        one, two, three = (b.conv(name, b.input(f"x{name}", 1, 2, 2), 1, 1) for name in "abc")
        b.conv("q", b.concat("outer", three, b.concat("inner", one, two)), 1, 1)

    found = layout(network(build))
    assert not found.copies
    assert found.storages[3].tensors == ("a.output", "b.output", "c.output", "inner.output", "outer.output")


@pytest.mark.parametrize("order", [("b.output", "a.output"), ("a.output",), ("a.output", "c.output", "b.output")])
def test_parts_in_another_order_or_not_all_of_them_are_copied(order):
    def build(b):
        one, two, _ = (b.conv(name, b.input(f"x{name}", 1, 2, 2), 1, 1) for name in "abc")
        b.conv("p", b.concat("ab", one, two), 1, 1)
        b.conv("q", b.concat("again", *order, b.conv("r", "xa", 1, 1)), 1, 1)

    found = layout(network(build))
    assert [copy.tensor for copy in found.copies] == [name for name in order if name != "c.output"]


def test_a_part_that_comes_twice_is_copied_once():
    found = layout(network(lambda b: b.conv("y", b.concat("d", *[b.conv("a", b.input("x", 1, 2, 2), 1, 1)] * 2), 1, 1)))
    assert [copy.tensor for copy in found.copies] == ["a.output"]
    assert rows(found)["d.output"] == (8, 0, 1, 4 + 4 + 4 + 8, "inner")


def test_inputs_and_slices_are_copied_into_a_concatenation():
    def build(b):
        a = b.conv("a", b.input("x", 2, 2, 2), 4, 1)
        part = b.view("part", "slice", a, b.dims(a), (1, 1, 2, 2))
        b.conv("y", b.concat("d", "x", part, b.conv("c", a, 1, 1)), 1, 1)

    found = layout(network(build))
    assert [(copy.tensor, copy.bits) for copy in found.copies] == [("x", 64), ("part.output", 32)]
    assert rows(found)["a.output"] == (16, 0, 1, 16 + 16 + 4, "inner")


def test_a_slice_is_read_as_large_as_it_is_and_a_reshape_once_per_layer():
    def build(b):
        a = b.conv("a", b.input("x", 1, 2, 2), 4, 1)
        part = b.view("part", "slice", a, b.dims(a), (1, 1, 2, 2), start=2)
        flat = b.view("flat", "reshape", a, b.dims(a), b.dims(a))
        b.conv("p", part, 1, 1)
        b.elementwise("q", "add", a, flat)

    found = layout(network(build))
    assert rows(found)["a.output"] == (16, 0, 2, 16 + 4 + 16, "inner")
    assert found.storages[1].tensors == ("a.output", "part.output", "flat.output")


def test_a_repeat_is_read_as_large_as_its_source():
    def build(b):
        a = b.conv("a", b.input("x", 1, 2, 2), 1, 1)
        b.elementwise("q", "relu", b.view("wide", "repeat", a, b.dims(a), (1, 6, 2, 2)))

    assert rows(layout(network(build)))["a.output"] == (4, 0, 1, 8, "inner")


def test_an_output_lives_to_the_end_and_takes_what_shares_its_storage_along():
    def build(b):
        one, two = b.conv("a", b.input("x", 1, 2, 2), 1, 1), b.conv("b", "x", 1, 1)
        b.concat("out", one, two)
        b.conv("y", b.conv("c", one, 1, 1), 1, 1)

    found = rows(layout(network(build)))
    assert found["out.output"] == (8, 0, 3, 12, "output")
    assert found["x"][1:3] == (0, 1)


def test_a_state_lives_over_the_whole_run_and_is_joined_to_nothing():
    def build(b):
        one, two = b.conv("a", b.input("x", 1, 2, 2), 1, 1), b.conv("b", "x", 1, 1)
        b.conv("y", b.concat("d", one, two), 1, 1)
        b.conv("z", "x", 1, 1)

    found = layout(network(build), state=["b.output"])
    assert rows(found)["b.output"] == (4, 0, 3, 8, "state")
    assert [copy.tensor for copy in found.copies] == ["b.output"]
    with pytest.raises(WorkloadError, match=r"state 'b.outpu' is no tensor; did you mean 'b.output'"):
        layout(network(build), state=["b.outpu"])


def test_widths_of_the_network_count_and_8_bits_are_the_default():
    made = network(branches)
    wide = made.with_tensors({"a.output": make_wide(made.tensors["a.output"])})
    assert rows(layout(wide))["a.output"] == (200, 0, 2, 600, "inner")


def make_wide(tensor):
    from dataclasses import replace

    return replace(tensor, bits=16)


def test_a_depthwise_convolution_in_place_takes_its_inputs_address():
    def build(b):
        a = b.conv("a", b.input("x", 1, 4, 4), 4, 1)
        d = b.conv("d", a, 4, 3, 2, groups=4)
        b.conv("y", d, 2, 1)

    found = layout(network(build), inplace="depthwise")
    assert rows(found)["a.output"] == (64, 0, 2, 2 * 64 + 2 * 16, "inner")
    assert found.storages[1].tensors == ("a.output", "d.output")
    assert len(layout(network(build)).storages) == 4


@pytest.mark.parametrize("reader", ["early", "late"])
def test_nothing_is_overwritten_that_somebody_else_reads(reader):
    def build(b):
        a = b.conv("a", b.input("x", 1, 4, 4), 4, 1)
        if reader == "early":
            b.conv("r", a, 1, 1)
        d = b.conv("d", a, 4, 3, groups=4)
        if reader == "late":
            b.elementwise("r", "add", d, a)
        b.conv("y", d, 1, 1)

    merged = len(layout(network(build)).storages) - len(layout(network(build), inplace="depthwise").storages)
    assert not merged


def test_the_published_peaks_of_mobilenet_v2_by_hand():
    """Lin et al., MCUNetV2: 1372 kB at the first expansion, in place; 539 kB at the first convolution."""
    from accelsim.passes.fold import fold

    found = layout(fold(load_network("net:mobilenet_v2")).network, inplace="depthwise")
    live = dict(zip(found.layers, live_bits(found.storages, 64), strict=True))
    assert live["block2.expand"] == max(live.values()) == 8 * 112 * 112 * (16 + 96) == 1372 * 8192
    assert live["conv1"] == 8 * (224 * 224 * 3 + 112 * 112 * 32) == 539 * 8192


def test_a_table_has_no_edges_and_views_alone_do_no_work():
    with pytest.raises(WorkloadError, match=r"^resnet50: isolated: no edges; use onnx:... or net:...$"):
        layout(load_network("resnet50"))
    with pytest.raises(WorkloadError, match="no layer of it works"):
        layout(network(lambda b: b.view("v", "reshape", b.input("x", 1, 2, 2), (1, 1, 2, 2), (1, 1, 2, 2))))


@pytest.mark.parametrize("seed", range(0, 500, 5))
def test_bits_moved_are_those_of_the_layers_and_the_copies(seed):
    drawn = reference.drawn(seed, repeat=seed % 2 == 1)
    found = layout(drawn)
    assert sum(s.moved_bits for s in found.storages) == reference.traffic(drawn, found.copies)
    names = [name for storage in found.storages for name in storage.tensors]
    activations = {n for layer in drawn.layers for n in (*layer.inputs, *layer.outputs)}
    assert sorted(names) == sorted(activations)
    for position, layer in enumerate(reference.works(drawn)):
        for storage in found.storages:
            if set(storage.tensors).intersection((*layer.inputs, *layer.outputs)):
                assert storage.first <= position <= storage.last
