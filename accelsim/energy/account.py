"""Energy of a layer's events, area of a machine, and where every price comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from accelsim.activity import Event
from accelsim.components import Component
from accelsim.energy.price import Table
from accelsim.energy.rows import Status
from accelsim.errors import ModelError, PriceError

LEAKAGE = "leakage"
"""The entry beside the components: what the whole machine leaks over the time, stalls included."""

OFF_CHIP = "off chip"
"""Why a DRAM has no area."""

CLOCKED = ("registers", "clock")
"""Kinds whose actions are unit-cycles."""

_PJ_PER_MW_S = 1e9


class Areas(NamedTuple):
    """Component -> mm2 of all its instances as placed, and component -> why it has none.

    ``cells`` and ``macros`` are the areas before placing: of gates and flip-flops, and of SRAM.
    """

    mm2: dict[str, float]
    missing: dict[str, str]
    cells: dict[str, float]
    macros: dict[str, float]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Components on the chip without a figure: a sum of areas leaves them out."""
        return tuple(name for name, why in self.missing.items() if why != OFF_CHIP)

    @property
    def parts_mm2(self) -> dict[str, float]:
        """The sums: ``cells``, ``macros`` and ``placed``; nothing where the table has no areas."""
        if not self.mm2:
            return {}
        parts = {"cells": self.cells, "macros": self.macros, "placed": self.mm2}
        return {part: sum(found.values()) for part, found in parts.items()}


class ProvenanceRow(NamedTuple):
    """One figure of one component and the steps that led to it; ``value`` is None where the table has none."""

    component: str
    kind: str
    instances: int
    what: str
    value: float | None
    unit: str
    status: Status | None
    steps: tuple[str, ...]


def energy_pj(
    components: Sequence[Component], events: Mapping[Event, int], table: Table, time_s: float = 0.0,
    known: dict[Event, float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Return the energy of each component, in the order of ``components``, then `LEAKAGE`.

    The sums do not depend on the order of ``events``.

    Parameters
    ----------
    components : sequence of Component
        With distinct names.
    events : mapping
        Event -> count, in bits for storage, links and DRAM, else in operations; of all instances together.
    table : Table
    time_s : float
        How long the machine leaks: compute and stall time.
    known : dict, optional
        Prices of these components by this table in pJ, as far as they have been asked for; filled.

    Raises
    ------
    PriceError
        An event without a price.
    ModelError
        An event of a component or action that the machine does not have.
    """
    by_name = _by_name(components)
    for event in sorted(events):
        owner = by_name.get(event.component)
        if owner is None or event.action not in owner.actions:
            raise ModelError(f"event {event} but components {', '.join(by_name)}")
    energy, known = {}, {} if known is None else known
    for component in components:
        terms = []
        for action in component.actions:
            event = Event(component.name, action)
            if event in events:
                if event not in known:
                    known[event] = table.price(component, action).pj
                terms.append(events[event] * known[event])
        energy[component.name] = math.fsum(terms)
    energy[LEAKAGE] = leakage_mw(components, table) * time_s * _PJ_PER_MW_S if time_s else 0.0
    return energy


def leakage_mw(components: Sequence[Component], table: Table) -> float:
    """Return the static power of all instances for which the table has figures, and of the chip as a whole."""
    chip = 0.0 if table.spec.static is None else table.spec.static.mw
    return math.fsum([chip, *(table.known_leak_mw(component) for component in components)])


def area_mm2(components: Sequence[Component], table: Table) -> Areas:
    """Return the area of each component (all its instances), and for the others why there is none."""
    areas = Areas({}, {}, {}, {})
    for component in _by_name(components).values():
        if component.kind == "dram":
            areas.missing[component.name] = OFF_CHIP
            continue
        try:
            areas.mm2[component.name] = table.area_mm2(component).value * component.count
            parts = areas.macros if component.kind == "sram" else areas.cells
            part: Literal["cells", "macros"] = "macros" if component.kind == "sram" else "cells"
            parts[component.name] = table.part_mm2(component, part) * component.count
        except PriceError as error:
            areas.missing[component.name] = error.problem
    return areas


def provenance(components: Sequence[Component], table: Table) -> list[ProvenanceRow]:
    """Return every price, area and leakage of a machine with the rows and steps behind it.

    What the table does not give is a row too, with the reason as its step.
    """
    rows = []
    for component in _by_name(components).values():
        for action in component.actions:
            rows.append(_priced(component, action, table))
        if component.kind in ("dram", "link", "clock"):
            continue
        for what, figure, unit in (("area", table.area_mm2, "mm2"), (LEAKAGE, table.leak_mw, "mW")):
            head = (component.name, component.kind, component.count, what)
            try:
                reading = figure(component)
                rows.append(ProvenanceRow(*head, reading.value, unit, reading.status, reading.steps))
            except PriceError as error:
                rows.append(ProvenanceRow(*head, None, unit, None, (error.problem,)))
    if (static := table.spec.static) is not None:
        step = f"{static.from_table}:static ({static.status}, {static.source})"
        rows.append(ProvenanceRow("chip", "chip", 1, LEAKAGE, static.mw, "mW", static.status, (step,)))
    return rows


WEAK: tuple[Status, ...] = ("carried", "recalled", "assumed")
"""Statuses that a report names: a price of another process, from memory, or chosen without a source."""


def prices_in_use(components: Sequence[Component], table: Table) -> dict[str, Any]:
    """Return which table it is, its node and supply, and the prices of a machine that are `WEAK`, by status."""
    found: dict[str, Any] = {"table": table.name, "node_nm": table.node.nm, "vdd_v": table.node.vdd_v}
    weak: dict[str, list[str]] = {status: [] for status in WEAK}
    for component in components:
        for action in component.actions:
            try:
                status = table.price(component, action).status
            except PriceError:
                continue
            if status in weak:
                weak[status].append(f"{component.name} {action}")
    return found | weak


def _priced(component: Component, action: str, table: Table) -> ProvenanceRow:
    per = "bit" if component.counts_bits else "unit-cycle" if component.kind in CLOCKED else "operation"
    head = (component.name, component.kind, component.count, action)
    unit = f"{table.unit}/{per}"
    try:
        price = table.price(component, action)
    except PriceError as error:
        return ProvenanceRow(*head, None, unit, None, (error.problem,))
    return ProvenanceRow(*head, price.pj, unit, price.status, price.steps)


def _by_name(components: Sequence[Component]) -> dict[str, Component]:
    by_name = {component.name: component for component in components}
    if len(by_name) != len(components) or LEAKAGE in by_name:
        raise ModelError(f"components need distinct names, none of them '{LEAKAGE}': {list(by_name)}")
    return by_name
