"""The result as report.json: everything that was computed, deterministic and strict.

The same result gives the same bytes: key order is fixed, floats are written in their shortest exact form, and
neither time, host nor path is in it. Totals are for the whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from numbers import Integral, Real
from typing import Any

from accelsim.activity import BOUNDARIES, TENSORS
from accelsim.config.arch import unsourced
from accelsim.errors import ModelError
from accelsim.report import clocked, facts, power
from accelsim.report.facts import in_order
from accelsim.results import SCHEMA, SCHEMA_SCHEDULED, LayerResult, NetworkResult, TrafficRow
from accelsim.schedules import LayerTime, NetworkSchedule
from accelsim.text import json_text
from accelsim.version import __version__


def document(result: NetworkResult) -> dict[str, Any]:
    """Return report.json as plain dicts, lists, strings, numbers, booleans and None.

    Raises
    ------
    ModelError
        When a figure is not a finite number or a value has no place in a report.
    """
    times = clocked.by_layer(result)
    found = {
        "schema": SCHEMA if result.schedule is None else SCHEMA_SCHEDULED,
        "accelsim": __version__,
        "arch": result.arch,
        "network": {
            "name": result.network,
            "source": result.source,
            "batch": result.batch,
            "isolated": result.isolated,
        },
        "options": result.options,
        "prices": result.prices,
        "unsourced": unsourced(result.arch),
        "not_modelled": result.not_modelled,
        "notes": result.notes,
        "totals": _totals(result),
        "layers": [_layer(layer) | _place(times.get(layer.name)) for layer in result.layers],
    }
    if result.joins:
        found["joins"] = result.joins
    if result.advice is not None:
        found["advice"] = {**result.advice._asdict(), "gained": [tried._asdict() for tried in result.advice.gained]}
    if result.energy_tables:
        found["energy_tables"] = _tables(result)
    if result.schedule is not None:
        found["schedule"] = _schedule(result.schedule)
    return {key: plain(value, key) for key, value in found.items()}


def _tables(result: NetworkResult) -> dict[str, Any]:
    ends = facts.span(result)
    span = None
    if ends is not None:
        span = {"least_pj": ends[0], "largest_pj": ends[1], "ratio": ends[1] / ends[0] if ends[0] else None}
    return {"rows": [price._asdict() for price in result.energy_tables], "span": span}


def to_json(result: NetworkResult) -> str:
    """Return report.json as text, ending in a newline."""
    return json_text(json.dumps(document(result), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def plain(value: Any, where: str = "") -> Any:
    """Return ``value`` as JSON has it; numpy numbers become numbers, tuples become lists.

    An infinite figure of the configuration (a bandwidth without limit) is written as the text ``inf``; anywhere
    else a number that is not finite is our bug.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _finite(float(value), where)
    if hasattr(value, "item"):
        return plain(value.item(), where)
    raise ModelError(f"{where}: a report cannot hold a {type(value).__name__}")


def _finite(value: float, where: str) -> float | str:
    if isfinite(value):
        return value
    if value == value and where.split(".")[0] in ("arch", "options"):
        return str(value)
    raise ModelError(f"{where}: {value} in a report")


def _schedule(schedule: NetworkSchedule) -> dict[str, Any]:
    accounts = {
        unit: {kind: account._asdict() for kind, account in kinds.items()} for unit, kinds in schedule.accounts.items()
    }
    layers = [
        {**layer._asdict(), "moves": {place: bus._asdict() for place, bus in layer.moves.items()}}
        for layer in schedule.layers
    ]
    return {
        **{key: getattr(schedule, key) for key in _SCHEDULE},
        "layers": layers,
        "accounts": accounts,
        "critical": [part._asdict() for part in schedule.critical],
        "factors": [factor._asdict() for factor in schedule.factors],
        "buffers": [buffer._asdict() for buffer in schedule.buffers],
        "kept": [kept._asdict() for kept in schedule.kept],
        "energy_pj": dict(schedule.energy_pj),
        "unwritten": list(schedule.unwritten),
        "folded": [fold._asdict() for fold in schedule.folded],
    }


_SCHEDULE = (
    "prefetch", "overlap", "cycles", "isolated_cycles", "lower_bound_cycles", "residency", "proof", "dram_read_bits",
    "dram_write_bits", "isolated_dram_bits",
)  # fmt: skip


def _totals(result: NetworkResult) -> dict[str, Any]:
    area = result.area_mm2
    return {
        "cycles": result.cycles,
        "clock_mhz": result.clock_mhz,
        "time_s": result.time_s,
        "macs": result.macs,
        "nonzero_weight_macs": result.nonzero_weight_macs,
        "nonzero_input_macs": result.nonzero_input_macs,
        "effective_macs": result.effective_macs,
        "performed_macs": result.performed_macs,
        "total_energy_pj": float(result.total_energy_pj),
        "energy_pj": result.energy_pj,
        "edp_pj_s": float(result.edp_pj_s),
        "power": power.to_document(result),
        "dram_read_bits": result.dram_read_bits,
        "dram_write_bits": result.dram_write_bits,
        "occupancy": result.occupancy,
        "utilization": result.utilization,
        "tops": result.tops,
        "tops_per_w": result.tops_per_w,
        "effective_tops": result.effective_tops,
        "effective_tops_per_w": result.effective_tops_per_w,
        "area_mm2": sum(area.values()) if area else None,
        "area_mm2_by_component": area,
        "area_parts_mm2": result.area_parts_mm2,
        "area_missing": result.area_missing,
        "stored": {tensor: size._asdict() for tensor, size in result.stored.items()},
        "partial": result.partial,
        "complete": result.complete,
        "coverage": result.coverage,
    } | _beside(result)


def _beside(result: NetworkResult) -> dict[str, Any]:
    """Return what the totals of a network on one clock stand beside."""
    if result.schedule is None:
        return {}
    return {
        "isolated_cycles": result.schedule.isolated_cycles,
        "isolated_dram_bits": result.schedule.isolated_dram_bits,
        "lower_bound_cycles": result.schedule.lower_bound_cycles,
    }


def _place(time: LayerTime | None) -> dict[str, Any]:
    if time is None:
        return {}
    return {"isolated_cycles": time.isolated_cycles, "end_cycle": time.end_cycle, "waits": time.waits}


def _layer(layer: LayerResult) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "unit": layer.unit,
        "simulated": layer.simulated,
        "reason": layer.reason,
        "count": 1,  # a row is a single layer; the format promises the key
        "shape": layer.shape,
        "bits": layer.bits,
        "macs": layer.macs,
        "nonzero_weight_macs": layer.nonzero_weight_macs,
        "nonzero_input_macs": layer.nonzero_input_macs,
        "effective_macs": layer.effective_macs,
        "performed_macs": layer.performed_macs,
        "start_cycle": layer.start_cycle,
        "cycles": layer.cycles,
        "compute_cycles": layer.compute_cycles,
        "stall_cycles": layer.stall_cycles,
        "dram_cycles": layer.dram_cycles,
        "bound_by": layer.bound_by,
        "fidelity": layer.fidelity,
        "mapping": layer.mapping,
        "mapping_source": layer.mapping_source,
        "primary": layer.primary,
        "accounts": {
            kind: {"units": account.units, "causes": {c: account.causes[c] for c in in_order(account.causes)}}
            for kind, account in layer.accounts.items()
        },
        "occupancy": layer.occupancy,
        "utilization": layer.utilization,
        "mapping_efficiency": layer.mapping_efficiency,
        "traffic": [row._asdict() for row in sorted(layer.traffic, key=_traffic_order)],
        "dram_read_bits": layer.dram_read_bits,
        "dram_write_bits": layer.dram_write_bits,
        "dram_bits_touched": layer.dram_bits_touched,
        "buffers": {name: use._asdict() for name, use in layer.buffers.items()},
        "stored": {tensor: size._asdict() for tensor, size in layer.stored.items()},
        "needed_bits_per_cycle": layer.needed_bits_per_cycle,
        "total_energy_pj": float(layer.total_energy_pj),
        "energy_pj": layer.energy_pj,
        "stalled_pj": layer.stalled_pj,
        "events": layer.events,
        "checked": layer.checked,
        "details": layer.details,
        **({"parent": layer.parent} if layer.parent else {}),
        **({"folded_into": layer.folded_into} if layer.folded_into else {}),
        **({"dram": layer.dram} if layer.dram else {}),
    }


def _traffic_order(row: TrafficRow) -> tuple[int, str, int, str, str]:
    """Return a sort key: from DRAM inwards, then by tensor, then read before write."""
    level = row.boundary.split(".")[0]
    return (
        BOUNDARIES.index(level) if level in BOUNDARIES else len(BOUNDARIES),
        row.boundary,
        TENSORS.index(row.tensor) if row.tensor in TENSORS else len(TENSORS),
        row.tensor,
        row.direction,
    )
