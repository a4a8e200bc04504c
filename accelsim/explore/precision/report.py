"""A search for widths as a table, json or csv: the best assignment layer by layer, the front, uniform widths beside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from accelsim.explore.precision.search import Found, Point
from accelsim.explore.precision.space import PrecisionSpace
from accelsim.operands.quantizers import decibels
from accelsim.report.precision_plot import Curve
from accelsim.report.rows import csv_of
from accelsim.units import si

MOST_ROWS = 12
"""Front points of a table; json and csv hold all."""


def rows(points: tuple[Point, ...]) -> list[dict[str, Any]]:
    """Return one row per point: costs, noise in dB (None without any) and its origin."""
    return [
        {
            "origin": point.origin,
            "cycles": int(point.cycles) if isfinite(point.cycles) else None,
            "energy_pj": point.energy_pj if isfinite(point.energy_pj) else None,
            "size_bits": int(point.size_bits),
            "noise": point.noise,
            "sqnr_db": decibels(point.noise),
        }
        for point in points
    ]


def assignment(space: PrecisionSpace, point: Point) -> list[dict[str, Any]]:
    """Return per layer in scope its types and the share of all noise that its tensors add."""
    types = space.types(point.choice)
    noise = space.tensor_noise(point.choice)
    found = []
    for layer in space.scope:
        view = space.network.view(layer)
        added = noise[view.input.name] + noise[view.weight.name]
        found.append(
            {
                "name": layer.name,
                "input": str(types[view.input.name]),
                "weight": str(types[view.weight.name]),
                "noise_share": added / point.noise if point.noise else 0.0,
            }
        )
    return found


def to_json(space: PrecisionSpace, found: Found, options: Mapping[str, Any]) -> str:
    """Return everything as JSON text."""
    best = None
    if found.best is not None:
        best = rows((found.best,))[0] | {"layers": assignment(space, found.best)}
    document = {
        "schema": 1,
        "arch": space.arch.name,
        "network": space.network.name,
        "options": dict(options),
        "quantity": found.quantity,
        "budgets": dict(found.budgets),
        "best": best,
        "front": rows(found.front),
        "uniform": rows(found.uniform),
        "left_out": list(space.left_out),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_csv(found: Found) -> str:
    """Return one line per point of the front as csv text."""
    return csv_of(rows(found.front))


def curve(found: Found) -> Curve:
    """Return what a picture shows of a search."""

    def place(point: Point) -> tuple[float, float]:
        return float(getattr(point, found.quantity)), decibels(point.noise) or 0.0

    uniform = [(*place(p), p.origin) for p in found.uniform if isfinite(p.cycles)]
    best = place(found.best) if found.best is not None else None
    return Curve(found.quantity, [place(p) for p in found.front], uniform, best)


class SearchView:
    """A rich renderable: the assignment, the front and uniform widths."""

    def __init__(self, space: PrecisionSpace, found: Found) -> None:
        self.space, self.found = space, found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the tables and what a reader must know of them."""
        del console, options
        space, found = self.space, self.found
        if found.best is not None:
            grid = _grid("layer", "inputs", "weights", "noise")
            for row in assignment(space, found.best):
                grid.add_row(row["name"], row["input"], row["weight"], f"{100 * row['noise_share']:.1f} %")
            limits = ", ".join(f"{name} <= {most:,.4g}" for name, most in found.budgets.items())
            yield f"least noise with {limits}, found by {found.best.origin}:"
            yield grid
            yield ""
        grid = _grid("assignment", "cycles", "energy", "filters", "SQNR dB")
        for point in found.uniform:
            grid.add_row(point.origin, *_cells(point))
        if found.best is not None:
            grid.add_section()
            grid.add_row("best within budget", *_cells(found.best))
        grid.add_section()
        for point in _spread(found.front):
            grid.add_row(f"front: {point.origin}", *_cells(point))
        yield grid
        shown = min(MOST_ROWS, len(found.front))
        yield f"front of {found.quantity} against noise: {shown} of {len(found.front)} points (json and csv hold all)"
        yield "SQNR: signal over the sum of the relative errors of all quantised tensors; a proxy, no accuracy"
        if space.left_out:
            yield f"not run by {space.arch.name}, in no cost: {', '.join(space.left_out)}"


def _grid(first: str, *others: str) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column(first)
    for name in others:
        grid.add_column(name, justify="right")
    return grid


def _cells(point: Point) -> Iterator[str]:
    if not isfinite(point.cycles):
        yield from ("does not run", "", "", "")
        return
    yield si(point.cycles)
    yield si(point.energy_pj * 1e-12, "J")
    yield si(point.size_bits / 8, "B")
    noise = decibels(point.noise)
    yield "exact" if noise is None else f"{noise:.1f}"


def _spread(front: tuple[Point, ...]) -> list[Point]:
    """Return at most MOST_ROWS points, evenly spread over the front, its ends included."""
    if len(front) <= MOST_ROWS:
        return list(front)
    last = len(front) - 1
    return [front[round(i * last / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]
