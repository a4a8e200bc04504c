"""Accelergy's energy and area reference tables (ERT, ART), read into a table of ours and written from a machine.

Source: Y. N. Wu et al., "Accelergy: An Architecture-Level Energy Estimation Methodology for Accelerator Designs",
ICCAD 2019; form of the files after the reference outputs of Accelergy-Project/timeloop-accelergy-exercises (versions
0.2 to 0.4). An ERT gives pJ per action of one instance, an ART um2 per instance. A component is a path whose first
part is the system and whose parts may carry a range of instances: ``system.PE[0..15].weights_spad``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from accelsim.components import Component, Link, RegisterFile, Sram
from accelsim.config.yamlfile import Document, KeyPath
from accelsim.energy.price import Table
from accelsim.errors import ConfigError, PriceError

VERSION = "0.4"
DRAM_BITS = 64
"""Bits that an access of DRAM moves in files that we write."""
ACTIONS: dict[str, tuple[str, ...]] = {
    "read": ("read",), "write": ("write",), "access": ("read", "write"), "fill": ("write",),
    "transfer": ("transfer",), "transfer_random": ("transfer",), "compute": ("mac",), "mac": ("mac",),
    "mac_random": ("mac",), "multiply": ("mac",), "mac_gated": ("gated",), "gated_compute": ("gated",),
    "gated": ("gated",), "add": ("add",), "mul": ("mul",), "compare": ("compare",), "special": ("special",),
    "data": ("data",), "cycle": ("cycle",), "gates": ("gates",),
}  # fmt: skip
"""Action of an ERT -> actions of ours; ``leak`` becomes leakage, others have no counterpart."""
BY_BITS = ("read", "write", "transfer")
_RANGE = re.compile(r"\[[^\]]*\]")


class Entry(NamedTuple):
    """An action of a component: its energy in pJ, its arguments, and where it stands."""

    component: str
    action: str
    pj: float
    arguments: Mapping[str, Any]
    place: KeyPath


class Imported(NamedTuple):
    """A table of ours as plain data, and what a reader must know of what was left out or chosen."""

    data: dict[str, Any]
    notes: tuple[str, ...]


def is_ert(document: Document) -> bool:
    """Whether a file is an ERT or an ART."""
    return not {"ERT", "ART"}.isdisjoint(document.data)


def entries(document: Document) -> list[Entry]:
    """Return the actions of an ERT; raise ConfigError for what is none."""
    tables = _tables(document, "ERT")
    found = []
    for name, place, body in tables:
        actions = body.get("actions") if isinstance(body, Mapping) and "actions" in body else body
        for action, at, entry in _actions(document, actions, place):
            pj = _number(document, entry, "energy", at)
            arguments = entry.get("arguments") or {}
            if not isinstance(arguments, Mapping):
                raise document.error((*at, "arguments"), "arguments are names with values", "write them so")
            found.append(Entry(name, action, pj, arguments, at))
    return found


def areas(document: Document) -> dict[str, float]:
    """Return component -> um2 of an ART; raise ConfigError for what is none."""
    found = {}
    for name, place, body in _tables(document, "ART"):
        if not isinstance(body, Mapping):
            raise document.error(place, "a row of an ART has a name and an area", "write it so")
        found[name] = _number(document, body, "area", place)
    return found


def _tables(document: Document, kind: str) -> Iterator[tuple[str, KeyPath, Any]]:
    """Yield name, place and body of every component of an ERT or ART, whose tables are a list or a mapping."""
    head = document.data.get(kind)
    if not isinstance(head, Mapping) or not isinstance(head.get("tables"), list | Mapping):
        raise document.error(
            (kind,), f"this is no {kind} of Accelergy: it has no '{kind}: tables:'", f"give {kind}.yaml"
        )
    tables = head["tables"]
    if isinstance(tables, Mapping):
        for name, body in tables.items():
            yield str(name), (kind, "tables", name), body
        return
    for i, body in enumerate(tables):
        if not isinstance(body, Mapping) or not isinstance(body.get("name"), str):
            raise document.error((kind, "tables", i), "a component without a name", "add 'name'")
        yield body["name"], (kind, "tables", i), body


def _actions(document: Document, actions: Any, place: KeyPath) -> Iterator[tuple[str, KeyPath, Mapping[str, Any]]]:
    """Yield name, place and body of every action: a list of them, or action -> body or bodies."""
    pairs: list[tuple[Any, KeyPath, Any]] = []
    if isinstance(actions, list):
        for i, body in enumerate(actions):
            pairs.append((body.get("name") if isinstance(body, Mapping) else None, (*place, "actions", i), body))
    elif isinstance(actions, Mapping):
        for name, bodies in actions.items():
            many = bodies if isinstance(bodies, list) else [bodies]
            pairs += [(name, (*place, name), body) for body in many]
    else:
        raise document.error(place, "a component without actions", "add 'actions'")
    for name, at, body in pairs:
        if not isinstance(name, str) or not isinstance(body, Mapping):
            raise document.error(at, "an action has a name and an energy", "write it so")
        yield name, at, body


def _number(document: Document, body: Mapping[str, Any], key: str, place: KeyPath) -> float:
    value = body.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e12:
        raise document.error((*place, key), f"{value!r} is no {key}", "give a number from 0 to 1e12")
    return float(value)


def our_name(path: str, renamed: Mapping[str, str]) -> str:
    """Return what a component is called here: as ``renamed`` says of its path or last part, else without its system."""
    parts = [part for part in _RANGE.sub("", path).split(".") if part]
    rest = parts[1:] or parts
    return next(
        (renamed[key] for key in (".".join(parts), ".".join(rest), parts[-1]) if key in renamed), ".".join(rest)
    )


def to_table(
    ert: Document,
    art: Document | None,
    name: str,
    node: tuple[float, float],
    *,
    renamed: Mapping[str, str],
    bits: Mapping[str, int],
    machine: Sequence[Component] = (),
    base: str | None = None,
    sections: Sequence[str] = (),
) -> Imported:
    """Return a table with a named row per action, and per area.

    Parameters
    ----------
    node : (nm, volts)
        The process; an ERT does not say it.
    renamed : mapping
        A component's path, or its last part -> our name.
    bits : mapping
        Our name -> bits of an access, where neither the file nor the machine says so.
    machine : sequence of Component
        Whose names count and whose widths are those of accesses; any names without it.
    base, sections
        A table to inherit these sections from, for what the files do not price.

    Raises
    ------
    ConfigError
        No ERT or ART; an access of unknown width; two components of one name with different prices.
    """
    known = {component.name: component for component in machine}
    prices: dict[tuple[str, str], tuple[float, int]] = {}
    figures: dict[str, dict[str, float]] = {}
    notes: dict[str, None] = {}
    for component, action, entry in _random(entries(ert), notes):
        ours = our_name(component, renamed)
        if known and ours not in known:
            notes[f"{component}: the machine has no '{ours}', left out; --map says what it is"] = None
        elif action in ("leak", "idle"):
            if (mw := _leak_mw(entry)) is None:
                notes[f"{component}: '{action}' does not say how long a cycle is, left out"] = None
            else:
                figures.setdefault(ours, {})["leak_mw"] = mw
        elif action not in ACTIONS:
            notes[f"{component}: there is no counterpart of '{action}', left out"] = None
        else:
            for mine in ACTIONS[action]:
                if known and mine not in known[ours].actions:
                    notes[f"{component}: '{ours}' does not count '{mine}', left out"] = None
                    continue
                per = _bits(ert, entry, mine, ours, bits, known.get(ours))
                if prices.setdefault((ours, mine), (entry.pj, per)) != (entry.pj, per) and action != "fill":
                    problem = f"'{ours}' has two prices of '{mine}'"
                    raise ert.error(entry.place, problem, "tell its components apart with --map")
    for component, um2 in (areas(art) if art is not None else {}).items():
        ours = our_name(component, renamed)
        if um2 and (not known or ours in known):
            figures.setdefault(ours, {})["um2"] = um2
    if not prices:
        raise ConfigError(
            "nothing in it is a price of the machine", "say with --map what its components are", file=ert.name
        )
    files = " and ".join(PurePath(file.name).name for file in (ert, art) if file is not None)
    row = {"status": "computed", "source": "ert"}
    data: dict[str, Any] = {
        "name": name, "title": f"{files} of Accelergy",
        "node": {"nm": node[0], "vdd_v": node[1], "status": "assumed", "source": "node"},
        "sources": {
            "ert": f"reference tables of Accelergy, {files}",
            "node": "given to 'accelsim import', or that of the table inherited from: the files do not say it",
        },
    }  # fmt: skip
    if base is not None:
        data["inherits"] = [{"table": base, "sections": list(sections)}]
    data["named"] = [
        {"component": ours, "action": action, "pj": pj, "per_bits": per, **row}
        for (ours, action), (pj, per) in prices.items()
    ]
    data["named_area"] = [{"component": ours, **found, **row} for ours, found in figures.items()]
    return Imported(data, tuple(notes))


def _random(found: Sequence[Entry], notes: dict[str, None]) -> Iterator[tuple[str, str, Entry]]:
    """Yield each action once: of several with other arguments the dearest, that of random data."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        groups.setdefault((entry.component, entry.action), []).append(entry)
    for (component, action), group in groups.items():
        if len(group) > 1:
            notes[f"{component}: of {len(group)} energies of '{action}' the largest is taken"] = None
        yield component, action, max(group, key=lambda entry: entry.pj)


def _bits(
    document: Document, entry: Entry, action: str, ours: str, bits: Mapping[str, int], component: Component | None
) -> int:
    """Return how many bits an action moves; 1 of what is counted in operations."""
    if not (component.counts_bits if component is not None else action in BY_BITS):
        return 1
    found = bits.get(ours) or entry.arguments.get("bits") or (_width(component) if component is not None else None)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= 1 << 20:
        problem = f"how many bits '{entry.action}' of '{ours}' moves is not said"
        raise document.error(entry.place, problem, f"give --machine, or --bits {ours}=N")
    return found


def _leak_mw(entry: Entry) -> float | None:
    """Return the power of an energy per cycle; None where the length of a cycle is not said."""
    seconds = entry.arguments.get("global_cycle_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return None
    cycles = entry.arguments.get("action_latency_cycles", 1)
    return entry.pj / (seconds * 1e9 * cycles) if isinstance(cycles, int | float) and cycles > 0 else None


def _width(component: Component) -> int | None:
    """Return the bits of an access of a component that counts bits."""
    if isinstance(component, Sram | RegisterFile | Link):
        return component.width_bits
    return DRAM_BITS if component.kind == "dram" else None


def reference_tables(
    system: str, components: Sequence[Component], table: Table, clock_mhz: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a machine pays as an ERT and an ART; what the table does not price is left out.

    Energies per access are such that dividing them by the bits gives the table's price back, where there is such a
    double.
    """
    ert, art = [], []
    for component in components:
        name, actions = f"{system}.{component.name}[1..{component.count}]", []
        for action in component.actions:
            try:
                price = table.price(component, action)
            except PriceError:
                continue
            bits = _width(component) if component.counts_bits else None
            arguments = {"bits": bits} if bits else {}
            actions.append({"name": action, "arguments": arguments, "energy": _times(price.pj, bits or 1)})
        try:
            leak = table.leak_mw(component).value
        except PriceError:
            leak = None
        if leak is not None:
            seconds = 1e-6 / clock_mhz
            cycle = {"global_cycle_seconds": seconds, "action_latency_cycles": 1}
            actions.append({"name": "leak", "arguments": cycle, "energy": _times(leak, seconds * 1e9)})
        if actions:
            ert.append({"name": name, "actions": actions})
        try:
            art.append({"name": name, "area": _times(table.area_mm2(component).value, 1e6)})
        except PriceError:
            continue
    return {"ERT": {"version": VERSION, "tables": ert}}, {"ART": {"version": VERSION, "tables": art}}


def _times(value: float, by: float) -> float:
    """Return ``value`` times ``by``, or its neighbour that ``by`` divides into ``value`` again."""
    product = value * by
    near = (product, math.nextafter(product, math.inf), math.nextafter(product, 0.0))
    return next((each for each in near if each / by == value), product)
