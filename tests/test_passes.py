"""Passes: batch, densities and widths put on a network's tensors."""

# ruff: noqa: E501  (messages are tested whole)

import math

import pytest

from accelsim.config.schema import PrecisionSpec
from accelsim.config.yamlfile import parse
from accelsim.errors import ConfigError, WorkloadError
from accelsim.passes.batching import batched
from accelsim.passes.density import read_density, with_density
from accelsim.passes.precision import read_precision, resolve, with_precision
from accelsim.workload.layers import Tensor
from accelsim.workload.load import load_network
from accelsim.workload.yaml_network import build

CONNECTED = """\
name: net
isolated: false
inputs: [image, other]
layers:
  - {name: conv1, kind: conv2d, c: 3, k: 8, h: 6, w: 6, r: 3, s: 3, pad: 1, inputs: [image], bias: true}
  - {name: conv2, kind: conv2d, c: 3, k: 4, h: 6, w: 6, r: 3, s: 3, pad: 1, inputs: [other]}
  - {name: join, kind: view, op: concat, operand_shapes: [[1, 8, 6, 6], [1, 4, 6, 6]], shape: [1, 12, 6, 6], inputs: [conv1.output, conv2.output]}
  - {name: flat, kind: view, op: flatten, operand_shapes: [[1, 12, 6, 6]], shape: [1, 432], inputs: [join.output]}
  - {name: fc, kind: linear, c: 432, k: 10, inputs: [flat.output]}
  - {name: last, kind: view, op: identity, operand_shapes: [[1, 10]], shape: [1, 10], inputs: [fc.output]}
"""


@pytest.fixture
def net():
    return build(parse(CONNECTED, "net.yaml"))


def profile(tmp_path, text, suffix="yaml", read=read_density):
    path = tmp_path / f"profile.{suffix}"
    path.write_text(text)
    return read(path)


def densities(network):
    return {name: tensor.density for name, tensor in network.tensors.items() if tensor.density != 1}


def test_a_batch_scales_activations_and_not_weights(net):
    more = batched(net, 5)
    assert more.tensors["conv1.output"].shape == (5, 8, 6, 6)
    assert more.tensors["conv1.weight"] == net.tensors["conv1.weight"]
    assert more.macs == 5 * net.macs
    assert more.params == net.params
    assert batched(more, 5) is more


def test_a_batch_below_one_is_refused(net):
    with pytest.raises(WorkloadError, match="a batch of 0 is too small; use 1 or more"):
        batched(net, 0)


def test_a_profile_sets_the_tensors_of_its_layers(tmp_path):
    text = "source: measured\nlayers:\n  conv1: {input: 0.9, weight: 0.5, output: 0.25}\n  'fc*': {weight: 0.1}\n"
    network = with_density(load_network("alexnet"), profile(tmp_path, text))
    assert densities(network) == {
        "conv1.input": 0.9, "conv1.weight": 0.5, "conv1.output": 0.25,
        "fc6.weight": 0.1, "fc7.weight": 0.1, "fc8.weight": 0.1,
    }  # fmt: skip
    assert densities(load_network("alexnet")) == {}


def test_a_table_says_the_same_as_yaml(tmp_path, net):
    table = "layer,weight_density,input_density,source\nconv1,0.5,,a paper\nfc,0.25,1,\n"
    text = "layers: {conv1: {weight: 0.5}, fc: {weight: 0.25, input: 1}}"
    by_table = profile(tmp_path, table, "csv")
    assert with_density(net, by_table) == with_density(net, profile(tmp_path, text))


def test_a_later_line_wins_over_an_earlier_one(tmp_path):
    text = "layers:\n  '*': {weight: 0.5}\n  conv2: {weight: 0.2}\n"
    network = with_density(load_network("alexnet"), profile(tmp_path, text))
    assert (network.tensors["conv1.weight"].density, network.tensors["conv2.weight"].density) == (0.5, 0.2)


def test_views_pass_densities_on_and_a_join_has_the_mean_over_elements(tmp_path, net):
    network = with_density(net, profile(tmp_path, "layers: {conv1: {output: 0.2}, conv2: {output: 0.8}}"))
    mean = (8 * 0.2 + 4 * 0.8) / 12
    assert math.isclose(network.tensors["join.output"].density, mean)
    assert network.tensors["flat.output"].density == network.tensors["join.output"].density


def test_a_profile_of_the_reader_wins_over_what_a_view_passes_on(tmp_path, net):
    text = "layers: {conv1: {output: 0.2}, conv2: {output: 0.2}, fc: {input: 0.6}}"
    network = with_density(net, profile(tmp_path, text))
    assert network.tensors["join.output"].density == 0.2
    assert network.tensors["flat.output"].density == 0.6


def test_of_a_matmul_the_second_operand_is_the_weight(tmp_path):
    network = with_density(load_network("vit_b_16"), profile(tmp_path, "layers: {'*.3.scores': {weight: 0.5}}"))
    assert densities(network) == {"encoder.3.scores.input2": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers:\n  conv1: {weight: 1.5}\n", "2: layers.conv1.weight: 1.5 is too large; must be at most 1.0"),
        ("layers:\n  conv1: {weight: -0.1}\n", "2: layers.conv1.weight: -0.1 is too small; must be at least 0.0"),
        ("layers:\n  conv1: {weight: .nan}\n", "2: layers.conv1.weight: nan is of the wrong type; must be a finite number"),
        ("layers:\n  conv1: {weigth: 1}\n", "2: layers.conv1.weigth: unknown key; did you mean 'weight'?"),
        ("layers:\n  conv11: {weight: 1}\n", "2: conv11: network 'net' has no such layer; did you mean 'conv1'?"),
        ("layers:\n  flat: {weight: 1}\n", "2: flat: there is no weight to describe; remove it"),
        ("layers:\n  fc: {input: 0.5}\n  flat: {output: 0.4}\n", "2: fc: tensor 'flat.output' has 0.4 as seen from layer 'flat' and 0.5 from 'fc'; give one of the two"),
        ("layer:\n  conv1: {weight: 1}\n", "1: layer: unknown key; did you mean 'layers'?"),
    ],
)  # fmt: skip
def test_a_wrong_profile_names_line_and_layer(tmp_path, net, text, message):
    with pytest.raises(ConfigError) as caught:
        with_density(net, profile(tmp_path, text))
    assert str(caught.value) == f"{tmp_path / 'profile.yaml'}:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,weight_density\nconv1,1.5\n", "2: layers.conv1.weight: 1.5 is too large; must be at most 1.0"),
        ("layer,weight_density\nconv1,half\n", "2: layers.conv1.weight: 'half' is of the wrong type; must be a number"),
        ("layer,weights_density\nconv1,1\n", "1: unknown column 'weights_density'; did you mean 'weight_density'?"),
        ("weight_density\n1\n", "1: the columns need to be distinct and one of them 'layer'; correct the first line"),
        ("layer,weight_density\nconv1,1,2\n", "2: 3 values for 2 columns; give one per column"),
        ("layer,weight_density\nconv1,1\nconv1,1\n", "3: layer 'conv1' comes twice; keep one line"),
    ],
)
def test_a_wrong_table_names_line_and_layer(tmp_path, net, text, message):
    with pytest.raises(ConfigError) as caught:
        with_density(net, profile(tmp_path, text, "csv"))
    assert str(caught.value) == f"{tmp_path / 'profile.csv'}:{message}"


MACHINE = PrecisionSpec(input_bits=8, weight_bits=4, output_bits=32)


def test_what_a_layer_reads_has_the_input_width_even_through_views(net):
    bits = {name: tensor.bits for name, tensor in resolve(net, MACHINE).tensors.items()}
    assert bits == {
        "image": 8, "other": 8,
        "conv1.weight": 4, "conv1.bias": 4, "conv2.weight": 4, "fc.weight": 4,
        "conv1.output": 8, "conv2.output": 8, "join.output": 8, "flat.output": 8,
        "fc.output": 32, "last.output": 32,
    }  # fmt: skip


def test_outputs_of_isolated_layers_have_the_output_width():
    tensors = resolve(load_network("alexnet"), MACHINE).tensors
    assert (tensors["conv1.input"].bits, tensors["conv1.output"].bits) == (8, 32)


def test_a_width_that_is_given_stays_and_views_keep_it(net):
    given = net.with_tensors(
        {"conv1.output": Tensor("conv1.output", (1, 8, 6, 6), bits=2), "fc.weight": Tensor("fc.weight", (10, 432), 1, weight=True)}
    )  # fmt: skip
    tensors = resolve(given, MACHINE).tensors
    assert (tensors["conv1.output"].bits, tensors["fc.weight"].bits) == (2, 1)
    assert tensors["join.output"].bits == tensors["flat.output"].bits == 8  # the wider of 2 and 8
    both = given.with_tensors({"conv2.output": Tensor("conv2.output", (1, 4, 6, 6), bits=3)})
    assert resolve(both, MACHINE).tensors["flat.output"].bits == 3


def test_a_precision_profile_sets_widths(tmp_path):
    text = "layer,input_bits,weight_bits\nconv1,9,\nconv*,,11\n"
    network = with_precision(load_network("alexnet"), profile(tmp_path, text, "csv", read_precision))
    assert (network.tensors["conv1.input"].bits, network.tensors["conv5.weight"].bits) == (9, 11)
    assert network.tensors["fc6.weight"].bits is None


def test_a_width_beyond_64_bits_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"layers.fc.weight: 65 is too large; must be at most 64"):
        profile(tmp_path, "layers: {fc: {weight: 65}}", read=read_precision)
