"""A layer's activity on a DRAM device: when its tiles are over, what the channels did, and what that cost.

See docs/decisions/0088-dram-behind-machines.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Flow, Step, Transfer
from accelsim.config.arch import Arch
from accelsim.config.dram import standard
from accelsim.config.schema import DramSpec
from accelsim.errors import ConfigError, ModelError
from accelsim.memory import timeline
from accelsim.memory.device import kernel as k
from accelsim.memory.device import traces
from accelsim.memory.device.channel import Controller, Device, Requests
from accelsim.memory.device.door import Door
from accelsim.memory.device.energy import CommandEnergy, energy, per_bit, per_command, pins_nj
from accelsim.memory.device.machine import Coupling, Layer, Places, serve
from accelsim.memory.device.summary import COMMANDS, bus_clocks
from accelsim.memory.dram import DramModel
from accelsim.results import NetworkResult
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import PRODUCTS

TURN_BYTES = 4096
"""What a flow of a coupled engine moves before another's turn, unless the machine says: assumed."""
RATE_PARTS = 256
"""The bandwidth of such an engine is a multiple of this part of a bit per cycle, rounded down."""

ISOLATED = (
    "layers are isolated because of the DRAM device: one clock for a network knows DRAM as bandwidth and latency; "
    "--set memory.dram.device=none puts them on it"
)
"""What a report says of a connected network whose layers would otherwise be on one clock."""


class OnDevice(NamedTuple):
    """A layer on a device.

    Attributes
    ----------
    activity : Activity
        With whole transactions as traffic; of a coupled engine walked at the bandwidth that the device gave.
    cycles, stall_cycles : int
    facts : dict
        ``layers[].dram`` of a report.
    energy_pj : float or None
        Of all commands; None for a standard without currents.
    requests : ndarray or None
        Earliest clock, address in bytes and whether written, where asked for.
    """

    activity: Activity
    cycles: int
    stall_cycles: int
    facts: dict[str, Any]
    energy_pj: float | None
    requests: np.ndarray | None


@lru_cache(maxsize=256)
def device_of(spec: DramSpec) -> Device | None:
    """Return the device of a machine, None without one."""
    if spec.device is None:
        return None
    controller = Controller(spec.page, spec.cap, spec.queue)
    return Device(standard.load(spec.device), spec.channels, spec.mapping, controller)


def commands_of(spec: DramSpec) -> CommandEnergy | None:
    """Return the energy of each command of a machine's device; None without device or currents."""
    device = device_of(spec)
    return None if device is None else per_command(device.standard)


def pj_per_bit(spec: DramSpec, direction: str) -> float | None:
    """Return what a bit costs in a read or write command: for ranking mappings; None without device or currents."""
    one, device = commands_of(spec), device_of(spec)
    if one is None or device is None:
        return None
    nj = one.read_nj if direction == "read" else one.write_nj
    return 1000 * nj / (8 * device.standard.organisation.tx_bytes)


def roles(view: LayerView, tensors: Mapping[str, tuple[int, int]]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return what engines call a layer's tensors -> where they lie."""
    inputs, weights = view.inputs, view.weights
    if view.kind in PRODUCTS and not weights:
        inputs, weights = view.inputs[:1], view.inputs[1:]

    def of(some: tuple[Tensor, ...]) -> tuple[tuple[int, int], ...]:
        return tuple(tensors[t.name] for t in some if t.name in tensors)

    found = {"input": of(inputs), "weight": of(weights[:1]), "output": of(view.outputs)}
    return {role: pieces for role, pieces in found.items() if pieces}


def on_device(
    activity: Activity, spec: DramSpec, core_mhz: Fraction, dram: DramModel, places: Callable[[], Places],
    again: Callable[..., Activity], *, asks: str = "", requests: bool = False,
) -> OnDevice:  # fmt: skip
    """Return a layer on the machine's device.

    Parameters
    ----------
    activity : Activity
        Under ``dram``, the simple model of the device.
    places : callable
        Where the layer's tensors lie, anew at each call.
    again : callable
        Walks the layer under another simple model, and a door to the device if one is given: for engines that ask for
        memory inside their walk.
    asks : str
        How the engine asks through the door, `Engine.asks_device`.
    requests : bool
        Whether to keep the requests.
    """
    device = device_of(spec)
    assert device is not None
    ratio = Fraction(10**6) / core_mhz / device.standard.timing.tck_ps
    coupling = Coupling(device, ratio, spec.turn_bytes or 0)
    if activity.schedule is not None:
        simple = timeline.run(activity.schedule, dram).cycles
        found = serve(activity.schedule, coupling, places(), trace=requests)
        if found.compute_cycles != activity.compute_cycles:
            raise ModelError(f"tiles compute {found.compute_cycles} cycles, not {activity.compute_cycles}")
        stall = found.cycles - found.compute_cycles
        way = "tiles"
    elif asks:
        simple, way = activity.compute_cycles, asks
        door = Door(coupling, places(), keep=requests)
        activity = again(dram, door)
        found = door.end(activity.compute_cycles, activity.compute_cycles - activity.stall_cycles)
        stall = activity.stall_cycles + found.cycles - activity.compute_cycles
    else:
        simple, way = activity.compute_cycles, "bandwidth"
        activity, found = _coupled(activity, coupling, dram, places, again, requests)
        stall = activity.stall_cycles
    activity = replace(activity, traffic=_whole(activity.traffic, found, device))
    facts = _facts(found, device, simple)
    facts["coupling"] = way
    used = energy(device, found.served)
    facts["energy_pj"] = None if used is None else {name: 1000 * nj for name, nj in used._asdict().items()}
    pins = pins_nj(device, found.served)
    facts["io_energy_pj"] = None if pins is None else {way: 1000 * nj for way, nj in pins.items()}
    pj = None if used is None else 1000 * used.total_nj
    kept = None
    if requests:
        kept = found.trace * np.array([1, device.standard.organisation.tx_bytes, 1])
    return OnDevice(activity, found.cycles, stall, facts, pj, kept)


def _coupled(
    activity: Activity, coupling: Coupling, dram: DramModel, places: Callable[[], Places],
    again: Callable[..., Activity], requests: bool,
) -> tuple[Activity, Layer]:  # fmt: skip
    """Return a layer at the bandwidth at which the device serves its traffic as streams, and that traffic served."""
    flows = [(flow, bits) for flow, bits in sorted(activity.traffic.items()) if flow.boundary == "dram" and bits]
    moved = tuple(Transfer(flow.tensor, flow.direction, bits) for flow, bits in flows)
    coupling = coupling._replace(turn_bytes=coupling.turn_bytes or TURN_BYTES)
    alone = serve((Step(moved, 0, ()),), coupling, places())
    bits = sum(dram.bus_bits(transfer) for transfer in moved)
    parts = bits * RATE_PARTS // max(1, alone.cycles - dram.latency_cycles)
    rate = min(dram.bits_per_cycle, Fraction(max(1, parts), RATE_PARTS))
    slower = again(dram._replace(bits_per_cycle=rate))
    rest = max(0, slower.compute_cycles - alone.cycles)
    found = serve((Step(moved, rest, ()),), coupling, places(), trace=requests)
    # one that overlaps less than the stream ends with it
    return slower, found._replace(cycles=slower.compute_cycles)


def _whole(traffic: Mapping[Flow, int], found: Layer, device: Device) -> dict[Flow, int]:
    """Return traffic whose bits at DRAM are whole transactions: what is beyond useful ones is tensor ``other``."""
    last = found.served.channel.sum(axis=0)
    if found.reads + found.writes != int(last[k.RDS] + last[k.WRS] + last[k.FORWARDED] + last[k.MERGED]):
        raise ModelError(f"{found.reads + found.writes} transactions were offered, others served: {last.tolist()}")
    changed = dict(traffic)
    for way, count in (("read", found.reads), ("write", found.writes)):
        bits = 8 * device.standard.organisation.tx_bytes * count
        counted = sum(b for flow, b in traffic.items() if flow.boundary == "dram" and flow.direction == way)
        other = Flow("dram", "other", way)  # type: ignore[arg-type]
        if bits != counted:
            changed[other] = changed.get(other, 0) + bits - counted
            if changed[other] < 0:
                raise ModelError(f"transactions of {bits} bits do not hold {counted} bits to {way}")
    return changed


def _facts(found: Layer, device: Device, simple: int) -> dict[str, Any]:
    """Return what a report says of a layer's DRAM; clocks are the device's."""
    last, served = found.served.channel.sum(axis=0), found.served
    clocks = bus_clocks(device, served)
    whole = sum(clocks.values())
    moved = int(last[k.RDS] + last[k.WRS]) * device.standard.organisation.tx_bytes
    return {
        "coupling": "",
        "read_transactions": found.reads,
        "write_transactions": found.writes,
        "row_hits": int(last[k.HITS]),
        "row_misses": int(last[k.MISSES]),
        "row_conflicts": int(last[k.CONFLICTS]),
        "forwarded_reads": int(last[k.FORWARDED]),
        "merged_writes": int(last[k.MERGED]),
        "clocks": served.end,
        "taken_clock": found.taken_clock,
        "last_data_clock": int(served.channel[:, k.LAST].max()),
        "bytes_per_clock": moved / served.end if served.end else 0.0,
        "share_of_peak": clocks["busy"] / whole if whole else 0.0,
        "bus_clocks": clocks,
        "commands": {name: int(last[row]) for name, row in COMMANDS.items()},
        "simple_cycles": simple,
        "difference_cycles": found.cycles - simple,
    }


def check_capacity(end_byte: int, spec: DramSpec, network: str) -> None:
    """Raise ConfigError if a network's tensors are more than a machine's DRAM holds; without a capacity, never."""
    if spec.capacity_gib is not None and end_byte > spec.capacity_gib * 2**30:
        raise ConfigError(
            f"the tensors of '{network}' take {end_byte / 2**30:.4g} GiB of DRAM, which has {spec.capacity_gib:g}",
            "use more channels, a larger device or a smaller batch", key="memory.dram.capacity_gib",
        )  # fmt: skip


def notes(spec: DramSpec, couplings: Set[str], priced: bool) -> tuple[str, ...]:
    """Return what a report says of a machine's device: how it was used, what was assumed.

    ``couplings`` are those of the layers that it served, ``priced`` whether its commands have an energy.
    """
    device = device_of(spec)
    assert device is not None
    one = device.standard
    found = [
        f"DRAM is {device.channels} x {one.name}{'' if one.validated else ' (unvalidated)'}: tensors lie in order of "
        "first use, weights first, each on a row boundary, partial sums behind; every layer finds the device idle",
    ]
    if "tiles" in couplings:
        found.append(
            "tiles meet in the DRAM device: those of cut layers at their true addresses, all other transfers as "
            "streams that go on where their tensor stopped; tensors take turns by "
            + (f"{spec.turn_bytes} bytes" if spec.turn_bytes else "run")
        )
    if couplings & {"runs", "rounds", "beats"}:
        found.append(
            "engines whose memory is inside their walk ask the DRAM device run by run, in their own order and at the "
            "addresses of their rows; a stream moves no transaction twice"
        )
    if "rounds" in couplings:
        found.append(
            "a round is approximated: walked with what each row took of the DRAM device without a pause, then served "
            "when that walk asks, and as long as the longer of both"
        )
    if "beats" in couplings:
        found.append(
            "beats of a port are approximated: walked with the time for which each one kept the DRAM device when asked "
            "at its peak, then served when that walk asks, and as much longer as the latest one is late; assumed: data "
            "and weights keep the transaction that they ended in, and results leave evenly"
        )
    if "bandwidth" in couplings:
        found.append(
            "an engine that does not ask the DRAM device is approximated: walked again at the bandwidth at which the "
            "DRAM device serves the layer's traffic as streams"
        )
    found.append("mappings are ranked by the DRAM device's peak bandwidth, idle latency and transaction alone")
    if priced:
        found.append("energy of DRAM is by command from currents of data sheets, above real parts'; I/O is not in it")
    else:
        found.append(f"{one.name} has no currents in the sources at hand: its energy is a price per bit")
    pins = per_bit(one)
    if pins is None:
        found.append(f"I/O of {one.name} is nowhere: {one.sources.io or 'its file has no pins'}")
    else:
        found.append(
            f"I/O of {one.name} stands apart: {pins.read_pj:.1f} pJ a bit read and {pins.write_pj:.1f} written, of "
            "drivers and terminations of data pins at both ends; half of all bits are ones"
        )
    return tuple(found)


def trace_text(arch: Arch, result: NetworkResult, form: str) -> str:
    """Return the requests of a run in a form of `accelsim.memory.device.traces`, a comment before each layer's.

    Clocks are the device's from the beginning of the run. A layer found the device idle; one that reads them back finds
    it as the layer before left it, so only those of a single layer come to the same clocks.
    """
    device, parts = device_of(arch.memory.dram), []
    assert device is not None
    ratio = Fraction(10**6) / arch.clocks_mhz["core"] / device.standard.timing.tck_ps
    for layer in result.simulated:
        if layer.requests is not None:
            begin = -(-layer.start_cycle * ratio.numerator // ratio.denominator)
            clock, address, write = layer.requests.T
            clock = np.maximum.accumulate(clock) + begin
            parts.append(f"# {layer.name}\n{traces.text(Requests(address, write.astype(bool), clock), form)}")
    return "".join(parts)


def row_bytes(spec: DramSpec) -> int:
    """Return what addresses are aligned to."""
    device = device_of(spec)
    return 1 if device is None else device.standard.organisation.row_bytes
