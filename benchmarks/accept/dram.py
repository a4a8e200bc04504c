"""DRAM devices: kernel, stepping reference and checker on 1,000 random streams a standard; rate, and C beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from accelsim.config.dram import standard
from accelsim.memory.device import checker, reference
from accelsim.memory.device.channel import Command, serve
from benchmarks import dram_machine, rates
from benchmarks.c import measure
from benchmarks.c.twins import GCC

from .check import ROOT, Check

STREAMS, SCHEDULES, CLOCKS = 1000, 100, 1000
LEAST_RATE, MOST = 1e6, 1.3


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    sys.path.insert(0, str(ROOT / "tests"))
    import dram_streams
    import test_dram_machine

    for name in standard.names():
        differ = wrong = 0
        for seed in range(STREAMS):
            device = dram_streams.device(name, seed)
            requests = dram_streams.requests(device, seed)
            served = serve(device, requests, log=True)
            differ += dram_streams.difference(served, reference.run(device, requests)) is not None
            log = [Command(*map(int, row)) for row in served.log[0]]
            wrong += bool(checker.violations(device.standard, log))
        figure = f"{differ} of {STREAMS:,} streams differ, {wrong} break a constraint"
        yield Check(f"{name}: the kernel is the reference that steps every clock", figure, differ + wrong == 0)
        other = sum(not _alike(test_dram_machine.compare, name, seed) for seed in range(SCHEDULES))
        figure = f"{other} of {SCHEDULES} schedules of tiles differ"
        yield Check(f"{name}: a machine's tiles are as if every clock were stepped", figure, other == 0)
    cost, (simple, device) = dram_machine.cost(), dram_machine.peaks()
    figure = (
        f"{cost.ratio:.2f} times the kernel's for {cost.transactions:,} transactions (bar {dram_machine.MOST_RATIO})"
    )
    yield Check("ResNet-50 with a device: CPU time it adds", figure, cost.ratio <= dram_machine.MOST_RATIO)
    figure = f"{device - simple:+} MiB to {simple} (bar {dram_machine.MOST_MIB})"
    yield Check("ResNet-50 with a device: peak memory it adds", figure, device - simple <= dram_machine.MOST_MIB)
    ratio = dram_machine.clock_ratio()
    figure = f"{ratio:.2f} times layers alone (bar {dram_machine.MOST_CLOCK:.0f})"
    yield Check("ResNet-50 with a device on one clock: CPU time", figure, ratio <= dram_machine.MOST_CLOCK)
    differ = sum(not _alike(_clock, "", seed) for seed in range(CLOCKS))
    yield Check("one clock with a device is as if every clock were stepped", f"{differ} of {CLOCKS:,} networks differ",
                differ == 0)  # fmt: skip
    for pattern in ("sequential", "stride", "random"):
        rate = rates.dram_requests_per_second("ddr4-2400", pattern)
        bar = None if pattern == "random" else rate >= LEAST_RATE
        yield Check(f"ddr4-2400, {pattern}: rate", f"{rate / 1e6:.1f} million requests per CPU second (bar 1)", bar)
    if GCC is None:
        yield Check("ddr4-2400 against the same loop in C", "no gcc here, not measured")
        return
    for row in measure.rows(["dram"]):
        yield Check(f"against C: {row.case}", f"{row.ratio:.2f} times (bar {MOST})", row.ratio <= MOST)


def _clock(_: str, seed: int) -> None:
    import device_clock
    import test_device_clock

    test_device_clock.compare(*device_clock.random_case(seed, test_device_clock.coupling_of))


def _alike(compare: Callable[[str, int], None], name: str, seed: int) -> bool:
    try:
        compare(name, seed)
    except AssertionError:
        return False
    return True
