"""How many layers a sweep evaluates per CPU second: on axes of memory and prices, and on axes of the machine.

After the first point, kernels loaded. A memory axis is measured twice: when each DRAM is met for the first time, and in
the lap after that. Where another DRAM leads to another mapping the first lap has walks in it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import accelsim
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.workload.load import load_network
from accelsim.workload.network import Network

LAP_SECONDS, SECONDS, POINTS = 20.0, 1.0, 200
"""A lap over memories is not cut off: which of its points walk would then depend on how fast the machine is."""
MEMORY: Mapping[str, Sequence[Any]] = {
    "memory.dram.gb_per_s": (1.6, 3.2, 6.4, 12.8, 19.2, 25.6, 51.2),
    "memory.dram.latency_ns": (0.0, 50.0, 100.0, 200.0),
    "memory.dram.standard": ("DDR3", "LPDDR4"),
    "energy.table": ("45nm", "65nm"),
}


class Subject(NamedTuple):
    """A machine, what runs on it (None: products of sparse matrices), and axes of its own."""

    network: str | None
    axes: Mapping[str, Sequence[Any]]


SUBJECTS = {
    "systolic_ws": Subject("resnet50", {"rows": (16, 24, 32, 48, 64), "cols": (16, 24, 32, 48, 64)}),
    "diannao": Subject("resnet50", {"outputs": (8, 12, 16, 24), "input_kib": (2, 4, 8, 16)}),
    "unpu": Subject("resnet50", {"units": (8, 12, 16, 24), "input_kib": (32, 64, 128, 256)}),
    "bismo": Subject("resnet50", {"dm": (4, 6, 8, 10), "dn": (4, 6, 8, 10)}),
    "bitfusion": Subject("resnet50", {"rows": (8, 16, 32), "input_kib": (16, 32, 64)}),
    "stripes": Subject("resnet50", {"lanes": (8, 16, 24), "rows": (8, 16, 24), "input_kib": (256, 512, 1024)}),
    "loom": Subject("resnet50", {"lanes": (8, 16, 24), "rows": (64, 128, 192), "input_kib": (256, 512, 1024)}),
    "edge_npu": Subject("onnx:squeezenet", {"memory.dram.burst_bits": (64, 128, 256, 512)}),
    "nvdla_small": Subject("net:resnet50", {"channels": (8, 16, 32), "banks": (16, 32, 64), "credits": (16, 32)}),
    "eyeriss": Subject("alexnet", {"rows": (11, 12, 13, 14, 16), "cols": (8, 10, 12, 14, 16)}),
    "dcnn": Subject("vgg16", {"pe_rows": (4, 6, 8), "pe_cols": (4, 6, 8), "activation_kib": (16, 32, 48)}),
    "dcnn_opt": Subject("vgg16", {"activation_kib": (16, 32, 48), "lanes": (8, 12, 16)}),
    "cnvlutin": Subject("vgg16", {"filters": (8, 12, 16), "units": (8, 12, 16), "neuron_kib": (2048, 4096)}),
    "shidiannao": Subject(
        "examples/shidiannao_lenet5/lenet5.yaml",
        {"pe_rows": (4, 8, 16), "pe_cols": (4, 8, 16), "fifo_words": (0, 1, 4)},
    ),
    "mvtu": Subject("cnv_w1a1", {"pe": (8, 16, 32, 64), "simd": (8, 16, 32, 64)}),
    "nullhop": Subject("vgg16", {"macs": (64, 96, 128), "pixel_kib": (256, 512, 1024)}),
    "eyeriss_v2": Subject(
        "mobilenet_v1_050_128", {"cluster_rows": (4, 8, 16), "pe_cols": (2, 4), "spad_weights": (96, 192)}
    ),
    "scnn": Subject("alexnet", {"f": (2, 4), "banks": (16, 32), "iaram_kib": (8, 10, 12)}),
    "cambricon_x": Subject("alexnet", {"pes": (8, 16, 24), "input_kib": (8, 16)}),
    "snapea": Subject("alexnet", {"pes": (16, 32, 64), "buffer_kib": (16, 20, 24)}),
    "fusemax": Subject("net:bert_base", {"rows": (64, 128, 256), "cols": (64, 128, 256), "buffer_kib": (4096, 16384)}),
    "spatten": Subject(
        "net:bert_base", {"multipliers": (256, 512, 1024), "keep_values": (0.2, 0.5, 1.0), "topk_parallel": (8, 16, 32)}
    ),
    "eie": Subject("eie_benchmarks", {"pes": (32, 64), "queue_depth": (4, 8, 16)}),
    "ese": Subject("ese_lstm", {"queue_depth": (2, 4, 8, 16), "channels": (16, 32)}),
    "pragmatic": Subject("alexnet", {"rows": (8, 16), "columns": (8, 16)}),
    "laconic": Subject("alexnet", {"rows": (8, 16), "columns": (8, 16)}),
    "gamma": Subject(None, {"pes": (16, 32, 64), "radix": (16, 32, 64), "cache_kib": (64, 256)}),
    "extensor": Subject(None, {"pes": (64, 128, 256), "tile_elements": (64, 128), "llb_kib": (256, 30720)}),
    "sigma": Subject(None, {"dpes": (32, 64, 128), "load_words": (64, 128, 256)}),
    "outerspace": Subject(None, {"tiles": (16, 24, 32), "cache_kib": (8, 16, 32)}),
    "sparch": Subject(None, {"layers": (4, 5, 6), "lookahead": (1024, 8192)}),
}
"""Machine -> its sweep; keys without a dot are parameters."""


class Rate(NamedTuple):
    """Layers per CPU second of a machine; ``walk`` says which part of DRAM makes it walk again."""

    machine: str
    layers: int
    first_lap: float
    memory: float
    other: float
    walk: str


def products() -> Network:
    """Return eight products of uniform matrices, as one network."""
    layers, tensors, values = [], {}, {}
    for i, n in enumerate(range(500, 1300, 100)):
        one = load_network(f"uniform:n={n},nnz={8 * n}")
        (layer,) = one.layers
        names = {name: f"{name}{i}" for name in one.tensors}
        inputs, weights, outputs = (
            tuple(names[name] for name in part) for part in (layer.inputs, layer.weights, layer.outputs)
        )
        layers.append(replace(layer, name=f"p{i}", inputs=inputs, weights=weights, outputs=outputs))
        tensors |= {names[name]: replace(tensor, name=names[name]) for name, tensor in one.tensors.items()}
        values |= {names[name]: value for name, value in one.values.items()}
    return Network("products", tuple(layers), tensors, isolated=True, values=values)


def rates(names: Sequence[str] = ()) -> Iterator[Rate]:
    """Measure the machines."""
    for name in names or SUBJECTS:
        yield rate(name)


def rate(name: str) -> Rate:
    """Measure a machine."""
    subject, arch = SUBJECTS[name], accelsim.load_arch(name)
    network = products() if subject.network is None else accelsim.load_network(subject.network)
    context = evaluate.Context({"m": arch.document}, {"n": network}, Path(), columnar=True)
    own = {key if "." in key else f"params.{key}": values for key, values in subject.axes.items()}

    def point(sets: tuple[tuple[str, Any], ...]) -> int:
        row = evaluate.run_point(context, evaluate.Job("", "m", "n", sets, OptionsSpec()))
        if row.status != "ok":
            raise SystemExit(f"{name}: {row.reason}")
        return int(row.totals["layers_simulated"])

    layers = point(())
    for table in MEMORY["energy.table"]:  # which is read from its file once
        point((("energy.table", table),))
    laps = [_rate(point, _some(MEMORY), layers, LAP_SECONDS) for _ in range(2)]
    return Rate(name, layers, *laps, _rate(point, _some(own), layers, SECONDS), _inside(arch))


def _inside(arch: Any) -> str:
    from accelsim.engines import registry

    return ", ".join(registry.get(arch.units[0].engine).dram_inside)


def _some(axes: Mapping[str, Sequence[Any]]) -> list[tuple[tuple[str, Any], ...]]:
    """Return points at random, each once."""
    rng = random.Random(1)
    drawn = (tuple((key, rng.choice(values)) for key, values in axes.items()) for _ in range(POINTS))
    return list(dict.fromkeys(drawn))


def _rate(point: Any, points: Sequence[Any], layers: int, seconds: float) -> float:
    """Return layers per CPU second over some of the points, as many as take so many seconds and the next."""
    start, done = time.process_time(), 0
    for sets in points:
        point(sets)
        done += 1
        if time.process_time() - start > seconds:
            break
    return done * layers / (time.process_time() - start)


if __name__ == "__main__":
    import sys

    for found in rates(sys.argv[1:]):
        print(f"{found.machine:16}{found.layers:4}{found.first_lap:10,.0f}{found.memory:10,.0f}{found.other:10,.0f}  "
              f"{found.walk}", flush=True)  # fmt: skip
