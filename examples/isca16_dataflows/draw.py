"""Redraw the dataflow comparison of Chen, Emer and Sze, "Eyeriss", ISCA 2016 (its figures 11, 12 and 14).

    python examples/isca16_dataflows/draw.py [FOLDER]      writes FOLDER/isca16.png (default reports/out)

Six dataflows on AlexNet at equal storage area: energy and DRAM accesses per multiplication for 256, 512 and
1024 PEs. Every bar is the cheapest of all legal mappings, layer by layer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import rc_context

from accelsim.replicas.isca16 import BATCHES, FLOWS, PES, study, totals
from accelsim.report.classes import LOOKS
from accelsim.report.palette import ORANGE
from accelsim.report.plots import STYLE

ENERGY_PARTS = (
    ("dram", "DRAM", LOOKS["DRAM"].colour),
    ("buffer", "global buffer", LOOKS["buffers"].colour),
    ("array", "array (PE to PE)", LOOKS["links"].colour),
    ("rf", "register file", LOOKS["registers"].colour),
    ("alu", "multiplication", LOOKS["arithmetic"].colour),
)
DRAM_PARTS = (("dram_reads", "reads", LOOKS["DRAM"].colour), ("dram_writes", "writes", ORANGE))
TITLES = {"conv": "CONV layers", "fc": "FC layers"}
INK, QUIET = "#222222", "#666666"


def collect():
    """(kind, pes) -> {batch: totals, one row per flow}."""
    found = {}
    for kind, batches in BATCHES.items():
        for pes in PES:
            found[kind, pes] = {batch: totals(study(pes, batch, kind), kind) for batch in batches}
    return found


def energy_parts(row):
    return [(row.energy[level] / row.macs, colour) for level, _, colour in ENERGY_PARTS]


def dram_parts(row):
    return [(getattr(row, field) / row.macs, colour) for field, _, colour in DRAM_PARTS]


def panel(ax, by_batch, parts, digits):
    """One set of bars: a group per batch size, a bar per flow, its total on top."""
    ticks, names = [], []
    for group, (batch, rows) in enumerate(by_batch.items()):
        left = group * (len(rows) + 1.6)
        for place, row in enumerate(rows):
            x = left + place
            ticks.append(x)
            names.append(row.flow)
            if not row.legal:
                ax.text(
                    x,
                    0,
                    " cannot run CONV1",
                    ha="center",
                    va="bottom",
                    rotation=90,
                    fontsize=6.2,
                    color=INK,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                    zorder=3,
                )
                continue
            top = 0.0
            for height, colour in parts(row):
                ax.bar(x, height, 0.86, bottom=top, color=colour, edgecolor="white", linewidth=0.3)
                top += height
            text = f" {top:.{digits}f}"
            ax.text(x, top, text, ha="center", va="bottom", rotation=90, fontsize=6.2, color=INK)
        if parts is energy_parts:
            base = rows[0].energy_per_op
            ax.plot([left - 0.43, left + len(rows) - 0.57], [base, base], ":", color=INK, linewidth=0.8)
        middle = left + (len(rows) - 1) / 2
        ax.text(
            middle,
            0.985,
            f"batch {batch}",
            ha="center",
            va="top",
            fontsize=8,
            color=INK,
            transform=ax.get_xaxis_transform(),
        )
    ax.set_xticks(ticks, names, rotation=90, fontsize=6.5)
    ax.tick_params(axis="x", length=0, pad=1)
    ax.tick_params(axis="y", labelsize=7, color=QUIET)
    ax.set_xlim(-0.9, ticks[-1] + 0.9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)


def key(figure, y, parts):
    """The colours of a row of panels, as words beside their patches."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for _, label, colour in reversed(parts)]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.36, y),
        ncol=len(parts),
        frameon=False,
        fontsize=7.5,
        handlelength=1,
        handleheight=1,
        columnspacing=1.2,
        handletextpad=0.4,
    )


def draw(folder: Path) -> Path:
    """Write the picture and return its path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = collect()
    plans = [
        (
            "conv",
            "energy per multiplication",
            "relative to one\nmultiplication",
            energy_parts,
            ENERGY_PARTS,
            1,
        ),
        ("conv", "DRAM accesses per multiplication", "16-bit words", dram_parts, DRAM_PARTS, 4),
        ("fc", "energy per multiplication", "relative to one\nmultiplication", energy_parts, ENERGY_PARTS, 1),
        ("fc", "DRAM accesses per multiplication", "16-bit words", dram_parts, DRAM_PARTS, 3),
    ]
    figure, axes = plt.subplots(4, 3, figsize=(11, 12.6), sharey="row")
    figure.subplots_adjust(left=0.075, right=0.99, top=0.887, bottom=0.035, hspace=0.46, wspace=0.04)
    figure.text(
        0.012,
        0.985,
        "Six dataflows on AlexNet at equal storage area",
        fontsize=11,
        color=INK,
        va="top",
    )
    titles = [f"{flow.name}: {flow.title}" for flow in FLOWS.values()]
    lines = "\n".join("      ".join(titles[at : at + 3]) for at in (0, 3))
    note = "Number on a bar: its total. Dotted line: energy of row stationary. Panels in a row share a scale."
    figure.text(0.012, 0.966, f"{lines}\n{note}", fontsize=7.5, color=QUIET, va="top", linespacing=1.5)
    for line, (kind, title, unit, parts, colours, digits) in zip(axes, plans, strict=True):
        for ax, pes in zip(line, PES, strict=True):
            panel(ax, found[kind, pes], parts, digits)
            ax.set_title(f"{pes} PEs", fontsize=8.5, color=INK, pad=3)
        line[0].set_ylim(0, line[0].get_ylim()[1] * 1.25)
        line[0].set_ylabel(unit, fontsize=7.5, color=INK)
        top = line[0].get_position().y1
        figure.text(0.012, top + 0.031, f"{TITLES[kind]}: {title}", fontsize=9, color=INK, va="top")
        key(figure, top + 0.037, colours)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "isca16.png"
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return path


if __name__ == "__main__":
    with rc_context(STYLE):
        print(draw(Path(sys.argv[1] if len(sys.argv) > 1 else "reports/out")))
