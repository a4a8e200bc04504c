"""Draw where the cycles of each sparse machine, and of the dense one beside it, go on AlexNet and VGG-16.

    python examples/sparse_cycles/draw.py [FOLDER [NETWORK...]]     writes FOLDER/sparse_cycles.png

Densities are those of Han et al., NIPS 2015 (recalled), zeros fall independently; inputs of all layers but the first
are the outputs of a ReLU. Convolutions on all machines but EIE, which has the fully connected layers. The shares are of
the unit-cycles of multipliers (of EIE: PEs, of SnaPEA: lanes). Machines differ in size, clock and DRAM
(assumed for most): the bars say where the time of a machine goes and not which machine is faster.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from matplotlib import rc_context

import accelsim
from accelsim.progress import each
from accelsim.report.palette import CAUSES
from accelsim.report.plots import STYLE
from accelsim.report.words import CAUSE_WORDS
from accelsim.simulation import NOT_SELECTED
from accelsim.units import si

HERE = Path(__file__).resolve().parents[2]
MACHINES = (
    ("eie", "EIE", "fc*"),
    ("scnn", "SCNN", "conv*"),
    ("dcnn", "  dense: DCNN", "conv*"),
    ("cnvlutin", "Cnvlutin", "conv*"),
    ("cnvlutin_base", "  dense: DaDianNao", "conv*"),
    ("cambricon_x", "Cambricon-X", "conv*"),
    ("diannao", "  dense: DianNao", "conv*"),
    ("nullhop", "NullHop", "conv*"),
    ("snapea", "SnaPEA, exact", "conv*"),
)
"""Machine, how it is called, layers."""
NETWORKS = {"alexnet": "AlexNet", "vgg16": "VGG-16"}
INK, QUIET = "#222222", "#666666"
WORTH_A_NUMBER = 0.055


def after_relu(network):
    """Return the network with unsigned inputs of all layers but the first: what a ReLU leaves."""
    inputs = {name for layer in network.layers[1:] for name in layer.inputs}
    tensors = {name: replace(t, signed=False) if name in inputs else t for name, t in network.tensors.items()}
    return replace(network, tensors=tensors)


def shares(result):
    """Return cause -> share of the unit-cycles of all layers that ran."""
    whole = sum(layer.units * layer.cycles for layer in result.simulated)
    found = {c: sum(layer.account.get(c, 0) for layer in result.simulated) / whole for c in CAUSES}
    return {cause: part for cause, part in found.items() if part}


def left_out(found):
    """Return a sentence on each layer that a machine was given and cannot run."""
    return [
        f"{result.arch_name} leaves out {layer.name} of {NETWORKS[name]}: {layer.reason}."
        for name, results in found.items()
        for result in results.values()
        for layer in result.layers
        if not layer.simulated and layer.reason != NOT_SELECTED
    ]


def collect(name, machines=MACHINES, layers=None):
    """Return machine -> result of a network."""
    network = after_relu(accelsim.load_network(name))
    profile = HERE / "workloads" / "profiles" / f"{name}_han2015.yaml"
    return {
        machine: accelsim.simulate(machine, network, layers=layers or own, density=profile)
        for machine, _, own in machines
    }


def draw(found, path):
    """Draw a panel per network."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    labels = [label for _, label, _ in MACHINES]
    figure = Figure(figsize=(12.4, 4.9), layout="constrained")
    seen: dict[str, None] = {}
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for panel, (axes, (name, results)) in enumerate(zip(panels, found.items(), strict=True)):
        for row, result in enumerate(results.values()):
            at = 0.0
            for cause, part in shares(result).items():
                seen[cause] = None
                look = CAUSES[cause]
                axes.barh(row, part, left=at, height=0.72, color=look.colour, hatch=look.hatch,
                          edgecolor="white", linewidth=0.4)  # fmt: skip
                if part > WORTH_A_NUMBER:
                    box = {"facecolor": look.colour, "edgecolor": "none", "pad": 1.0} if look.hatch else None
                    axes.text(at + part / 2, row, f"{100 * part:.0f}", ha="center", va="center_baseline", fontsize=8,
                              color=look.letters, bbox=box)  # fmt: skip
                at += part
            axes.text(1.015, row, f"{si(result.cycles, '', 3)}  {si(result.time_s, 's', 3)}", va="center_baseline",
                      fontsize=8, color=QUIET)  # fmt: skip
        axes.set_yticks(range(len(labels)), labels if panel == 0 else [""] * len(labels), fontsize=9)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_xlabel("% of unit-cycles")
        axes.set_title(NETWORKS[name], loc="left", color=INK)
        axes.set_title("cycles, time", loc="right", color=QUIET, fontsize=8, x=1.17)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(left=False)
    handles = [
        Patch(facecolor=CAUSES[c].colour, hatch=CAUSES[c].hatch, edgecolor="white", label=CAUSE_WORDS[c])
        for c in CAUSES
        if c in seen
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8,
                  title=" ".join(left_out(found)), title_fontsize=8)  # fmt: skip
    figure.suptitle(
        "Where the cycles of sparse machines go: convolutions (EIE: fully connected layers), pruned weights, "
        "inputs after ReLU",
        x=0.01, ha="left", fontsize=10, color=INK,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main(folder="reports/out", *names):
    """Run, draw, and print the shares."""
    found = {name: collect(name) for name in each(names or NETWORKS)}
    for name, results in found.items():
        for machine, result in results.items():
            parts = ", ".join(f"{CAUSE_WORDS[c]} {100 * p:.1f} %" for c, p in shares(result).items())
            print(f"{name} on {machine}: {result.cycles:,} cycles; {parts}")
    path = Path(folder) / "sparse_cycles.png"
    draw(found, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    with rc_context(STYLE):
        main(*sys.argv[1:])
