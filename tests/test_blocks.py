"""Layers are called after the modules of PyTorch, and reports roll up by block."""

import re

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper, save

import accelsim
from accelsim.cli import app
from accelsim.workload.onnx.names import SCOPES, Label, layer_names, module_path


def model(path, nodes, scopes=()):
    """Write two convolutions with an addition and two activations, the nodes called as given."""
    weights = [
        numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), name)
        for name in ("layer1.0.conv1.weight", "onnx::Conv_7")
    ]
    wiring = [
        ("Conv", ["x", "layer1.0.conv1.weight"], "a"),
        ("Relu", ["a"], "b"),
        ("Conv", ["b", "onnx::Conv_7"], "c"),
        ("Add", ["c", "x"], "d"),
        ("Relu", ["d"], "e"),
    ]
    made = [helper.make_node(op, inputs, [out], name) for (op, inputs, out), name in zip(wiring, nodes, strict=True)]
    for node, listed in zip(made, scopes, strict=False):
        node.metadata_props.add(key=SCOPES, value=repr(listed))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in ("x", "e")]
    graph = helper.make_graph(made, "g", ends[:1], ends[1:], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return accelsim.load_network(str(path))


def test_the_older_exporters_node_names_are_module_paths(tmp_path):
    inside = "/layer1/layer1.0"
    nodes = [f"{inside}/{end}" for end in ("conv1/Conv", "relu/Relu", "conv2/Conv", "Add", "relu_1/Relu")]
    names = [layer.name for layer in model(tmp_path / "m.onnx", nodes).layers]
    assert names == ["layer1.0.conv1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.add", "layer1.0.relu_1"]


def test_the_newer_exporters_metadata_are_module_paths(tmp_path):
    nodes = ["node_conv2d", "node_relu", "node_conv2d_1", "node_add", "node_relu_1"]
    inside = ["", "layer1", "layer1.0"]
    scopes = [
        [*inside, *end]
        for end in (
            ("layer1.0.bn1", "batch_norm"), ("layer1.0.relu", "relu"), ("layer1.0.conv2", "conv2d_1"), ("add",),
            ("layer1.0.relu", "relu_1"),
        )
    ]  # fmt: skip
    names = [layer.name for layer in model(tmp_path / "m.onnx", nodes, scopes).layers]
    # a convolution with its normalisation folded in is called after its filters, not after the normalisation
    assert names == ["layer1.0.conv1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.add", "layer1.0.relu.2"]


@pytest.mark.parametrize(
    ("node", "op", "scopes", "path"),
    [
        ("/layer1/layer1.0/conv1/Conv", "Conv", "", "layer1.0.conv1"),
        ("/encoder/layers/layers.3/attn/MatMul_1", "MatMul", "", "encoder.layers.3.attn"),
        ("/Flatten", "Flatten", "", ""),
        ("/a/b", "Conv", "", ""),
        ("gpu_0/conv1", "Conv", "", ""),
        ("n", "Add", "['', 'layer1', 'add']", "layer1"),
        ("n", "Add", "['add']", ""),
        ("n", "Add", "[1, 2]", ""),
        ("n", "Add", "[" * 10_000, ""),
        ("/a/Add", "Add", "__import__('os')", ""),
    ],
)
def test_a_module_path_is_read_where_there_is_one(node, op, scopes, path):
    assert module_path(node, op, scopes) == path


def test_layers_without_a_module_keep_their_names():
    labels = [Label("own", "Conv", "w"), Label("", "Relu"), Label("n1", "Conv", "stem.weight")]
    assert layer_names(labels) == ["own", "relu1", "stem"]


def test_blocks_share_the_first_parts_of_their_names_and_sum_to_the_whole():
    result = accelsim.simulate("edge_npu_128", "net:resnet18", schedule="isolated")
    blocks = result.blocks()
    assert list(blocks) == ["conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert {layer.name for layer in blocks["layer1"].layers} == {
        layer.name for layer in result.layers if layer.name.startswith("layer1.")
    }
    for figure in ("cycles", "macs", "dram_bits"):
        assert sum(getattr(block, figure) for block in blocks.values()) == getattr(result, figure)
    assert list(result.blocks(2))[2:6] == ["conv1.relu", "maxpool", "layer1.0", "layer1.1"]


def test_a_run_prints_a_row_per_block(tmp_path):
    args = ["run", "edge_npu_128", "net:resnet18", "--isolated", "--blocks", "1", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    rows = dict(re.findall(r"^(\w+) +(\d+) +.*$", done.output, re.MULTILINE))
    assert (rows["layer1"], rows["layer4"], rows["total"]) == ("14", "16", "68")
    result = accelsim.simulate("edge_npu_128", "net:resnet18", schedule="isolated")
    assert f" {result.blocks()['layer4'].cycles:,} " in done.output
    assert "layer1.0.conv1" not in done.output.split("totals")[0]


def test_blocks_are_for_the_table_alone():
    done = CliRunner().invoke(app, ["run", "edge_npu", "net:resnet18", "--blocks", "1", "--format", "json"])
    assert done.exit_code == 2
    assert "--blocks is for the table" in done.output
