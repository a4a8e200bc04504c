"""Three networks on three machines with five DRAM devices: time, what the device adds, energy of a useful bit.

python examples/dram_devices/study.py [-o answer.png]
"""

import argparse
from math import fsum
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import accelsim
from accelsim.report.palette import BLUE, DARK_GREY, GREEN, VERMILION, WINE
from accelsim.report.plots import DPI, STYLE
from accelsim.simulation import load_arch, load_network

MACHINES = ("eyeriss_1024", "systolic_ws", "tpu_v1")
NETWORKS = ("vgg16", "resnet50", "mobilenet_v2")
DEVICES = ("ddr3-1600", "ddr4-2400", "ddr4-3200", "hbm2-2000", "gddr6-14000")
SHORT = {"vgg16": "VGG-16", "resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2"}
TIME = {"computing": DARK_GREY, "DRAM at its peak": BLUE, "banks, rows, refresh, turning": VERMILION}
ENERGY = {"activate": VERMILION, "read": BLUE, "write": GREEN, "refresh": WINE, "background": DARK_GREY}


def measure(machine, network, device):
    """Return milliseconds by what they go to, pJ a useful bit by command, and facts of the buses."""
    result = accelsim.simulate(load_arch(machine, [("memory.dram.device", device)]), load_network(network))
    layers = result.simulated
    ms = 1e3 / (result.clock_mhz * 1e6)
    computing = sum(layer.compute_cycles for layer in layers)
    simple = sum(layer.dram["simple_cycles"] for layer in layers)
    time = dict(zip(TIME, (computing * ms, (simple - computing) * ms, (result.cycles - simple) * ms), strict=True))
    useful = sum(row.bits for x in layers for row in x.traffic if row.boundary == "dram" and row.tensor != "other")
    energy = {name: fsum(x.dram["energy_pj"][name] for x in layers) / useful for name in ENERGY}
    clocks = {name: sum(x.dram["bus_clocks"][name] for x in layers) for name in layers[0].dram["bus_clocks"]}
    whole = sum(clocks.values())
    rows = {name: sum(x.dram[name] for x in layers) for name in ("row_hits", "row_misses", "row_conflicts")}
    facts = {name: count / whole for name, count in clocks.items()}
    facts |= {"conflicts": rows["row_conflicts"] / sum(rows.values())}
    facts |= {"bound": sum(x.stall_cycles > x.compute_cycles for x in layers), "layers": len(layers)}
    return time, energy, facts


def row(machine, network, device, time, energy, facts):
    """Return a line of the table."""
    added = time["banks, rows, refresh, turning"] / (sum(time.values()) - time["banks, rows, refresh, turning"])
    lost = "  ".join(f"{100 * facts[name]:5.1f}" for name in ("busy", "refresh", "turnaround", "bank", "bus"))
    return (
        f"{machine:13} {network:13} {device:12} {sum(time.values()):8.2f} {100 * added:+7.1f}  "
        f"{facts['bound']:3d} of {facts['layers']:3d}  {lost}  {100 * facts['conflicts']:6.2f}  "
        f"{sum(energy.values()):6.1f}"
    )


HEAD = (
    "machine       network       device             ms simple%  stalled by    busy  refr.   turn   bank    bus  "
    "confl.%  pJ/bit"
)


def draw(found):
    with rc_context(STYLE):
        fig = Figure(figsize=(10.5, 6.2), layout="constrained")
        FigureCanvasAgg(fig)
        tops = 1.12, 1.12 * max(sum(energy.values()) for _, energy, *_ in found.values())  # room for networks' names
        axes = fig.subplots(2, len(MACHINES), sharey="row", squeeze=False)
        for column, machine in enumerate(MACHINES):
            for part, (ax, looks, top) in enumerate(zip(axes[:, column], (TIME, ENERGY), tops, strict=True)):
                bars(ax, [[found[machine, network, device][part] for device in DEVICES] for network in NETWORKS], looks,
                     top, relative=part == 0)  # fmt: skip
            axes[0, column].set_title(machine)
            axes[0, column].tick_params(labelbottom=False)
        axes[0, 0].set_ylabel("share of the time")
        axes[1, 0].set_ylabel("pJ a useful bit, without I/O")
        for line, looks in ((0, TIME), (1, ENERGY)):
            axes[line, -1].legend(
                handles=handles(looks), fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
            )
        return fig


def bars(ax, groups, looks, top, relative):
    ticks, names = [], []
    for g, (group, network) in enumerate(zip(groups, NETWORKS, strict=True)):
        for i, parts in enumerate(group):
            x = g * (len(DEVICES) + 1.2) + i
            unit = sum(parts.values()) if relative else 1
            at = 0.0
            for name, colour in looks.items():
                height = max(0.0, parts[name]) / unit
                ax.bar(x, height, bottom=at, width=0.8, color=colour)
                at += height
            ticks.append(x)
            names.append(DEVICES[i])
        middle = g * (len(DEVICES) + 1.2) + (len(DEVICES) - 1) / 2
        ax.text(middle, 1.0, SHORT[network], transform=ax.get_xaxis_transform(), ha="center", va="top", fontsize=8)
    ax.set_xticks(ticks, names, rotation=90, fontsize=7)
    ax.set_ylim(0, top)


def handles(looks):
    from matplotlib.patches import Patch

    return [Patch(color=colour, label=name) for name, colour in looks.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, default=Path("answer.png"), help="picture")
    target = parser.parse_args().o
    found = {}
    print(HEAD)
    for machine in MACHINES:
        for network in NETWORKS:
            for device in DEVICES:
                found[machine, network, device] = measure(machine, network, device)
                print(row(machine, network, device, *found[machine, network, device]), flush=True)
    draw(found).savefig(target, dpi=DPI)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
