"""Time and energy of ResNet-18 across widths of 1 to 16 bits, on machines of one size, and where they cross.

    python examples/precision_widths/draw.py [FOLDER]      writes FOLDER/precision_widths.{png,md} (default reports/out)

Every machine is scaled to about 512 products of 8 x 8 bits per cycle at 500 MHz, with the same DRAM, memories and
energy table, so that what differs is how it takes bits. Machines whose time depends on the data see seeded operands,
uniform over their width: real ones have more zero bits.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from matplotlib import rc_context

import accelsim
from accelsim.progress import each
from accelsim.report import palette
from accelsim.report.plots import STYLE

NETWORK, BATCH = "resnet18", 1
WIDTHS = tuple(range(1, 17))
MEMORIES = {"params.input_kib": 1024, "params.weight_kib": 4096, "params.output_kib": 1024}
COMMON = {"clocks_mhz.core": 500, "memory.dram.gb_per_s": 12.0, "energy.table": "45nm"}
FIXED = "fixed 8 bits (systolic)"
MACHINES = {
    FIXED: ("systolic_ws", {**MEMORIES, "params.rows": 16, "params.cols": 32}),
    "bitfusion": ("bitfusion", {**MEMORIES, "params.rows": 16, "params.cols": 32}),
    "loom": ("loom", MEMORIES),
    "stripes": ("stripes", {**MEMORIES, "params.tiles": 1}),
    "unpu (576)": ("unpu", {**MEMORIES, "params.units": 8}),
    "bismo": ("bismo", {"params.dm": 16, "params.dn": 8, "params.lhs_entries": 8192, "params.rhs_entries": 8192,
                        "params.operand_bits": 16}),
    "pragmatic": ("pragmatic", {**MEMORIES, "params.tiles": 1}),
    "laconic": ("laconic", {**MEMORIES, "params.tiles": 1}),
    "dadiannao (16 bits)": ("dadiannao", {**MEMORIES, "params.tiles": 2}),
}  # fmt: skip
DOTTED = ("pragmatic", "laconic", "dadiannao (16 bits)")
"""Machines that share the colour of their family with another one."""
CASES = {"both operands": None, "weights (activations of 8 bits)": 8}
"""What has the width -> width of the activations, or None for the same."""


def machine(name):
    base, sets = MACHINES[name]
    arch = accelsim.load_arch(base)
    for key, value in {**COMMON, **sets}.items():
        arch = arch.replace(key, value)
    return arch


def run(arch, network, weight_bits, input_bits):
    """Return (s, J) at a pair of widths, or None where the machine cannot."""
    tensors = {name: replace(t, bits=weight_bits if t.weight else input_bits) for name, t in network.tensors.items()}
    result = accelsim.simulate(arch, network.with_tensors(tensors), batch=BATCH)
    if len(result.simulated) < len(result.layers):
        return None
    return result.time_s, result.total_energy_pj * 1e-12


def collect(network=NETWORK, widths=WIDTHS, machines=tuple(MACHINES)):
    """Return case -> machine -> width -> (s, J); the fixed machine runs at 8 bits whatever is asked."""
    net = accelsim.load_network(network) if isinstance(network, str) else network
    known, found = {}, {}
    for case, fixed in CASES.items():
        for name in each(machines, f"{case}:"):
            arch = machine(name)
            for bits in widths:
                pair = (bits, fixed or bits)
                if name == FIXED:
                    pair = (8, 8) if bits <= 8 else None
                if pair is not None and (name, pair) not in known:
                    known[name, pair] = run(arch, net, *pair)
                if pair is not None and known[name, pair] is not None:
                    found.setdefault(case, {}).setdefault(name, {})[bits] = known[name, pair]
    return found


def crossing(ours, base, figure):
    """Return the widths up to which ``ours`` is below ``base``, as text."""
    better = [bits for bits in sorted(ours) if bits in base and ours[bits][figure] < base[bits][figure]]
    if not better:
        return "never"
    shared = sorted(set(ours) & set(base))
    runs = [[better[0], better[0]]]
    for bits in better[1:]:
        if shared.index(bits) == shared.index(runs[-1][1]) + 1:
            runs[-1][1] = bits
        else:
            runs.append([bits, bits])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs) + " bits"


def to_markdown(found):
    lines = [
        "# ResNet-18 across widths",
        "",
        "Made by `examples/precision_widths/draw.py`: machines scaled to about 512 products of 8 x 8 bits per cycle,",
        "500 MHz, 12 GB/s, one energy table (45nm), batch 1. Nothing here is a published figure.",
        "",
    ]
    for case, machines in found.items():
        base = machines[FIXED]
        lines += [f"## Width of {case}", "", "| machine | 2 bits | 4 bits | 8 bits | 16 bits | faster than fixed 8 bits"
                  " | less energy | faster than bitfusion | less energy |",
                  "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
        for name, points in machines.items():
            cells = [f"{1e3 * points[b][0]:.3g} ms, {1e3 * points[b][1]:.3g} mJ" if b in points else "does not run"
                     for b in (2, 4, 8, 16)]  # fmt: skip
            for other in (base, machines["bitfusion"]):
                same = other is points
                cells += ["-" if same else crossing(points, other, figure) for figure in (0, 1)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "At 8 bits time differs by how full the machines are, and Laconic's 4096 pairs of terms per cycle have no rate",
        "for a width. DaDianNao, Stripes, Pragmatic and Laconic store 16-bit words whatever the width, the fixed array",
        "8-bit ones, the others tensors at their own widths. BISMO writes 32-bit results, and stops where the planes",
        "of a stripe outgrow its memories. Pragmatic and Laconic see seeded operands, uniform over their width: real",
        "ones have fewer terms. On-chip energy is that of arithmetic, memories, wires by placed area, leakage and a",
        "clock that stops for nobody; no control logic.",
    ]
    return "\n".join(lines) + "\n"


def draw(found, path):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10.4, 7.4), dpi=130)
    axes = fig.subplots(2, 2, sharex=True, sharey="row")
    for column, (case, machines) in enumerate(found.items()):
        for row, (label, factor) in enumerate((("time (ms)", 1e3), ("energy (mJ)", 1e3))):
            ax = axes[row][column]
            for name, points in machines.items():
                colour, dash = palette.machine(MACHINES[name][0]), ":" if name in DOTTED else "-"
                wide = 2.0 if name in (FIXED, "bitfusion") else 1.2
                ax.plot(list(points), [p[row] * factor for p in points.values()], dash, color=colour, linewidth=wide,
                        marker="." if dash == "-" else None, markersize=4, label=name)  # fmt: skip
            ax.set_yscale("log")
            ax.set_xticks(range(1, 17))
            ax.grid(color="#E4E4E4", linewidth=0.5, which="both")
            ax.axvline(8, color="#999999", linewidth=0.6, zorder=0)
            ax.spines[["top", "right"]].set_visible(False)
            if row == 1:
                ax.set_xlabel(f"width of {case}")
            if column == 0:
                ax.set_ylabel(label)
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
            ax.tick_params(which="both", labelsize=8)
    handles, labels = axes[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=5, fontsize=8, frameon=False)
    fig.suptitle("ResNet-18, one image: machines of about 512 products of 8 x 8 bits per cycle, 500 MHz, 12 GB/s",
                 x=0.01, ha="left", fontsize=10)  # fmt: skip
    fig.subplots_adjust(left=0.07, right=0.99, top=0.94, bottom=0.14, hspace=0.08, wspace=0.04)
    fig.savefig(path, metadata={"Software": None})


def main(folder="reports/out"):
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    found = collect()
    draw(found, target / "precision_widths.png")
    (target / "precision_widths.md").write_text(to_markdown(found), encoding="utf-8")
    print(to_markdown(found))


if __name__ == "__main__":
    with rc_context(STYLE):
        main(*sys.argv[1:2])
