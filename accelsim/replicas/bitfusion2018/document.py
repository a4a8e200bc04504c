"""A replica's result as a JSON document and as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from accelsim.replicas.bitfusion2018.values import LayerResult, Network, NetworkResult


def document(
    replica: str, network: Network, machine_name: str, machine: BaseModel, result: NetworkResult
) -> dict[str, Any]:
    """Return what ``--format json`` prints: the resolved input, the layers and the totals."""
    return {
        "replica": replica,
        "network": {"name": network.name, "source": network.source, "batch": network.batch},
        "machine": {"name": machine_name, **machine.model_dump(mode="json")},
        "layers": [_layer(layer) for layer in result.layers],
        "totals": {
            "cycles": result.cycles,
            "stall_cycles": result.total("stall_cycles"),
            "dram_read_bits": result.total("dram_read_bits"),
            "dram_write_bits": result.total("dram_write_bits"),
            "energy_nj": result.energy_nj,
            "energy_parts_nj": result.energy_parts_nj,
            "ms_per_image": result.ms_per_image,
        },
    }


def _layer(layer: LayerResult) -> dict[str, Any]:
    return {
        "name": layer.name,
        "cycles": layer.cycles,
        "compute_cycles": layer.compute_cycles,
        "stall_cycles": layer.stall_cycles,
        "dram_read_bits": layer.dram_read_bits,
        "dram_write_bits": layer.dram_write_bits,
        "sram_bits": layer.sram_bits,
        "energy_nj": layer.energy_nj,
        "energy_parts_nj": layer.energy_parts_nj,
        "tiling": {loop: {"trips": trips, "tile": tile} for loop, (trips, tile) in layer.tiling.items()},
        "order": list(layer.order),
    }


_COLUMNS = ("cycles", "stall_cycles", "dram_read_bits", "dram_write_bits")
_HEADINGS = ("cycles", "stalls", "DRAM read bits", "DRAM write bits", "energy nJ")


def table(result: NetworkResult) -> Iterable[str]:
    """Yield the lines of a table: one layer a line, then the totals."""
    rows: list[tuple[str, ...]] = [("layer", *_HEADINGS, "tiles b o ic oc", "order, outermost first")]
    for layer in result.layers:
        figures = (f"{getattr(layer, column):,}" for column in _COLUMNS)
        sizes = " ".join(str(layer.tiling[loop][1]) for loop in ("B", "OW", "IC", "OC"))
        rows.append((layer.name, *figures, f"{layer.energy_nj:,.1f}", sizes, " ".join(layer.order)))
    totals = (f"{result.total(column):,}" for column in _COLUMNS)
    rows.append((f"{len(result.layers)} layers", *totals, f"{result.energy_nj:,.1f}", "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = range(1, 1 + len(_HEADINGS))
    for row in rows:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in cells).rstrip()
