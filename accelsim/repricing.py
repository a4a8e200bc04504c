"""The same run under another energy table: what was counted stays, prices change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accelsim import network_energy
from accelsim.activity import Event
from accelsim.charges import areas_of, energy_of, full_name, machine_components, stalled_of, table_of, unit_components
from accelsim.config import arch as spec
from accelsim.config.arch import Arch
from accelsim.config.yamlfile import Document
from accelsim.energy import Table, price_sets, prices_in_use
from accelsim.engines import registry
from accelsim.errors import ConfigError, UserError
from accelsim.layer import PRICED
from accelsim.results import LayerResult, NetworkResult
from accelsim.schedules import NetworkSchedule
from accelsim.simulation import not_modelled


def repriced(result: NetworkResult, table: str | None = None, node_nm: float | None = None) -> NetworkResult:
    """Return a result with its energies and areas by another table, at another node, or both.

    Parameters
    ----------
    result : NetworkResult
        Fresh, or read from a report.json.
    table : str, optional
        Packaged table or path to one; the machine's own by default.
    node_nm : float, optional
        As ``energy.node``; nothing is scaled by default.

    Raises
    ------
    ConfigError
        No such table or node; a report without counts of events, or of a machine that this build does not know.
    PriceError
        An event that the table does not price.
    """
    sets = price_sets(table, node_nm)
    if not sets:
        return result
    try:
        document = Document(dict(result.arch), f"machine of the report, {result.arch_name}", {})
        arch = spec.build(spec.override(document, sets, "--energy-table"), registry.find_params)
    except UserError as error:
        raise ConfigError(f"cannot be priced again: {error}", "run it with this build", file=result.arch_name) from None
    prices = table_of(arch)
    layers = tuple(_layer(arch, layer, prices) for layer in result.layers)
    before = result.options.get("energy_table")
    areas = areas_of(arch, prices)
    note = f"energies and area by {prices.name}; the run was priced by {before}"
    if arch.mapping.objective in PRICED and arch.mapping.prices is None:
        note += ", by which its mappings were chosen"
    return replace(
        result,
        arch=arch.config,
        layers=layers,
        options={**result.options, "energy_table": prices.name},
        not_modelled=not_modelled(arch, {layer.unit for layer in result.simulated}, result.schedule is not None),
        notes=(*result.notes, note),
        area_mm2=areas.mm2,
        area_missing=areas.left_out,
        area_parts_mm2=areas.parts_mm2,
        prices=prices_in_use(machine_components(arch), prices),
        schedule=_schedule(arch, layers, result.schedule),
    )


def _schedule(arch: Arch, layers: Sequence[LayerResult], schedule: NetworkSchedule | None) -> NetworkSchedule | None:
    if schedule is None:
        return None
    simulated = [layer for layer in layers if layer.simulated]
    return replace(schedule, energy_pj=network_energy.energy_pj(arch, simulated, schedule))


def _layer(arch: Arch, layer: LayerResult, table: Table) -> LayerResult:
    if not layer.simulated or layer.folded_into:
        return layer
    if layer.energy_pj and not layer.events:
        problem = "the report has no counts of events, so it cannot be priced again"
        raise ConfigError(problem, "write it again with 'accelsim run'", file=arch.name)
    unit = next(unit for unit in arch.units if unit.name == layer.unit)
    names = {full_name(arch, unit, component.name): component.name for component in unit_components(arch, unit)}
    if strange := sorted(layer.events.keys() - names):
        problem = f"the report counts events of '{strange[0]}', which this build's machine does not have"
        raise ConfigError(problem, "write it again with 'accelsim run'", file=arch.name)
    counted = {
        Event(names[name], action): count for name, mine in layer.events.items() for action, count in mine.items()
    }
    dram_pj = layer.energy_pj["dram"] if layer.dram.get("energy_pj") else None
    energy = energy_of(arch, unit, counted, layer.cycles, table, dram_pj)
    stalled = stalled_of(arch, energy, layer.cycles, layer.stall_cycles, table)
    return replace(layer, energy_pj=energy, stalled_pj=stalled)
