"""Facts that every form of the report shares: what is partial, what is lost and where, the machine's roofs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from accelsim.activity import CAUSES
from accelsim.config.arch import OTHER_LAYERS
from accelsim.results import LayerResult, NetworkResult
from accelsim.workload.shapes import PRODUCTS

USEFUL = ("busy", "zero")
"""Causes that are work the schedule needs; every other unit-cycle is lost."""

NEGLIGIBLE = 0.01
"""A layer that loses less than this share of the network's cycles is not worth a sentence."""

MANY_UNITS = 3
"""Of so many the refusals of a layer are too long for a line."""

NO_SUCH = re.compile(r" has no \S+ unit$")
"""What a unit says that runs no layers of a kind, whatever their size."""


def status(result: NetworkResult) -> str:
    """Return ``PARTIAL``, what kind of table of layers it is, ``unvalidated`` of a machine that says so, or nothing."""
    doubt = "unvalidated" if result.arch.get("unvalidated") else ""
    return ", ".join(word for word in ("PARTIAL" if result.partial else "", table_kind(result), doubt) if word)


def table_kind(result: NetworkResult) -> str:
    """Return ``products only`` or ``isolated layers`` of a network from a table of layers, nothing of another."""
    if not result.isolated:
        return ""
    products = all(layer.kind in (*PRODUCTS, "spgemm") for layer in result.layers)
    return "products only" if products else "isolated layers"


def causes(layer: LayerResult) -> dict[str, int]:
    """Return the non-zero unit-cycles of a layer's primary units, in the order of ``CAUSES``."""
    return {cause: layer.account[cause] for cause in in_order(layer.account) if layer.account[cause]}


def in_order(found: Mapping[str, Any]) -> list[str]:
    """Return causes in the order in which reports print them, unknown ones last."""
    known = [cause for cause in CAUSES if cause in found]
    return known + sorted(set(found) - set(known))


def all_causes(result: NetworkResult) -> list[str]:
    """Return the causes that occur in any layer, or on the network's clock."""
    found = {cause: True for layer in result.simulated for cause in causes(layer)}
    return in_order(found | {cause: True for shares in result.unit_shares.values() for cause in shares})


def share(layer: LayerResult, cause: str) -> float:
    """Return a cause's share of the unit-cycles of a layer's primary units."""
    total = layer.units * layer.cycles
    return layer.account.get(cause, 0) / total if total else 0.0


def time_shares(result: NetworkResult) -> dict[str, float]:
    """Return the share of the network's time by cause: each layer's account weighted by its cycles.

    On one clock the mean over the units of their accounts.
    """
    if units := result.unit_shares.values():
        each = {
            cause: sum(shares.get(cause, 0.0) for shares in units) / len(units) for shares in units for cause in shares
        }
        return {cause: each[cause] for cause in in_order(each)}
    spent = {
        cause: sum(share(layer, cause) * layer.cycles for layer in result.simulated) for cause in all_causes(result)
    }
    total = sum(spent.values())
    return {cause: cycles / total for cause, cycles in spent.items()} if total else {}


def lost_cycles(layer: LayerResult) -> float:
    """Return the cycles a layer would save if its primary units always worked."""
    lost = sum(n for cause, n in layer.account.items() if cause not in USEFUL)
    return lost / layer.units if layer.units else 0.0


def worst_cause(layer: LayerResult) -> str | None:
    """Return the cause that loses most unit-cycles of a layer; None when nothing is lost.

    Where DRAM traffic alone takes as long as computing, it is ``memory`` whatever the shares: mending another cause
    would gain nothing.
    """
    if layer.dram_sets_time:
        return "memory"
    lost = {cause: n for cause, n in causes(layer).items() if cause not in USEFUL}
    return max(lost, key=lambda cause: lost[cause]) if lost else None


def worst_layers(result: NetworkResult, number: int = 3) -> list[list[LayerResult]]:
    """Return the layers that lose most cycles, worst first, without those where the loss is negligible.

    Layers that are alike (same kind, cycles and account: the repeated blocks of a network) are one entry, since what
    mends one mends them all.
    """
    alike: dict[object, list[LayerResult]] = {}
    for layer in result.simulated:
        key = (layer.kind, layer.unit, layer.cycles, tuple(causes(layer).items()))
        alike.setdefault(key, []).append(layer)
    ranked = sorted(alike.values(), key=lambda layers: len(layers) * lost_cycles(layers[0]), reverse=True)[:number]
    return [layers for layers in ranked if len(layers) * lost_cycles(layers[0]) > NEGLIGIBLE * result.isolated_cycles]


def skipped_by_reason(result: NetworkResult) -> dict[str, list[LayerResult]]:
    """Return the layers that were not simulated by reason, both in the order of the network."""
    groups: dict[str, list[LayerResult]] = {}
    for layer in result.layers:
        if not layer.simulated:
            groups.setdefault(layer.reason or "no reason was given", []).append(layer)
    return groups


def nearest_refusal(reason: str, units: Sequence[str]) -> str:
    """Return why no unit of many takes a layer, in a line: of the nearest one, and how many others refuse.

    Nearest is the first that has such layers, else the first that the machine file lets take it.

    ``reason`` is ``unit: why; unit: why``, in the order of ``units``, and may stand behind something else; any other
    text, and one of fewer than `MANY_UNITS`, is returned as it is.
    """
    if len(units) < MANY_UNITS:
        return reason
    cuts, at = list[int](), 0
    for name in units:
        at = reason.find(f"; {name}: " if cuts else f"{name}: ", at)
        if at < 0:
            return reason
        cuts.append(at)
    whys = [reason[begin:end].removeprefix("; ") for begin, end in pairwise([*cuts, len(reason)])]
    own = [why for why in whys if not why.endswith(f": {OTHER_LAYERS}")]
    if not own:
        return f"{reason[: cuts[0]]}the machine file gives it to none of {len(units)} units"
    near = next((why for why in own if not NO_SUCH.search(why)), own[0])
    return f"{reason[: cuts[0]]}{near}; {len(units) - 1} other units refuse too"


def unit_names(result: NetworkResult) -> list[str]:
    """Return the names of the units of a machine that has several, in the order of its file."""
    return [str(unit["name"]) for unit in result.arch.get("units") or ()]


def dram_bits_per_cycle(result: NetworkResult) -> float | None:
    """Return the machine's DRAM bandwidth in bits per core cycle; None when the configuration names none.

    ``gb_per_s`` is 1e9 bytes per second.
    """
    memory = result.arch.get("memory") or {}
    dram = memory.get("dram") or {}
    if not isinstance(dram, Mapping) or not dram.get("gb_per_s"):
        return None
    return float(dram["gb_per_s"]) * 8e9 / (result.clock_mhz * 1e6)


def span(result: NetworkResult) -> tuple[float, float] | None:
    """Return the least and the largest energy in pJ by the tables that price a run; None where no other was asked."""
    values = [price.total_energy_pj for price in result.energy_tables if price.total_energy_pj is not None]
    return (min(values), max(values)) if values else None


def compute_roof(layer: LayerResult) -> float | None:
    """Return the dense MACs per cycle if the layer's units always worked: its rate divided by its occupancy.

    On a dense machine this is units x MACs per unit-cycle at the layer's widths; where zeros are skipped it is
    the dense equivalent, of sparse products their multiplications. None for layers without MACs or without work.
    """
    working = sum(layer.account.get(cause, 0) for cause in USEFUL)
    return layer.counted_macs * layer.units / working if layer.counted_macs and working else None


def intensity(layer: LayerResult) -> float:
    """Return a layer's multiply-accumulates per byte of DRAM traffic."""
    return layer.counted_macs / (layer.dram_bits / 8)
