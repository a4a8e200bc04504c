"""Energy of DRAM by command, from the currents of data sheets.

Source: Micron TN-41-01 and TN-40-07 (recalled): what a command draws is its IDD less the standby that flows anyway.
Not in IDD, so not here: drivers and termination of the pins (I/O). Real parts draw well below data-sheet IDD, by how
much depends on data (Ghose et al., "What Your DRAM Power Models Are Not Telling You", SIGMETRICS 2018, recalled).
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.config.dram.standard import Standard
from accelsim.memory.device import kernel as k
from accelsim.memory.device.channel import Device, Served


class CommandEnergy(NamedTuple):
    """nJ of a rank's devices per command, and mW of a rank while it stands by with and without an open row."""

    activate_nj: float
    read_nj: float
    write_nj: float
    refresh_nj: float
    open_mw: float
    closed_mw: float


class Energy(NamedTuple):
    """nJ of all channels, by what it went into; ``activate`` is with the precharge that follows."""

    activate: float
    read: float
    write: float
    refresh: float
    background: float

    @property
    def total_nj(self) -> float:
        """Sum; without I/O."""
        return sum(self)


def per_command(standard: Standard) -> CommandEnergy | None:
    """Return the energy of each command, None for a standard without currents.

    Times in clocks, a clock in ps, currents in mA: V x mA x ps = 10^-6 nJ.
    """
    if standard.currents is None:
        return None
    c, t = standard.currents, standard.timing
    rank_nj = standard.organisation.devices * c.vdd * t.tck_ps * 1e-6
    return CommandEnergy(
        activate_nj=rank_nj * (c.idd0 * t.rc - c.idd3n * t.ras - c.idd2n * (t.rc - t.ras)),
        read_nj=rank_nj * (c.idd4r - c.idd3n) * t.bl,
        write_nj=rank_nj * (c.idd4w - c.idd3n) * t.bl,
        refresh_nj=rank_nj * (c.idd5 - c.idd3n) * t.rfc,
        open_mw=standard.organisation.devices * c.vdd * c.idd3n,
        closed_mw=standard.organisation.devices * c.vdd * c.idd2n,
    )


def energy(device: Device, served: Served) -> Energy | None:
    """Return what serving took, until the last request was served; None for a standard without currents.

    Assumed: pseudo channels and dies of one data bus share the standby of one die, which stands in the data file once.
    """
    one = per_command(device.standard)
    if one is None:
        return None
    o = device.standard.organisation
    count = served.channel.sum(axis=0)
    standby_nj = served.end * device.standard.timing.tck_ps * 1e-6
    opened = float(served.open_clocks.sum()) * device.standard.timing.tck_ps * 1e-6
    ranks = served.open_clocks.size
    background = (one.closed_mw * (ranks * standby_nj - opened) + one.open_mw * opened) / (
        o.pseudo_channels * o.stack_ids
    )
    return Energy(
        activate=float(count[k.ACTS]) * one.activate_nj,
        read=float(count[k.RDS]) * one.read_nj,
        write=float(count[k.WRS]) * one.write_nj,
        refresh=float(count[k.REFS]) * one.refresh_nj,
        background=background,
    )
