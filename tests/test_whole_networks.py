"""Packaged networks as connected networks: their products are the tables', and nothing that runs is left out."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from test_packaged_networks import TOTALS

import accelsim
from accelsim.cli import main
from accelsim.errors import ConfigError
from accelsim.workload import nets
from accelsim.workload.lowering import lowered
from accelsim.workload.shapes import PRODUCTS, Elementwise, Pool, View
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import load

NAMES = nets.net_names()
TABLES = {
    "net:bert_base": ("bert_base_s128", {}),
    "net:bert_large": ("bert_large_s384", {"seq": 384}),
    "net:gpt2_small": ("gpt2_small_s1024", {}),
    "net:gpt2_medium": ("gpt2_medium_s1024", {}),
}
"""Tables whose name says a length; the others have the network's name."""

EXPORTS = {
    "resnet18": {"Conv": 20, "BatchNormalization": 20, "Relu": 17, "MaxPool": 1, "Add": 8, "Average": 1, "Gemm": 1},
    "resnet50": {"Conv": 53, "BatchNormalization": 53, "Relu": 49, "MaxPool": 1, "Add": 16, "Average": 1, "Gemm": 1},
    "vgg16": {"Conv": 13, "Relu": 15, "MaxPool": 5, "Gemm": 3},
    "googlenet": {
        "Conv": 57, "BatchNormalization": 57, "Relu": 57, "MaxPool": 13, "Concat": 9, "Average": 1, "Gemm": 1,
    },
    "squeezenet1_0": {"Conv": 26, "Relu": 26, "MaxPool": 3, "Concat": 8, "Average": 1},
    "squeezenet1_1": {"Conv": 26, "Relu": 26, "MaxPool": 3, "Concat": 8, "Average": 1},
    "mobilenet_v2": {"Conv": 52, "BatchNormalization": 52, "Clip6": 35, "Add": 10, "Average": 1, "Gemm": 1},
    "mobilenet_v3_small": {
        "Conv": 52, "BatchNormalization": 34, "Hardswish": 19, "Relu": 14, "Average": 10, "Hardsigmoid": 9, "Mul": 9,
        "Add": 6, "Gemm": 2,
    },
    "mobilenet_v3_large": {
        "Conv": 62, "BatchNormalization": 46, "Hardswish": 21, "Relu": 19, "Average": 9, "Hardsigmoid": 8, "Mul": 8,
        "Add": 10, "Gemm": 2,
    },
    "efficientnet_b0": {
        "Conv": 81, "BatchNormalization": 49, "Swish": 49, "Sigmoid": 16, "Mul": 16, "Average": 17, "Add": 9, "Gemm": 1,
    },
}  # fmt: skip
"""Operators of torchvision 0.28's models, exported by torch 2.13 (torch.onnx.export, dynamo=False, training preserved
so that normalisations stay). SiLU is there as Sigmoid and Mul, 49 of 65; VGG's average of 1 x 1 windows is left out."""

EMBEDDINGS = {
    "net:bert_base": (30_522 + 512 + 2) * 768,
    "net:bert_large": (30_522 + 512 + 2) * 1024,
    "net:gpt2_small": 1024 * 768,
    "net:gpt2_medium": 1024 * 1024,
    "net:vit_b_16": (197 + 1) * 768,
}
"""Rows of the tables of tokens, positions and segments, and a class token: BERT-base and -large uncased, GPT-2 (whose
tokens are the head's weights) and ViT-B/16, from their papers."""


@pytest.fixture(scope="module")
def totals():
    folder = os.environ.get("ACCELSIM_DATA")
    if not folder:
        pytest.skip("ACCELSIM_DATA does not name a folder with the layer tables")
    with (Path(folder) / "layers" / "_totals.csv").open() as stream:
        return {row["model"]: row for row in csv.DictReader(stream)}


def beside(name):
    """Return a whole network, and its table's name."""
    table, dims = TABLES.get(name, (name.removeprefix("net:"), {}))
    return nets.whole_network(name, dims), table


@pytest.mark.parametrize("name", NAMES)
def test_the_products_are_the_tables_layer_by_layer(name):
    net, table = beside(name)
    products = [(layer.name, layer.shape) for layer in lowered(net).layers if layer.kind in PRODUCTS]
    assert products == [(layer.name, layer.shape) for layer in accelsim.load_network(table).layers]
    assert (len(products), net.params, net.macs) == TOTALS[table]


def test_another_length_is_another_table():
    net = lowered(nets.whole_network("net:bert_base", {"seq": 384}))
    shapes = [x.shape for x in net.layers if x.kind in PRODUCTS]
    assert shapes == [layer.shape for layer in accelsim.load_network("bert_base_s384").layers]


@pytest.mark.parametrize("name", NAMES)
def test_macs_and_parameters_are_those_of_the_data(name, totals):
    """Beside the products' there are a scale and a shift per normalised channel, and embeddings."""
    net, table = beside(name)
    row = totals[table]
    assert (net.macs, net.params) == (int(row["macs"]), int(row["conv_fc_params"]))
    normal = {weight for layer in net.layers if layer.kind == "normalization" for weight in layer.weights}
    beside_products = sum(net.tensors[weight].elements for weight in normal) + EMBEDDINGS.get(name, 0)
    assert net.params + beside_products == int(row["all_params"])


@pytest.mark.parametrize("name", EXPORTS)
def test_operators_are_those_of_the_export(name):
    net = nets.whole_network(f"net:{name}")
    kinds = {"conv2d": "Conv", "linear": "Gemm", "normalization": "BatchNormalization"}
    found = Counter()
    for layer in net.layers:
        shape = layer.shape
        if isinstance(shape, Pool):
            found["MaxPool" if shape.op == "max" else "Average"] += 1
        elif isinstance(shape, Elementwise | View):
            found[shape.op.capitalize()] += 1
        else:
            found[kinds[layer.kind]] += 1
    assert found == EXPORTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_is_on_the_way_to_the_one_result(name):
    import networkx as nx

    net = nets.whole_network(name)
    assert not net.isolated
    graph = net.graph()
    (last,) = (layer for layer in graph if not graph.out_degree(layer))
    assert nx.ancestors(graph, last) | {last} == {layer.name for layer in net.layers}
    assert set(net.inputs) <= {"image", "token_embeddings", "class_token"}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_by_name_is_the_batch_of_the_network(name):
    assert nets.whole_network(name, {"batch": 3}) == nets.whole_network(name).batched(3)


def test_the_name_says_the_length():
    assert nets.whole_network("net:bert_base", {"seq": 64}).name == "net_bert_base_s64"
    assert nets.whole_network("net:resnet50").name == "net_resnet50"


@pytest.mark.parametrize(
    ("name", "dims", "message"),
    [
        ("net:resnet5", {}, "no network is called 'net:resnet5'; did you mean 'net:resnet50'?"),
        ("net:bert_base", {"sek": 4}, "--dim: 'net:bert_base' has no open dimension 'sek'; did you mean 'seq'?"),
        ("net:resnet50", {"seq": 4}, "--dim: 'net:resnet50' has no open dimension 'seq'; it leaves open: batch"),
        (
            "net:bert_base",
            {"seq": 513},
            "--dim: seq: 'net:bert_base' has no positions for a seq of 513; give at most 512",
        ),
        (
            "net:resnet50",
            {"batch": 0},
            "--dim: batch: size 0 is not a whole number from 1 to 2,147,483,647; correct it",
        ),
    ],
)
def test_a_name_or_size_that_is_not_there_is_one_line(name, dims, message):
    with pytest.raises(ConfigError) as refused:
        accelsim.load_network(name, dims=dims)
    assert str(refused.value) == message


def test_an_unknown_whole_network_is_the_users_mistake(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "edge_npu", "net:resnet5"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.strip() == "error: no network is called 'net:resnet5'; did you mean 'net:resnet50'?"


@pytest.mark.parametrize("name", NAMES)
def test_what_import_writes_loads_as_the_same_network(name, tmp_path):
    net = nets.whole_network(name)
    path = tmp_path / "net.yaml"
    path.write_text(dump(net))
    assert load(path) == net


def test_the_list_says_which_networks_are_tables_and_which_are_connected(capsys):
    with pytest.raises(SystemExit):
        main(["list", "network"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["resnet50"].endswith("; a table")
    assert lines["net:resnet50"].endswith("; connected")
    assert lines["net:bert_base"].endswith("; connected, seq=128")
    assert lines["onnx:resnet50"].endswith("; connected")
    assert set(NAMES) <= lines.keys()


@pytest.mark.parametrize("machine", ["edge_npu", "edge_npu_128", "eyeriss_npu"])
@pytest.mark.parametrize("name", NAMES)
def test_a_machine_for_whole_networks_leaves_nothing_out(machine, name):
    result = accelsim.simulate(machine, name, unsupported="error")
    assert result.complete
    assert all(layer.simulated for layer in result.layers if layer.kind != "view")


@pytest.mark.parametrize("machine", ["edge_npu_128", "eyeriss_npu"])
@pytest.mark.parametrize("network", ["net:squeezenet1_1", "net:mobilenet_v3_small"])
def test_values_of_small_whole_networks_are_numpys(machine, network):
    result = accelsim.simulate(machine, network, check=True, unsupported="error")
    assert all(layer.checked for layer in result.layers if layer.kind != "view" and not layer.folded_into)


def test_values_of_a_short_transformer_are_numpys():
    for name in ("net:bert_base", "net:gpt2_small"):
        network = nets.whole_network(name, {"seq": 4})
        result = accelsim.simulate("edge_npu_128", network, layers="*.0.*", check=True)
        assert all(layer.checked for layer in result.simulated if layer.kind != "view")


def test_a_unit_without_an_objective_of_its_own_takes_cycles_beside_one_that_has():
    result = accelsim.simulate("eyeriss_npu", "net:squeezenet1_1")
    why = {layer.unit: layer.details["mapping_why"] for layer in result.layers if "mapping_why" in layer.details}
    assert why["vector"].startswith("cycles ")
    assert not why["array"].startswith("cycles ")


def test_sizes_are_given_by_name_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["run", "edge_npu_128", "net:bert_base", "--dim", "seq=384", "--dim", "batch=2", "--format", "json"]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["network"]["name"] == "net_bert_base_s384"
    assert document["network"]["batch"] == 2
    assert document["totals"]["macs"] == 2 * TOTALS["bert_base_s384"][2]
    assert document["totals"]["complete"]


SWEEP = """\
name: lengths
machines: [edge_npu_128]
networks: ['net:gpt2_small']
axes: {options.dim.seq: [64, 256]}
"""


def test_the_length_is_an_axis_of_sweeps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lengths.yaml").write_text(SWEEP)
    for words in (["sweep", "lengths.yaml", "--store", "s.db"], ["export", "s.db", "-o", "s.csv"]):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    expected = [accelsim.load_network("net:gpt2_small", dims={"seq": seq}).macs for seq in (64, 256)]
    assert sorted(int(row["macs"]) for row in rows) == expected
    assert {row["complete"] for row in rows} <= {"True", "1", "true"}
