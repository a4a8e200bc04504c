"""The energy of a network on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from accelsim.activity import Event
from accelsim.charges import buffer_components, full_name, machine_components, table_of, unit_components
from accelsim.components import Clock
from accelsim.config.arch import Arch
from accelsim.energy import LEAKAGE, clocked, leakage_mw
from accelsim.energy import energy_pj as priced
from accelsim.results import LayerResult
from accelsim.schedules import NetworkSchedule


def energy_pj(arch: Arch, layers: Sequence[LayerResult], schedule: NetworkSchedule) -> dict[str, float]:
    """Return component -> energy: that of the layers, but for DRAM, buffers, clocks and leakage.

    Parameters
    ----------
    layers : sequence of LayerResult
        Those that were simulated.
    schedule : NetworkSchedule
        Its cycles, accounts and what it moves count; not its energy.
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
        if unit.name not in schedule.accounts:
            continue
        causes = {kind: account.causes for kind, account in schedule.accounts[unit.name].items()}
        events = clocked(units[unit.name], causes, arch.clock_gating)
        parts = [c for c in units[unit.name] if isinstance(c, Clock)]
        names = {c.name for c in parts}
        mine = {event: count for event, count in events.items() if event.component in names}
        for name, pj in priced(parts, mine, table).items():
            if name in names:
                found[full_name(arch, unit, name)] = pj
    whole = machine_components(arch)
    saved = (
        sum(layer.dram_read_bits for layer in layers) - schedule.dram_read_bits,
        sum(layer.dram_write_bits for layer in layers) - schedule.dram_write_bits,
    )
    moved = {
        Event("dram", way): sum(layer.events.get("dram", {}).get(way, 0) for layer in layers) - less
        for way, less in zip(("read", "write"), saved, strict=True)
    }
    shared = {spec.name for spec in arch.memory.buffers}  # a unit's own storage is in the energy of its layers
    for buffer in (each for each in schedule.buffers if each.name in shared):
        moved[Event(f"glb.{buffer.name}", "read")] = buffer.read_bits
        moved[Event(f"glb.{buffer.name}", "write")] = buffer.written_bits
    outside = (*buffer_components(arch), whole[-1])
    if schedule.dram.get("energy_pj"):  # of a device, by its commands
        found["dram"] = fsum(schedule.dram["energy_pj"].values())
        outside = (*(component for component in outside if component.name != "dram"),)
        moved = {event: bits for event, bits in moved.items() if event.component != "dram"}
    found |= {name: pj for name, pj in priced(outside, moved, table).items() if name != LEAKAGE}
    time_ns = float(schedule.cycles * 1000 / arch.clocks_mhz["core"])
    found[LEAKAGE] = leakage_mw(whole, table) * time_ns
    return found
