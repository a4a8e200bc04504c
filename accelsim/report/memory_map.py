"""What stays on a chip: addresses along positions, what is alive, and what goes through DRAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from accelsim.report import palette
from accelsim.text import visible
from accelsim.workload.storage import live_bits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from accelsim.planning import Plan

LOOKS = (palette.BLUE, palette.SKY, palette.GREEN, palette.YELLOW, palette.ORANGE, palette.PURPLE, palette.WINE)
DARK = (palette.BLUE, palette.GREEN, palette.WINE)
"""Colours on which letters are white."""
MOST_SPILLED = 18
"""Storages in DRAM that are named; the others are counted."""
LETTERS = 5.5
"""Points of a name in its rectangle."""
KIB = 8192


def draw(fig: Figure, plan: Plan) -> None:
    """Draw rectangles of what stays above bytes alive, and name what does not stay beside them."""
    fig.set_size_inches(9.6, 6.0)
    top, low = fig.add_axes((0.075, 0.4, 0.68, 0.5)), fig.add_axes((0.075, 0.085, 0.68, 0.235))
    end = len(plan.layers)
    _map(top, plan, end)
    _alive(low, plan, end)
    for ax in (top, low):
        ax.set_xlim(0, end)
    top.set_xticklabels([])
    low.set_xlabel("position in running order")
    share = 100 * plan.moved_bits / plan.all_dram_bits if plan.all_dram_bits else 0
    title = f"{visible(plan.network)}: {plan.moved_bits // 8:,} B move through DRAM, {share:.1f} % of all"
    fig.suptitle(f"{title} ({plan.proof})", x=0.01, y=0.985, ha="left", va="top")
    fig.text(0.775, 0.9, "\n".join(_spilled(plan)), ha="left", va="top", fontsize=6, family="monospace")


class Box(NamedTuple):
    """What lives at an address, KiB, from a position or a cycle on; how long and how large it is."""

    name: str
    start: float
    length: float
    address_kib: float
    size_kib: float


def draw_boxes(ax: Axes, boxes: Sequence[Box], across_points: float, up_points: float) -> None:
    """Draw rectangles, with their names where they fit; points of a unit of either axis."""
    for i, (name, start, length, at, size) in enumerate(boxes):
        colour, name = LOOKS[i % len(LOOKS)], _short(name)
        ax.bar(start, size, length, at, align="edge", color=colour, edgecolor="white", linewidth=0.6)
        along, across = length * across_points, size * up_points
        turned = along < 0.6 * LETTERS * len(name)
        if turned:
            along, across = across, along
        if along > 0.6 * LETTERS * len(name) and across > 1.3 * LETTERS:
            letters, middle = "white" if colour in DARK else "black", (start + length / 2, at + size / 2)
            ax.text(
                *middle, name, ha="center", va="center", rotation=90 if turned else 0, fontsize=LETTERS, color=letters
            )  # fmt: skip


def draw_capacity(ax: Axes, limit_kib: float, most_kib: float, end: float) -> None:
    """Let the axis of addresses go up to ``most_kib``, and say where the memory ends."""
    ax.set_ylim(0, most_kib)
    ax.set_ylabel("address (KiB)")
    if limit_kib <= most_kib:
        ax.axhline(limit_kib, color="black", linewidth=1)
        ax.text(end, limit_kib, f"{limit_kib:,.6g} KiB ", ha="right", va="bottom", fontsize=7)
    else:
        ax.text(end, most_kib, f"capacity {limit_kib:,.6g} KiB is above ", ha="right", va="top", fontsize=7)


def _map(ax: Axes, plan: Plan, end: int) -> None:
    height, width = 0.5 * 6.0 * 72, 0.68 * 9.6 * 72  # points
    limit = plan.capacity_bits / KIB
    most = 1.06 * min(limit, max(1.3 * plan.used_bits / KIB, 1e-9)) if plan.used_bits else 1.06 * limit
    places = plan.residency.places
    boxes = [
        Box(s.name, s.first, s.last - s.first + 1, places[s.name].address_bits / KIB, s.bits / KIB) for s in plan.kept
    ]
    draw_boxes(ax, boxes, width / end, height / most)
    draw_capacity(ax, limit, most, end)
    ax.set_title("what stays, from its first writer to its last reader")


def _alive(ax: Axes, plan: Plan, end: int) -> None:
    edges = list(range(end + 1))
    every = [bits / KIB for bits in plan.live_bits.values()]
    kept = [bits / KIB for bits in live_bits(plan.kept, end)]
    limit = plan.capacity_bits / KIB
    ax.stairs(every, edges, fill=True, color=palette.LIGHT_GREY, label="all storages")
    ax.stairs(kept, edges, fill=True, color=palette.BLUE, label="those that stay")
    ax.axhline(limit, color="black", linewidth=1, label="capacity")
    most = max(*every, 1e-9)
    ax.set_ylim(0, 1.05 * (limit if most < limit < 1.5 * most else most))
    ax.set_ylabel("alive (KiB)")
    ax.legend(loc="upper right", fontsize=7, frameon=False)


def _spilled(plan: Plan) -> list[str]:
    """Return the lines that name what goes through DRAM."""
    outside = [storage for storage in plan.storages if storage.role != "inner"]
    lines = ["through DRAM, bytes moved:", ""]
    lines += [f"{storage.moved_bits // 8:>12,}  {_short(storage.name)}" for storage in plan.spilled[:MOST_SPILLED]]
    if rest := plan.spilled[MOST_SPILLED:]:
        lines.append(f"{sum(storage.moved_bits for storage in rest) // 8:>12,}  {len(rest)} more")
    if not plan.spilled:
        lines.append("nothing between layers")
    lines += ["", *(f"{s.moved_bits // 8:>12,}  {_short(s.name)} ({s.role})" for s in outside[:6])]
    if len(outside) > 6:
        lines.append(f"and {len(outside) - 6} more inputs, outputs or states")
    return lines


def _short(name: str) -> str:
    name = visible(name).removesuffix(".output")
    return name if len(name) <= 22 else f"...{name[-19:]}"
