"""``python -m benchmarks.dram_machine``: what a DRAM device adds to a run of ResNet-50: CPU time and peak memory.

And what one clock for all layers adds to a run of it layer by layer, both with a device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import accelsim
from accelsim.memory.device import machine
from accelsim.simulation import load_arch

from . import memory, rates

MACHINE, NETWORK, DEVICE = "systolic_ws", "resnet50", "ddr4-2400"
MOST_RATIO, MOST_MIB = 1.3, 100
CLOCKED, GRAPH, MOST_CLOCK = "edge_npu", "onnx:resnet50", 2.0
TURNS = 5


class Cost(NamedTuple):
    """CPU seconds of both runs; transactions, and how many of a sequential stream the kernel takes in a second."""

    simple_s: float
    device_s: float
    transactions: int
    rate_per_s: float

    @property
    def ratio(self) -> float:
        """What the device adds over what its kernel takes for as many transactions."""
        return (self.device_s - self.simple_s) * self.rate_per_s / self.transactions


def _least(run: Callable[[], object]) -> float:
    times = []
    for _ in range(TURNS):
        machine._SERVED.clear()
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def cost() -> Cost:
    """Measure both runs, and the kernel alone, in one process."""
    archs = [load_arch(MACHINE), load_arch(MACHINE, [("memory.dram.device", DEVICE)])]
    results = [accelsim.simulate(arch, NETWORK) for arch in archs]  # loads machine code
    count = sum(x.dram["read_transactions"] + x.dram["write_transactions"] for x in results[1].simulated)
    simple, device = (_least(lambda arch=arch: accelsim.simulate(arch, NETWORK)) for arch in archs)
    return Cost(simple, device, count, rates.dram_requests_per_second(DEVICE, "sequential"))


def clock_ratio() -> float:
    """Return the CPU time of a connected network on one clock over that of its layers alone, both with a device."""
    arch = load_arch(CLOCKED, [("memory.dram.device", DEVICE)])
    clocked, alone = (
        _least(lambda mode=mode: accelsim.simulate(arch, GRAPH, schedule=mode)) for mode in ("network", "isolated")
    )
    return clocked / alone


def clock_peaks() -> tuple[int, int]:
    """Return the peak memory of both runs in MiB, on one clock and not, each in a process of its own."""
    asked = f"run {CLOCKED} {GRAPH} --format csv --set memory.dram.device={DEVICE}"
    return memory.peak_mib(asked), memory.peak_mib(f"{asked} --isolated")


def peaks() -> tuple[int, int]:
    """Return the peak memory of both runs in MiB, each in a process of its own."""
    asked = f"run {MACHINE} {NETWORK} --format csv"
    return memory.peak_mib(asked), memory.peak_mib(f"{asked} --set memory.dram.device={DEVICE}")


def main() -> None:
    """Print both."""
    c, (simple, device) = cost(), peaks()
    print(f"{NETWORK} on {MACHINE}: simple {c.simple_s:.3f} s of CPU, {DEVICE} {c.device_s:.3f} s")
    print(f"{c.transactions:,} transactions; the kernel alone takes {c.rate_per_s / 1e6:.2f} million a CPU second")
    print(f"the device adds {c.ratio:.2f} times what the kernel takes for as many (bar {MOST_RATIO})")
    print(f"peak memory {simple} and {device} MiB: {device - simple:+} (bar {MOST_MIB})")
    print(f"{GRAPH} on {CLOCKED} with {DEVICE}: one clock takes {clock_ratio():.2f} times layers alone "
          f"(bar {MOST_CLOCK:.0f})")  # fmt: skip
    clocked, alone = clock_peaks()
    print(f"peak memory {clocked} MiB on one clock, {alone} layer by layer")


if __name__ == "__main__":
    main()
