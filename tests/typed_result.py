"""A run whose figures are typed in, round enough to work every report's cell out by hand.

Five layers ran, at 200 MHz with a DRAM of 0.8 GB/s (32 bits per cycle), and one did not:

======= ======= ======= ======= ========== =========== ========== =========
layer   cycles  compute  stalls  MACs       DRAM read   DRAM write energy
======= ======= ======= ======= ========== =========== ========== =========
conv1   100,000  80,000  20,000    600,000  0.2 MB      0.05 MB     2.2 uJ
conv2   300,000 120,000 180,000  1,000,000  1.0 MB      0.2 MB     10.0 uJ
pool     50,000  50,000       0          0  0.1 MB      0.01 MB     1.0 uJ
block.0  25,000  25,000       0    200,000  0.03 MB     0.01 MB     0.4 uJ
block.1  as block.0
======= ======= ======= ======= ========== =========== ========== =========

Together 500,000 cycles = 2.5 ms, 2,000,000 MACs, 1.36 MB read, 0.28 MB written, 14 uJ.
"""

from __future__ import annotations

from dataclasses import replace

from accelsim.results import BufferUse, LayerResult, NetworkResult, StoredBits, TrafficRow, UnitAccount

ARCH = {
    "name": "typed",
    "units": [
        {"name": "array", "engine": "systolic"},
        {"name": "lanes", "engine": "vector"},
    ],
    "memory": {"dram": {"standard": "ddr3", "gb_per_s": 0.8}},
}


def _dram(read_bits: int, write_bits: int) -> tuple[TrafficRow, ...]:
    return (
        TrafficRow("dram", "input", "read", read_bits // 4),
        TrafficRow("dram", "weight", "read", read_bits - read_bits // 4),
        TrafficRow("dram", "output", "write", write_bits),
        TrafficRow("glb.inputs", "input", "read", 9_000_000),
    )


CONV1 = LayerResult(
    name="conv1",
    kind="conv2d",
    shape={"n": 1, "c": 3},
    bits={"input": 8, "weight": 8, "output": 8},
    macs=600_000,
    dram_bits_touched=1_500_000,
    simulated=True,
    unit="array",
    nonzero_weight_macs=550_000,
    nonzero_input_macs=520_000,
    effective_macs=480_000,
    performed_macs=590_000,
    cycles=100_000,
    compute_cycles=80_000,
    stall_cycles=20_000,
    dram_cycles=62_500,
    primary="pes",
    accounts={"pes": UnitAccount(10, {"busy": 500_000, "zero": 100_000, "unmapped": 200_000, "memory": 200_000})},
    traffic=_dram(1_600_000, 400_000),
    buffers={"glb.inputs": BufferUse(8192, 2048)},
    stored={"weight": StoredBits(8_000_000, 1_200_000, 400_000)},
    needed_bits_per_cycle={"dram": 40.0, "glb.inputs": 112.5},
    energy_pj={"macs": 150_000.0, "glb.inputs": 50_000.0, "dram": 2_000_000.0},
)
CONV2 = replace(
    CONV1,
    name="conv2",
    macs=1_000_000,
    dram_bits_touched=9_000_000,
    nonzero_weight_macs=1_000_000,
    nonzero_input_macs=900_000,
    effective_macs=900_000,
    performed_macs=1_000_000,
    start_cycle=100_000,
    cycles=300_000,
    compute_cycles=120_000,
    stall_cycles=180_000,
    dram_cycles=290_000,
    accounts={"pes": UnitAccount(10, {"busy": 1_000_000, "fill_drain": 200_000, "memory": 1_800_000})},
    traffic=_dram(8_000_000, 1_600_000),
    stored={"weight": StoredBits(8_000_000, 1_800_000, 600_000)},
    needed_bits_per_cycle={"dram": 80.0},
    energy_pj={"macs": 250_000.0, "glb.inputs": 150_000.0, "dram": 9_600_000.0},
)
POOL = LayerResult(
    name="pool",
    kind="pool",
    shape={"op": "max"},
    bits={"input": 8, "output": 8},
    macs=0,
    dram_bits_touched=800_000,
    simulated=True,
    unit="lanes",
    start_cycle=400_000,
    cycles=50_000,
    compute_cycles=50_000,
    dram_cycles=27_500,
    primary="lanes",
    accounts={"lanes": UnitAccount(4, {"busy": 100_000, "padding": 100_000})},
    traffic=_dram(800_000, 80_000),
    needed_bits_per_cycle={"dram": 20.0},
    energy_pj={"lanes": 120_000.0, "dram": 880_000.0},
)
BLOCK = replace(
    CONV1,
    name="block.0",
    macs=200_000,
    dram_bits_touched=300_000,
    nonzero_weight_macs=150_000,
    nonzero_input_macs=140_000,
    effective_macs=100_000,
    performed_macs=180_000,
    start_cycle=450_000,
    cycles=25_000,
    compute_cycles=25_000,
    stall_cycles=0,
    dram_cycles=10_000,
    accounts={"pes": UnitAccount(10, {"busy": 100_000, "imbalance": 150_000})},
    traffic=_dram(240_000, 80_000),
    stored={},
    needed_bits_per_cycle={"dram": 16.0},
    energy_pj={"macs": 50_000.0, "glb.inputs": 50_000.0, "dram": 300_000.0},
)
SOFTMAX = LayerResult(
    name="softmax",
    kind="softmax",
    shape={"length": 10},
    bits={"input": 8, "output": 8},
    macs=500_000,
    dram_bits_touched=3_100_000,
    reason="no unit runs softmax layers",
)


def typed_result() -> NetworkResult:
    """Return the run of the table above."""
    return NetworkResult(
        arch=ARCH,
        network="net",
        source="net.yaml",
        batch=1,
        layers=(CONV1, CONV2, POOL, BLOCK, replace(BLOCK, name="block.1", start_cycle=475_000), SOFTMAX),
        options={"seed": 0, "energy_table": "45nm"},
        clock_mhz=200.0,
        area_mm2={"macs": 0.25, "glb.inputs": 0.5},
    )


def sparse_result() -> NetworkResult:
    """Return a product of sparse matrices: 40,000 of 1,000,000 dense MACs multiply, in 10,000 cycles at 1 GHz."""
    layer = replace(
        CONV1, name="product", kind="spgemm", macs=1_000_000, effective_macs=40_000, performed_macs=40_000,
        cycles=10_000, compute_cycles=10_000, stall_cycles=0, dram_cycles=10_000, stored={},
        accounts={"pes": UnitAccount(10, {"busy": 80_000, "imbalance": 20_000})}, traffic=_dram(320_000, 80_000),
        energy_pj={"dram": 1_600_000.0},
    )  # fmt: skip
    return replace(typed_result(), layers=(layer,), clock_mhz=1000.0, isolated=True)
