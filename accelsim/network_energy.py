"""The energy of a network on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelsim.activity import Event
from accelsim.charges import buffer_components, full_name, machine_components, table_of, unit_components
from accelsim.components import Clock
from accelsim.config.arch import Arch
from accelsim.energy import LEAKAGE, clocked, leakage_mw
from accelsim.energy import energy_pj as priced
from accelsim.results import LayerResult
from accelsim.rooms import Moved
from accelsim.schedules import UnitAccount


def energy_pj(
    arch: Arch, layers: Sequence[LayerResult], moves: Sequence[Moved],
    accounts: Mapping[str, Mapping[str, UnitAccount]], cycles: int,
) -> dict[str, float]:  # fmt: skip
    """Return component -> energy: that of the layers, but for DRAM, buffers, clocks and leakage.

    Parameters
    ----------
    layers : sequence of LayerResult
        Those that were simulated.
    moves : sequence of Moved
        What each of them moves.
    accounts : mapping
        Unit -> kind -> account, of the network.
    cycles : int
        Of the network.
    """
    table, found = table_of(arch), dict[str, float]()
    units = {unit.name: unit_components(arch, unit) for unit in arch.units}
    clocks = {
        full_name(arch, unit, c.name) for unit in arch.units for c in units[unit.name] if isinstance(c, Clock)
    }  # fmt: skip
    for layer in layers:
        for name, pj in layer.energy_pj.items():
            if name not in clocks and name not in (LEAKAGE, "dram"):
                found[name] = found.get(name, 0.0) + pj
    for unit in arch.units:
        if unit.name not in accounts:
            continue
        events = clocked(units[unit.name], {k: a.causes for k, a in accounts[unit.name].items()}, arch.clock_gating)
        parts = [c for c in units[unit.name] if isinstance(c, Clock)]
        names = {c.name for c in parts}
        mine = {event: count for event, count in events.items() if event.component in names}
        for name, pj in priced(parts, mine, table).items():
            if name in names:
                found[full_name(arch, unit, name)] = pj
    shared = machine_components(arch)
    moved = {Event("dram", way): sum(layer.events.get("dram", {}).get(way, 0) for layer in layers)
             for way in ("read", "write")}  # fmt: skip
    moved[Event("dram", "read")] -= sum(move.saved_read_bits for move in moves)
    moved[Event("dram", "write")] -= sum(move.saved_written_bits for move in moves)
    for buffer in arch.memory.buffers:
        name = f"glb.{buffer.name}"
        moved[Event(name, "read")] = sum(move.read_bits.get(buffer.name, 0) for move in moves)
        moved[Event(name, "write")] = sum(move.written_bits.get(buffer.name, 0) for move in moves)
    outside = (*buffer_components(arch), shared[-1])
    found |= {name: pj for name, pj in priced(outside, moved, table).items() if name != LEAKAGE}
    time_ns = float(cycles * 1000 / arch.clocks_mhz["core"])
    found[LEAKAGE] = leakage_mw(shared, table) * time_ns
    return found
