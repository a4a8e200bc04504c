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

from accelsim.explore.store import open_reader
from accelsim.report.plots import DPI, STYLE

MARKS = (("#4d4d4d", "o"), ("#0072b2", "s"), ("#d55e00", "^"), ("#009e73", "D"), ("#cc79a7", "v"))
"""Colours of Okabe and Ito's palette, which colour-blind people tell apart, each with a mark of its own."""


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
        for (machine, points), (colour, mark) in zip(lines.items(), MARKS, strict=False):
            x, y = zip(*points, strict=True)
            ax.plot(x, y, color=colour, marker=mark, markersize=4, linewidth=1.4, label=machine)
        ax.set_yscale("log")
        ax.set_title(question, fontsize=9)
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.grid(visible=True, which="both", color="#e6e6e6", linewidth=0.5)
        ax.set_axisbelow(True)
        _label(ax, lines)
        return fig


def _label(ax, lines):
    """Name every line at its left end, where they lie farthest apart, and keep the names off each other."""
    ends = sorted((points[0][1], points[0][0], machine) for machine, points in lines.items())
    last = 0.0
    colours = dict(zip(lines, (colour for colour, _ in MARKS), strict=False))
    for y, x, machine in ends:
        at = max(y, last * 1.35)
        last = at
        ax.annotate(machine, (x, y), (-7, 0), textcoords="offset points", ha="right", va="center",
                    color=colours[machine]) if at == y else ax.annotate(
            machine, (x, y), (x, at), ha="right", va="center", color=colours[machine])  # fmt: skip


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
