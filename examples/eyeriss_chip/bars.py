"""The chip's own measurements beside this build, layer by layer: the figures are the engine's validation cases."""

from __future__ import annotations

from pathlib import Path

from style import CHIP, INK, OTHER, OURS, QUIET, axes_style, save

from accelsim.validate.cases import engine_cases
from accelsim.validate.compare import ours

PANELS = (
    ("Processing latency", "ms", "processing latency", 1),
    ("Total latency, with loads and dumps", "ms", "total latency", 1),
    ("Buffer accesses", "MB", "buffer accesses", 1),
    ("DRAM accesses", "MB", "DRAM accesses", 2),
)
TABLES = (("65nm", OURS), ("eyeriss_nn_dataflow", OTHER))


def figures(network: str, what: str) -> dict[str, tuple[float, float]]:
    """Layer -> (published, ours) of the cases called ``<network> <layer>, <what>``."""
    cases = engine_cases()["row_stationary"]
    found = {}
    for case in cases:
        head, _, tail = case.case.partition(", ")
        if tail == what and head.startswith(f"{network} "):
            found[head.removeprefix(f"{network} ")] = (case.expected, ours(case))
    return found


def group(ax, columns, colours, digits) -> None:
    """Draw a group of bars per layer and write each bar's value above it."""
    layers = list(columns[0])
    width = 0.84 / len(columns)
    highest = max(max(column.values()) for column in columns)
    for place, (column, colour) in enumerate(zip(columns, colours, strict=True)):
        xs = [i - 0.42 + (place + 0.5) * width for i in range(len(layers))]
        ax.bar(xs, column.values(), width * 0.92, color=colour)
        for x, value in zip(xs, column.values(), strict=True):
            text = f"{value:.{digits}f}"
            ax.text(x, value + highest * 0.012, text, ha="center", va="bottom", fontsize=6.4, color=INK)
    ax.set_ylim(0, highest * 1.12)
    ax.set_xticks(range(len(layers)), layers)


def deviations(ax, pairs) -> None:
    """Write under each layer by how much ours is off."""
    names = [f"{layer}\n{100 * (mine / chip - 1):+.2f} %" for layer, (chip, mine) in pairs.items()]
    ax.set_xticks(range(len(names)), names)


def draw(folder: Path) -> Path:
    """Write the picture and return its path."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 2, figsize=(10.4, 9.6))
    figure.subplots_adjust(left=0.065, right=0.985, top=0.865, bottom=0.06, hspace=0.46, wspace=0.16)
    for ax, (title, unit, what, digits) in zip(axes.flat, PANELS, strict=False):
        pairs = figures("AlexNet", what)
        group(ax, [{k: v[i] for k, v in pairs.items()} for i in (0, 1)], (CHIP, OURS), digits)
        axes_style(ax, title, unit)
        deviations(ax, pairs)
    power = [figures("AlexNet", f"power on chip, energy table {table}") for table, _ in TABLES]
    columns = [{k: v[0] for k, v in power[0].items()}, *({k: v[1] for k, v in p.items()} for p in power)]
    group(axes[2, 0], columns, (CHIP, *(colour for _, colour in TABLES)), 0)
    axes_style(axes[2, 0], "Power without DRAM, by energy table", "mW")
    vgg = figures("VGG-16", "processing latency with inferred mappings")
    group(axes[2, 1], [{k: v[i] for k, v in vgg.items()} for i in (0, 1)], (CHIP, OURS), 1)
    axes_style(axes[2, 1], "VGG-16, batch 3: processing latency, mappings inferred", "ms")
    deviations(axes[2, 1], vgg)
    heading(figure)
    path = folder / "eyeriss_chip.png"
    save(figure, path)
    plt.close(figure)
    return path


def heading(figure) -> None:
    from matplotlib.patches import Patch

    figure.text(0.012, 0.985, "Eyeriss on AlexNet, batch 4: the chip and this build", fontsize=10,
                color=INK, va="top")  # fmt: skip
    note = (
        "Chip: Chen et al., JSSC 2017, tables V and VI. No constant is fitted to these figures; mappings of AlexNet "
        "are those of table III.\nPrices know no control logic and no clock of networks and buffers, which the chip's "
        "power includes. Under a layer: how far this build is off."
    )
    figure.text(0.012, 0.962, note, fontsize=7.8, color=QUIET, va="top", linespacing=1.45)
    names = [
        ("chip", CHIP),
        ("this build, prices of 65nm", OURS),
        ("prices as nn_dataflow fits them to the chip", OTHER),
    ]
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in names], loc="upper left",
        bbox_to_anchor=(0.005, 0.93), ncol=3, frameon=False, fontsize=8, handlelength=1, handleheight=1,
    )  # fmt: skip
