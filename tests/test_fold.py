"""Folding: what joins the product ahead of it, and what does not."""

from dataclasses import replace

import numpy as np
import pytest

from accelsim.operands.layer_values import layer_reals
from accelsim.passes.fold import fold, fold_weights
from accelsim.workload.load import load_network
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network
from accelsim.workload.shapes import Softmax


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
            "softmax": lambda: b._add("s", Softmax(b.dims(x), b.dims(x)[-1]), x),
            "layer": lambda: b.norm("s", x, "layer"),
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


def computed(network, x):
    """Return the reals of all tensors of a network, from those of its only input."""
    found = {**network.values, network.inputs[0]: x}
    for layer in network.layers:
        weights = [found[name] for name in layer.weights]
        found[layer.outputs[0]] = layer_reals(network.view(layer), [found[name] for name in layer.inputs], weights)
    return found


def with_values(built, rng):
    """Return a network with reals for all of its constants."""
    values = {name: rng.normal(size=t.shape) for name, t in built.tensors.items() if t.weight}
    return replace(built, values=values)


def scalings(b):
    """Add what scales: behind a grouped convolution, twice behind one with a bias, behind a linear layer."""
    x = b.norm("n1", b.conv("grouped", b.input("x", 4, 6, 6), 8, 3, 2, groups=2))
    x = b.norm("n3", b.norm("n2", b.conv("biased", b.elementwise("relu", "relu", x), 6, 3, bias=True)))
    b.norm("n4", b.linear("fc", x, 5))


@pytest.mark.parametrize("seed", range(5))
def test_filters_that_took_a_scale_in_give_the_values_of_both_layers(seed):
    rng = np.random.default_rng(seed)
    b = Builder(2)
    scalings(b)
    whole = with_values(Network("n", tuple(b.layers), b.tensors), rng)
    found = fold_weights(whole)
    assert found.hosts == {"n1": "grouped", "n2": "biased", "n3": "biased", "n4": "fc"}
    assert names(found) == ["grouped", "relu", "biased", "fc"]
    x = rng.normal(size=(2, 4, 6, 6))
    ours, truth = computed(found.network, x), computed(whole, x)
    for name in ("n1.output", "n3.output", "n4.output"):
        np.testing.assert_allclose(ours[name], truth[name], rtol=1e-12, atol=1e-12)


def test_filters_that_two_layers_share_are_scaled_for_one_of_them():
    rng = np.random.default_rng(0)
    built = network(lambda b, x: b.norm("bn", x))
    twin = replace(built.layers[0], name="twin", outputs=("twin.output",))
    tensors = {**built.tensors, "twin.output": replace(built.tensors["conv1.output"], name="twin.output")}
    whole = with_values(replace(built, layers=(twin, *built.layers), tensors=tensors), rng)
    found = fold_weights(whole).network
    x = rng.normal(size=(1, 3, 8, 8))
    ours, truth = computed(found, x), computed(whole, x)
    for name in ("twin.output", "bn.output"):
        np.testing.assert_allclose(ours[name], truth[name], rtol=1e-12, atol=1e-12)


def test_weights_without_values_are_folded_in_shape():
    found = fold_weights(load_network("net:resnet18"))
    assert len(found.hosts) == 20
    assert not found.network.values
    assert found.network.layers[0].weights == ("conv1.norm.folded.weight", "conv1.norm.folded.bias")
    assert found.network.macs == load_network("net:resnet18").macs


def test_integers_and_means_with_variances_are_left_as_they_are():
    built = network(lambda b, x: b.norm("bn", x))
    integers = built.with_tensors({"conv1.weight": replace(built.tensors["conv1.weight"], bits=8)})
    assert fold_weights(integers).hosts == {}
    assert fold_weights(load_network("onnx:resnet50")).hosts == {}
    read_twice = network(lambda b, x: b.elementwise("add", "add", b.norm("bn", x), x))
    assert fold_weights(read_twice).hosts == {}
    assert fold_weights(network(lambda b, x: b.norm("ln", x, "layer"))).hosts == {}
