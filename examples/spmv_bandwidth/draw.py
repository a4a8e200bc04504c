"""Sparse matrix times vector over bandwidth: a table of rates, and the roofline of the packaged machines.

    python examples/spmv_bandwidth/draw.py [FOLDER]     prints the table and writes FOLDER/spmv_roofline.png
                                                        (default reports/out)

Matrices are banded like those of finite elements. The block-diagonal machine has no room for a band and is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import accelsim
from accelsim.report.palette import BLUE, GREEN, ORANGE
from accelsim.report.plots import STYLE

MACHINES = {"spmv_tree": ("o", BLUE), "spmv_stripes": ("s", ORANGE), "spmv_bvcsr": ("^", GREEN)}
WIDTHS = (1, 4, 8, 13)
"""Entries on each side of the diagonal."""
GB_PER_S = (1, 2, 4, 8, 16)


def run(machine, width, gb_per_s):
    """Multiply a banded matrix of 20,000 rows by a vector."""
    arch = accelsim.load_arch(machine, [("memory.dram.gb_per_s", gb_per_s)])
    return accelsim.simulate(arch, f"banded:n=20000,width={width}@vector")


def rate(result):
    """Return GFLOP/s."""
    return result.layers[0].details["gflop_per_s"]


def table(out=sys.stdout):
    """Print GFLOP/s of every machine, band and bandwidth."""
    print("machine        band ", *(f"{g:>4} GB/s" for g in GB_PER_S), "  peak", file=out)
    for machine in MACHINES:
        for width in WIDTHS:
            results = [run(machine, width, g) for g in GB_PER_S]
            peak = results[0].layers[0].details["peak_mflop_per_s"] / 1000
            rates = (f"{rate(result):9.3f}" for result in results)
            print(f"{machine:14} {2 * width + 1:4} ", *rates, f"{peak:6.2f}", file=out)


def draw(path):
    """Draw rate against operations per byte, under each machine's multipliers and 8 GB/s."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        _draw(path)


def _draw(path):
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    ax = figure.subplots()
    for machine, (mark, colour) in MACHINES.items():
        results = [run(machine, width, 8) for width in WIDTHS]
        peak = results[0].layers[0].details["peak_mflop_per_s"] / 1000
        ax.loglog([0.02, peak / 8, 1], [0.16, peak, peak], color=colour, linewidth=1)
        intensities = [2 * result.effective_macs / (result.dram_bits / 8) for result in results]
        ax.loglog(intensities, [rate(result) for result in results], mark, color=colour, label=f"{machine}: {peak:.2f}")
    for axis, ticks in ((ax.xaxis, (0.02, 0.05, 0.1, 0.2, 0.5, 1)), (ax.yaxis, (0.2, 0.5, 1, 2))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("operations per byte of DRAM traffic")
    ax.set_ylabel("GFLOP/s")
    ax.set_title("Bands of 3, 9, 17 and 27 entries a row, 8 GB/s; roofs: peak GFLOP/s", loc="left", fontsize=10)
    ax.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    table()
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "reports/out") / "spmv_roofline.png")
