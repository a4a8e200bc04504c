"""A plan of what stays on a chip, as a table, json, csv or markdown."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from accelsim.planning import Plan, in_bytes
from accelsim.text import csv_text, json_text, markdown, visible_all
from accelsim.version import __version__
from accelsim.workload.storage import Storage

COLUMNS = ("storage", "bytes", "alive", "moved", "at")
PROOFS = {
    "optimal": "no plan moves less",
    "bounded": "every plan moves at least {bound}",
    "greedy": "greedy: others may move less",
    "tflm": "as TensorFlow Lite Micro: others may move less",
}
"""Proof -> what it says."""


def document(plan: Plan) -> dict[str, Any]:
    """Return everything as plain values."""
    tensors = {storage.name: list(storage.tensors) for storage in plan.storages}
    rows = plan.to_rows()
    kept = [{**row, "tensors": tensors[row["storage"]]} for row in rows if row["home"] != "dram"]
    return {
        "schema": 1,
        "accelsim": __version__,
        "network": plan.network,
        "planner": plan.planner,
        "fold": plan.fold,
        "inplace": plan.inplace,
        "capacity_bytes": in_bytes(plan.capacity_bits),
        "layers": len(plan.layers),
        "storages": len(plan.storages),
        "peak_bytes": in_bytes(plan.peak_bits),
        "live_peak_bytes": in_bytes(max(plan.live_bits.values())),
        "all_dram_bytes": in_bytes(plan.all_dram_bits),
        "moved_bytes": in_bytes(plan.moved_bits),
        "bound_bytes": in_bytes(plan.residency.bound_bits),
        "used_bytes": in_bytes(plan.used_bits),
        "proof": plan.proof,
        "addresses": plan.residency.addresses,
        "dropped": list(plan.residency.dropped),
        "places": kept,
        "spilled": [row for row in rows if row["home"] == "dram"],
        "folded": dict(plan.folded),
        "copies": [
            {"tensor": copy.tensor, "into": copy.into, "bytes": in_bytes(copy.bits), "position": copy.position}
            for copy in plan.copies
        ],
        "notes": list(plan.notes),
    }


def to_json(plan: Plan) -> str:
    """Return the plan as JSON text."""
    return json_text(json.dumps(document(plan), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def to_csv(plan: Plan) -> str:
    """Return one line per storage as csv text."""
    rows = plan.to_rows()
    return csv_text([list(rows[0]), *(row.values() for row in rows)])


def to_markdown(plan: Plan) -> str:
    """Return the plan as Markdown."""
    head, *said = summary(plan)
    lines = [f"# {markdown(head)}", "", *(f"- {markdown(text)}" for text in said), ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "| :--- | ---: | ---: | ---: | :--- |"]
    lines += ["| " + " | ".join(map(markdown, cells(plan, storage))) + " |" for storage in plan.storages]
    return "\n".join([*lines, ""])


def summary(plan: Plan) -> list[str]:
    """Return what a reader wants first, a sentence each."""
    moved, whole = plan.moved_bits, plan.all_dram_bits
    less = f", of {shown(whole)} if nothing stays ({100 * moved / whole:.1f} %)" if whole else ""
    proof = PROOFS[plan.proof].format(bound=shown(plan.residency.bound_bits))
    inner = len(plan.kept) + len(plan.spilled)
    said = [
        f"{plan.network}: what stays on a chip of {kib(plan.capacity_bits)}",
        f"{shown(moved)} move through DRAM{less}; {proof}",
        f"{len(plan.layers)} layers, {len(plan.storages)} storages; {len(plan.kept)} of the {inner} between layers "
        f"stay and reach {kib(plan.used_bits)}",
        f"all storages at once, inputs and outputs too, need {kib(plan.peak_bits)}",
    ]
    if plan.folded:
        said.append(f"{len(plan.folded)} layers folded into their producers")
    if plan.copies:
        copied = sum(copy.bits for copy in plan.copies)
        said.append(f"parts copied into concatenations: {len(plan.copies)}; {shown(copied)} are read and written again")
    if plan.residency.dropped:
        said.append(f"no addresses were found for {', '.join(plan.residency.dropped)}: left in DRAM")
    return [*said, *plan.notes]


def cells(plan: Plan, storage: Storage) -> list[str]:
    """Return the texts of a storage under `COLUMNS`."""
    place = plan.residency.places.get(storage.name)
    home = {"inner": "DRAM", "input": "DRAM, input", "output": "DRAM, output", "state": "DRAM, state"}[storage.role]
    at = home if place is None else f"{in_bytes(place.address_bits):,}"
    size, moved = (f"{in_bytes(bits):,}" for bits in (storage.bits, storage.moved_bits))
    return [storage.name, size, f"{storage.first}-{storage.last}", moved, at]


def shown(bits: int) -> str:
    """Return bytes with thousands."""
    return f"{in_bytes(bits):,} B"


def kib(bits: int) -> str:
    """Return bits in KiB: ``512 KiB``, ``1372.0 KiB``, ``0.75 KiB``."""
    size = bits / 8192
    return f"{size:.0f} KiB" if size.is_integer() else f"{size:.4g} KiB" if size < 1000 else f"{size:.1f} KiB"


class PlanView:
    """A rich renderable: what is said first, then one line per storage."""

    def __init__(self, plan: Plan) -> None:
        self.plan = visible_all(plan)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the sentences and the table."""
        del console, options
        yield from summary(self.plan)
        yield ""
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for name in COLUMNS:
            text = name in ("storage", "at")
            fold = "fold" if name == "storage" else "ellipsis"
            grid.add_column(name, justify="left" if text else "right", overflow=fold, no_wrap=name != "storage")  # type: ignore[arg-type]
        for storage in self.plan.storages:
            grid.add_row(*cells(self.plan, storage))
        yield grid
