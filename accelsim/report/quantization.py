"""A quantised network as a table, json or csv: widths, scales and noise by tensor, and the noise of each output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from accelsim.operands.quantizers import decibels
from accelsim.report.rows import csv_of
from accelsim.units import si

if TYPE_CHECKING:
    from accelsim.passes.quantize import Quantization


def tensor_rows(done: Quantization) -> list[dict[str, Any]]:
    """Return one row per tensor; ``sqnr_db`` is None where nothing is lost."""
    return [
        {**{key: value for key, value in asdict(t).items() if key != "constant"}, "sqnr_db": t.sqnr_db}
        for t in done.tensors
    ]


def layer_rows(done: Quantization) -> list[dict[str, Any]]:
    """Return one row per layer with the noise of its output, estimated and, if it was asked for, measured."""
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "input_sqnr_db": decibels(layer.input_noise),
            "weight_sqnr_db": decibels(layer.weight_noise),
            "output_sqnr_db": decibels(layer.noise),
            "measured_output_sqnr_db": None if layer.measured_noise is None else decibels(layer.measured_noise),
        }
        for layer in done.layers
    ]


def to_json(done: Quantization, options: Mapping[str, Any]) -> str:
    """Return everything as JSON text."""
    document = {
        "schema": 1,
        "network": done.network,
        "options": dict(options),
        "layers": layer_rows(done),
        "tensors": tensor_rows(done),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_csv(done: Quantization) -> str:
    """Return one line per tensor as csv text."""
    return csv_of(tensor_rows(done))


class QuantizationView:
    """A rich renderable: one line per layer."""

    def __init__(self, done: Quantization) -> None:
        self.done = done

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and what a reader must know of it."""
        del console, options
        done = self.done
        measured = any(layer.measured_noise is not None for layer in done.layers)
        types = {(t.layer, t.role): t for t in done.tensors}
        grid = Table(box=None, pad_edge=False, header_style="bold")
        grid.add_column("layer")
        for name in ("weights", "values", "type", "SQNR dB", "inputs", "values", "type", "SQNR dB", "output dB"):
            grid.add_column(name, justify="right")
        if measured:
            grid.add_column("measured dB", justify="right")
        for row, layer in zip(layer_rows(done), done.layers, strict=True):
            cells = []
            for role in ("weight", "input"):
                tensor = types.get((layer.name, role))
                noise = _db(row[f"{role}_sqnr_db"])
                if tensor is None:
                    cells += ["", "shared", "", noise]
                    continue
                kind = f"{'' if tensor.signed else 'u'}int{tensor.bits}"
                cells += [si(tensor.elements), tensor.origin, kind, noise]
            cells += [_db(row["output_sqnr_db"])]
            cells += [_db(row["measured_output_sqnr_db"])] if measured else []
            grid.add_row(layer.name, *cells)
        yield grid
        yield (
            "SQNR: energy of the numbers over that of the error; output: estimated from both operands as if their "
            "errors were independent. It is no accuracy."
        )
        if any(t.origin == "seeded" for t in done.tensors):
            yield "seeded numbers are normal, an assumption: the tails of real ones differ, and so does their noise"


def _db(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"
