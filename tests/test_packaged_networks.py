"""Packaged networks: their totals are those of the layer tables, and every one says where it comes from."""

import csv
import os
from pathlib import Path

import pytest

from accelsim.config import packaged
from accelsim.passes.density import read_density, with_density
from accelsim.workload.load import load_network
from accelsim.workload.network import Network
from accelsim.workload.shapes import Conv2d, Linear, Matmul
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import build

# name: layers, parameters of convolutions and linear layers with biases, multiply-accumulates at batch 1; derived by
# tracing the model definitions, before this code was written.
TOTALS = {
    "alexnet": (8, 60_965_224, 724_406_816),
    "alexnet_torchvision": (8, 61_100_840, 714_188_480),
    "vgg16": (16, 138_357_544, 15_470_264_320),
    "googlenet": (58, 6_610_344, 1_498_376_192),
    "resnet18": (21, 11_679_912, 1_814_073_344),
    "resnet50": (54, 25_503_912, 4_089_184_256),
    "squeezenet1_0": (26, 1_248_424, 818_924_576),
    "squeezenet1_1": (26, 1_235_496, 349_151_936),
    "squeezenet1_0_227": (26, 1_248_424, 832_667_936),
    "mobilenet_v1": (28, 4_210_088, 568_740_352),
    "mobilenet_v1_050_128": (28, 1_320_648, 49_160_192),
    "mobilenet_v2": (53, 3_470_760, 300_774_272),
    "mobilenet_v3_large": (64, 5_458_632, 216_589_760),
    "mobilenet_v3_small": (54, 2_530_744, 56_510_400),
    "efficientnet_b0": (82, 5_246_532, 385_814_752),
    "vit_b_16": (74, 86_377_192, 17_563_828_224),
    "bert_base_s128": (97, 85_608_192, 11_174_215_680),
    "bert_base_s384": (97, 85_608_192, 35_333_406_720),
    "bert_large_s384": (193, 303_260_672, 123_212_922_880),
    "gpt2_small_s1024": (73, 123_614_976, 145_824_153_600),
    "gpt2_medium_s1024": (145, 353_674_240, 413_475_536_896),
    "transformer_base_s32": (102, 44_107_776, 1_428_160_512),
    "lstm_neuraltalk_h512_t1": (3, 6_611_031, 6_598_144),
    "lstm_ese_i153_h1024_p512_t1": (3, 3_256_320, 3_248_128),
}
TABLES = {"alexnet": "alexnet_grouped"}
"""Packaged names that differ from their table's."""


@pytest.fixture(scope="module")
def tables():
    folder = os.environ.get("ACCELSIM_DATA")
    if not folder:
        pytest.skip("ACCELSIM_DATA does not name a folder with the layer tables")
    return Path(folder) / "layers"


def rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_those_of_the_source(name):
    network = load_network(name)
    assert (len(network.layers), network.params, network.macs) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_a_network_is_isolated_and_names_its_source(name):
    network = load_network(name)
    assert network.name == name
    assert network.isolated
    assert network.graph().number_of_edges() == 0
    assert "Shapes traced from" in network.source or "Shapes written by hand" in network.source
    assert "not in the table" in network.description


def test_totals_equal_the_table_of_totals(tables):
    found = {row["model"]: row for row in rows(tables / "_totals.csv")}
    assert {TABLES.get(name, name) for name in TOTALS} == set(found)
    for name, totals in TOTALS.items():
        row = found[TABLES.get(name, name)]
        assert totals == tuple(int(row[key]) for key in ("layers", "conv_fc_params", "macs"))


@pytest.mark.parametrize("name", TOTALS)
def test_every_layer_equals_its_line_of_the_table(tables, name):
    network = load_network(name)
    for layer, row in zip(network.layers, rows(tables / f"{TABLES.get(name, name)}.csv"), strict=True):
        n, c, m, g, h, w, r, s, e, f, stride, pad, macs, params = (int(row[k]) for k in list(row)[2:])
        if row["type"] == "fc":
            assert layer.shape == Linear(n, c, m)
        elif row["type"] == "bmm":
            assert layer.shape == Matmul(n, h, m, c)
        else:
            assert layer.shape == Conv2d(n, c, m, h, w, r, s, g, (stride, stride), (pad,) * 4)
            assert (layer.shape.e, layer.shape.f) == (e, f)
        assert layer.macs == macs
        assert sum(network.tensors[t].elements for t in layer.weights) == params


def test_depthwise_layers_have_one_channel_per_group():
    shapes = {layer.name: layer.shape for layer in load_network("mobilenet_v1").layers}
    assert shapes["block1.depthwise"].weight_shape == (32, 1, 3, 3)
    assert shapes["block1.pointwise"].weight_shape == (64, 32, 1, 1)


@pytest.mark.parametrize("name", ["alexnet", "bert_large_s384", "mobilenet_v3_small"])
def test_a_batch_multiplies_work_and_leaves_weights(name):
    network = load_network(name, batch=6)
    assert (network.params, network.macs) == (TOTALS[name][1], 6 * TOTALS[name][2])


@pytest.mark.parametrize("name", packaged.names("workloads"))
def test_every_packaged_network_loads_and_survives_a_round_trip(name):
    from accelsim.config.yamlfile import parse

    network = load_network(name)
    assert isinstance(network, Network)
    assert network.name == name
    assert network.source
    assert build(parse(dump(network), "dump")) == network


def test_the_published_googlenet_has_five_by_five_filters_and_the_parameters_of_its_graph():
    ours, torch, graph = (load_network(name) for name in ("googlenet_2015", "googlenet", "onnx:inception_v1"))
    assert ours.filter_params == graph.filter_params == 6_990_272
    by_hand = load_network("stripes_googlenet")
    assert (len(ours.layers), ours.macs) == (len(by_hand.layers), by_hand.macs)
    changed = [a.name for a, b in zip(ours.layers, torch.layers, strict=True) if a.shape != b.shape]
    assert changed == [layer.name for layer in ours.layers if layer.name.endswith("_5x5")]
    # Parashar et al., ISCA 2017, table 1 (recalled): 54 layers and 1.1 G multiplications, those of the modules
    modules = [layer.shape.macs for layer in ours.layers if layer.name.startswith("inception")]
    assert (len(modules), round(sum(modules) / 1e9, 1)) == (54, 1.1)


@pytest.mark.parametrize(
    "profile", sorted((packaged.folder("workloads") / "profiles").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_packaged_profile_fits_its_network_and_names_its_source(profile):
    name = profile.stem.rsplit("_", 2 if profile.stem.startswith("googlenet") else 1)[0]
    network = load_network({"googlenet": "googlenet_2015"}.get(name, name))
    described = with_density(network, read_density(profile))
    assert described != network
    assert "source:" in profile.read_text()
