"""Prices with their physics: macros left out and read back, and flip-flops of the libraries."""

from collections.abc import Iterator
from math import ceil

from accelsim.energy import at_supply, load_table, sram
from accelsim.energy.constants import constants
from accelsim.energy.quote import of_register
from benchmarks.accept.check import Check

NODES = (65, 45, 32, 22)
MOST = {"read_pj": 0.30, "write_pj": 0.20, "mm2": 0.20}
"""Figure of a macro -> within what 90 % of the rows are read without themselves; the median is within `MEDIAN`."""
MEDIAN = 0.08


def checks() -> Iterator[Check]:
    """Yield the distribution of errors over all nodes and widths, and the largest error of a library's flip-flop."""
    for figure, most in MOST.items():
        errors = sorted(error for node in NODES for error in sram.leave_one_out(figure, node))
        middle, late = errors[len(errors) // 2], errors[ceil(0.9 * len(errors)) - 1]
        yield Check(
            f"SRAM {figure}, {len(errors)} rows left out: median within {MEDIAN:.0%}, 90 % within {most:.0%}",
            f"{middle:.1%}, {late:.1%}, worst {errors[-1]:.1%}",
            middle <= MEDIAN and late <= most,
        )
    worst = 0.0
    for row in constants().flip_flop:
        found = of_register(at_supply(load_table("45nm", row.nm), row.vdd_v), 1, 1)
        for key, fj in (("clock", row.clock_fj), ("clock_pin", row.pin_fj), ("toggle", row.toggle_fj)):
            worst = max(worst, abs(found[f"{key}_pj_per_bit"] * 1e3 / fj - 1))
    names = ", ".join(f"{row.source} {row.nm:g} nm" for row in constants().flip_flop)
    yield Check(f"flip-flops of {names} at their supply: exact", f"{worst:.1e}", worst < 1e-12)
