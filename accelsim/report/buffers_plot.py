"""What lives in buffers between layers on one clock: addresses along cycles, and what is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.errors import ConfigError
from accelsim.report import clocked, network_trace, palette, words
from accelsim.report.memory_map import KIB, Box, draw_boxes, draw_capacity
from accelsim.results import NetworkResult
from accelsim.schedules import BufferTime
from accelsim.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LEFT, _RIGHT, _HEAD, _FOOT = 10.5, 0.8, 0.25, 0.55, 0.55
"""Inches: of the figure and its margins."""
_MAP, _BETWEEN, _ALIVE, _NEXT = 3.2, 0.25, 1.1, 0.85
"""Inches: of the two panels of a buffer and what is between them; from a buffer to the next."""


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw two panels per buffer: rectangles of what lives there, and how much that is.

    Raises
    ------
    ConfigError
        Layers one after another, or nothing that lives in a buffer.
    """
    schedule = clocked.schedule_of(result)
    buffers = [buffer for buffer in schedule.buffers if any(kept.buffer == buffer.name for kept in schedule.kept)]
    if not buffers:
        remedy = "run on a machine with memory.buffers or rooms, such as edge_npu_l2"
        raise ConfigError("nothing lives in buffers between layers", remedy, file=result.network)
    panels = _MAP + _BETWEEN + _ALIVE
    height = _HEAD + panels * len(buffers) + _NEXT * (len(buffers) - 1) + _FOOT
    fig.set_size_inches(_WIDTH, height)
    fig.suptitle(words.title(result), x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize=9)
    lives, live = network_trace.lives(result, schedule), network_trace.live(result, schedule)
    wide = _WIDTH - _LEFT - _RIGHT
    for number, buffer in enumerate(buffers):
        under = height - _HEAD - number * (panels + _NEXT)
        map_at = (_LEFT / _WIDTH, (under - _MAP) / height, wide / _WIDTH, _MAP / height)
        alive_at = (_LEFT / _WIDTH, (under - panels) / height, wide / _WIDTH, _ALIVE / height)
        top, low = fig.add_axes(map_at), fig.add_axes(alive_at)
        boxes = [
            Box(kept.storage, start, end - start, kept.address_bits / KIB, kept.bits / KIB)
            for kept, start, end in lives if kept.buffer == buffer.name
        ]  # fmt: skip
        _map(top, buffer, boxes, schedule.cycles, wide * 72)
        _alive(low, live[buffer.name], schedule.cycles)
        for ax in (top, low):
            ax.set_xlim(0, schedule.cycles)
            ax.xaxis.set_major_formatter(lambda cycles, _: si(cycles, ""))
        top.set_xticklabels([])
        low.set_xlabel("cycles")


def _map(ax: Axes, buffer: BufferTime, boxes: list[Box], cycles: int, points: float) -> None:
    """Draw what lives in a buffer up to a little more than it reaches, with a line where the buffer ends."""
    limit, reached = buffer.capacity_bits / KIB, max(box.address_kib + box.size_kib for box in boxes)
    most = 1.06 * min(limit, 1.3 * reached)
    draw_boxes(ax, boxes, points / cycles, _MAP * 72 / most)
    draw_capacity(ax, limit, most, cycles)
    ax.set_title(f"{buffer.name}: what stays between layers, from its first writer to its last reader", fontsize=8)


def _alive(ax: Axes, levels: list[tuple[int, int]], cycles: int) -> None:
    """Draw how much is alive."""
    edges = [cycle for cycle, _ in levels]
    sizes = [bits / KIB for _, bits in levels]
    ax.stairs(sizes, [*edges, max(cycles, edges[-1] + 1)], fill=True, color=palette.BLUE)
    ax.set_ylim(0, 1.1 * max(*sizes, 1e-9))
    ax.set_ylabel("alive (KiB)")
