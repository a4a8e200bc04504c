"""The network on one clock as a picture: a row per unit, every layer where its unit has it, colour by cause."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from accelsim.report import clocked, network_trace, palette, words
from accelsim.report.columns import shorten
from accelsim.report.series import LONG_NAME
from accelsim.results import NetworkResult
from accelsim.schedules import LayerTime
from accelsim.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LEFT, _RIGHT, _LANE, _HEAD, _FOOT = 10.5, 0.9, 0.2, 0.62, 0.95, 0.85
"""Inches: of the figure, its margins, and a unit's row."""
_LETTER = 0.058
_LINE = 125
"""Letters of a line of the title."""


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw the layers of a network on one clock.

    Raises
    ------
    ConfigError
        Layers one after another; parts of a network are.
    """
    schedule = clocked.schedule_of(result)
    units, buses = list(schedule.accounts), network_trace.use(schedule)
    lanes = [*units, *map(network_trace.bus_name, buses)]
    height = _HEAD + _LANE * len(lanes) + _FOOT
    fig.set_size_inches(_WIDTH, height)
    title = "\n".join([words.title(result), *wrap(clocked.headline(schedule), _LINE)])
    fig.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize=9)
    box = (_LEFT / _WIDTH, _FOOT / height, 1 - (_LEFT + _RIGHT) / _WIDTH, _LANE * len(lanes) / height)
    ax = fig.add_axes(box)
    ax.set_xlim(0, max(schedule.cycles, 1))
    ax.set_ylim(len(lanes) - 0.5, -0.5)
    ax.set_yticks(range(len(lanes)), lanes)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("cycles")
    ax.xaxis.set_major_formatter(lambda cycles, _: si(cycles, ""))
    used: dict[str, str] = {}
    for time in schedule.layers:
        _layer(ax, units.index(time.unit), time, used)
    for lane, unit in enumerate(units):
        start, cycles, cause = network_trace.tail(schedule, unit)
        _block(ax, lane, start, cycles, 0.0, 1.0, cause, used)
    for lane, (place, steps) in enumerate(buses.items(), start=len(units)):
        _bus(ax, lane, steps, schedule.cycles, palette.DRAM.colour if place == "dram" else palette.GREEN)
    _names(ax, result, units, schedule.cycles)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, frameon=False, fontsize=7, handlelength=1.2,
              columnspacing=1.2, borderaxespad=0.2)  # fmt: skip
    caption = (
        "units: height within a layer is the share of its time in which the unit works, from below, or its tiles wait; "
        "between layers: what the next one waits for\nbuses: share in use, a layer's requests spread evenly from its "
        "first to its last"
    )
    fig.text(0.01, 0.06 / height, caption, fontsize=7, color="#333333")


def _layer(ax: Axes, lane: int, time: LayerTime, used: dict[str, str]) -> None:
    """Draw the gap before a layer, first what waits for other layers, then the layer with the waits of its tiles."""
    before, inside = network_trace.gaps(time)
    for start, cycles, cause in before:
        _block(ax, lane, start, cycles, 0.0, 1.0, cause, used)
    body = time.end_cycle - time.start_cycle
    floor = 1 - sum(inside.values()) / body if body else 1.0
    _block(ax, lane, time.start_cycle, body, 0.0, floor, "busy", used)
    for cause, cycles in inside.items():
        _block(ax, lane, time.start_cycle, body, floor, cycles / body, cause, used)
        floor += cycles / body


def _bus(ax: Axes, lane: int, steps: list[tuple[int, float]], cycles: int, colour: str) -> None:
    """Draw how much of a bus is in use."""
    edges, floor = [cycle for cycle, _ in steps], lane + 0.4
    heights = [floor - 0.8 * min(share, 1.0) for _, share in steps]
    ax.stairs(heights, [*edges, max(cycles, edges[-1] + 1)], baseline=floor, fill=True, color=colour)


def _block(
    ax: Axes, lane: int, start: int, cycles: int, floor: float, high: float, cause: str, used: dict[str, str]
) -> None:
    """Draw a block; ``floor`` and ``high`` are shares of the row's height, from below."""
    if not cycles or not high:
        return
    look = palette.CAUSES[cause]
    told = {"busy": "works", "idle": "waits for another layer, or has none left"}.get(cause, words.of_cause(cause))
    label = None if cause in used else used.setdefault(cause, told)
    ax.broken_barh([(start, cycles)], (lane + 0.4 - 0.8 * (floor + high), 0.8 * high), facecolors=look.colour,
                   hatch=look.hatch or None, edgecolor="white", linewidth=0, label=label)  # fmt: skip


def _names(ax: Axes, result: NetworkResult, units: list[str], cycles: int) -> None:
    """Name layers where there is room."""
    times = list(clocked.by_layer(result).values())
    cut = len(words.prefix([time.name for time in times], LONG_NAME))
    inches = (_WIDTH - _LEFT - _RIGHT) / (cycles or 1)
    for time in times:
        name, wide = time.name[cut:], time.end_cycle - time.start_cycle
        if (room := int(wide * inches / _LETTER)) >= min(len(name), 5):
            ax.text(time.start_cycle + wide / 2, units.index(time.unit) + 0.25, shorten(name, room), ha="center",
                    va="center_baseline", fontsize=6.5, color="white")  # fmt: skip
