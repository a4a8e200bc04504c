"""``python -m benchmarks.plans``: what a plan costs beside one simulation of the same network, in CPU time.

Both take turns in one process, after one of each that is not counted; the smaller of three each. A plan is storages,
folds, choice and addresses of a network that is loaded; a simulation is all of it on ``edge_npu``, mapping included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import accelsim

NETWORKS = ("net:mobilenet_v2", "onnx:resnet50", "onnx:inception_v1", "onnx:densenet121", "net:bert_base")
CAPACITIES = (128, 256, 512, 1024, 2048)
MACHINE = "edge_npu"
MOST = 0.4
"""Share of a simulation that a plan may cost. Layers of a transformer repeat, and are simulated once: most there."""
TURNS = 3


class Cost(NamedTuple):
    """CPU seconds of the dearest plan of a network, and of its simulation."""

    network: str
    planner: str
    fold: str
    capacity_kib: int
    plan_s: float
    simulate_s: float

    @property
    def ratio(self) -> float:
        """The plan over the simulation."""
        return self.plan_s / self.simulate_s


def _seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def costs() -> Iterator[Cost]:
    """Yield what plans cost, by network, planner and fold."""
    arch = accelsim.load_arch(MACHINE)
    for name in NETWORKS:
        network = accelsim.load_network(name)

        def simulate(network: Any = network) -> Any:
            return accelsim.simulate(arch, network)

        def plan(kib: int, planner: str, fold: str, network: Any = network) -> Any:
            return accelsim.plan(network, capacity_kib=kib, planner=planner, fold=fold)

        simulate()
        simulated = min(_seconds(simulate) for _ in range(TURNS))
        for planner in ("exact", "greedy", "tflm"):
            for fold in ("none", "unary"):
                plan(CAPACITIES[0], planner, fold)
                spent = {
                    kib: min(_seconds(lambda kib=kib: plan(kib, planner, fold)) for _ in range(TURNS))  # type: ignore[misc]  # noqa: B023
                    for kib in CAPACITIES
                }
                worst = max(spent, key=lambda kib: spent[kib])
                yield Cost(name, planner, fold, worst, spent[worst], simulated)


def main() -> int:
    """Print the ratios; 1 if one is above the bound."""
    print("| network | planner | fold | dearest at, KiB | plan, ms | simulate, ms | ratio |")
    print("|---|---|---|--:|--:|--:|--:|")
    worst = 0.0
    for cost in costs():
        worst = max(worst, cost.ratio)
        print(f"| {cost.network} | {cost.planner} | {cost.fold} | {cost.capacity_kib} | {1e3 * cost.plan_s:.1f} | "
              f"{1e3 * cost.simulate_s:.0f} | {cost.ratio:.3f} |", flush=True)  # fmt: skip
    print(f"\nlargest ratio {worst:.3f}, bound {MOST}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
