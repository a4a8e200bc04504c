"""Both arrays' utilisation over length for five designs of fused attention, and networks on whole machines.

python examples/fused_attention/study.py [-o answer.png]
"""

import argparse
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import accelsim
from accelsim.report.palette import BLUE, DARK_GREY, GREEN, ORANGE, VERMILION
from accelsim.report.plots import DPI, STYLE
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Attention

DESIGNS = {
    "attention_unfused": ("unfused", DARK_GREY, "o"),
    "flat_cloud": ("FLAT", ORANGE, "s"),
    "fusemax_cascade": ("+Cascade", GREEN, "^"),
    "fusemax_arch": ("+Architecture", BLUE, "D"),
    "fusemax": ("+Binding (FuseMax)", VERMILION, "v"),
}
LENGTHS = {f"{2**k // 1024 or '1/4'}K" if k < 20 else "1M": 2**k for k in range(8, 22, 2)}
SPILLS = 2**16
"""Longest sequence whose scores FLAT keeps on the chip; beyond, it shares keys and values among four query blocks."""
NPUS = ("edge_npu_128", "edge_npu", "eyeriss_npu", "flat_npu", "fusemax_npu")
NETWORKS = ("net:bert_base", "net:gpt2_small")


def layer(machine, length):
    """Return BERT's attention of 64 sequences on a machine."""
    made, tensors = make_layer("attention", Attention(64, 12, 12, length, length, 64))
    arch = accelsim.load_arch(machine)
    if machine == "flat_cloud" and length > SPILLS:
        arch = arch.replace("params.keep", ["q"]).replace("mapping.fixed", {"query_blocks": 4})
    return accelsim.simulate(arch, Network("bert", (made,), tensors, isolated=True)).layers[0]


def in_use(found, kind):
    """Return the share of the unit-cycles of a kind in which it works."""
    account = found.accounts[kind]
    return account.causes["busy"] / sum(account.causes.values())


def draw(found):
    with rc_context(STYLE):
        fig = Figure(figsize=(8.6, 3.6), layout="constrained")
        FigureCanvasAgg(fig)
        axes = fig.subplots(1, 2, sharey=True)
        for ax, kind, title in zip(
            axes, ("pes", "lanes"), ("array: 256 x 256 PEs", "256 lanes beside it"), strict=True
        ):
            for machine, (name, colour, mark) in DESIGNS.items():
                shares = [100 * in_use(found[machine, length], kind) for length in LENGTHS]
                ax.plot(range(len(LENGTHS)), shares, color=colour, marker=mark, markersize=4, linewidth=1.4, label=name)
            ax.set_xticks(range(len(LENGTHS)), LENGTHS)
            ax.set_ylim(0, 103)
            ax.set_title(title)
            ax.set_xlabel("queries, and keys (tokens)")
            ax.grid(visible=True, color="#e6e6e6", linewidth=0.5)
            ax.set_axisbelow(True)
        axes[0].set_ylabel("busy (% of unit-cycles)")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
        return fig


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, default=Path("answer.png"), help="picture")
    target = parser.parse_args().o
    found = {(machine, name): layer(machine, length) for machine in DESIGNS for name, length in LENGTHS.items()}
    print(f"{'design':20} {'length':>6} {'cycles':>16} {'array %':>8} {'lanes %':>8} {'energy (J)':>11}")
    for (machine, name), one in found.items():
        shares = (100 * in_use(one, kind) for kind in ("pes", "lanes"))
        print(
            f"{DESIGNS[machine][0]:20} {name:>6} {one.cycles:16,}", *(f"{share:8.2f}" for share in shares),
            f"{sum(one.energy_pj.values()) / 1e12:11.4g}",
        )  # fmt: skip
    table = accelsim.compare(NPUS, NETWORKS, sets=[("clock_gating", "unit"), ("energy.node", 45)])
    print(f"\n{'machine':13} {'network':22} {'ms':>9} {'J':>8} {'EDP (mJ s)':>11} {'EDP gain':>9} {'DRAM (GB)':>10}")
    for row in table.to_rows():
        assert not row["partial"]
        print(
            f"{row['arch']:13} {row['network']:22} {1e3 * row['time_s']:9.4g} {row['total_energy_pj'] / 1e12:8.3g} "
            f"{row['edp_pj_s'] / 1e9:11.3g} {row['edp_gain']:9.3g} {row['dram_bits'] / 8e9:10.3g}"
        )
    draw(found).savefig(target, dpi=DPI, metadata={"Software": None})
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
