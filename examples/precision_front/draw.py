"""Cycles against quantisation noise: mixed widths for ResNet-18 on two machines.

    python examples/precision_front/draw.py [FOLDER]       writes FOLDER/precision_front.png (default reports/out)

Weights and activations are seeded normal numbers, an assumption; the noise is a proxy, no accuracy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import accelsim
from accelsim.explore.precision.report import curve
from accelsim.explore.precision.search import search
from accelsim.explore.precision.space import PrecisionSpace
from accelsim.passes.quantize import Settings
from accelsim.report import plots

MACHINES = ("bitfusion", "loom")
BUDGET = 0.5
"""Share of the cycles at 8 bits."""


def collect(network="resnet18", machines=MACHINES, widths=range(2, 9)):
    """Return machine -> curve of a picture."""
    net = accelsim.load_network(network) if isinstance(network, str) else network
    found = {}
    for name in machines:
        space = PrecisionSpace(accelsim.load_arch(name), net, widths, Settings(limits="mse"))
        limits = {"cycles": BUDGET * space.widest("cycles")}
        found[name] = curve(search(space, limits, "exact"))
    return found


def main(folder="reports/out"):
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    title = "ResNet-18: bits of each layer's inputs and filters, and half of the cycles at 8 bits as a budget"
    plots.save(plots.precision_figure(collect(), title), target / "precision_front.png")


if __name__ == "__main__":
    main(*sys.argv[1:2])
