"""The result as layers.csv: one row per layer, for spreadsheets, pandas and polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelsim.activity import CAUSES
from accelsim.report import facts
from accelsim.results import LayerResult, NetworkResult
from accelsim.text import csv_text


def rows(result: NetworkResult) -> list[dict[str, Any]]:
    """Return ``result.to_rows()`` with the account and the energy of each layer.

    ``share_<cause>``: share of the unit-cycles of the primary units, every cause of accelsim whatever the
    machine. ``energy_<component>_pj``: the components of the machine. ``needed_dram_bits_per_cycle``: the
    bandwidth that would remove the stalls. ``stored_<tensor>_value_bits`` and ``..._index_bits``: a tensor in the
    machine's compressed format, empty where it has none.
    """
    components = list(result.energy_pj)
    flat = zip(result.to_rows(), result.layers, strict=True)
    return [row | _extra(layer, components) for row, layer in flat]


def to_csv(result: NetworkResult) -> str:
    """Return layers.csv as text: a header and one line per layer; booleans as true and false, None as nothing."""
    table = rows(result)
    return csv_text([table[0] if table else ["arch", "network", "batch", "layer"], *(row.values() for row in table)])


def csv_of(table: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as csv text, the keys of the first as its header; None as nothing."""
    return csv_text([*table[:1], *(row.values() for row in table)])


def _extra(layer: LayerResult, components: list[str]) -> dict[str, Any]:
    extra: dict[str, Any] = {"needed_dram_bits_per_cycle": layer.needed_bits_per_cycle.get("dram")}
    extra |= {f"share_{cause}": facts.share(layer, cause) for cause in CAUSES}
    for tensor in ("input", "weight", "output"):
        size = layer.stored.get(tensor)
        extra[f"stored_{tensor}_value_bits"] = size and size.value_bits
        extra[f"stored_{tensor}_index_bits"] = size and size.index_bits
    extra |= {f"energy_{name}_pj": layer.energy_pj.get(name, 0.0) for name in components}
    return extra
