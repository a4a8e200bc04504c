"""What a run of requests came to, under the names that the command line prints."""

from __future__ import annotations

from typing import Any

from accelsim.memory.device import kernel as k
from accelsim.memory.device.channel import Device, Requests, Served
from accelsim.memory.device.energy import energy, pins_nj

USES = {
    "busy": k.D_BUSY,
    "refresh": k.D_REFRESH,
    "turnaround": k.D_TURNAROUND,
    "bank": k.D_BANK,
    "bus": k.D_BUS,
    "idle": k.D_IDLE,
}
"""Use of a data bus's clocks -> its row in the kernel's account."""
COMMANDS = {
    "activate": k.ACTS,
    "precharge": k.PRES,
    "precharge_all": k.ALL_PRES,
    "read": k.RDS,
    "write": k.WRS,
    "refresh": k.REFS,
}


def bus_clocks(device: Device, served: Served) -> dict[str, int]:
    """Return clocks of all data buses by use; they sum to ``served.end`` times the buses.

    What comes after a bus's last burst counts as idle.
    """
    found = {use: int(served.bus[:, row].sum()) for use, row in USES.items()}
    buses = device.channels * device.standard.organisation.pseudo_channels
    found["idle"] += served.end * buses - sum(found.values())
    return found


def summary(device: Device, requests: Requests, served: Served) -> dict[str, Any]:
    """Return figures of a run; clocks are the device's.

    ``cycles``, ``row_hits``, ``row_misses``, ``row_conflicts`` and the latency are those at the moment at which the
    last request was taken, as public simulators report them; all else is until the last was served.
    """
    standard = device.standard
    taken, last = served.taken.sum(axis=0), served.channel.sum(axis=0)
    used = energy(device, served)
    moved = int(last[k.RDS] + last[k.WRS]) * standard.organisation.tx_bytes
    seconds_ps = served.end * standard.timing.tck_ps
    clocks = bus_clocks(device, served)
    return {
        "standard": standard.name,
        "validated": standard.validated,
        "channels": device.channels,
        "mapping": device.mapping,
        "page": device.controller.page,
        "requests": len(requests.address),
        "reads": int((~requests.write).sum()),
        "writes": int(requests.write.sum()),
        "cycles": served.cycles,
        "row_hits": int(taken[k.HITS]),
        "row_misses": int(taken[k.MISSES]),
        "row_conflicts": int(taken[k.CONFLICTS]),
        "avg_read_latency_cycles": float(taken[k.LATENCY] / taken[k.ANSWERED]) if taken[k.ANSWERED] else None,
        "served_cycles": served.end,
        "time_ns": seconds_ps / 1000,
        "forwarded_reads": int(last[k.FORWARDED]),
        "merged_writes": int(last[k.MERGED]),
        "moved_bytes": moved,
        "gb_per_s": 1000 * moved / seconds_ps if seconds_ps else 0.0,
        "peak_gb_per_s": standard.peak_gb_per_s * device.channels,
        "commands": {name: int(last[row]) for name, row in COMMANDS.items()},
        "bus_clocks": clocks,
        "energy_nj": None if used is None else used.total_nj,
        "energy_by_command_nj": None if used is None else used._asdict(),
        "io_energy_nj": pins_nj(device, served),
        "energy_pj_per_bit": None if used is None or not moved else 1000 * used.total_nj / (8 * moved),
    }
