"""Speed and energy of SCNN against density, and what barrier, queues and channel groups change.

    python examples/scnn_density/draw.py [FOLDER]      writes FOLDER/scnn_density.png (default reports/out)

The 57 convolutions of the published GoogLeNet with one density for weights and activations alike, as in the sensitivity
study of Parashar et al., "SCNN", ISCA 2017. Speed is DCNN's compute cycles over SCNN's; energy is relative to DCNN at
the same density, prices of the 28 nm table.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from matplotlib import rc_context

import accelsim
from accelsim.progress import each
from accelsim.report import palette
from accelsim.report.plots import STYLE

DENSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0)
CONVS = "*[!c]"
VARIANTS = {
    "barrier at groups (default)": {},
    "Kc 8": {"params.kc": 8},
    "barrier at channels": {"params.barrier": "channel"},
}
INK, QUIET = "#222222", "#666666"
SCNN, OPT = palette.Look(palette.machine("scnn")), palette.machine("dcnn_opt")


def run(network, machine, density, changes=(), layers=CONVS):
    """Simulate with one density of all operands; return (compute cycles, pJ)."""
    arch = accelsim.load_arch(machine)
    for key, value in dict(changes).items():
        arch = arch.replace(key, value)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "density.yaml"
        profile.write_text(
            f"layers: {{'{layers}': {{weight: {density}, input: {density}, output: {density}}}}}", encoding="utf-8"
        )
        result = accelsim.simulate(arch, network, layers=layers, density=profile)
    return sum(layer.compute_cycles for layer in result.simulated), result.total_energy_pj


def collect(densities=DENSITIES, network="googlenet_2015", layers=CONVS):
    """Return variant -> speed-ups, and machine -> energies relative to DCNN, both along the densities."""
    net = accelsim.load_network(network)
    base = [run(net, "dcnn", d, layers=layers) for d in each(densities, "dcnn at")]
    speed = {
        name: [b[0] / run(net, "scnn", d, VARIANTS[name], layers)[0] for d, b in zip(densities, base, strict=True)]
        for name in each(VARIANTS, "scnn,")
    }
    energy = {
        machine: [run(net, machine, d, layers=layers)[1] / b[1] for d, b in zip(densities, base, strict=True)]
        for machine in each(("scnn", "dcnn_opt"), "energy of")
    }
    return speed, energy


def crossing(densities, values, others):
    """Return the density at which two curves cross, linear between the points, or None."""
    gaps = [v - o for v, o in zip(values, others, strict=True)]
    for i in range(len(gaps) - 1):
        if gaps[i] * gaps[i + 1] < 0:
            share = gaps[i] / (gaps[i] - gaps[i + 1])
            return densities[i] + share * (densities[i + 1] - densities[i])
    return None


def draw(speed, energy, path):
    """Draw both panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (name, values) in enumerate(speed.items()):
        colour = palette.shade(SCNN, place, len(speed)).colour
        left.plot(DENSITIES, values, color=colour, marker="o", markersize=3.5, label=name)
    left.axhline(1, color=QUIET, linewidth=0.8)
    left.set_yscale("log")
    left.set_yticks([0.7, 1, 2, 5, 10, 20], ["0.7", "1", "2", "5", "10", "20"])
    left.set_yticks([], minor=True)
    mark(left, [(0.85, 1, "published break-even")], [(1.0, 0.79), (0.1, 24)])
    left.set_title("Speed over DCNN", loc="left", color=INK)
    left.set_ylabel("times (log scale)")
    right.plot(DENSITIES, [1] * len(DENSITIES), color=QUIET, label="DCNN")
    names = {"dcnn_opt": ("DCNN-opt", OPT), "scnn": ("SCNN", SCNN.colour)}
    for machine, (name, colour) in names.items():
        right.plot(DENSITIES, energy[machine], color=colour, marker="o", markersize=3.5, label=name)
    for others, what in (([1] * len(DENSITIES), "DCNN"), (energy["dcnn_opt"], "DCNN-opt")):
        at = crossing(DENSITIES, energy["scnn"], others)
        if at is not None:
            right.axvline(at, color=QUIET, linewidth=0.6, linestyle=":")
            right.text(at, 0.03, f" {what}: {at:.2f}", rotation=90, va="bottom", ha="right", fontsize=8, color=QUIET)
    right.set_title("Energy, DCNN at the same density = 1", loc="left", color=INK)
    right.set_ylim(0, None)
    for axes in (left, right):
        axes.set_xlabel("density of weights and of activations")
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle("SCNN on the convolutions of GoogLeNet", x=0.01, ha="left", fontsize=10, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def mark(axes, read, recalled):
    """Mark published figures: read in the paper filled, quoted from memory hollow."""
    for x, y, name in read:
        axes.plot([x], [y], "D", color=INK, markersize=6, label=name)
    xs, ys = zip(*recalled, strict=True)
    axes.plot(xs, ys, "D", markerfacecolor="none", color=INK, markersize=7, linestyle="none", label="recalled figures")


def main(folder="reports/out"):
    """Run, draw, and print the break-even points."""
    speed, energy = collect()
    path = Path(folder) / "scnn_density.png"
    draw(speed, energy, path)
    ones = [1.0] * len(DENSITIES)
    for name, values in speed.items():
        at = crossing(DENSITIES, values, ones)
        print(f"{name}: {values[-1]:.3f}x dense, {values[0]:.1f}x at 0.1, break-even {at or float('nan'):.3f}")
    print(f"energy break-even: DCNN {crossing(DENSITIES, energy['scnn'], ones) or float('nan'):.3f}", end=", ")
    print(f"DCNN-opt {crossing(DENSITIES, energy['scnn'], energy['dcnn_opt']) or float('nan'):.3f}")
    print(f"wrote {path}")


if __name__ == "__main__":
    with rc_context(STYLE):
        main(*sys.argv[1:])
