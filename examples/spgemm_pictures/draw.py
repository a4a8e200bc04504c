"""Three pictures of sparse products: traffic by technique, rounds in time, and the roofline of four machines.

    python examples/spgemm_pictures/draw.py [FOLDER]     writes FOLDER/sparch_traffic.png, sparch_rounds.png and
                                                         spgemm_roofline.png (default reports/out)

Products are A x A. Matrices named ``matrix:...`` need ACCELSIM_DATA; those that are not there are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import rc_context

import accelsim
from accelsim.report import palette
from accelsim.report.palette import BLUE, GREEN, SKY, VERMILION, YELLOW
from accelsim.report.plots import STYLE
from accelsim.workload.matrix_names import PREFIX, find_data

INK, QUIET = "#222222", "#666666"
MATRICES = {
    "wiki-Vote": "matrix:wiki-Vote",
    "p2p-Gnutella31": "matrix:p2p-Gnutella31",
    "R-MAT 20,000 / 160,000": "rmat:n=20000,nnz=160000,seed=1",
    "uniform 20,000 / 160,000": "uniform:n=20000,nnz=160000,seed=1",
}
MACHINES = ("sparch", "outerspace", "gamma", "sigma")
TECHNIQUES = ("pipeline_merge", "condense", "huffman", "prefetch")
ROWS = ("OuterSPACE", "outer product", "+ pipelined merge", "+ condensing", "+ Huffman", "+ prefetcher")
SOURCES = {
    "A": BLUE,
    "B": SKY,
    "partial products, written": VERMILION,
    "partial products, read": YELLOW,
    "C": GREEN,
    "pointers": "#C8C8C8",
}
OF_TENSOR = {
    ("input", "read"): "A",
    ("weight", "read"): "B",
    ("psum", "write"): "partial products, written",
    ("psum", "read"): "partial products, read",
    ("output", "write"): "C",
    ("index", "read"): "pointers",
    ("index", "write"): "pointers",
}
LEAST = 3e-5
"""Operations per byte: SIGMA writes its results densely."""
BOUNDS = {"multipliers": BLUE, "mergers": GREEN, "fetchers": "#555555", "channels": VERMILION}


def networks():
    """Return label -> network of the matrices at hand."""
    return {
        label: accelsim.load_network(name)
        for label, name in MATRICES.items()
        if not name.startswith(PREFIX) or find_data(name.removeprefix(PREFIX))
    }


def run(machine, network, **params):
    """Simulate a product."""
    arch = accelsim.load_arch(machine)
    for key, value in params.items():
        arch = arch.replace(f"params.{key}", value)
    return accelsim.simulate(arch, network)


def by_source(result):
    """Return source -> MB; what bursts move beyond the elements is left out."""
    found = dict.fromkeys(SOURCES, 0.0)
    for row in result.layers[0].traffic:
        if row.boundary == "dram" and row.tensor != "other":
            found[OF_TENSOR[row.tensor, row.direction]] += row.bits / 8e6
    return found


def techniques(network):
    """Return the traffic of each of ``ROWS``."""
    steps = [{key: i < on for i, key in enumerate(TECHNIQUES)} for on in range(len(TECHNIQUES) + 1)]
    found = [run("outerspace", network), *(run("sparch", network, **step) for step in steps)]
    return dict(zip(ROWS, map(by_source, found), strict=True))


def plain(ax, title, x="", y=""):
    ax.set_title(title, color=INK)
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def draw_traffic(nets, path):
    """Draw traffic by source, one panel per matrix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for (label, network), ax in zip(nets.items(), panels, strict=False):  # panels last: zip takes none too many
        bars, left = techniques(network), dict.fromkeys(ROWS, 0.0)
        for source, colour in SOURCES.items():
            widths = [bars[row][source] for row in ROWS]
            ax.barh(ROWS, widths, left=list(left.values()), color=colour, label=source, height=0.7)
            left = {row: left[row] + width for row, width in zip(ROWS, widths, strict=True)}
        for row, total in left.items():
            ax.text(total, row, f" {total:,.1f}", va="center", fontsize=8, color=INK)
        ax.invert_yaxis()
        ax.set_xlim(0, 1.12 * max(left.values()))
        plain(ax, f"{label}, squared", "DRAM traffic (MB)")
    for ax in list(panels):
        ax.set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    figure.suptitle("SpArch: DRAM traffic as techniques are switched on", x=0.01, ha="left", fontsize=10, color=INK)
    save(figure, path)


def draw_rounds(network, label, path):
    """Draw how long each round takes, what bounds it, and what it moves."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(10, 6), layout="constrained")
    variants = {"all techniques": {}, "without the Huffman scheduler": {"huffman": False}}
    top, bottom = figure.subplots(2, 1, sharex=True)
    ends = []
    for ax, (name, changes) in zip((top, bottom), variants.items(), strict=True):
        log = run("sparch", network, **changes).layers[0].details["round_log"]
        now = 0.0
        for number, cycles in enumerate(log["cycles"]):
            moved = 12 * (log["a_read"][number] + log["b_read"][number])
            moved += 16 * (log["partial_read"][number] + log["written"][number])
            ax.bar(
                now, moved / cycles, cycles / 1000, align="edge", color=BOUNDS[log["bound_by"][number]],
                edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            now += cycles / 1000
        ends.append(now)
        ax.axhline(128, color=QUIET, linewidth=0.8, linestyle=":")
        ax.text(0, 129, " DRAM: 128 B/cycle", fontsize=8, color=QUIET, va="bottom")
        ax.set_ylim(0, 145)
        rounds = f"{len(log['cycles'])} rounds, {now:,.0f} thousand cycles"
        plain(ax, f"{name}: {rounds}", "" if ax is top else "time (thousand cycles)", "DRAM (B/cycle)")
    bottom.set_xlim(0, max(ends))  # the axis is shared: the longer of the two is whole
    handles = [Patch(color=colour, label=unit) for unit, colour in BOUNDS.items()]
    figure.legend(handles=handles, title="round bound by", loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(f"SpArch: rounds of {label}, squared", x=0.01, ha="left", fontsize=10, color=INK)
    save(figure, path)


def draw_roofline(nets, path):
    """Draw all machines into one roofline of effective operations; bandwidth and peak differ, so each has its roof."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    for ax, machine in zip(panels, MACHINES, strict=True):
        colour = palette.machine(machine)
        arch = accelsim.load_arch(machine)
        for (label, network), mark in zip(nets.items(), "os^D", strict=False):
            result = run(machine, network)
            bytes_ = result.dram_bits / 8
            ax.loglog(2 * result.effective_macs / bytes_, 1e3 * result.effective_tops, mark, color=colour,
                      markeredgecolor=INK, markersize=8, linestyle="none", label=label)  # fmt: skip
        peak = peak_gflops(arch)
        rate = float(arch.memory.dram.gb_per_s)
        xs = [LEAST, peak / rate, 40]
        ax.plot(xs, [rate * xs[0], peak, peak], color=INK, linewidth=1)
        ax.text(36, peak * 1.3, f"{peak:,.0f} GFLOP/s", ha="right", fontsize=8, color=INK)
        ax.text(0.0013, rate * 0.0013 * 2, f"{rate:,.0f} GB/s", ha="right", fontsize=8, color=INK)
        plain(ax, machine, "operations per byte of DRAM traffic", "GFLOP/s")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
        ax.label_outer()
        ax.grid(color="#E4E4E4", linewidth=0.5)
        ax.set_xlim(LEAST, 40)
        ax.set_ylim(0.01, 60000)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(
        "Sparse products: two operations per multiplication, under each machine's multipliers and DRAM",
        x=0.01, ha="left", fontsize=10, color=INK,
    )  # fmt: skip
    save(figure, path)


def peak_gflops(arch):
    """Return two operations per multiplier and cycle."""
    p, clock = arch.units[0].params, float(arch.clocks_mhz["core"])
    multipliers = p.multiplier_groups * p.multiplier_lanes if arch.units[0].engine == "sparch" else p.pes
    return 2 * multipliers * clock / 1000


def save(figure, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    print(path)


def main(folder="reports/out"):
    """Draw all pictures."""
    nets, target = networks(), Path(folder)
    draw_traffic(nets, target / "sparch_traffic.png")
    label = next(iter(nets))
    draw_rounds(nets[label], label, target / "sparch_rounds.png")
    draw_roofline(nets, target / "spgemm_roofline.png")


if __name__ == "__main__":
    with rc_context(STYLE):
        main(*sys.argv[1:])
