"""Every packaged machine runs a small network, values checked; every engine has a machine and cases."""

from functools import cache

import pytest
from contract import random_case

import accelsim
from accelsim.config import packaged
from accelsim.engines import registry
from accelsim.validate.cases import engine_cases

CONNECTED = """\
name: small
isolated: false
inputs: [image]
layers:
- {name: conv, kind: conv2d, n: 2, c: 4, k: 8, h: 6, w: 6, r: 3, s: 3, inputs: [image], outputs: [a]}
- {name: relu, kind: elementwise, op: relu, shape: [2, 8, 4, 4], inputs: [a], outputs: [b]}
- {name: fc, kind: linear, n: 2, c: 128, k: 5, inputs: [b], outputs: [c]}
"""
SPARSE = """\
name: sparse
isolated: true
layers:
- {name: product, kind: spgemm, m: 12, n: 10, k: 14, input: {density: 0.3}, weight: {density: 0.4}}
- {name: vector, kind: spgemm, m: 12, n: 1, k: 14, input: {density: 0.3}}
"""
ATTENDING = """\
name: attending
isolated: true
layers:
- {name: attention, kind: attention, heads: 2, kv_heads: 1, q: 5, kv: 9, head_dim: 4, causal: skip}
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, text in (("connected", CONNECTED), ("sparse", SPARSE), ("attending", ATTENDING)):
        (folder / f"{name}.yaml").write_text(text)
    return [accelsim.load_network(str(folder / f"{name}.yaml")) for name in ("connected", "sparse", "attending")]


@cache
def kinds(engine):
    """Return the kinds of layers that an engine says it takes, by its own samples."""
    return {random_case(engine, seed).view.kind for seed in range(60)}


@pytest.mark.parametrize("name", packaged.names("arch_configs"))
def test_every_packaged_machine_runs_small_layers_of_its_kinds_and_their_values_are_numpys(name, networks):
    """Among them a linear layer behind a convolution, whose tensor has the convolution's shape."""
    ran, units = {}, accelsim.load_arch(name).units
    if not any(unit.takes(x.name, x.kind) for network in networks for x in network.layers for unit in units):
        pytest.skip("its units are for layers of other names")
    for network in networks:
        for layer in accelsim.simulate(name, network, check=True).simulated:
            assert layer.checked, layer.name
            assert layer.cycles > 0
            ran[layer.kind] = layer
    wanted = {
        kind
        for unit in accelsim.load_arch(name).units
        for kind in kinds(unit.engine)
        if kind != "linear" or getattr(unit.params, "linear", True)
    }
    lowered = {"matmul", "softmax"} - wanted if "attention" in wanted else {"matmul", "softmax"}
    assert set(ran) - lowered == wanted & {"conv2d", "elementwise", "linear", "spgemm", "attention"}
    assert ran


def test_every_packaged_engine_has_a_machine_and_cases_that_judge_it():
    machines = {unit.engine for name in packaged.names("arch_configs") for unit in accelsim.load_arch(name).units}
    inside = {name for name, module in registry.modules().items() if module.startswith("accelsim.")}
    assert machines >= inside
    found = engine_cases()
    assert set(found) == set(registry.modules())
    for engine, cases in found.items():
        mine = [case for case in cases if engine in {unit.engine for unit in accelsim.load_arch(case.arch).units}]
        assert mine, f"no case judges {engine}"
