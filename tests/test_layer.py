"""What one layer is said to need of its memories, by hand."""

import re
from fractions import Fraction

import pytest

import accelsim
from accelsim.activity import Activity, Event, Flow
from accelsim.config.schema import DramSpec
from accelsim.errors import ModelError, WorkloadError
from accelsim.memory.dram import dram_model

NETWORK = "name: one\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 1, c: 16, k: 16}\n"
WHOLE = "fc: {groups: 1, n: 1, e: 1, f: 1, k: 16, c: 16, order: mkc}\n"


@pytest.fixture
def layer(tmp_path):
    """DianNao with 16 inputs of 16 outputs, 16 bits each, in one tile: 256 products in one cycle."""
    for name, text in (("net.yaml", NETWORK), ("map.yaml", WHOLE)):
        (tmp_path / name).write_text(text)
    result = accelsim.simulate("diannao", str(tmp_path / "net.yaml"), mapping=tmp_path / "map.yaml")
    assert result.layers[0].compute_cycles == 1
    return result.layers[0]


def test_a_buffer_needs_the_bandwidth_of_all_that_crosses_it(layer):
    # inputs: 256 bits in and 256 out; weights: 4096 in and 4096 out; sums of 256 bits in and outputs out
    needed = {name: bits for name, bits in layer.needed_bits_per_cycle.items() if name != "dram"}
    assert needed == {"glb.inputs": 512, "glb.weights": 8192, "glb.outputs": 512}


def test_dram_is_busy_for_whole_bursts(layer):
    # inputs and outputs of 256 bits take a burst of 512 each, weights 4096: 5120 bits at 102,400 / 980 per cycle
    assert layer.dram_cycles == 49
    assert sum(row.bits for row in layer.traffic if row.boundary == "dram") == 5120


@pytest.mark.parametrize(
    ("latency_ns", "mhz", "cycles"), [(0, 200, 0), (10, 200, 2), (12, 200, 3), (0.001, 200, 1), (100, 980, 98)]
)
def test_latency_is_rounded_up_to_whole_cycles(latency_ns, mhz, cycles):
    spec = DramSpec(standard="lpddr4", gb_per_s=0.1, latency_ns=latency_ns)
    assert dram_model(spec, Fraction(mhz)) == (Fraction(800, mhz), cycles, 512)


HOMES = """\
name: homes
isolated: true
layers:
- {name: p, kind: pool, op: max, n: 1, c: 4, h: 8, w: 8, r: 2, s: 2, stride: 2, input: {home: chip}}
- {name: q, kind: spgemm, m: 4, n: 4, k: 4, weight: {home: chip}}
- {name: fc, kind: linear, n: 1, c: 16, k: 16, input: {home: chip}}
"""


def test_a_layer_with_a_tensor_at_home_that_has_no_room_is_not_simulated_and_says_why(tmp_path):
    (tmp_path / "net.yaml").write_text(HOMES)
    network = str(tmp_path / "net.yaml")
    pool, _, linear = accelsim.simulate("edge_npu", network).layers
    assert not pool.simulated
    assert pool.reason.endswith(
        "vector: input 'p.input' is at home on the chip, where engine 'vector' has no room for it; give it home: dram"
    )
    assert linear.simulated
    assert not [row for row in linear.traffic if (row.boundary, row.tensor) == ("dram", "input")]
    product = accelsim.simulate("gamma", network).layers[1]
    assert product.reason == (
        "input2 'q.input2' is at home on the chip, where engine 'gamma' has no room for it; give it home: dram"
    )
    with pytest.raises(WorkloadError, match=r"layer 'q' cannot run: .*'q.input2' is at home .*'sparch'.* home: dram"):
        accelsim.simulate("sparch", network, layers="q", unsupported="error")


@pytest.mark.parametrize(
    ("name", "key"), [("dcnn", "activation_kib"), ("cnvlutin", "neuron_kib"), ("scnn", "iaram_kib")]
)
def test_a_tensor_at_home_that_is_too_large_names_what_to_raise(name, key, tmp_path):
    layer = "{name: a, kind: conv2d, n: 1, c: 256, k: 256, h: 90, w: 90, r: 1, s: 1, input: {home: chip}}"
    (tmp_path / "net.yaml").write_text(f"name: large\nisolated: true\nlayers:\n- {layer}\n")
    layer = accelsim.simulate(name, str(tmp_path / "net.yaml")).layers[0]
    assert not layer.simulated
    assert re.search(rf"'a\.input' is at home on the chip but does not fit .*params\.{key}.* home: dram", layer.reason)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accounts": {"pes": {"busy": 22, "fill_drain": -2}}}, "pes: negative unit-cycles"),
        ({"accounts": {"pes": {"busy": 21, "fill_drain": -1}}}, "pes: negative unit-cycles"),
        ({"accounts": {"pes": {"busy": 19}}}, "pes: causes sum to 19, not to 20"),
        ({"accounts": {"pes": {"busy": 21}}}, "pes: causes sum to 21, not to 20"),
        ({"accounts": {"pes": {"busy": 19, "sleep": 1}}}, "pes: no such cause"),
        ({"accounts": {}}, "accounts of"),
        ({"traffic": {Flow("dram", "input", "read"): -1}}, "impossible traffic"),
        ({"events": {Event("pes", "mac"): -1}}, "negative events"),
    ],
)
def test_an_account_that_does_not_add_up_is_refused(change, message):
    # two units for ten cycles
    legal = {"compute_cycles": 10, "accounts": {"pes": {"busy": 15, "fill_drain": 5}}, "traffic": {}, "events": {}}
    Activity(**legal).check({"pes": 2})
    with pytest.raises(ModelError, match=message):
        Activity(**legal | change).check({"pes": 2})
