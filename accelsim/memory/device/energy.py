"""Energy of DRAM by command, from the currents of data sheets.

Source: Micron TN-41-01 and TN-40-07 (recalled): what a command draws is its IDD less the standby that flows anyway.
Not in IDD: drivers and termination of the pins (I/O), which stand apart (`per_bit`) where a source is at hand. Real
parts draw well below data-sheet IDD, by how much depends on data (Ghose et al., "What Your DRAM Power Models Are Not
Telling You", SIGMETRICS 2018, recalled).
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.config.dram.standard import Pins, Standard
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


class PinEnergy(NamedTuple):
    """pJ of a bit on the data bus, drivers and all terminations together."""

    read_pj: float
    write_pj: float


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


def per_bit(standard: Standard) -> PinEnergy | None:
    """Return the energy of the pins per bit, None for a standard without them.

    A star: the driver, and the terminations of the controller (of the written rank) and of all other ranks, each behind
    the resistance of the board. Assumed: as many ones as zeros; strobes take as much as data pins. Not here: pins of
    commands and clocks, and what loads and unloads the capacity of lines.
    """
    p, t, o = standard.pins, standard.timing, standard.organisation
    if p is None:
        return None
    gbit_per_s = 1000 * o.prefetch / (t.bl * t.tck_ps)
    others = [(p.others, p.series)] * (o.ranks - 1)
    read = _pin_mw(p, p.driver + p.series, [(p.controller, 0.0), *others])
    write = _pin_mw(p, p.driver, [(p.written, p.series), *others])
    return PinEnergy(
        (1 + p.read_strobes / 8) * sum(read) / gbit_per_s, (1 + p.write_strobes / 8) * sum(write) / gbit_per_s
    )


def _pin_mw(pins: Pins, driver: float, ends: list[tuple[float, float]]) -> list[float]:
    """Return mW of a pin: of its driver with what is before the star, then of each (termination, ohm before it).

    Terminated to half, ones and zeros take alike; to the supply, zeros alone take any.
    """
    rail = pins.vddq / 2 if pins.to == "half" else pins.vddq
    star = sum(rail / (r + s) for r, s in ends) / (1 / driver + sum(1 / (r + s) for r, s in ends))
    found = [1000 * star**2 / driver]
    for r, s in ends:
        amps = (rail - star) / (r + s)
        node = rail - amps * r
        in_end = ((pins.vddq - node) ** 2 + node**2) / (2 * r) if pins.to == "half" else amps * amps * r
        found.append(1000 * (in_end + amps * amps * s))
    return found if pins.to == "half" else [mw / 2 for mw in found]


def pins_nj(device: Device, served: Served) -> dict[str, float] | None:
    """Return what the data pins took, by direction, None for a standard without them; `energy` is without it."""
    one = per_bit(device.standard)
    if one is None:
        return None
    bits, count = 8 * device.standard.organisation.tx_bytes, served.channel.sum(axis=0)
    return {
        "read": float(count[k.RDS]) * bits * one.read_pj / 1000,
        "write": float(count[k.WRS]) * bits * one.write_pj / 1000,
    }


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
