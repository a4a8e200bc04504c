"""Several machines on several networks, over the layers that all machines of a network simulated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from accelsim.errors import WorkloadError
from accelsim.report.document import plain
from accelsim.results import NetworkResult
from accelsim.text import csv_text, markdown
from accelsim.units import si

COLUMNS = (
    "network",
    "arch",
    "layers",
    "layers_in_all",
    "macs",
    "cycles",
    "time_s",
    "speed_up",
    "total_energy_pj",
    "energy_gain",
    "edp_pj_s",
    "edp_gain",
    "dram_bits",
    "occupancy",
    "tops",
    "tops_per_w",
    "area_mm2",
    "energy_table",
)
"""Columns of csv and json; gains are the first machine's figure over this machine's."""


def rows(results: Iterable[NetworkResult]) -> list[dict[str, Any]]:
    """Return one row per machine and network; the first machine of each network is the baseline of the gains."""
    table: list[dict[str, Any]] = []
    by_network: dict[str, list[NetworkResult]] = {}
    for result in results:
        by_network.setdefault(result.network, []).append(result)
    for group in by_network.values():
        ran = [{layer.name for layer in result.simulated} for result in group]
        shared = set.intersection(*ran)
        if not shared:
            raise _nothing_shared(group, ran)
        cut = [result.over(shared) for result in group]
        table += [_row(result, cut[0], len(group[0].layers)) for result in cut]
    return table


def _nothing_shared(group: list[NetworkResult], ran: list[set[str]]) -> WorkloadError:
    """Return the error that says which machine runs least, and why."""
    result = min(zip(group, ran, strict=True), key=lambda pair: len(pair[1]))[0]
    reason = next((f": layer '{x.name}': {x.reason}" for x in result.layers if x.reason), "")
    problem = f"no layer of '{result.network}' runs on all machines: {result.arch_name} runs {len(result.simulated)}"
    return WorkloadError(problem + reason, "compare machines that run the same layers")


def _row(result: NetworkResult, base: NetworkResult, layers_in_all: int) -> dict[str, Any]:
    area = sum(result.area_mm2.values()) if result.area_mm2 else None
    values = (
        result.network,
        result.arch_name,
        len(result.layers),
        layers_in_all,
        result.macs,
        result.cycles,
        result.time_s,
        _gain(base.time_s, result.time_s),
        result.total_energy_pj,
        _gain(base.total_energy_pj, result.total_energy_pj),
        result.edp_pj_s,
        _gain(base.edp_pj_s, result.edp_pj_s),
        result.dram_bits,
        result.occupancy,
        2 * result.counted_macs / result.time_s / 1e12 if result.cycles else 0.0,
        2 * result.counted_macs / result.total_energy_pj if result.total_energy_pj else 0.0,
        area,
        result.options["energy_table"],
    )
    return dict(zip(COLUMNS, values, strict=True))


def _gain(base: float, ours: float) -> float | None:
    return base / ours if ours else None


def to_json(table: Sequence[dict[str, Any]]) -> str:
    """Return the rows as JSON text."""
    return json.dumps({"schema": 1, "rows": plain(list(table))}, indent=1, allow_nan=False) + "\n"


def to_csv(table: Sequence[dict[str, Any]]) -> str:
    """Return the rows as csv text."""
    return csv_text([COLUMNS, *([row[name] for name in COLUMNS] for row in table)])


def to_markdown(table: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a markdown table."""
    head, lines = _HEAD, [_cells(row) for row in table]
    text = ["| " + " | ".join(head) + " |", "|" + " --- |" * 2 + " --: |" * (len(head) - 2)]
    return "\n".join([*text, *("| " + " | ".join(map(markdown, line)) + " |" for line in lines), ""])


_HEAD = ("network", "machine", "layers", "time", "speed-up", "energy", "gain", "EDP gain", "DRAM", "occ.", "TOPS/W")


def _cells(row: dict[str, Any]) -> list[str]:
    times = lambda value: "-" if value is None else f"{value:.3g}x"  # noqa: E731
    layers, in_all = row["layers"], row["layers_in_all"]
    return [
        row["network"],
        row["arch"],
        str(layers) if layers == in_all else f"{layers} of {in_all}",
        si(row["time_s"], "s"),
        times(row["speed_up"]),
        si(row["total_energy_pj"] * 1e-12, "J"),
        times(row["energy_gain"]),
        times(row["edp_gain"]),
        si(row["dram_bits"] / 8, "B"),
        f"{100 * row['occupancy']:.2g} %",
        f"{row['tops_per_w']:.3g}",
    ]


class ComparisonView:
    """A rich renderable: one table, networks apart, gains over the first machine of each."""

    def __init__(self, table: Sequence[dict[str, Any]]) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and what a reader must know of it."""
        del console, options
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for i, name in enumerate(_HEAD):
            grid.add_column(name, justify="left" if i < 2 else "right")
        last = None
        for row in self.table:
            if last not in (None, row["network"]):
                grid.add_section()
            grid.add_row(*_cells(row))
            last = row["network"]
        yield grid
        if any(row["layers"] != row["layers_in_all"] for row in self.table):
            yield "PARTIAL: totals are over the layers that all machines of a network simulated"
        tables = sorted({row["energy_table"] for row in self.table})
        yield f"gains are over the first machine of each network; energy priced by {', '.join(tables)}"
        if len(tables) > 1:
            yield "the energy tables differ: energies of different machines do not compare"
