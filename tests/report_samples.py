"""Results as a small systolic machine might give them, by hand: the report is developed and tested against these.

The arithmetic is a toy (one weight-stationary array, one DRAM, no latency); what matters is that accounts close,
traffic and energy are of the right size, and that every field of a result is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accelsim.activity import CAUSES
from accelsim.results import BufferUse, LayerResult, NetworkResult, TrafficRow, UnitAccount
from accelsim.units import ceil_div

ROWS = COLS = 32
CLOCK_MHZ = 200.0
DRAM_BITS_PER_CYCLE = 64
LANES = 32

ARCH: dict[str, Any] = {
    "name": "systolic_ws",
    "description": "a 32 x 32 weight-stationary array with a vector unit",
    "source": "assumed",
    "clocks_mhz": {"core": CLOCK_MHZ},
    "units": [
        {"name": "array", "engine": "systolic", "params": {"rows": ROWS, "cols": COLS}, "layers": ["*"]},
        {"name": "vector", "engine": "vector", "params": {"lanes": LANES}, "layers": ["*"]},
    ],
    "memory": {
        "dram": {
            "standard": "ddr3",
            "gb_per_s": DRAM_BITS_PER_CYCLE * CLOCK_MHZ / 8000,
            "latency_ns": 0.0,
            "burst_bits": 512,
        }
    },
    "technology": {"node_nm": 45.0, "voltage_v": None},
    "energy": {"table": "45nm"},
    "precision": {"input_bits": 8, "weight_bits": 8, "output_bits": 8},
    "mapping": {"objective": "cycles", "fixed": {}},
    "sources": {"memory.dram.gb_per_s": "assumed"},
}
OPTIONS = {"seed": 0, "fidelity": "closed", "operands": "synthetic", "energy_table": "45nm", "check": False}
NOT_MODELLED = ("refresh and bank conflicts of the DRAM", "leakage", "the host and its bus")

ALEXNET = (
    ("conv1", 3, 96, 227, 11, 1, 4, 0),
    ("conv2", 96, 256, 27, 5, 2, 1, 2),
    ("conv3", 256, 384, 13, 3, 1, 1, 1),
    ("conv4", 384, 384, 13, 3, 2, 1, 1),
    ("conv5", 384, 256, 13, 3, 2, 1, 1),
    ("fc6", 9216, 4096, 1, 1, 1, 1, 0),
    ("fc7", 4096, 4096, 1, 1, 1, 1, 0),
    ("fc8", 4096, 1000, 1, 1, 1, 1, 0),
)


def account(units: int, cycles: int, **causes: int) -> UnitAccount:
    """Return an account whose remainder is ``fill_drain``."""
    rest = units * cycles - sum(causes.values())
    assert rest >= 0, causes
    return UnitAccount(units, {k: v for k, v in (causes | {"fill_drain": rest}).items() if v})


def conv(
    name: str, c: int, k: int, size: int, r: int, groups: int = 1, stride: int = 1, pad: int = 0, kind: str = ""
) -> LayerResult:
    """Return a convolution (or, for a size of 1, a fully connected layer) on the 32 x 32 array."""
    e = (size + 2 * pad - r) // stride + 1
    depth, filters, pixels = c // groups * r * r, k // groups, e * e
    macs = depth * filters * pixels * groups
    folds = ceil_div(depth, ROWS) * ceil_div(filters, COLS) * groups
    compute = folds * (pixels + ROWS + COLS - 2)
    units = ROWS * COLS
    in_bits, weight_bits, out_bits = 8 * c * size * size, 8 * depth * k, 8 * k * e * e
    dram_bits = in_bits + weight_bits + out_bits
    cycles = max(compute, ceil_div(dram_bits, DRAM_BITS_PER_CYCLE))
    unmapped = pixels * (units * folds - depth * filters * groups)
    zero = macs // 10
    causes = {"busy": macs - zero, "zero": zero, "unmapped": unmapped, "memory": (cycles - compute) * units}
    return LayerResult(
        name=name,
        kind=kind or ("linear" if size == 1 else "conv2d"),
        shape={"n": 1, "c": c, "k": k, "h": size, "w": size, "r": r, "s": r, "groups": groups, "e": e, "f": e},
        bits={"input": 8, "weight": 8, "output": 8},
        macs=macs,
        dram_bits_touched=dram_bits,
        simulated=True,
        unit="array",
        nonzero_weight_macs=macs,
        nonzero_input_macs=macs - zero,
        effective_macs=macs - zero,
        performed_macs=macs,
        cycles=cycles,
        compute_cycles=compute,
        stall_cycles=cycles - compute,
        mapping={"loops": "n k | c r s", "tile": [ROWS, COLS, pixels]},
        mapping_source="searched",
        primary="pes",
        accounts={"pes": account(units, cycles, **causes)},
        traffic=(
            TrafficRow("dram", "input", "read", in_bits),
            TrafficRow("dram", "weight", "read", weight_bits),
            TrafficRow("dram", "output", "write", out_bits),
            TrafficRow("glb.inputs", "input", "read", in_bits * ceil_div(k, COLS)),
        ),
        buffers={"glb.inputs": BufferUse(64 * 8192, min(64 * 8192, in_bits))},
        needed_bits_per_cycle={"dram": dram_bits / compute},
        energy_pj={
            "macs": macs * 0.23,
            "glb.inputs": in_bits * ceil_div(k, COLS) * 0.31,
            "dram": dram_bits * 20.0,
        },
        details={"folds": folds},
    )


def vector(name: str, elements: int, kind: str = "elementwise") -> LayerResult:
    """Return a layer without multiply-accumulates on the vector unit."""
    compute, dram_bits = ceil_div(elements, LANES), 16 * elements
    cycles = max(compute, ceil_div(dram_bits, DRAM_BITS_PER_CYCLE))
    return LayerResult(
        name=name,
        kind=kind,
        shape={"op": "relu", "shape": [1, elements]},
        bits={"input": 8, "output": 8},
        macs=0,
        dram_bits_touched=dram_bits,
        simulated=True,
        unit="vector",
        cycles=cycles,
        compute_cycles=compute,
        stall_cycles=cycles - compute,
        primary="lanes",
        accounts={"lanes": account(LANES, cycles, busy=elements, memory=(cycles - compute) * LANES)},
        traffic=(
            TrafficRow("dram", "input", "read", 8 * elements),
            TrafficRow("dram", "output", "write", 8 * elements),
        ),
        needed_bits_per_cycle={"dram": dram_bits / compute},
        energy_pj={"lanes": elements * 0.05, "dram": dram_bits * 20.0},
    )


def skipped(name: str, kind: str = "pool", elements: int = 43_264) -> LayerResult:
    """Return a layer that no unit of the machine runs."""
    return LayerResult(
        name=name,
        kind=kind,
        shape={"op": "max", "shape": [1, elements]},
        bits={"input": 8, "output": 8},
        macs=0,
        dram_bits_touched=16 * elements,
        reason=f"no unit of systolic_ws runs {kind} layers",
    )


def network(layers: list[LayerResult], name: str = "alexnet", **changes: Any) -> NetworkResult:
    """Return the layers one after another."""
    placed, now = [], 0
    for layer in layers:
        placed.append(replace(layer, start_cycle=now))
        now += layer.cycles
    result = NetworkResult(
        arch=ARCH,
        network=name,
        source="layer table",
        batch=1,
        layers=tuple(placed),
        options=OPTIONS,
        clock_mhz=CLOCK_MHZ,
        not_modelled=NOT_MODELLED,
        area_mm2={"macs": 0.61, "glb.inputs": 0.2},
    )
    return replace(result, **changes)


def alexnet(**changes: Any) -> NetworkResult:
    """AlexNet from a layer table: eight isolated layers, all simulated."""
    return network([conv(*row) for row in ALEXNET], **({"isolated": True} | changes))


def partial_alexnet(**changes: Any) -> NetworkResult:
    """AlexNet as a connected network on a machine without a vector unit."""
    layers = []
    for row in ALEXNET:
        layers.append(conv(*row))
        layers.append(skipped(f"relu_{row[0]}", "elementwise"))
    layers.insert(2, skipped("pool1"))
    layers.append(skipped("prob", "softmax", 1000))
    return network(layers, source="alexnet.onnx", **changes)


def resnet50(**changes: Any) -> NetworkResult:
    """A network like ResNet-50: 53 convolutions with an elementwise layer each, pooling and a classifier."""
    layers = [conv("resnetv17_conv0_fwd", 3, 64, 224, 7, 1, 2, 3), vector("resnetv17_relu0_fwd", 64 * 112 * 112)]
    channels = 64
    for stage, (blocks, width, size) in enumerate(((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)), 1):
        for block in range(blocks):
            name = f"resnetv17_stage{stage}_block{block}"
            for i, (c, k, r) in enumerate(((channels, width, 1), (width, width, 3), (width, 4 * width, 1))):
                layers.append(conv(f"{name}_conv{i}_fwd", c, k, size, r, 1, 1, r // 2))
                layers.append(vector(f"{name}_relu{i}_fwd", k * size * size))
            channels = 4 * width
            layers.append(vector(f"{name}_plus", channels * size * size))
    layers.append(vector("resnetv17_pool1_fwd", 2048 * 49, "pool"))
    layers.append(conv("resnetv17_dense0_fwd", 2048, 1000, 1, 1))
    return network(layers, "resnet50", source="resnet50.onnx", **changes)


def densenet(**changes: Any) -> NetworkResult:
    """A network of 429 layers, most of them small: what a picture or a table must survive."""
    layers = [conv("conv1", 3, 64, 224, 7, 1, 2, 3)]
    channels = 64
    for stage, (blocks, size) in enumerate(((6, 56), (12, 28), (24, 14), (16, 7)), 1):
        for block in range(blocks):
            name = f"conv{stage}_{block}"
            for i, (c, k, r) in enumerate(((channels, 128, 1), (128, 32, 3))):
                layers += [vector(f"{name}/x{i}/bn", c * size * size, "normalization")]
                layers += [vector(f"{name}/x{i}/relu", c * size * size)]
                layers += [conv(f"{name}/x{i}", c, k, size, r, 1, 1, r // 2)]
            channels += 32
            layers += [vector(f"{name}/concat", channels * size * size, "view")] if block % 3 else []
        channels //= 2
    layers += [conv("fc", 1024, 1000, 1, 1)]
    return network(layers, "densenet121", source="densenet121.onnx", **changes)


def every_cause(**changes: Any) -> NetworkResult:
    """A network that loses cycles in every way and spends energy in a dozen components."""
    units, cycles = 100, 1000
    layers = []
    for i, big in enumerate(CAUSES):
        causes = {cause: 2_000 + 500 * j for j, cause in enumerate(CAUSES)}
        causes[big] += units * cycles - sum(causes.values())
        energy = {"macs": 2e6, "dram": 5e6} | {f"glb.part{j}": 1e5 * (j + 1) for j in range(10)}
        layers.append(
            replace(
                conv(f"very/long/name/of/a/layer/of/block{i}/conv_{big}", 64, 64, 28, 3, pad=1),
                cycles=cycles,
                compute_cycles=cycles - causes["memory"] // units,
                stall_cycles=causes["memory"] // units,
                accounts={"pes": UnitAccount(units, causes)},
                energy_pj=energy,
            )
        )
    return network(layers, "every_cause", **changes)
