"""The run as a trace of events in Chrome's JSON format: ui.perfetto.dev and chrome://tracing open it.

One track per unit, where each layer is a slice and its tiles are slices inside, and one for the DRAM bus. Times are
microseconds at the core clock, whole nanoseconds; ``args`` hold the exact cycles. Size is bounded: where a layer has
too many tiles the first ones are drawn and one slice stands for the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf, nextafter
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Step, count
from accelsim.errors import UserError
from accelsim.memory import timeline
from accelsim.memory.timeline import Traced
from accelsim.report import facts, network_trace, power, words
from accelsim.results import LayerResult, NetworkResult
from accelsim.version import __version__

MOST_POWERS = 20_000
"""Points of the track of power: where a run has more pieces, means over equal times."""
MOST_EVENTS = 60_000
"""Events of tiles in one trace: about 9 MB."""
_PID = 1
_BUS = 1
_WORDS = {"loads": "load", "stores": "store", "before": "load before computing", "after": "store after computing"}


class Trace(NamedTuple):
    """A trace, and what it had to leave out.

    Attributes
    ----------
    document : dict
        As the JSON file holds it.
    events, dropped_events, dropped_tiles : int
        Of tiles; slices of layers and names of tracks are not counted, they are never dropped.
    coupled : tuple of str
        Layers whose engine models memory itself: they have no tiles to draw.
    """

    document: dict[str, Any]
    events: int
    dropped_events: int
    dropped_tiles: int
    coupled: tuple[str, ...]

    def to_json(self) -> str:
        """Return the trace as JSON text, an event per line."""
        head = {key: value for key, value in self.document.items() if key != "traceEvents"}
        lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in self.document["traceEvents"])
        return f'{json.dumps(head)[:-1]}, "traceEvents": [\n{lines}\n]}}\n'

    def remarks(self) -> list[str]:
        """Return what a reader must know of what the trace does not show."""
        found = []
        if self.dropped_events:
            found.append(
                f"the trace holds {self.events:,} events of tiles and leaves out {self.dropped_events:,}, of "
                f"{self.dropped_tiles:,} tiles; each layer says how many it lacks"
            )
        if self.coupled:
            names = ", ".join(self.coupled[:3]) + (", ..." if len(self.coupled) > 3 else "")
            have = "1 layer has" if len(self.coupled) == 1 else f"{len(self.coupled)} layers have"
            found.append(f"{have} no tiles, the engine models memory itself: {names}")
        return found


def trace(result: NetworkResult, most: int = MOST_EVENTS) -> Trace:
    """Return the trace of a result of ``simulate(..., trace=True)``, with at most about ``most`` events of tiles.

    Raises
    ------
    UserError
        The result holds no tiles.
    """
    schedule, result = result.schedule, result.alone
    layers = [layer for layer in result.simulated if layer.cycles]
    if not any(layer.tiles for layer in layers):
        raise UserError("the result holds no tiles", "simulate with trace=True")
    wanted = [_events(layer) for layer in layers]
    shares = _shares(wanted, most)
    seen: dict[str, Traced] = {}
    tracks = {name: i for i, name in enumerate(dict.fromkeys(layer.unit for layer in layers), start=_BUS + 1)}
    events: list[dict[str, Any]] = []
    drawn = dropped = tiles = 0
    for layer, want, share in zip(layers, wanted, shares, strict=True):
        track = tracks[layer.unit]
        events.append(_layer(result, layer, track))
        if not want or layer.tiles is None:
            continue
        traced = timeline.trace(layer.tiles.schedule, layer.tiles.dram, share)
        seen[layer.name] = traced
        drawn += len(traced.spans)
        events += _tiles(result, layer, traced, track)
        if traced.drawn < traced.tiles:
            dropped += want - len(traced.spans)
            tiles += traced.tiles - traced.drawn
            events.append(_rest(result, layer, traced, want, track))
    coupled = tuple(layer.name for layer in layers if layer.tiles and layer.tiles.schedule is None)
    curve, window = power.of_tiles(result, seen), power.window_us(result)
    events += _powers(result, curve)
    about = _about(result) | {
        "average_mw": curve.average_mw,
        "peak_mw": curve.peak_mw(window),
        "power_window_us": window,
    }
    about |= {"tile_events": drawn, "dropped_events": dropped, "dropped_tiles": tiles}
    names = [_name("process_name", words.title(result)), _name("thread_name", "DRAM bus", _BUS)]
    names += [_name("thread_name", f"unit {name}", track) for name, track in tracks.items()]
    if schedule is not None:
        events += network_trace.events(result, schedule, lambda cycle: _us(_ns(result, cycle)))
    document = {
        "displayTimeUnit": "ns",
        "otherData": about | {"layers_without_tiles": len(coupled)},
        "traceEvents": names + events,
    }
    return Trace(document, drawn, dropped, tiles, coupled)


def _events(layer: LayerResult) -> int:
    """Return how many spans the whole schedule of a layer would make."""
    if layer.tiles is None or not layer.tiles.schedule:
        return 0

    def parts(step: Step) -> int:
        return sum(map(bool, (step.loads, step.before, step.compute_cycles, step.stores, step.after)))

    return count(layer.tiles.schedule, parts)


def _shares(wanted: Sequence[int], most: int) -> list[int]:
    """Share ``most`` events out: small layers whole, the others equally."""
    shares = [0] * len(wanted)
    left = most
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for place, i in enumerate(order):
        shares[i] = min(wanted[i], left // (len(order) - place))
        left -= shares[i]
    return shares


def _layer(result: NetworkResult, layer: LayerResult, track: int) -> dict[str, Any]:
    args: dict[str, Any] = {
        "cycle": layer.start_cycle,
        "cycles": layer.cycles,
        "compute_cycles": layer.compute_cycles,
        "stall_cycles": layer.stall_cycles,
        "bound_by": layer.bound_by,
        "kind": layer.kind,
        "macs": layer.macs,
        "occupancy": round(layer.occupancy, 6),
        "dram_bits": layer.dram_bits,
        "energy_uj": round(layer.total_energy_pj * 1e-6, 6),
    }
    args |= {f"{cause}_unit_cycles": n for cause, n in facts.causes(layer).items()}
    if layer.tiles is not None and layer.tiles.schedule is None:
        args["tiles"] = "none: the engine models memory itself"
    return _slice(result, layer.name, "layer", layer.start_cycle, layer.cycles, track, args)


def _tiles(result: NetworkResult, layer: LayerResult, traced: Traced, track: int) -> list[dict[str, Any]]:
    found = []
    for span in traced.spans:
        start = layer.start_cycle + span.start_cycle
        args = {"tile": span.tile, "cycle": start, "cycles": span.cycles}
        if span.what == "compute":
            found.append(_slice(result, "compute", "compute", start, span.cycles, track, args))
        else:
            name = f"{_WORDS[span.what]} {layer.name}"
            found.append(_slice(result, name, span.what, start, span.cycles, _BUS, args))
    return found


def _powers(result: NetworkResult, curve: power.Power) -> list[dict[str, Any]]:
    """Return a counter of every component's power in mW wherever it changes, and 0 at the end."""
    curve = curve.coarser(MOST_POWERS)
    rows = np.column_stack([curve.mw(pj) for pj in curve.pj.values()]) if curve.pj else np.zeros((0, 0))
    found = []
    for cycle, row in zip(curve.edges.tolist(), [*rows.tolist(), [0.0] * len(curve.pj)], strict=True):
        args = {name: round(mw, 6) for name, mw in zip(curve.pj, row, strict=True)}
        found.append({"name": "power (mW)", "ph": "C", "ts": _us(_ns(result, cycle)), "pid": _PID, "args": args})
    return found


def _rest(result: NetworkResult, layer: LayerResult, traced: Traced, want: int, track: int) -> dict[str, Any]:
    """Return the slice that stands for the tiles of a layer that were not drawn."""
    ends = (span.start_cycle + span.cycles for span in traced.spans if span.what == "compute")
    start = layer.start_cycle + max(ends, default=0)
    missing = traced.tiles - traced.drawn
    cycles = layer.start_cycle + layer.cycles - start
    args = {"cycle": start, "cycles": cycles, "dropped_tiles": missing, "dropped_events": want - len(traced.spans)}
    return _slice(result, f"{missing:,} more tiles, not drawn", "dropped", start, cycles, track, args)


def _slice(
    result: NetworkResult, name: str, category: str, start: int, cycles: int, track: int, args: dict[str, Any]
) -> dict[str, Any]:
    """Return a complete event. Both ends are rounded, so that neighbours meet and what lies inside stays inside."""
    begin, end = (_ns(result, cycle) for cycle in (start, start + cycles))
    return {
        "name": name, "cat": category, "ph": "X", "ts": _us(begin), "dur": _us(end - begin), "pid": _PID, "tid": track,
        "args": args,
    }  # fmt: skip


def _ns(result: NetworkResult, cycle: int) -> int:
    return round(cycle * 1000 / result.clock_mhz)


def _us(ns: int) -> float:
    """Return microseconds that are still ``ns`` for a reader that multiplies by 1000 and cuts, as Perfetto does."""
    found = ns / 1000
    return found if int(found * 1000.0) == ns else nextafter(found, inf)


def _name(what: str, name: str, track: int = 0) -> dict[str, Any]:
    return {"name": what, "ph": "M", "ts": 0, "pid": _PID, "tid": track, "args": {"name": name}}


def _about(result: NetworkResult) -> dict[str, Any]:
    return {
        "accelsim": __version__,
        "arch": result.arch_name,
        "network": result.network,
        "batch": result.batch,
        "clock_mhz": result.clock_mhz,
        "cycles": result.cycles,
    }
