"""Folding: what joins the product ahead of it, and what does not."""

from dataclasses import replace

import pytest

from accelsim.passes.fold import fold
from accelsim.workload.load import load_network
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network


def network(build):
    b = Builder()
    build(b, b.conv("conv1", b.input("x", 3, 8, 8), 4, 3))
    return Network("n", tuple(b.layers), b.tensors)


def names(found):
    return [layer.name for layer in found.network.layers]


def test_a_chain_behind_a_product_leaves_and_the_product_makes_its_last_result():
    def build(b, x):
        b.pool("pool", b.elementwise("relu", "relu", b.norm("bn", x)), "max", 2, 2)

    found = fold(network(build))
    assert names(found) == ["conv1", "pool"]
    assert found.hosts == {"bn": "conv1", "relu": "conv1"}
    conv = found.network.layers[0]
    assert conv.outputs == ("relu.output",)
    assert [(post.name, post.shape.kind, post.weights) for post in conv.post] == [
        ("bn", "normalization", ("bn.scale", "bn.shift")),
        ("relu", "elementwise", ()),
    ]
    assert "conv1.output" not in found.network.tensors
    assert {"bn.scale", "bn.shift"} <= set(found.network.tensors)


def test_constants_may_join():
    found = fold(network(lambda b, x: b.elementwise("bias", "add", x, constants=(b.constant("k", 1),))))
    assert found.network.layers[0].post[0].weights == ("k",)


def test_nothing_leaves_whose_input_somebody_else_reads():
    def build(b, x):
        b.elementwise("add", "add", b.elementwise("relu", "relu", x), x)

    assert fold(network(build)).hosts == {}


def test_a_network_output_ahead_of_an_operation_is_none():
    """A tensor that is read is no output, so that its only reader may fold."""
    assert names(fold(network(lambda b, x: b.elementwise("relu", "relu", x)))) == ["conv1"]


def test_behind_an_addition_nothing_leaves():
    def build(b, x):
        other = b.conv("conv2", "x", 4, 1)
        b.elementwise("relu", "relu", b.elementwise("add", "add", b.norm("bn", x), other))

    assert fold(network(build)).hosts == {"bn": "conv1"}


@pytest.mark.parametrize("kind", ["softmax", "layer", "pool", "view", "copy"])
def test_what_looks_beyond_an_element_or_moves_it_stays_and_ends_the_chain(kind):
    def build(b, x):
        made = {
            "softmax": lambda: b.softmax("s", x), "layer": lambda: b.norm("s", x, "layer"),
            "pool": lambda: b.pool("s", x, "max", 3, 1, pad=1), "copy": lambda: b.elementwise("s", "copy", x),
            "view": lambda: b.view("s", "reshape", x, b.dims(x), b.dims(x)),
        }[kind]()  # fmt: skip
        b.elementwise("relu", "relu", made)

    assert fold(network(build)).hosts == {}


def test_a_result_of_another_width_stays():
    whole = network(lambda b, x: b.elementwise("quantize", "quantize", x))
    wide = whole.with_tensors({"conv1.output": replace(whole.tensors["conv1.output"], bits=32)})
    assert fold(whole).hosts == {"quantize": "conv1"}
    assert fold(wide).hosts == {}


def test_none_is_the_network_itself():
    whole = network(lambda b, x: b.elementwise("relu", "relu", x))
    assert fold(whole, "none").network is whole


@pytest.mark.parametrize(("name", "folded"), [("onnx:resnet50", 86), ("onnx:inception_v1", 57)])
def test_as_many_layers_of_the_light_graphs_leave_as_another_planner_found(name, folded):
    assert len(fold(load_network(name)).hosts) == folded
