"""One clock for a network: events against the stepper on random networks, and the cost of the event loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import accelsim
from accelsim.memory import network, network_path
from accelsim.memory.network import Edge, NetworkSpans, Program
from accelsim.memory.network_reference import stepped

from .check import ROOT, Check

sys.path.insert(0, str(ROOT / "tests"))
from network_cases import CASES, buses, random_network

NETS, PATHS = 2000, 500
TIMED = (("edge_npu", "onnx:resnet50"), ("edge_npu", "resnet50"), ("tpu_v1", "resnet50"), ("scnn", "vgg16"),
         ("eyeriss", "alexnet"))  # fmt: skip


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    equal = sum(_given(name) for name in CASES)
    yield Check("events and stepper end the given cases as given", f"{equal} of {len(CASES)}", equal == len(CASES))
    several = equal = 0
    for seed in range(1000, 1000 + NETS):
        programs, ports, prefetch = random_network(seed)
        several += len(network.units_of(programs)) > 1
        equal += network.run(programs, ports, prefetch) == stepped(programs, ports, prefetch)
    figure = f"{equal:,} of {NETS:,}, {several:,} of them on several units"
    yield Check("random networks: spans, waits and traffic as stepped", figure, equal == NETS)
    equal = cycles = 0
    for seed in range(PATHS):
        case = random_network(seed, rounds=500)
        found, path = network.run(*case), network_path.critical(*case)
        equal += path.cycles == found.cycles >= found.bound_cycles
        cycles += found.cycles
    figure = f"{equal:,} of {PATHS:,}, {cycles:,} cycles in all"
    yield Check("critical paths sum to the makespan, which no bound exceeds", figure, equal == PATHS)
    for machine, name in TIMED:
        yield _cost(machine, name)


def _given(name: str) -> bool:
    programs, latency, end = CASES[name]
    ports = buses(latency)
    return network.run(programs, ports).cycles == stepped(programs, ports).cycles == end


def _cost(machine: str, name: str) -> Check:
    """Compare the event loop with `simulate` of the same network in the same process: smallest CPU times of five."""
    arch, net = accelsim.load_arch(machine), accelsim.load_network(name)
    result = accelsim.simulate(arch, net, trace=True)
    tiled = [(layer, layer.tiles.schedule) for layer in result.simulated if layer.tiles is not None]
    programs = [
        Program(layer.unit or "", layer.name, schedule, (Edge(number - 1),) if number else ())
        for number, (layer, schedule) in enumerate(tiled)
    ]
    ports = {"dram": result.simulated[0].tiles.dram}  # type: ignore[union-attr]
    whole, ours = [], []
    found: NetworkSpans | None = None
    for _ in range(5):
        start = time.process_time()
        accelsim.simulate(arch, net)
        middle = time.process_time()
        found = network.run(programs, ports)
        whole.append(middle - start)
        ours.append(time.process_time() - middle)
    assert found is not None
    ratio = Fraction(min(ours)) / Fraction(min(whole))
    figure = f"{1e3 * min(ours):.1f} ms of {1e3 * min(whole):.0f} ms, {float(ratio):.2f}; "
    figure += f"{found.cycles:,} cycles, {result.cycles:,} layer by layer"
    return Check(f"event loop of {name} on {machine} beside simulate, at most a fifth", figure, ratio <= Fraction(1, 5))
