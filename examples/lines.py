"""Draw the energy-delay product of each machine of a store over one axis, as ratios to baseline points.

python examples/lines.py STORE KEY BASELINE -o FILE.png

KEY is the horizontal axis. BASELINE is ``key=value``: every point is divided by the one that has this value and is
otherwise the same, for example ``machine=dcnn``.
"""

import argparse
import json
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from accelsim.explore.sweep.store import open_reader
from accelsim.report import palette
from accelsim.report.plots import DPI, STYLE

MARKS = "os^Dv"
GAP = 1.3
"""Least ratio of the heights of neighbouring names."""


def ratios(rows, key, baseline):
    """Return machine -> [(x, EDP over the baseline's), ...] in ascending x."""
    name, _, value = baseline.partition("=")
    bases = {_rest(row, key, name): row["edp_pj_s"] for row in rows if str(row[name]) == value}
    found = {}
    for row in sorted(rows, key=lambda row: row[key]):
        found.setdefault(row["machine"], []).append((row[key], row["edp_pj_s"] / bases[_rest(row, key, name)]))
    return found


def _rest(row, key, name):
    """Return what tells a baseline from another: x and machine, apart from what the baseline fixes."""
    return tuple(row[k] for k in ("machine", "network", key) if k != name)


def draw(lines, question, xlabel, ylabel):
    with rc_context(STYLE):
        fig = Figure(figsize=(6.4, 3.8), layout="constrained")
        FigureCanvasAgg(fig)
        ax = fig.add_subplot()
        for (machine, points), mark in zip(lines.items(), MARKS, strict=False):
            ax.plot(
                *zip(*points, strict=True), color=palette.machine(machine), marker=mark, markersize=4, linewidth=1.4
            )
        ax.set_yscale("log")
        ax.set_title(question)
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.grid(visible=True, color="#e6e6e6", linewidth=0.5)
        ax.set_axisbelow(True)
        ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if ax.get_ylim()[0] < t < ax.get_ylim()[1]]
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        name_lines(ax, lines)
        return fig


def name_lines(ax, lines):
    """Name every line left of its first point, where they lie farthest apart, the names spread where they do not."""
    first = min(points[0][0] for points in lines.values())
    last = max(points[-1][0] for points in lines.values())
    ax.plot((first, last), (1, 1), color="black", linewidth=0.6, linestyle=":")
    ax.set_xticks([tick for tick in ax.get_xticks() if first <= tick <= last])
    ax.set_xlim(first - 0.2 * (last - first), last + 0.03 * (last - first))
    height = 0.0
    for y, machine in sorted((points[0][1], machine) for machine, points in lines.items()):
        height = max(y, height * GAP)
        ax.text(first - 0.02 * (last - first), height, machine, color=palette.machine(machine), ha="right", va="center")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("key")
    parser.add_argument("baseline")
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--x", default=None, help="title of the horizontal axis")
    parser.add_argument("--y", default=None, help="title of the vertical axis")
    given = parser.parse_args()
    with open_reader(given.store) as store:
        rows = [row for row in store.rows() if row["status"] == "ok"]
        meta = store.meta()
    keys = [key for axis in json.loads(meta["axes"]) for key in axis["keys"]]
    if given.key not in keys:
        parser.error(f"the store has no axis '{given.key}'; it has {', '.join(keys)}")
    ylabel = given.y or f"energy-delay product over that at {given.baseline} (ratio, less is better)"
    figure = draw(ratios(rows, given.key, given.baseline), meta["question"], given.x or given.key, ylabel)
    figure.savefig(given.output, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
