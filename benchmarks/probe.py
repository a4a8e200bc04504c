"""``python benchmarks/probe.py``: the speed of whichever accelsim is first on the path, printed as JSON.

Imports nothing of this folder, so that a build of before can be measured by the same script. CPU time, kernels loaded
before; the least of three runs.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accelsim
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec

TURNS, POINTS = 3, 40
SPEEDS = (1.6, 3.2, 6.4, 12.8, 19.2, 25.6, 51.2)
SIZES = ("input_kib", "weight_kib", "output_kib")
MACHINES = {
    "systolic_ws": "resnet50", "diannao": "resnet50", "unpu": "resnet50", "bismo": "resnet50", "bitfusion": "resnet50",
    "stripes": "resnet50", "loom": "resnet50", "edge_npu": "onnx:squeezenet",
}  # fmt: skip
"""Machine -> the network of its sweep; edge_npu is an array and a vector unit."""


def least(work: Callable[[], Any]) -> float:
    """Return the least CPU seconds of some turns."""
    found = []
    for _ in range(TURNS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def layers_per_s(machine: str, network: str) -> float:
    """Return the layers that a sweep over memories and DRAMs evaluates per CPU second, alike ones counted too."""
    arch, whole = accelsim.load_arch(machine), accelsim.load_network(network)
    ran = sum(layer.simulated for layer in accelsim.simulate(arch, whole).layers)
    context = evaluate.Context({"m": arch.document}, {"n": whole}, Path(), columnar=True)
    params = arch.units[0].params
    axes = {"memory.dram.gb_per_s": SPEEDS}
    sizes = [name for name in SIZES if len(arch.units) == 1 and hasattr(params, name)]
    axes |= {f"params.{name}": tuple(getattr(params, name) * factor for factor in (1, 2, 4)) for name in sizes}

    def sweep(points: int) -> None:
        rng = random.Random(points)
        for i in range(points):
            sets = tuple((key, rng.choice(values)) for key, values in axes.items())
            row = evaluate.run_point(context, evaluate.Job(str(i), "m", "n", sets, OptionsSpec()))
            if row.status != "ok":
                raise SystemExit(f"{machine} on {network}: {row.reason}")

    sweep(1)  # loads kernels
    start = time.process_time()
    sweep(2)
    if (seconds := time.process_time() - start) > 1:  # without columns: long enough for one turn
        return 2 * ran / seconds
    return POINTS * ran / least(lambda: sweep(POINTS))


def one_layer_ms() -> float:
    """Return the CPU ms of one dense layer through `simulate`, warm."""
    arch, network = accelsim.load_arch("systolic_ws"), accelsim.load_network("resnet50")
    number = 20

    def some() -> None:
        for _ in range(number):
            accelsim.simulate(arch, network, layers="layer2.0.conv2")

    some()
    return 1e3 * least(some) / number


def row_stationary_s() -> float:
    """Return the CPU seconds of ResNet-50 on eyeriss_1024."""
    arch, network = accelsim.load_arch("eyeriss_1024"), accelsim.load_network("resnet50")
    accelsim.simulate(arch, network, layers="fc")
    return least(lambda: accelsim.simulate(arch, network))


def row_stationary_mib() -> float:
    """Return the peak of this process in MiB: asked for in a process of its own, kernels compiled before."""
    import resource

    accelsim.simulate(accelsim.load_arch("eyeriss_1024"), accelsim.load_network("resnet50"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figures() -> dict[str, float]:
    """Return everything but the peak, name -> figure."""
    found = {f"columns of `{name}`, layers per CPU s": layers_per_s(name, net) for name, net in MACHINES.items()}
    found["one dense layer of `systolic_ws` through `simulate`, CPU ms"] = one_layer_ms()
    found["ResNet-50 on `eyeriss_1024`, CPU s"] = row_stationary_s()
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--peak"]:
        print(json.dumps({"ResNet-50 on `eyeriss_1024`, peak MiB": row_stationary_mib()}))
    else:
        print(json.dumps(figures()))
