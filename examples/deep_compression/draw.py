"""Draw what each stage of Deep Compression saves, layer by layer.

    python examples/deep_compression/draw.py [FOLDER [NETWORK...]]     writes FOLDER/compression.png and compression.md

The trained networks are not at hand: weights are independent normals, pruned to the densities of Han et al., NIPS 2015
(recalled). Totals of Han, Mao, Dally, "Deep Compression", ICLR 2016 (recalled) are named and not judged: they are of
networks that were trained again after every stage.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
from matplotlib import rc_context

from accelsim import load_network
from accelsim.passes.compress import compress
from accelsim.passes.density import read_density
from accelsim.progress import each
from accelsim.report.compression import rows, totals
from accelsim.report.plots import STYLE

HERE = Path(__file__).parent
PUBLISHED = {"alexnet": 35, "vgg16": 49}
"""Total ratios of the paper's abstract, recalled."""
STAGES = (
    ("pruned_ratio", "#56B4E9", "pruned, relative indices"),
    ("shared_ratio", "#E69F00", "shared weights"),
    ("ratio", "#009E73", "Huffman-coded"),
)
INK, QUIET = "#222222", "#666666"


class Normals(dict):
    """Tensor name -> independent normals, made when asked for."""

    def __init__(self, network):
        super().__init__()
        self.tensors = network.tensors

    def __contains__(self, name):
        return name in self.tensors

    def __getitem__(self, name):
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        return rng.standard_normal(self.tensors[name].shape, dtype=np.float32)


def compressed(name):
    network = load_network(name)
    return compress(network, read_density(HERE / f"densities_{name}.yaml"), given=Normals(network))


def table(found):
    """Return the markdown of all networks."""
    lines = ["# Deep Compression, layer by layer", "", *(__doc__ or "").split("\n\n")[2].strip().splitlines(), ""]
    for name, done in found.items():
        total = totals(done)
        lines += [
            f"## {name}: {total['ratio']:.1f}x in total (published, recalled: {PUBLISHED[name]}x)", "",
            "| layer | weights | density | bits | padding | pruned | shared | coded |",
            "| --- | --: | --: | --: | --: | --: | --: | --: |",
        ]  # fmt: skip
        for row in [*rows(done), {**total, "name": "total"}]:
            bits = f"{row['code_bits']} + {row['index_bits']}" if "code_bits" in row else ""
            padding = row["padding_entries"] / max(row["entries"], 1)
            ratios = " | ".join(f"{row[key]:.1f}x" for key, _, _ in STAGES)
            lines.append(
                f"| {row['name']} | {row['elements']:,} | {row['density']:.3f} | {bits} | {padding:.1%} | {ratios} |"
            )
        lines.append("")
    return "\n".join(lines)


def panel(ax, name, done):
    entries = [*rows(done), {**totals(done), "name": "total"}]
    places = np.arange(len(entries))
    for i, (key, colour, label) in enumerate(STAGES):
        ax.bar(places + (i - 1) * 0.27, [row[key] for row in entries], 0.25, color=colour, label=label)
    for place, row in zip(places, entries, strict=True):
        ax.text(place + 0.27, row["ratio"], f"{row['ratio']:.0f}", ha="center", va="bottom", fontsize=7, color=INK)
    ax.axvline(len(entries) - 1.5, color=QUIET, linewidth=0.6)
    ax.set_xticks(places, [row["name"] for row in entries], rotation=40, ha="right", fontsize=7.5, color=INK)
    ax.set_title(
        f"{name}: normal weights, pruned to recalled densities (published total, recalled: {PUBLISHED[name]}x)",
        color=INK,
    )
    ax.set_ylabel("x smaller than 32-bit dense", fontsize=8, color=INK)
    ax.tick_params(axis="y", labelsize=7.5, colors=QUIET)
    ax.grid(axis="y", color="#E4E4E4", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)


def draw(folder: Path, names=()) -> Path:
    """Write picture and table; return the picture's path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = {name: compressed(name) for name in each(names or PUBLISHED)}
    figure, axes = plt.subplots(len(found), 1, figsize=(8.6, 3.1 * len(found) + 0.5), squeeze=False)
    for ax, (name, done) in zip(axes[:, 0], found.items(), strict=True):
        panel(ax, name, done)
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compression.md").write_text(table(found))
    path = folder / "compression.png"
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return path


if __name__ == "__main__":
    target, *chosen = sys.argv[1:] or ["reports/out"]
    with rc_context(STYLE):
        print(draw(Path(target), chosen))
