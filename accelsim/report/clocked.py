"""What reports say of a network on one clock: totals, units, the critical path, and each layer's place."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from accelsim.errors import ConfigError
from accelsim.report import words
from accelsim.results import NetworkResult
from accelsim.schedules import BufferTime, LayerTime, NetworkSchedule
from accelsim.simulation import NOT_SELECTED
from accelsim.units import si

MOST_LAYERS = 5
"""Layers of the critical path that a line names; report.json has all."""
WAIT_WORDS = {"producer": "producer", "room": "room", "memory": "DRAM", "conflict": "port"}
COLUMNS = ("layer", "unit", "start", "end", "since the last", "alone", "waited for, cycles", "DRAM MB", "in buffers")
TEXT_COLUMNS = ("layer", "unit", "waited for, cycles", "in buffers")
EACH_ALONE = "every row of a layer is of the layer alone"
PROOFS = {
    "optimal": "no choice by bits written and read once moves less",
    "bounded": "the choice is not proved to be the best",
    "greedy": "chosen greedily",
    "pinned": "as the schedule says",
}
"""Proof -> what it says."""


def schedule_of(result: NetworkResult) -> NetworkSchedule:
    """Return the one clock of a network.

    Raises
    ------
    ConfigError
        Layers one after another; parts of a network are.
    """
    if result.schedule is None:
        part = any(layer.reason == NOT_SELECTED for layer in result.layers)
        remedy = "run the whole network, without --layers" if part else "run with --network"
        raise ConfigError("the layers are not on one clock", remedy, file=result.network)
    return result.schedule


def headline(schedule: NetworkSchedule) -> str:
    """Return both totals, how far apart they are, and the steps from layers alone to the clock."""
    alone = schedule.isolated_cycles or 1
    steps = [
        f"{after.what} {change(after.cycles - before.cycles, alone)}" for before, after in pairwise(schedule.factors)
    ]
    return (
        f"{si(schedule.cycles, 'cycles', 4)} on one clock, {words.megabytes(schedule.dram_bits)} MB DRAM (isolated "
        f"layers: {si(schedule.isolated_cycles, 'cycles', 4)}, {words.megabytes(schedule.isolated_dram_bits)} MB): "
        f"{change(schedule.cycles - schedule.isolated_cycles, alone)} in all: {', '.join(steps)}"
    )


def change(cycles: int, of: int) -> str:
    """Return a difference in percent with its sign, kept on one line."""
    percent = 100 * cycles / of
    return f"{percent:+.1f}\N{NO-BREAK SPACE}%" if abs(percent) >= 0.05 or not cycles else "<0.1\N{NO-BREAK SPACE}%"


def totals(result: NetworkResult) -> list[tuple[str, str]]:
    """Return label and text of what the clock adds to the totals; nothing without one."""
    schedule = result.schedule
    if schedule is None:
        return []
    ahead = f"{schedule.prefetch:,} KiB" if isinstance(schedule.prefetch, int) else schedule.prefetch
    side = "" if schedule.overlap else ", units take turns"
    how = ", as folded" if schedule.folded else ""
    alone = si(result.alone.total_energy_pj * 1e-12, "J", 4)
    unwritten = ", ".join(schedule.unwritten)
    return [
        ("one clock", f"{_bound(schedule)}; prefetch {ahead}{side}"),
        *((f"  {unit}", _shares(causes)) for unit, causes in result.unit_shares.items()),
        *([("critical", critical(schedule))] if schedule.critical else []),
        *((buffer.name, _buffer(result, schedule, buffer)) for buffer in schedule.buffers),
        *([("folded", folded(schedule))] if schedule.folded else []),
        *([("unwritten", f"{unwritten}: read from DRAM what the engine ahead kept on the chip")] if unwritten else []),
        ("isolated", f"layers one after another{how}: {result.isolated_cycles:,} cycles, energy {alone}; {EACH_ALONE}"),
    ]


def folded(schedule: NetworkSchedule) -> str:
    """Return how many layers are parts of others, and how."""
    ways = [fold.into for fold in schedule.folded]
    return (
        f"{len(ways)} layers into the products ahead of them, {ways.count('weights')} into weights and "
        f"{ways.count('lanes')} by post_ops"
    )


def folds(schedule: NetworkSchedule) -> list[str]:
    """Return a line per product that others are part of."""
    found: dict[str, list[str]] = {}
    for fold in schedule.folded:
        found.setdefault(fold.host, []).append(fold.layer)
    return [f"{host}: {', '.join(layers)}" for host, layers in found.items()]


def _bound(schedule: NetworkSchedule) -> str:
    return f"no order of layers takes less than {schedule.lower_bound_cycles:,} cycles"


def _buffer(result: NetworkResult, schedule: NetworkSchedule, buffer: BufferTime) -> str:
    """Return what lives in a buffer, what moves, which ports nobody waits for, and what is proved of the choice."""
    kept = sum(each.buffer == buffer.name for each in schedule.kept)
    shared = [each for each in result.arch["memory"].get("buffers", ()) if each["name"] == buffer.name]
    free = [port for port in ("read", "write") for spec in shared if spec.get(f"{port}_bits_per_cycle") is None]
    ports = f" (no width of its {' and '.join(free)} port is given: nothing waits there)" if free else ""
    proof = f"; {PROOFS[schedule.proof]}" if schedule.proof else ""
    beside = "" if shared else " beside the tiles of its unit"
    return (
        f"{kept} tensors live there between layers{beside}, up to {words.number(buffer.peak_bits / 8192)} of "
        f"{words.number(buffer.capacity_bits / 8192)} KiB; {words.megabytes(buffer.written_bits)} MB written, "
        f"{words.megabytes(buffer.read_bits)} MB read{ports}{proof}"
    )


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


def rows(schedule: NetworkSchedule) -> list[list[str]]:
    """Return the texts of each layer under `COLUMNS`."""
    return [
        [
            time.name, time.unit, *(f"{cycles:,}" for cycles in time[2:6]), waited(time),
            words.megabytes(time.dram_bits), ", ".join(f"{name} in {buffer}" for name, buffer in time.homes.items()),
        ]
        for time in schedule.layers
    ]  # fmt: skip


def _shares(causes: Mapping[str, float]) -> str:
    ranked = sorted(causes.items(), key=lambda item: -item[1])
    return ", ".join(f"{words.of_cause(cause)} {words.percent(share)}" for cause, share in ranked)


def _port(place: str) -> str:
    return "DRAM" if place == "dram" else place
