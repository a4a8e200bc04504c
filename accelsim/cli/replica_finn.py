"""``accelsim replica finn``: cycles of a folding of FINN's matrix-vector units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from accelsim.replicas.finn import Unit


@click.command(epilog="Example: accelsim replica finn cnv_w1a1 --multipliers 2272")
@click.argument("folding")
@click.option("--multipliers", type=click.IntRange(1, 2**40), help="Also look for the best folding of so many.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(folding: str, multipliers: int | None, form: str) -> None:
    """Count the cycles of each layer's unit, and of the slowest one, which an image takes when many follow each other.

    FOLDING is a CSV file with the columns layer,kind,out_h,out_w,c,k,pe,simd (kind conv3x3 or fc), or cnv_w1a1 or
    lfc_w1a1, two of the release.
    """
    from accelsim.replicas import finn

    given = finn.read(folding)
    found = finn.best(given, multipliers) if multipliers is not None else ()
    if form == "json":
        document = _document(given)
        if found:
            document["best"] = _document(found, folded=True)
        click.echo(json.dumps(document, indent=1))
        return
    _table(given)
    if found:
        click.echo(f"\nbest of {multipliers:,} multipliers:")
        _table(found)


def _document(units: tuple[Unit, ...], folded: bool = False) -> dict[str, Any]:
    from accelsim.replicas.finn import initiation_interval

    layers: list[dict[str, Any]] = [{"layer": unit.layer, "cycles": unit.cycles} for unit in units]
    if folded:
        for layer, unit in zip(layers, units, strict=True):
            layer |= {"pe": unit.pe, "simd": unit.simd}
    return {"layers": layers, "ii": initiation_interval(units)}


def _table(units: tuple[Unit, ...]) -> None:
    from accelsim.replicas.finn import initiation_interval
    from accelsim.text import visible

    click.echo(f"{'layer':<20}{'PE':>6}{'SIMD':>6}{'multipliers':>13}{'cycles':>15}")
    for unit in units:
        name = visible(unit.layer)[:20]
        click.echo(f"{name:<20}{unit.pe:>6,}{unit.simd:>6,}{unit.multipliers:>13,}{unit.cycles:>15,}")
    total, interval = sum(unit.multipliers for unit in units), initiation_interval(units)
    click.echo(f"{'all':<20}{'':>12}{total:>13,}{interval:>15,}")
    click.echo(f"{10**8 / interval:,.1f} images/s at 100 MHz")
