"""The DRAM device that a machine's network shares on one clock: where tensors lie, what it did, what that cost.

See docs/decisions/0110-one-clock-and-a-dram-device.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any, NamedTuple

from accelsim.config.arch import Arch
from accelsim.memory.network_device import Lies, SharedDevice, outside
from accelsim.memory.timeline import LaidOut
from accelsim.passes import dram_layout
from accelsim.results import LayerResult
from accelsim.rooms import Moved, views
from accelsim.served import coupling_of, did, roles, row_bytes
from accelsim.workload.network import Network


class Moves(NamedTuple):
    """Bits of whole transactions that a network reads from DRAM and writes, and those of each simulated layer."""

    read_bits: int
    written_bits: int
    layers: tuple[int, ...]


def shared(
    arch: Arch, network: Network, layers: Sequence[LayerResult], moves: Sequence[Moved | None] | None = None
) -> SharedDevice:  # fmt: skip
    """Return the device of a machine that has one, and where the simulated layers of a network move what.

    Parameters
    ----------
    layers : sequence of LayerResult
        One for each layer with work, with ``tiles`` where it was simulated.
    moves : sequence, optional
        What each of them moves; everything to and from DRAM by default.
    """
    coupling, placed = coupling_of(arch.memory.dram, arch.clocks_mhz["core"]), dram_layout.layout(
        network, row_bytes(arch.memory.dram)
    )  # fmt: skip
    lies = list[Lies | None]()
    for view, layer, move in zip(views(network), layers, moves or [None] * len(layers), strict=True):
        if not layer.simulated:
            continue
        assert layer.tiles is not None
        tiles = layer.tiles.schedule
        if tiles is None:
            lies.append(None)
        elif move is None or isinstance(tiles, LaidOut):
            away = frozenset[tuple[str, str]]() if move is None or move.schedule is None else outside(move.schedule)
            lies.append(Lies(tiles, roles(view, placed.tensors), away))
        else:
            assert move.schedule is not None
            there = {name: at for name, at in placed.tensors.items() if name not in move.homes}
            lies.append(Lies(move.schedule, roles(view, there)))
    return SharedDevice(coupling, lies, placed.end_byte)


def moved(device: SharedDevice, layers: Sequence[LayerResult]) -> Moves:
    """Return what simulated layers moved; of those that ran alone, what they move alone."""
    alone = [layer for layer, lies in zip(layers, device.lies, strict=True) if lies is None]
    tx_bits = 8 * device.coupling.device.standard.organisation.tx_bytes
    return Moves(
        tx_bits * sum(each.reads for each in device.did) + sum(layer.dram_read_bits for layer in alone),
        tx_bits * sum(each.writes for each in device.did) + sum(layer.dram_write_bits for layer in alone),
        tuple(
            layer.dram_bits if lies is None else tx_bits * count
            for layer, lies, count in zip(layers, device.lies, device.transactions, strict=True)
        ),
    )


def facts(device: SharedDevice, layers: Sequence[LayerResult]) -> dict[str, Any]:
    """Return what the device did over the network's time: between layers that run alone, and of these alone."""
    parts: list[Mapping[str, Any]] = [
        did(device.coupling.device, each.served, each.reads, each.writes) for each in device.did
    ]
    parts += [layer.dram for layer, lies in zip(layers, device.lies, strict=True) if lies is None]
    found = {key: _sum([part[key] for part in parts]) for key in SUMMED if parts}
    if found:
        clocks, tx_bytes = found["bus_clocks"], device.coupling.device.standard.organisation.tx_bytes
        moved_bytes = tx_bytes * (found["commands"]["read"] + found["commands"]["write"])
        found["bytes_per_clock"] = moved_bytes / found["clocks"] if found["clocks"] else 0.0
        found["share_of_peak"] = clocks["busy"] / (sum(clocks.values()) or 1)
    return found


SUMMED = (
    "read_transactions", "write_transactions", "row_hits", "row_misses", "row_conflicts", "forwarded_reads",
    "merged_writes", "clocks", "bus_clocks", "commands", "energy_pj", "io_energy_pj",
)  # fmt: skip
"""Of `served.did`."""


def _sum(parts: Sequence[Any]) -> Any:
    if any(part is None for part in parts):
        return None
    if isinstance(parts[0], Mapping):
        return {name: _sum([part[name] for part in parts]) for name in parts[0]}
    return fsum(parts) if isinstance(parts[0], float) else sum(parts)
