"""What reports say of a network whose layers are on one clock."""

from __future__ import annotations

from itertools import pairwise

from accelsim.report.words import number
from accelsim.results import NetworkResult
from accelsim.units import si

COLUMNS = ("layer", "unit", "start", "end", "alone", "waited for", "DRAM MB", "in buffers")
TEXT_COLUMNS = ("layer", "unit", "waited for", "in buffers")
PROOFS = {
    "optimal": "no choice by bits written and read once moves less",
    "bounded": "the choice is not proved to be the best",
    "greedy": "chosen greedily",
}
"""Proof -> what it says."""


def said(result: NetworkResult) -> list[str]:
    """Return both totals and what makes the difference, then what lives where, a sentence each."""
    found = result.schedule
    assert found is not None
    steps = [
        f"{after.what} {100 * (after.cycles - before.cycles) / found.isolated_cycles:+.1f} %"
        for before, after in pairwise(found.factors)
        if found.isolated_cycles
    ]
    lines = [
        f"{si(found.cycles, 'cycles', 3)}, {_mb(found.dram_bits)} MB DRAM (isolated layers: "
        f"{si(found.isolated_cycles, 'cycles', 3)}, {_mb(found.isolated_dram_bits)} MB): {', '.join(steps)}",
        f"energy on this clock {si(found.total_energy_pj * 1e-12, 'J', 4)}, isolated layers "
        f"{si(result.total_energy_pj * 1e-12, 'J', 4)}; figures of layers below are isolated",
    ]
    for buffer in found.buffers:
        kept = sum(each.buffer == buffer.name for each in found.kept)
        lines.append(
            f"{buffer.name}: {kept} tensors live there between layers, up to {number(buffer.peak_bits / 8192)} of "
            f"{number(buffer.capacity_bits / 8192)} KiB; {_mb(buffer.written_bits)} MB written, "
            f"{_mb(buffer.read_bits)} MB read{_ports(result, buffer.name)}; {PROOFS[found.proof]}"
        )
    if found.unwritten:
        lines.append(f"read from DRAM what the engine ahead kept on the chip: {', '.join(found.unwritten)}")
    return lines


def rows(result: NetworkResult) -> list[list[str]]:
    """Return the texts of each layer under `COLUMNS`."""
    assert result.schedule is not None
    return [
        [
            layer.name, layer.unit, f"{layer.start_cycle:,}", f"{layer.end_cycle:,}", f"{layer.isolated_cycles:,}",
            ", ".join(f"{cause} {cycles:,}" for cause, cycles in layer.waits.items()), _mb(layer.dram_bits),
            ", ".join(f"{name} in {buffer}" for name, buffer in layer.homes.items()),
        ]
        for layer in result.schedule.layers
    ]  # fmt: skip


def _ports(result: NetworkResult, name: str) -> str:
    """Return which ports of a buffer nobody waits for, since the machine says nothing of them."""
    spec = next(buffer for buffer in result.arch["memory"]["buffers"] if buffer["name"] == name)
    free = [port for port in ("read", "write") if spec.get(f"{port}_bits_per_cycle") is None]
    return f" (no width of its {' and '.join(free)} port is given: nothing waits there)" if free else ""


def _mb(bits: int) -> str:
    return number(bits / 8e6)
