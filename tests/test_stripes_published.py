"""Stripes on the networks of its paper: the ideal speed-ups of its profiles (recalled), and the tiled machine."""

import pytest

import accelsim

IDEAL = {"alexnet": 2.38, "nin": 1.91, "googlenet": 1.76, "vgg_m": 2.23, "vgg_s": 2.04, "vgg19": 1.35}
"""16 / p averaged over a network's convolutions: Judd et al., MICRO 2016, table; recalled."""


@pytest.fixture(scope="module", params=IDEAL)
def pair(request):
    network = accelsim.load_network(f"stripes_{request.param}")
    return request.param, *(accelsim.simulate(accelsim.load_arch(a), network) for a in ("stripes", "dadiannao"))


def kind(result, kind):
    return [layer for layer in result.layers if layer.kind == kind]


def ideal(stripes):
    """Lane-cycles of 16-bit activations over those that the machine spends."""
    convs = kind(stripes, "conv2d")
    spent = sum(layer.account["busy"] + layer.account.get("zero", 0) for layer in convs)
    return 16 * sum(layer.macs for layer in convs) / spent


def test_the_ideal_speed_up_is_within_5_per_cent(pair):
    name, stripes, _ = pair
    assert ideal(stripes) == pytest.approx(IDEAL[name], rel=0.05)


def test_tiling_only_takes_from_the_ideal(pair):
    _, stripes, dadiannao = pair
    tiled = sum(x.compute_cycles for x in kind(dadiannao, "conv2d"))
    tiled /= sum(x.compute_cycles for x in kind(stripes, "conv2d"))
    assert 1.3 <= tiled <= ideal(stripes) * 1.0001


def test_fully_connected_layers_are_no_faster(pair):
    _, stripes, dadiannao = pair
    for ours, base in zip(kind(stripes, "linear"), kind(dadiannao, "linear"), strict=True):
        assert base.cycles <= ours.cycles <= 1.2 * base.cycles
