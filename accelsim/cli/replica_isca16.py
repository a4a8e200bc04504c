"""``accelsim replica isca16``: the dataflow comparison of ISCA 2016."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from accelsim.text import csv_text

if TYPE_CHECKING:
    from accelsim.replicas.isca16 import StudyRow

COLUMNS = (
    ("flow", "flow", "<4"),
    ("layer", "layer", "<6"),
    ("energy_per_op", "energy/MAC", ">10.3f"),
    ("alu_energy_per_op", "ALU", ">6.3f"),
    ("dram_energy_per_op", "DRAM", ">7.3f"),
    ("buffer_energy_per_op", "buffer", ">7.3f"),
    ("array_energy_per_op", "array", ">7.3f"),
    ("rf_energy_per_op", "RF", ">6.3f"),
    ("dram_reads_per_op", "DRAM reads/MAC", ">14.5f"),
    ("dram_writes_per_op", "writes/MAC", ">10.5f"),
    ("active_pes", "active PEs", ">10.0f"),
    ("mapping", "mapping", "<1"),
)
"""(key of the row, heading, alignment and format)."""


@click.command(epilog="Example: accelsim replica isca16 --pes 1024 --batch 16 --layers fc")
@click.option("--pes", type=click.IntRange(min=1), default=256, show_default=True, help="Number of PEs.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images at a time.")
@click.option(
    "--layers",
    type=click.Choice(["conv", "fc", "all"]),
    default="conv",
    show_default=True,
    help="Layers of AlexNet.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How to print.",
)
def command(pes: int, batch: int, layers: str, form: str) -> None:
    """Compare six dataflows at equal area: energy and DRAM accesses per multiplication of AlexNet.

    The closed formulas of Chen, Emer and Sze (ISCA 2016) with their area budget; each flow runs the cheapest
    of all its mappings. Energies are relative to one multiplication.
    """
    from accelsim.replicas.isca16 import study, totals

    rows = study(pes, batch, layers)
    write = {"table": _table, "json": _json, "csv": _csv}[form]
    click.echo(write(rows, totals(rows, layers)), nl=False)


def _table(rows: tuple[StudyRow, ...], sums: tuple[StudyRow, ...]) -> str:
    head = f"{rows[0].pes} PEs, batch {rows[0].batch}; energy relative to one multiplication, words of 16 bits"
    titles = "  ".join(_pad(title, form) for _, title, form in COLUMNS).rstrip()
    lines = [head, "", titles, *(_line(row.to_dict()) for row in rows), ""]
    base = next(row for row in sums if row.flow == "RS")
    for row in sums:
        ratio = f"{row.energy_per_op / base.energy_per_op:.2f} x RS" if row.legal and base.legal else ""
        lines.append(_line({**row.to_dict(), "mapping": ratio}))
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    cells = []
    for key, _, form in COLUMNS:
        value = _mapping_text(row) if key == "mapping" else row[key]
        cells.append(_pad("-", form) if value is None else format(value, form))
    return "  ".join(cells).rstrip()


def _pad(text: str, form: str) -> str:
    return format(text, form.split(".", maxsplit=1)[0])


def _mapping_text(row: dict[str, Any]) -> str:
    mapping = row["mapping"]
    if isinstance(mapping, dict):
        return " ".join(f"{symbol}={value}" for symbol, value in mapping.items())
    if row["energy_per_op"] is None:
        return "no legal mapping"
    return mapping or ""


def _json(rows: tuple[StudyRow, ...], sums: tuple[StudyRow, ...]) -> str:
    from accelsim.replicas.isca16 import ENERGY

    document = {
        "replica": "isca16",
        "energy": ENERGY,
        "rows": [row.to_dict() for row in rows],
        "totals": [row.to_dict() for row in sums],
    }
    return json.dumps(document, indent=2) + "\n"


def _csv(rows: tuple[StudyRow, ...], sums: tuple[StudyRow, ...]) -> str:
    flat = [{**row.to_dict(), "mapping": _mapping_text(row.to_dict())} for row in (*rows, *sums)]
    return csv_text([flat[0], *(row.values() for row in flat)])
