"""Networks as YAML: what loads, what is refused and how, and that what is written out loads again."""

# ruff: noqa: E501  (messages are tested whole)

import json
import subprocess
import sys

import pytest

from accelsim.config.yamlfile import parse
from accelsim.errors import ConfigError, WorkloadError
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.load import load_network
from accelsim.workload.network import Network, make_layer
from accelsim.workload.schema import NetworkSpec
from accelsim.workload.shapes import (
    Conv2d,
    Elementwise,
    Linear,
    Matmul,
    Normalization,
    Pool,
    Softmax,
    Unsupported,
    View,
    output_size,
)
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import build

ISOLATED = """\
name: net
isolated: true
layers:
  - {name: a, kind: conv2d, c: 4, k: 6, h: 8, w: 9, r: 3, s: 3, groups: 2, stride: 2, pad: [1, 0], bias: true}
  - {name: b, kind: linear, n: 5, c: 7, k: 3, input: {density: 0.5}, weight: {bits: 4}}
tensors:
  a.output: {bits: 16}
"""

CONNECTED = """\
name: net
isolated: false
inputs: [image]
layers:
  - {name: a, kind: conv2d, c: 3, k: 8, h: 6, w: 6, r: 3, s: 3, pad: 1, inputs: [image]}
  - {name: p, kind: pool, op: max, c: 8, h: 6, w: 6, r: 2, s: 2, stride: 2, inputs: [a.output]}
  - {name: f, kind: linear, c: 72, k: 10, inputs: [p.output], bias: true}
"""


def network(text: str) -> Network:
    return build(parse(text, "net.yaml"))


def test_dimensions_and_defaults_arrive_in_the_shape():
    net = network(ISOLATED)
    assert net.layers[0].shape == Conv2d(1, 4, 6, 8, 9, 3, 3, 2, (2, 2), (1, 0, 1, 0), (1, 1))
    assert net.layers[1].shape == Linear(5, 7, 3)
    assert [t.shape for t in net.tensors.values()] == [
        (1, 4, 8, 9), (6, 2, 3, 3), (6,), (1, 6, 4, 4), (5, 7), (3, 7), (5, 3)
    ]  # fmt: skip
    assert net.params == 6 * 2 * 9 + 6 + 3 * 7
    assert net.filter_params == 6 * 2 * 9 + 3 * 7


def test_a_tensor_is_described_by_its_layer_or_by_name():
    tensors = network(ISOLATED).tensors
    assert tensors["b.input"] == Tensor("b.input", (5, 7), density=0.5)
    assert tensors["b.weight"] == Tensor("b.weight", (3, 7), bits=4, weight=True)
    assert tensors["a.output"].bits == 16


def test_defaults_apply_by_role_and_what_is_said_wins():
    roles = "defaults: {input: {bits: 8, signed: false}, weight: {bits: 2}, output: {home: chip}}\n"
    tensors = network(ISOLATED + roles).tensors
    assert (tensors["a.input"].bits, tensors["a.input"].signed) == (8, False)
    assert (tensors["a.weight"].bits, tensors["a.bias"].bits, tensors["b.weight"].bits) == (2, 2, 4)
    assert (tensors["a.output"].home, tensors["a.output"].bits) == ("chip", 16)


def test_in_a_connected_network_a_default_for_inputs_reaches_what_other_layers_make():
    tensors = network(CONNECTED + "defaults: {input: {bits: 8}, output: {bits: 32}}\n").tensors
    assert {name: t.bits for name, t in tensors.items() if not t.weight} == {
        "image": 8, "a.output": 8, "p.output": 8, "f.output": 32
    }  # fmt: skip


def test_repeat_numbers_the_copies():
    text = "name: n\nisolated: true\nlayers: [{name: fc, kind: linear, c: 2, k: 3, repeat: 3}]\n"
    net = network(text)
    assert [layer.name for layer in net.layers] == ["fc.0", "fc.1", "fc.2"]
    assert net.params == 3 * 6


def test_a_block_repeats_its_layers_in_order():
    text = """\
name: n
isolated: true
layers:
  - kind: block
    name: enc
    repeat: 2
    layers:
      - {name: q, kind: linear, c: 2, k: 3}
      - {name: s, kind: matmul, batch: 4, m: 2, n: 5, k: 3, weight: {density: 0.25}}
  - {kind: block, name: head, layers: [{name: fc, kind: linear, c: 2, k: 3}]}
"""
    net = network(text)
    assert [layer.name for layer in net.layers] == ["enc.0.q", "enc.0.s", "enc.1.q", "enc.1.s", "head.fc"]
    assert net.tensors["enc.1.s.input2"] == Tensor("enc.1.s.input2", (4, 3, 5), density=0.25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: conv2d", f"kind: [{', '.join(['conv2d'] * 99)}]", "net.yaml:4: layers.0.kind: a list is not a kind of layer; known kinds: conv2d, linear, matmul, attention, spgemm, pool, elementwise, normalization, softmax, view, unsupported, block"),
        ("kind: conv2d", "kind: conv3d", "net.yaml:4: layers.0.kind: 'conv3d' is not a kind of layer; did you mean 'conv2d'?"),
        ("kind: linear, ", "", "net.yaml:5: layers.1.kind: missing key; add 'kind: ...', one of conv2d, linear, matmul, attention, spgemm, pool, elementwise, normalization, softmax, view, unsupported, block"),
        ("stride: 2", "strides: 2", "net.yaml:4: layers.0.strides: unknown key; did you mean 'stride'?"),
        ("k: 6, ", "", "net.yaml:4: layers.0.k: missing key; add 'k: ...' (a whole number)"),
        ("k: 6", "k: six", "net.yaml:4: layers.0.k: 'six' is of the wrong type; must be a whole number"),
        ("h: 8", "h: 1e3", "net.yaml:4: layers.0.h: '1e3' is text in YAML, not a number; write 1000"),
        ("h: 8", "h: 0", "net.yaml:4: layers.0.h: 0 is too small; must be at least 1"),
        ("h: 8", "h: 4294967296", "net.yaml:4: layers.0.h: 4294967296 is too large; must be at most 2147483647"),
        ("k: 6", "k: 7", "net.yaml:4: layers.0: layer 'a': groups 2 do not divide c 4 and k 7; correct one of them"),
        ("r: 3", "r: 12", "net.yaml:4: layers.0: layer 'a': a window of 12 x 3 does not fit an image of 8 x 9; correct window or padding"),
        ("stride: 2", "stride: [1, 2, 3]", "net.yaml:4: layers.0.stride: 3 numbers are the wrong count; give a number or [vertical, horizontal]"),
        ("stride: 2", "stride: 0", "net.yaml:4: layers.0.stride: 0 is not made of whole numbers from 1 on; give a number or [vertical, horizontal]"),
        ("pad: [1, 0]", "pad: -1", "net.yaml:4: layers.0.pad: -1 is not made of whole numbers from 0 on; give a number, [vertical, horizontal] or [top, left, bottom, right]"),
        ("density: 0.5", "density: 1.5", "net.yaml:5: layers.1.input.density: 1.5 is too large; must be at most 1.0"),
        ("bits: 4", "bits: 0", "net.yaml:5: layers.1.weight.bits: 0 is too small; must be at least 1"),
        ("name: b", "name: a", "net.yaml:5: layers.1: a layer called 'a' is already on line 4; give each layer its own name"),
        ("a.output:", "a.outptu:", "net.yaml:7: tensors.a.outptu: no layer uses a tensor of this name; did you mean 'a.output'?"),
        ("isolated: true\n", "", "net.yaml:1: isolated: missing key; add 'isolated: ...' (true or false, true: each layer has tensors of its own; false: layers name the tensors they read)"),
        ("isolated: true", "isolated: yes", "net.yaml:2: isolated: 'yes' would be a boolean; write true or false, or quote it: 'yes'"),
        ("tensors:", "layers: []\ntensors:", "net.yaml:6: layers: repeated key, first on line 3; keep one of the two"),
        ("{bits: 16}", "{shape: [4]}", "net.yaml:4: layers.0: layer 'a': needs 1 x 6 x 4 x 4 = 96 elements where tensor 'a.output' has 4 = 4 elements; make the dimensions of both agree"),
        ("input: {density: 0.5}", "inputs: [a.output]", "net.yaml:5: layers.1: layer 'b': needs 5 x 7 = 35 elements where tensor 'a.output' has 1 x 6 x 4 x 4 = 96 elements; make the dimensions of both agree"),
        ("n: 5, c: 7", "n: 12, inputs: [a.output], c: 8", "net.yaml:5: layers.1: tensor 'a.output' is described where another layer uses it; say it once, or under 'tensors'"),
        ("n: 5, c: 7, k: 3, input: {density: 0.5}", "n: 12, c: 8, k: 3, inputs: [a.output]", "net.yaml:5: layers.1: layer 'b': shares tensor 'a.output' with layer 'a', but the network is isolated; write 'isolated: false' or give each layer its own tensors"),
        ("a.output: {bits: 16}", "b.input: {density: 0.1}", "net.yaml:7: tensors.b.input.density: the layer that owns 'b.input' says it too; keep one of the two"),
        ("weight: {bits: 4}", "weights: [a.input]", "net.yaml:5: layers.1: tensor 'a.input' is both weight and activation; use two names"),
        ("bias: true", "bias: true, weights: [w]", "net.yaml:4: layers.0.weights: layer 'a' has a bias but lists 1 weights; list both"),
        ("name: net", "name: my net", "net.yaml:1: name: 'my net' has characters that are not allowed; use letters, digits, '_', '.' and '-'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_place_and_remedy(old, new, message):
    assert old in ISOLATED
    with pytest.raises(ConfigError) as caught:
        network(ISOLATED.replace(old, new, 1))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("inputs: [p.output], bias", "inputs: [p.ouptut], bias", "net.yaml:7: layers.2.inputs: no layer before 'f' makes 'p.ouptut'; did you mean 'p.output'?"),
        (", inputs: [p.output]", "", "net.yaml:7: layers.2.inputs: layer 'f' of a connected network does not say what it reads; list the tensors: inputs: [...]"),
        ("c: 72", "c: 70", "net.yaml:7: layers.2: layer 'f': needs 1 x 70 = 70 elements where tensor 'p.output' has 1 x 8 x 3 x 3 = 72 elements; make the dimensions of both agree"),
        ("inputs: [image]\nl", "inputs: [image, mask]\nl", "net.yaml:3: inputs.1: no layer reads 'mask'; remove it"),
        ("bias: true", "outputs: [a.output]", "net.yaml:7: layers.2: layer 'f' makes tensor 'a.output', which is already there; give each output its own name"),
        ("bias: true", "repeat: 2", "net.yaml:7: layers.2: repetition joins no tensors; write the layers of a connected network one by one"),
        ("bias: true", "input: {bits: 4}", "net.yaml:7: layers.2: tensor 'p.output' is described where another layer uses it; say it once, or under 'tensors'"),
        ("inputs: [a.output]", "inputs: [a.output, image]", "net.yaml:6: layers.1: layer 'p': (pool) takes 1 inputs but lists 2; list one tensor per operand"),
        ("isolated: false", "isolated: true", "net.yaml:3: inputs: an isolated network has no shared inputs; remove it or write 'isolated: false'"),
    ],
)  # fmt: skip
def test_a_broken_connection_is_one_line_with_place_and_remedy(old, new, message):
    assert old in CONNECTED
    with pytest.raises(ConfigError) as caught:
        network(CONNECTED.replace(old, new, 1))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("op: flatten, shape: [1, 60]", "views 72 elements as 60; correct its shape"),
        ("op: slice, shape: [1, 80]", "takes 80 elements out of 72; correct its shape"),
    ],
)
def test_a_view_neither_makes_nor_loses_elements(view, message):
    layer = f"  - {{name: v, kind: view, {view}, operand_shapes: [[1, 8, 3, 3]], inputs: [p.output]}}\n"
    with pytest.raises(ConfigError) as caught:
        network(CONNECTED + layer)
    assert str(caught.value) == f"net.yaml:8: layers.3: layer 'v': {message}"


def every_kind() -> Network:
    """A connected network with every kind of layer, odd names, shared and transformed tensors."""
    shapes = [
        ("a b", Conv2d(2, 4, 6, 7, 7, 3, 2, 2, (2, 1), (1, 0, 2, 0), (1, 2)), ("on",), ("w: 1",), ("010",)),
        ("norm", Normalization("lrn", (2, 6, 4, 5), 5), ("010",), (), ("norm.output",)),
        ("pool", Pool("average", 2, 6, 4, 5, 2, 2, (2, 2), (0, 1, 0, 1), True, True), ("norm.output",), (), ("é\n",)),
        ("add", Elementwise("add", (2, 6, 2, 3), ((2, 6, 2, 3), (2, 6, 1, 1))), ("é\n", "x"), (), ("add.output",)),
        (
            "twice",
            Elementwise("mul", (2, 6, 2, 3), ((2, 6, 2, 3),) * 2),
            ("add.output",) * 2,
            ("s",),
            ("twice.output",),
        ),
        ("flat", View("flatten", ((2, 6, 2, 3),), (2, 36)), ("twice.output",), (), ("flat.output",)),
        ("part", View("slice", ((2, 36),), (2, 12), 1, 24), ("flat.output",), (), ("part.output",)),
        ("fc", Linear(2, 36, 9), ("flat.output",), ("fc.weight", "fc.bias"), ("fc.output",)),
        ("soft", Softmax((2, 9), 9), ("fc.output",), (), ("soft.output",)),
        ("mm", Matmul(2, 3, 2, 3), ("soft.output", "y"), (), ("mm.output",)),
        ("odd", Unsupported("Loop", "it's a loop: no", ((2, 3, 2),), (0,)), ("mm.output",), ("k",), ("u", "v")),
    ]
    tensors: dict[str, Tensor] = {}
    layers = []
    for name, shape, inputs, weights, outputs in shapes:
        layers.append(Layer(name, shape, inputs, weights, outputs))
        for t, dims in zip(inputs, shape.input_shapes, strict=True):
            tensors.setdefault(t, Tensor(t, dims, density=1e-5))
        tensors[outputs[0]] = Tensor(outputs[0], shape.output_shape, bits=7, signed=False, home="chip")
    tensors |= {
        "w: 1": Tensor("w: 1", (6, 2, 3, 2), weight=True),
        "s": Tensor("s", (6, 1, 1), weight=True),
        "fc.weight": Tensor("fc.weight", (9, 36), weight=True, density=0.1),
        "fc.bias": Tensor("fc.bias", (9,), weight=True),
        "k": Tensor("k", (), weight=True),
        "v": Tensor("v", (3, 3)),
        "soft.output": Tensor("soft.output", (2, 3, 3)),
    }
    return Network(
        "odd", tuple(layers), tensors, source='say "yes"', description="1.0\\\t", batch=2, notes=("no", "# not: this")
    )


def test_what_is_written_loads_as_an_equal_network():
    net = every_kind()
    assert build(parse(dump(net), "dump")) == net


@pytest.mark.parametrize("text", [ISOLATED, CONNECTED, ISOLATED + "batch: 3\nnotes: [a, b]\nsource: s\n"])
def test_what_was_loaded_is_written_and_loads_again(text):
    net = network(text)
    assert build(parse(dump(net), "dump")) == net


def test_a_difference_in_one_tensor_survives_the_round_trip():
    net = network(CONNECTED)
    other = net.with_tensors({"p.output": Tensor("p.output", (1, 72), density=0.3)})
    assert build(parse(dump(other), "dump")) == other != net


def test_a_network_refuses_layers_out_of_order_and_double_writers():
    a, made = make_layer("a", Linear(1, 2, 2), inputs=("x",), output="y")
    b, more = make_layer("b", Linear(1, 2, 2), inputs=("y",), output="z")
    with pytest.raises(WorkloadError, match="layer 'b': reads tensor 'y', which is made by layer 'a' further down"):
        Network("n", (b, a), made | more)
    c, again = make_layer("c", Linear(1, 2, 2), inputs=("y",), output="y")
    with pytest.raises(WorkloadError, match="layer 'c': writes tensor 'y', which layer 'a' already made"):
        Network("n", (a, c), made | again)


@pytest.mark.parametrize(
    ("size", "window", "stride", "pads", "floor", "ceil"),
    [(7, 3, 2, (0, 0), 3, 3), (8, 3, 2, (0, 0), 3, 4), (13, 3, 2, (0, 1), 6, 7), (4, 1, 2, (0, 0), 2, 2), (2, 1, 3, (0, 2), 2, 1)],
)  # fmt: skip
def test_rounding_up_drops_the_window_that_starts_behind_the_image(size, window, stride, pads, floor, ceil):
    assert output_size(size, window, stride, pads) == floor
    assert output_size(size, window, stride, pads, ceil=True) == ceil


def test_the_schema_is_a_json_schema_that_names_every_kind():
    schema = json.loads(json.dumps(NetworkSpec.model_json_schema()))
    kinds = schema["properties"]["layers"]["items"]["discriminator"]["mapping"]
    assert {"conv2d", "linear", "matmul", "pool", "view", "block"} <= kinds.keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg61", "no network is called 'vgg61'; did you mean 'vgg16'?"),
        ("densenet121", "no network is called 'densenet121'; did you mean 'onnx:densenet121'?"),
        ("onnx:resnet5", "no ONNX graph is called 'onnx:resnet5'; did you mean 'onnx:resnet50'?"),
        (
            "net.pt",
            "net.pt: files of type '.pt' are no networks; give one of .yaml, .yml, .onnx, .csv, .mtx, .mtx.gz, .txt, .txt.gz, .npz",
        ),
        (
            "some/net",
            "some/net: a network file needs a suffix; give one of .yaml, .yml, .onnx, .csv, .mtx, .mtx.gz, .txt, .txt.gz, .npz",
        ),
        ("missing.yaml", "no such network file: 'missing.yaml'; check the path"),
    ],
)
def test_an_unknown_network_gets_the_nearest_name_or_the_known_types(name, message):
    with pytest.raises(ConfigError) as caught:
        load_network(name)
    assert str(caught.value) == message


def test_a_path_loads_and_its_mistakes_name_the_file(tmp_path):
    path = tmp_path / "net.yml"
    path.write_text(CONNECTED)
    assert load_network(str(path), batch=2).macs == 2 * network(CONNECTED).macs
    path.write_text(CONNECTED.replace("c: 72", "c: seventy"))
    with pytest.raises(ConfigError, match=r"net.yml:7: layers.2.c: 'seventy' is of the wrong type"):
        load_network(str(path))


def test_loading_yaml_imports_nothing_heavy():
    code = (
        "import sys; from accelsim.workload.load import load_network, network_names; load_network('alexnet');"
        "network_names(); print([m for m in ('onnx', 'numpy', 'networkx', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
