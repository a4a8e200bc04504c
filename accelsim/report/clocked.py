"""What reports say of a network on one clock: totals, units, the critical path, and each layer's place."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.report import facts, words
from accelsim.results import NetworkResult
from accelsim.schedules import LayerTime, NetworkSchedule
from accelsim.units import si

MOST_LAYERS = 5
"""Layers of the critical path that a line names; report.json has all."""
WAIT_WORDS = {"producer": "producer", "room": "room", "memory": "DRAM", "conflict": "port"}


def headline(result: NetworkResult, schedule: NetworkSchedule) -> str:
    """Return both totals, how far apart they are, and how the clock was run."""
    whole, alone = schedule.cycles, schedule.isolated_cycles
    change = f", {100 * (whole - alone) / alone:+.1f} %" if alone else ""
    dram, before = result.dram_bits, result.alone.dram_bits
    beside = "" if dram == before else f", {words.megabytes(before)} MB"
    return (
        f"{si(whole, ' cycles', 4)} on one clock, {words.megabytes(dram)} MB of DRAM (isolated layers: "
        f"{si(alone, '', 4)}{beside}{change})"
    )


def totals(result: NetworkResult) -> list[tuple[str, str]]:
    """Return label and text of what the clock adds to the totals; nothing without one."""
    schedule = result.schedule
    if schedule is None:
        return []
    ahead = f"{schedule.prefetch:,} KiB" if isinstance(schedule.prefetch, int) else schedule.prefetch
    side = "" if schedule.overlap else ", units take turns"
    return [
        ("one clock", f"{_bound(schedule)}; prefetch {ahead}{side}"),
        *((f"  {unit}", _shares(causes)) for unit, causes in spent(result, schedule).items()),
        ("critical", critical(schedule)),
    ]


def _bound(schedule: NetworkSchedule) -> str:
    return f"no order of layers takes less than {schedule.lower_bound_cycles:,} cycles"


def spent(result: NetworkResult, schedule: NetworkSchedule) -> dict[str, dict[str, float]]:
    """Return unit -> cause -> share of the network's time, of the units' primary kinds."""
    primary = {layer.unit or "": layer.primary for layer in result.simulated}
    found = {}
    for unit, kinds in schedule.accounts.items():
        account = kinds[primary[unit]] if unit in primary else next(iter(kinds.values()))
        whole = account.units * schedule.cycles or 1
        found[unit] = {cause: account.causes[cause] / whole for cause in facts.in_order(account.causes)}
    return found


def critical(schedule: NetworkSchedule) -> str:
    """Return who has how much of the critical path, and the layers that have most of it."""
    resources, layers = dict[str, int](), dict[str, int]()
    for part in schedule.critical:
        name = part.resource if part.what == "compute" else f"{_port(part.resource)} {part.what}"
        resources[name] = resources.get(name, 0) + part.cycles
        layers[part.layer] = layers.get(part.layer, 0) + part.cycles

    def most(parts: Mapping[str, int], number: int | None = None) -> str:
        ranked = sorted(parts.items(), key=lambda item: -item[1])[:number]
        return ", ".join(f"{name} {words.percent(cycles / (schedule.cycles or 1))}" for name, cycles in ranked)

    rest = f" and {len(layers) - MOST_LAYERS} more" if len(layers) > MOST_LAYERS else ""
    return f"{most(resources)}; on it: {most(layers, MOST_LAYERS)}{rest}"


def by_layer(result: NetworkResult) -> dict[str, LayerTime]:
    """Return layer -> its place on the clock; nothing without one."""
    return {} if result.schedule is None else {time.name: time for time in result.schedule.layers}


def waited(time: LayerTime) -> str:
    """Return what a layer waited for, the longest first."""
    ranked = sorted(time.waits.items(), key=lambda item: -item[1])
    return ", ".join(f"{WAIT_WORDS[cause]} {cycles:,}" for cause, cycles in ranked)


def _shares(causes: Mapping[str, float]) -> str:
    ranked = sorted(causes.items(), key=lambda item: -item[1])
    return ", ".join(f"{words.CAUSE_WORDS.get(cause, cause)} {words.percent(share)}" for cause, share in ranked)


def _port(place: str) -> str:
    return "DRAM" if place == "dram" else place
