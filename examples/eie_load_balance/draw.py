"""Draw how EIE's time depends on its queues and on the number of its PEs, for the nine layers of its paper.

    python examples/eie_load_balance/draw.py [FOLDER [LAYER...]]     writes FOLDER/eie_load_balance.png

After figures of Han et al., "EIE", ISCA 2016, whose values are not at hand: only the shape of the curves compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import study
from matplotlib import rc_context

from accelsim.progress import each
from accelsim.report.plots import STYLE

LOOKS = {
    "Alex": ("#0072B2", "AlexNet"),
    "VGG": ("#D55E00", "VGG-16"),
    "NT": ("#009E73", "NeuralTalk"),
}
DASHES = ("-", "--", ":")
INK, QUIET = "#222222", "#666666"


def looks(names):
    """Layer -> (colour, dash): a colour per network, a dash per layer of it."""
    found, used = {}, {}
    for name in names:
        net = name.split("-")[0]
        used[net] = used.get(net, -1) + 1
        found[name] = (LOOKS[net][0], DASHES[used[net] % 3])
    return found


def panel(ax, title, unit, xs, curves, styles):
    for name, ys in curves.items():
        colour, dash = styles[name]
        ax.plot(xs, ys, color=colour, linestyle=dash, linewidth=1.5, marker=".", markersize=4, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(xs, [str(x) for x in xs])
    ax.set_title(title, color=INK)
    ax.set_ylabel(unit, fontsize=8, color=INK)
    ax.tick_params(labelsize=7.5, colors=QUIET)
    ax.grid(axis="y", color="#E4E4E4", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)


def draw(folder: Path, names=()) -> Path:
    """Write the picture and return its path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    views = {n: v for n, v in study.views().items() if not names or n in names}
    depth = {n: study.by_depth(views[n]) for n in each(views, "queues,")}
    pes = {n: study.by_pes(views[n]) for n in each(views, "PEs,")}
    styles = looks(study.PUBLISHED_US)
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 7.4))
    figure.subplots_adjust(left=0.07, right=0.865, top=0.875, bottom=0.07, hspace=0.34, wspace=0.24)
    (ax, bx), (cx, dx) = axes
    share = {n: [100 * study.balance(a) for a in depth[n].values()] for n in views}
    panel(ax, "Load balance by queue depth (64 PEs)", "% of cycles without bubbles", study.DEPTHS, share, styles)
    ax.axvline(8, color=QUIET, linewidth=0.8)
    ax.text(8.6, 14, "8, as published", fontsize=7.5, color=QUIET)
    ax.set_xlabel("places in each PE's queue", fontsize=8, color=INK)
    speed = {n: [p[1].compute_cycles / a.compute_cycles for a in p.values()] for n, p in pes.items()}
    panel(bx, "Speed-up by number of PEs (queue depth 8)", "x one PE", study.PES, speed, styles)
    bx.set_yscale("log", base=2)
    bx.set_yticks(study.PES, [str(x) for x in study.PES])
    bx.plot(study.PES, study.PES, color=INK, linewidth=0.8, linestyle=(0, (1, 4)), zorder=5)
    bx.text(1, 128, "dotted black: linear", fontsize=7.5, color=QUIET)
    even = {n: [100 * study.balance(a) for a in p.values()] for n, p in pes.items()}
    panel(cx, "Load balance by number of PEs (queue depth 8)", "% of cycles without bubbles", study.PES, even, styles)
    real = {n: [100 * (1 - a.details["padding_entries"] / a.details["entries"]) for a in p.values()]
            for n, p in pes.items()}  # fmt: skip
    panel(dx, "Entries that are no padding, by number of PEs", "% of entries", study.PES, real, styles)
    for axis in (bx, cx, dx):
        axis.set_xlabel("PEs", fontsize=8, color=INK)
    for axis in (ax, cx, dx):
        axis.set_ylim(0, 103)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="center left", bbox_to_anchor=(0.875, 0.5), frameon=False, fontsize=8)
    figure.text(0.012, 0.975, "EIE: waiting, speed and padding", fontsize=10, color=INK, va="top")
    figure.text(
        0.012, 0.947,
        "Nine layers of Han et al., ISCA 2016, independent non-zeros at its densities (recalled). A bubble is a cycle "
        "in which a PE waits for a broadcast or for a slower PE;\ndropping an empty column is none. By number of PEs, "
        "the registers hold the whole vector, however few the PEs.",
        fontsize=7.5, color=QUIET, va="top", linespacing=1.4,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "eie_load_balance.png"
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return path


if __name__ == "__main__":
    target, *chosen = sys.argv[1:] or ["reports/out"]
    with rc_context(STYLE):
        print(draw(Path(target), chosen))
