"""``python -m benchmarks.clocked [NETWORK]``: points of a sweep on one clock per CPU-minute.

Of `onnx:resnet50` unless another is named. Two axes each: bandwidth of DRAM, and rows of the array, each point another
machine. The first point, which loads the network and compiled code, does not count; the least of so many points, and
their mean, are printed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import mean

import accelsim
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec

MACHINES = {
    "systolic_ws": "params.rows",
    "edge_npu": "units.array.params.rows",
    "edge_npu_l2": "units.array.params.rows",
}
POINTS = 40
PROMISED = 2_000
"""Points of ResNet-50 per CPU-minute."""


def seconds(machine: str, network: str, axis: str) -> list[float]:
    """Return the CPU seconds of each point, once the first is over."""
    document, net = accelsim.load_arch(machine).document, accelsim.load_network(network)
    context = evaluate.Context({machine: document}, {network: net}, Path(), columnar=True)
    spent = []
    for i in range(POINTS + 1):
        value = 12.8 + 0.1 * i if axis == "memory.dram.gb_per_s" else 8 + i
        sets = (("schedule.mode", "network"), (axis, value))
        start = time.process_time()
        row = evaluate.run_point(context, evaluate.Job(str(i), machine, network, sets, OptionsSpec()))
        spent.append(time.process_time() - start)
        if row.status != "ok":
            raise SystemExit(f"{machine}, {axis} = {value}: {row.reason}")
    return spent[1:]


def main(network: str = "onnx:resnet50") -> int:
    """Print a row per machine and axis; 1 if the mean of one misses what was promised."""
    print("| machine | axis | CPU ms a point, least | mean | points per CPU-minute |\n|---|---|--:|--:|--:|")
    worst = float("inf")
    for machine, rows in MACHINES.items():
        for axis in ("memory.dram.gb_per_s", rows):
            spent = seconds(machine, network, axis)
            rate = 60 / mean(spent)
            worst = min(worst, rate)
            print(
                f"| `{machine}` | `{axis}` | {1e3 * min(spent):.1f} | {1e3 * mean(spent):.1f} | {rate:,.0f} |",
                flush=True,
            )
    return int(worst < PROMISED)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
