"""What a DRAM device did, in words and rows: of a run and of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

from accelsim.report import words
from accelsim.results import LayerResult, NetworkResult

HEADS = (
    "layer", "% of peak", "row hits %", "misses", "conflicts", "bytes per clock", "refresh %", "turnaround %", "bank %",
    "bus %", "idle %", "cycles", "more than simple",
)  # fmt: skip
LOST = ("refresh", "turnaround", "bank", "bus", "idle")
SHORT = ("layer", "% of peak", "row hits %", "refresh %", "turnaround %", "bank %", "bus %", "more than simple")
MOST_LAYERS = 10
"""Layers that a terminal lists; the files list all."""


def totals(result: NetworkResult) -> list[tuple[str, str]]:
    """Return the totals of a run as `words.totals` does, and of its device."""
    return [*words.totals(result), *summary(result)]


def layers(result: NetworkResult) -> list[LayerResult]:
    """Return the layers that a device served."""
    return [layer for layer in result.simulated if layer.dram]


def worst(result: NetworkResult) -> list[LayerResult]:
    """Return the layers that take most cycles more than under the simple model, most first."""
    return sorted(layers(result), key=lambda layer: -layer.dram["difference_cycles"])[:MOST_LAYERS]


def summary(result: NetworkResult) -> list[tuple[str, str]]:
    """Return the device of a run in lines of label and text, on its clock if it has one; none without a device."""
    found = layers(result)
    if not found:
        return []
    dram = result.arch["memory"]["dram"]
    one = dict(found[0].dram)
    for layer in found[1:]:
        for key, value in layer.dram.items():
            if isinstance(value, int):
                one[key] += value
    clocks = _added([layer.dram["bus_clocks"] for layer in found])
    spent = _added([layer.dram["energy_pj"] for layer in found if layer.dram["energy_pj"]])
    pins = _added([layer.dram["io_energy_pj"] for layer in found if layer.dram.get("io_energy_pj")])
    bits, of = (
        sum(row.bits for layer in found for row in layer.traffic if row.boundary == "dram" and row.tensor != "other"),
        "useful bit",
    )
    alone = ""
    if result.schedule is not None and result.schedule.dram:
        there = result.schedule.dram
        one |= {key: value for key, value in there.items() if isinstance(value, int)}
        clocks, spent, pins = there["bus_clocks"], there["energy_pj"], there["io_energy_pj"]
        bits, of, alone = result.dram_bits, "bit that moves", "layers alone: "
    whole = sum(clocks.values()) or 1
    rows = one["row_hits"] + one["row_misses"] + one["row_conflicts"] or 1
    lost = ", ".join(f"{name} {words.percent(clocks[name] / whole)}" for name in LOST)
    lines = [
        (
            "device",
            f"{dram['channels']} x {dram['device']}, {dram['mapping']}: {words.percent(clocks['busy'] / whole)} of its "
            f"peak; rows hit {words.percent(one['row_hits'] / rows)}, conflicts "
            f"{words.percent(one['row_conflicts'] / rows)}; clocks lost to {lost}",
        ),
        (
            "simple",
            f"{alone}{one['simple_cycles']:,} cycles at the same peak without banks and rows: the device adds "
            f"{words.percent(one['difference_cycles'] / (one['simple_cycles'] or 1))}",
        ),
    ]
    if spent and bits:
        parts = ", ".join(f"{name} {words.number(pj / 1e6)}" for name, pj in spent.items())
        lines.append(("DRAM uJ", f"{parts}; {words.number(fsum(spent.values()) / bits)} pJ a {of}, without I/O"))
    if pins:
        lines.append(("I/O uJ", ", ".join(f"{name} {words.number(pj / 1e6)}" for name, pj in pins.items()) + "; apart"))
    return lines


def row(layer: LayerResult) -> list[str]:
    """Return a layer under `HEADS`."""
    d: dict[str, Any] = dict(layer.dram)
    rows = d["row_hits"] + d["row_misses"] + d["row_conflicts"] or 1
    whole = sum(d["bus_clocks"].values()) or 1
    return [
        layer.name,
        words.percent(d["share_of_peak"], ""),
        words.percent(d["row_hits"] / rows, ""),
        f"{d['row_misses']:,}",
        f"{d['row_conflicts']:,}",
        words.number(d["bytes_per_clock"]),
        *(words.percent(d["bus_clocks"][name] / whole, "") for name in LOST),
        f"{layer.cycles:,}",
        f"{d['difference_cycles']:+,}",
    ]


def short(cells: Sequence[str]) -> list[str]:
    """Return of a row, or of `HEADS`, what a terminal shows."""
    return [cells[HEADS.index(head)] for head in SHORT]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of columns, the first to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: fsum(part[name] for part in parts) for name in parts[0]} if parts else {}
