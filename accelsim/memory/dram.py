"""DRAM as bandwidth, latency and burst: the machine's view of it in core cycles."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from accelsim.activity import Transfer
from accelsim.config.dram import standard
from accelsim.config.schema import DramSpec
from accelsim.units import ceil_div, exact


class DramModel(NamedTuple):
    """Bandwidth in bits per core cycle as an exact rational, latency in core cycles.

    Assumed: every run of a transfer starts on a burst boundary; requests of one tile are pipelined, so a tile pays
    the latency once and the bus is free for the next tile meanwhile.
    """

    bits_per_cycle: Fraction
    latency_cycles: int
    burst_bits: int

    def bus_bits(self, transfer: Transfer) -> int:
        """Bits that occupy the bus: whole bursts per run."""
        return transfer.runs * ceil_div(transfer.run_bits, self.burst_bits) * self.burst_bits

    def bus_cycles(self, transfers: tuple[Transfer, ...]) -> int:
        """Core cycles for which the transfers occupy the bus together."""
        bits = sum(self.bus_bits(t) for t in transfers)
        return ceil_div(bits * self.bits_per_cycle.denominator, self.bits_per_cycle.numerator)


@lru_cache(maxsize=4096)
def dram_model(spec: DramSpec, core_mhz: Fraction) -> DramModel:
    """Return the DRAM in cycles of the core clock; of a device its peak, latency on a closed row, and transaction.

    Parameters
    ----------
    spec : DramSpec
    core_mhz : Fraction
    """
    if spec.device is not None:
        one = standard.load(spec.device)
        t, o = one.timing, one.organisation
        cycle_ps = Fraction(10**6) / core_mhz
        moved = spec.channels * o.pseudo_channels * 8 * o.tx_bytes
        waits = (t.rcd + t.cl) * t.tck_ps / cycle_ps
        return DramModel(
            moved * cycle_ps / (t.bl * t.tck_ps), ceil_div(waits.numerator, waits.denominator), 8 * o.tx_bytes
        )
    bits_per_cycle = exact(spec.gb_per_s) * 8000 / core_mhz
    latency = exact(spec.latency_ns) * core_mhz / 1000
    return DramModel(bits_per_cycle, ceil_div(latency.numerator, latency.denominator), spec.burst_bits)
