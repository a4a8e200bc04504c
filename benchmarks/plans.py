"""``python -m benchmarks.plans``: what a plan, and one clock, cost beside one simulation of the network, in CPU time.

All take turns in one process, after one of each that is not counted; the smallest of three each. A plan is storages,
folds, choice and addresses of a network that is loaded; a simulation is all of it on ``edge_npu``, mapping included.
In a run on ``edge_npu_l2``, the planner is the exact one with addresses and room edges, and the event loop puts the
tiles of all layers on one clock, rows and loops included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import accelsim
from accelsim import network_time, rooms
from accelsim.layer import machine_view
from accelsim.memory import network as clock
from accelsim.simulation import prepare

NETWORKS = ("net:mobilenet_v2", "onnx:resnet50", "onnx:inception_v1", "onnx:densenet121", "net:bert_base")
CAPACITIES = (128, 256, 512, 1024, 2048)
CLOCKED = ("net:mobilenet_v2", "onnx:resnet50", "onnx:inception_v1", "net:bert_base", "net:gpt2_small")
MACHINE, WITH_BUFFER = "edge_npu", "edge_npu_l2"
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


class Clocked(NamedTuple):
    """CPU seconds of planner and event loop of a run, and of the simulation without them."""

    network: str
    planner_s: float
    loop_s: float
    simulate_s: float

    @property
    def ratio(self) -> float:
        """Planner and event loop over the simulation."""
        return (self.planner_s + self.loop_s) / self.simulate_s


def clocked() -> Iterator[Clocked]:
    """Yield what planner and event loop cost, by network."""
    arch = accelsim.load_arch(WITH_BUFFER)
    buses = {network_time.DRAM: machine_view(arch).dram, **rooms.ports(arch)}
    for name in CLOCKED:
        network = accelsim.load_network(name)
        ready = prepare(arch, network, None, None, None)
        layers = accelsim.simulate(arch, network, trace=True, schedule="isolated").layers

        def simulate(network: Any = network) -> Any:
            return accelsim.simulate(arch, network, schedule="isolated")

        def planned(ready: Any = ready, layers: Any = layers) -> Any:
            homes = rooms.homes(arch, ready, layers, "exact")
            return homes, rooms.moves(ready, layers, homes.places)

        found = planned()

        def loop(ready: Any = ready, layers: Any = layers, found: Any = found) -> Any:
            return clock.run(network_time.programs_of(ready, layers, *found), buses)

        spent = {call: min(_seconds(call) for _ in range(TURNS + 1)) for call in (simulate, planned, loop)}
        yield Clocked(name, spent[planned], spent[loop], spent[simulate])


def main() -> int:
    """Print the ratios; 1 if one is above the bound."""
    print("| network | planner | fold | dearest at, KiB | plan, ms | simulate, ms | ratio |")
    print("|---|---|---|--:|--:|--:|--:|")
    worst = 0.0
    for cost in costs():
        worst = max(worst, cost.ratio)
        print(f"| {cost.network} | {cost.planner} | {cost.fold} | {cost.capacity_kib} | {1e3 * cost.plan_s:.1f} | "
              f"{1e3 * cost.simulate_s:.0f} | {cost.ratio:.3f} |", flush=True)  # fmt: skip
    print("\n| network | planner, ms | event loop, ms | simulate, ms | ratio |")
    print("|---|--:|--:|--:|--:|")
    for each in clocked():
        worst = max(worst, each.ratio)
        print(f"| {each.network} | {1e3 * each.planner_s:.1f} | {1e3 * each.loop_s:.1f} | "
              f"{1e3 * each.simulate_s:.0f} | {each.ratio:.3f} |", flush=True)  # fmt: skip
    print(f"\nlargest ratio {worst:.3f}, bound {MOST}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
