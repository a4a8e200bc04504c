"""A compressed network as a table, json or csv: sizes and ratios of every stage, by layer and in total."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from accelsim.report.rows import csv_of
from accelsim.units import si

if TYPE_CHECKING:
    from accelsim.passes.compress import Compression

SIZES = ("dense_bits", "pruned_bits", "shared_bits", "bits")
SUMS = (
    "elements",
    "nonzeros",
    "entries",
    "padding_entries",
    *SIZES,
    "coded_bits",
    "index_coded_bits",
    "table_bits",
)


def rows(compression: Compression) -> list[dict[str, Any]]:
    """Return one row per layer; ``*_ratio`` is the dense size over the size after that stage."""
    return [
        _with_ratios({**asdict(layer), "density": layer.density, "bits": layer.bits}) for layer in compression.layers
    ]


def totals(compression: Compression) -> dict[str, Any]:
    """Return the sums over all layers."""
    sums: dict[str, Any] = {name: compression.total(name) for name in SUMS}
    return _with_ratios({**sums, "density": sums["nonzeros"] / sums["elements"]})


def _with_ratios(row: dict[str, Any]) -> dict[str, Any]:
    dense = row["dense_bits"]
    return {
        **row,
        "pruned_ratio": dense / max(row["pruned_bits"], 1),
        "shared_ratio": dense / max(row["shared_bits"], 1),
        "ratio": dense / max(row["bits"], 1),
    }


def to_json(compression: Compression, options: Mapping[str, Any]) -> str:
    """Return everything as JSON text."""
    document = {
        "schema": 1,
        "network": compression.network,
        "options": dict(options),
        "totals": totals(compression),
        "layers": rows(compression),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_csv(compression: Compression) -> str:
    """Return one line per layer as csv text."""
    return csv_of(rows(compression))


_HEAD = ("layer", "weights", "values", "density", "bits", "padding", "dense", "pruned", "shared", "coded", "ratio")


class CompressionView:
    """A rich renderable: one line per layer and the total."""

    def __init__(self, compression: Compression) -> None:
        self.compression = compression

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table and what a reader must know of it."""
        del console, options
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for i, name in enumerate(_HEAD):
            grid.add_column(name, justify="left" if i in (0, 2) else "right")
        for row in rows(self.compression):
            grid.add_row(row["name"], si(row["elements"]), row["origin"], *_cells(row))
        grid.add_section()
        total = totals(self.compression)
        grid.add_row("total", si(total["elements"]), "", *_cells(total))
        yield grid
        yield (
            "bits: code + index of an entry; padding: entries that only carry an index on; dense: "
            "uncompressed; coded: Huffman-coded, with codebook and code tables"
        )
        if any(layer.origin == "seeded" for layer in self.compression.layers):
            yield "seeded weights are uniform over their width: real ones are not, and cluster and code better"


def _cells(row: dict[str, Any]) -> list[str]:
    widths = f"{row['code_bits']} + {row['index_bits']}" if "code_bits" in row else ""
    sizes = [si(row[name] / 8, "B") for name in SIZES]
    padding = f"{100 * row['padding_entries'] / max(row['entries'], 1):.3g} %"
    return [f"{row['density']:.3g}", widths, padding, *sizes, f"{row['ratio']:.3g}x"]
