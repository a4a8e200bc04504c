"""ONNX import: totals of real graphs, each operator's shapes against ONNX's own, and what is refused and how."""

import csv
import os
import time
from math import prod
from pathlib import Path

import networkx as nx
import onnx
import pytest
from click.testing import CliRunner

from accelsim.cli.import_ import command
from accelsim.config.yamlfile import parse
from accelsim.errors import ConfigError
from accelsim.workload.load import load_network
from accelsim.workload.onnx.file import light_names, light_path
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import build

# Parameters without biases and multiply-accumulates of the light graphs of the onnx wheel: counted over the graphs
# with another program when the project began.
LIGHT = {
    "bvlc_alexnet": (60_954_656, 654_560_384),
    "densenet121": (7_894_208, 2_834_161_664),
    "inception_v1": (6_990_272, 1_431_556_352),
    "inception_v2": (11_174_080, 2_018_851_840),
    "resnet50": (25_502_912, 4_089_184_256),
    "shufflenet": (1_365_464, 124_664_528),
    "squeezenet": (1_231_552, 349_151_936),
    "vgg19": (143_652_544, 19_632_062_464),
    "zfnet512": (87_242_528, 1_481_727_008),
}


@pytest.fixture(scope="module")
def light():
    return {name: load_network(f"onnx:{name}") for name in LIGHT}


@pytest.mark.parametrize("name", LIGHT)
def test_totals_of_the_light_graphs_are_the_known_ones(light, name):
    assert (light[name].filter_params, light[name].macs) == LIGHT[name]


def test_the_known_totals_are_those_of_the_table():
    folder = os.environ.get("ACCELSIM_DATA")
    if not folder:
        pytest.skip("ACCELSIM_DATA does not name a folder with the layer tables")
    with (Path(folder) / "layers" / "onnx_light_totals.csv").open() as stream:
        rows = {row["model"]: (int(row["params"]), int(row["macs"])) for row in csv.DictReader(stream)}
    assert rows == {f"light_{name}.onnx": totals for name, totals in LIGHT.items()}


def counted(path):
    """Count filter elements, biases and multiply-accumulates over the protocol buffer alone."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    dims = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    filters = biases = macs = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        weight = dims[node.input[1]]
        filters += prod(weight)
        biases += prod(dims[node.input[2]]) if len(node.input) > 2 else 0
        per_output = prod(weight[1:])  # every output of a filter takes all of the filter; Gemm here has transB
        macs += prod(dims[node.output[0]]) * per_output
    return filters, filters + biases, macs


@pytest.mark.parametrize("name", LIGHT)
def test_totals_agree_with_a_count_over_the_protocol_buffer(light, name):
    network = light[name]
    assert (network.filter_params, network.params, network.macs) == counted(light_path(f"onnx:{name}"))


def test_the_wheel_has_the_nine_graphs():
    assert light_names() == sorted(f"onnx:{name}" for name in LIGHT)


def test_every_tensor_has_the_shape_that_onnx_infers(light):
    for name, network in light.items():
        graph = onnx.shape_inference.infer_shapes(onnx.load(light_path(f"onnx:{name}"))).graph
        for value in (*graph.value_info, *graph.output):
            if value.name in network.tensors and not network.tensors[value.name].weight:
                dims = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
                assert network.tensors[value.name].shape == dims, (name, value.name)


def test_work_on_constants_is_folded_away(light):
    """DenseNet-121 has 836 ConstantOfShape nodes and 242 Unsqueeze nodes of constants among its 1,746."""
    assert len(light["densenet121"].layers) == 1746 - 836 - 242
    assert not any(layer.kind == "unsupported" for network in light.values() for layer in network.layers)


def test_resnet50_is_one_connected_graph_without_cycles(light):
    graph = light["resnet50"].graph()
    assert len(graph) == len(light["resnet50"].layers)
    assert nx.is_weakly_connected(graph)
    assert nx.is_directed_acyclic_graph(graph)
    sums = [layer.name for layer in light["resnet50"].layers if getattr(layer.shape, "op", "") == "sum"]
    assert len(sums) == 16
    assert all(graph.in_degree(name) == 2 for name in sums)


def test_shufflenet_moves_its_channels_with_copies(light):
    copies = [layer for layer in light["shufflenet"].layers if getattr(layer.shape, "op", "") == "copy"]
    assert len(copies) == 16


def test_layers_are_called_after_their_filters_where_the_nodes_have_no_names(light):
    names = [layer.name for layer in light["bvlc_alexnet"].layers]
    assert [n for n in names if n.startswith(("conv", "fc"))] == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"
    ]  # fmt: skip
    assert light["resnet50"].layers[4].name == "res2_0_branch2a"


def test_fills_are_no_values_and_the_network_says_so(light):
    network = light["vgg19"]
    assert "conv1_1_w_0" not in network.values  # 64 x 3 x 3 x 3, made by ConstantOfShape
    assert network.values["conv1_1_b_0"].shape == (64,)  # an initialiser of the file
    assert network.notes == (
        "36 constants of the graph are fills (ConstantOfShape): their shapes count, their values say nothing about "
        "sparsity",
    )


@pytest.mark.parametrize("name", LIGHT)
def test_an_imported_graph_written_as_yaml_loads_as_an_equal_network(light, name):
    assert build(parse(dump(light[name]), "dump")) == light[name]


def test_densenet_takes_seconds_at_most():
    start = time.process_time()
    load_network("onnx:densenet121")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("name", "batch"), [("resnet50", 4), ("shufflenet", 3)])
def test_a_batch_multiplies_work_and_leaves_weights(light, name, batch):
    network = load_network(f"onnx:{name}", batch=batch)
    assert (network.batch, network.macs, network.params) == (batch, batch * light[name].macs, light[name].params)
    assert network.batched(1) == light[name]


def test_import_writes_a_network_that_loads_equal(tmp_path, light):
    out = tmp_path / "net.yaml"
    done = CliRunner().invoke(command, ["onnx:squeezenet", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "66 layers" in done.output
    assert "1.24 M params" in done.output
    assert load_network(str(out)) == light["squeezenet"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.yaml"]


def test_import_does_not_replace_a_file_unasked(tmp_path):
    out = tmp_path / "net.yaml"
    out.write_text("mine")
    done = CliRunner().invoke(command, ["onnx:squeezenet", "-o", str(out)])
    assert str(done.exception) == f"{out}: the file exists; choose another name or add --force"
    assert out.read_text() == "mine"


def test_a_failed_import_leaves_no_file(tmp_path):
    done = CliRunner().invoke(command, ["onnx:resnet5", "-o", str(tmp_path / "net.yaml")])
    assert isinstance(done.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []
