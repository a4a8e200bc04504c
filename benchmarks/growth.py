"""``python -m benchmarks.growth``: how the cost of a simulation grows, and what the first one costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import accelsim
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Attention, Conv2d, Linear, Shape

TURNS = 3


class Cost(NamedTuple):
    """CPU seconds of one simulated layer, its cycles, and those times the units that work in it."""

    what: str
    fidelity: str
    seconds: float
    cycles: int
    unit_cycles: int


def _network(shape: Shape, weight: float = 1.0) -> Network:
    layer, tensors = make_layer("layer", shape)
    tensors |= {name: replace(t, density=weight) for name, t in tensors.items() if t.weight}
    return Network("growth", (layer,), tensors, isolated=True)


def _cost(what: str, machine: str, shape: Shape, fidelity: str, batch: int = 1, weight: float = 1.0) -> Cost:
    arch, network = accelsim.load_arch(machine), _network(shape, weight)
    best = float("inf")
    for _ in range(TURNS + 1):
        start = time.process_time()
        result = accelsim.simulate(arch, network, fidelity=fidelity, batch=batch)  # type: ignore[arg-type]
        best = min(best, time.process_time() - start)
    layer = result.layers[0]
    return Cost(what, fidelity, best, layer.compute_cycles, sum(layer.account.values()))


def costs() -> Iterator[Cost]:
    """Yield costs that grow in one dimension at a time."""
    for fidelity in ("closed", "cycle"):
        for c in (64, 128, 256, 512):
            shape = Conv2d(1, c, c, 28, 28, 3, 3, pad=(1, 1, 1, 1))
            yield _cost(f"layer: 28 x 28 x {c} to {c}, 32 x 32 array", "systolic_ws", shape, fidelity)
        for size, machine in ((8, "systolic_ws_8"), (32, "systolic_ws"), (128, "systolic_ws_128")):
            shape = Conv2d(1, 256, 256, 28, 28, 3, 3, pad=(1, 1, 1, 1))
            yield _cost(f"array: {size} x {size}, 28 x 28 x 256 to 256", machine, shape, fidelity)
        for batch in (1, 8, 64):
            shape = Conv2d(1, 64, 64, 28, 28, 3, 3, pad=(1, 1, 1, 1))
            yield _cost(f"batch: {batch}, 28 x 28 x 64 to 64, 32 x 32 array", "systolic_ws", shape, fidelity, batch)
    for size in (1024, 2048, 4096):
        yield _cost(
            f"layer: {size} to {size}, a tenth not zero, EIE", "eie", Linear(1, size, size), "cycle", weight=0.1
        )
    for c in (64, 128, 256):
        shape = Conv2d(1, c, c, 28, 28, 3, 3, pad=(1, 1, 1, 1))
        yield _cost(
            f"layer: 28 x 28 x {c} to {c}, half not zero, SCNN with queues", "scnn_queued", shape, "cycle", weight=0.5
        )
    for machine in ("flat_edge", "fusemax"):
        for tokens in (2**10, 2**14, 10**6):
            shape = Attention(1, 12, 12, tokens, tokens, 64)
            yield _cost(f"layer: attention of 12 heads, {tokens:,} tokens, {machine}", machine, shape, "closed")


def peak_mib(machine: str, tokens: int) -> float:
    """Return the largest memory that Python held for an attention layer of 12 heads."""
    arch, network = accelsim.load_arch(machine), _network(Attention(1, 12, 12, tokens, tokens, 64))
    tracemalloc.start()
    accelsim.simulate(arch, network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


CONV = "Conv2d(1, 8, 8, 8, 8, 3, 3)"
FIRST = {
    "systolic": ("systolic_ws", CONV), "vector": ("edge_npu", "Pool('max', 1, 8, 8, 8, 2, 2, (2, 2))"),
    "row_stationary": ("eyeriss", CONV), "eie": ("eie", "Linear(1, 64, 64)"), "scnn": ("scnn_queued", CONV),
    "dcnn": ("dcnn", CONV), "eyeriss_v2": ("eyeriss_v2", CONV),
    "diannao": ("diannao", CONV), "cnvlutin": ("cnvlutin", CONV), "cambricon_x": ("cambricon_x", CONV),
    "nullhop": ("nullhop", CONV), "nvdla": ("nvdla_small", CONV), "snapea": ("snapea", CONV),
    "bitserial": ("pragmatic", CONV), "unpu": ("unpu", CONV),
    "bismo": ("bismo", CONV), "bitfusion": ("bitfusion", CONV), "sigma": ("sigma", "'rmat:n=64,nnz=256'"),
    "sparch": ("sparch", "'rmat:n=64,nnz=256'"), "outerspace": ("outerspace", "'rmat:n=64,nnz=256'"),
    "attention_stream": ("spatten", "Attention(1, 2, 2, 64, 64, 8)"), "mvtu": ("mvtu", CONV),
    "shidiannao": ("shidiannao", CONV), "gamma": ("gamma", "'rmat:n=64,nnz=256'"),
    "extensor": ("extensor", "'rmat:n=64,nnz=256'"), "spmv": ("spmv_stripes", "'rmat:n=64,nnz=256@vector'"),
    "fused_attention": ("fusemax", "Attention(1, 2, 2, 64, 64, 8)"),
}  # fmt: skip
"""A small layer of each engine, with values: what its first call compiles."""
FIRST_CALL = """
import sys, time, numba, scipy.sparse, accelsim
from accelsim.workload.shapes import *
from benchmarks.growth import _network
shape = {shape}
arch = accelsim.load_arch("{machine}")
start = time.process_time()
result = accelsim.simulate(arch, shape if isinstance(shape, str) else _network(shape), fidelity="cycle", check=True)
print(time.process_time() - start, all(layer.simulated for layer in result.layers))
"""


def first_calls() -> Iterator[tuple[str, float, float]]:
    """Yield engine, CPU seconds of a first call into an empty cache, and of another process's after it."""
    for engine, (machine, shape) in FIRST.items():
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "ACCELSIM_CACHE_DIR": cache}
            code = FIRST_CALL.format(machine=machine, shape=shape)
            used = []
            for _ in range(2):
                done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
                seconds, simulated = done.stdout.split()
                assert simulated == "True", engine
                used.append(float(seconds))
        yield engine, used[0], used[1]


if __name__ == "__main__":
    for cost in costs():
        print(f"{1e3 * cost.seconds:9.2f} ms {cost.cycles:12,} cycles {cost.fidelity:6} {cost.what}", flush=True)
    for machine in ("flat_edge", "fusemax"):
        print(f"{machine:15} 1,000,000 tokens, 12 heads: {peak_mib(machine, 10**6):6.1f} MiB", flush=True)
    for engine, cold, cached in first_calls():
        print(f"{engine:15} first call {cold:6.2f} s, from the cache {cached:5.2f} s", flush=True)
