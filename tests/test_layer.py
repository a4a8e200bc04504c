"""What one layer is said to need of its memories, by hand."""

from fractions import Fraction

import pytest

import accelsim
from accelsim.memory.dram import dram_model
from accelsim.spec.schema import DramSpec

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
