"""Which columns of the layer table a terminal is wide enough for, and their texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size

from accelsim.report import clocked, facts, words
from accelsim.results import LayerResult, NetworkResult
from accelsim.units import si

GAP = 1
"""Blanks between two columns."""
MIN_BAR, MAX_BAR = 8, 32
MIN_NAME, GOOD_NAME, MAX_NAME = 13, 18, 34
"""Names are never cut below the first, and columns make room for the second ('PARTIAL total' is 13 long)."""


SHORTEST_WORD = 2
_WORD = re.compile("[A-Za-z]+")


@dataclass(frozen=True)
class Column:
    """One column of text.

    Attributes
    ----------
    name : str
    head : tuple of str
        Up to three lines; the last names the unit.
    cells : tuple of str
        One per layer, and the total last. Those of the account are blank: the bar is drawn at its final width.
    width : int
        Terminal cells.
    dispensable : int
        Columns with a larger number go first when the terminal is narrow; 0 stays.
    left : bool
        Aligned left.
    """

    name: str
    head: tuple[str, ...]
    cells: tuple[str, ...]
    width: int
    dispensable: int = 0
    left: bool = False

    def padded(self, text: str, dots: str = "…") -> str:
        """Return ``text`` in exactly the width of the column."""
        text = shorten(text, self.width, dots)
        blanks = " " * (self.width - cell_len(text))
        return text + blanks if self.left else blanks + text


def columns(result: NetworkResult, layers: Sequence[LayerResult], total: str) -> list[Column]:
    """Return all columns at their natural width: a cell per layer, and the totals of the result last."""
    both: tuple[LayerResult | NetworkResult, ...] = (*layers, result.alone)
    stalls = sum(layer.stall_cycles for layer in layers)
    cut = len(words.prefix([layer.name for layer in layers], GOOD_NAME))
    names = [layer.name[cut:] for layer in layers]
    stalled = [_percent(layer.stall_cycles, layer.cycles) for layer in layers]
    times = [_percent(layer.cycles, result.isolated_cycles) for layer in layers]
    macs, cycles, occupancy, energy = _figures(both)
    return [
        column("layer", ("layer",), [*names, total], left=True),
        column("kind", ("kind",), [layer.kind for layer in layers] + [""], 6, left=True),
        macs,
        cycles,
        column("share of time", ("time", "%"), [*times, ""], 5),
        occupancy,
        Column("account", ("cycles", "by cause"), ("",) * len(both), MIN_BAR, left=True),
        column("stalls", ("stall", "%"), [*stalled, _percent(stalls, result.isolated_cycles)], 1),
        column("DRAM read", ("DRAM", "read", "MB"), [words.small(x.dram_read_bits / 8e6) for x in both], 1),
        column("DRAM write", ("DRAM", "write", "MB"), [words.small(x.dram_write_bits / 8e6) for x in both], 2),
        energy,
        column("bound by", ("bound", "by"), [words.of_cause(layer.bound_by) for layer in layers] + [""], left=True),
        *_clocked(result, layers),
    ]


def _clocked(result: NetworkResult, layers: Sequence[LayerResult]) -> list[Column]:
    """Return when layers begin and end on the network's clock, and how long they wait for what; nothing without one."""
    if result.schedule is None:
        return []
    times = clocked.by_layer(result)
    mine = [times.get(layer.name) for layer in layers]
    starts, ends = (
        [f"{getattr(time, key):,}" if time else "" for time in mine] for key in ("start_cycle", "end_cycle")
    )
    worst = [max(time.waits.items() if time else (), key=lambda wait: wait[1], default=("", 0)) for time in mine]
    waits = [f"{cycles:,}" if cause else "" for cause, cycles in worst]
    most = [clocked.WAIT_WORDS.get(cause, "") for cause, _ in worst]
    return [
        column("start", ("one", "clock:", "start"), [*starts, ""], 3),
        column("end", ("end",), [*ends, f"{result.cycles:,}"], 3),
        column("waited", ("waited",), [*waits, ""], 3),
        column("waited for", ("for",), [*most, ""], 3, left=True),
    ]


def block_columns(result: NetworkResult, depth: int, total: str) -> list[Column]:
    """Return the columns of the table of blocks that simulated layers are in: a cell per block, and the totals last."""
    blocks = {name: block for name, block in result.alone.blocks(depth).items() if block.simulated}
    both = (*blocks.values(), result.alone)
    macs, cycles, occupancy, energy = _figures(both)
    return [
        column("block", ("block",), [*blocks, total], left=True),
        column("layers", ("layers",), [f"{len(x.simulated)}" for x in both], 2),
        macs,
        cycles,
        column("share of time", ("time", "%"), [_percent(x.cycles, result.isolated_cycles) for x in both]),
        occupancy,
        column("DRAM", ("DRAM", "MB"), [words.small(x.dram_bits / 8e6) for x in both], 1),
        energy,
    ]


def _figures(both: Sequence[LayerResult | NetworkResult]) -> tuple[Column, Column, Column, Column]:
    """Return the columns that a table of layers and one of blocks share: MACs, cycles, occupancy, energy."""
    return (
        column("MACs", ("MACs",), [si(x.counted_macs) if x.counted_macs else "" for x in both], 4),
        column("cycles", ("cycles",), [f"{x.cycles:,}" for x in both]),
        column("occupancy", ("occ.", "%"), [words.percent(x.occupancy, "") for x in both]),
        column("energy", ("energy", "uJ"), [words.small(x.total_energy_pj / 1e6) for x in both], 1),
    )


def fit(found: list[Column], width: int) -> tuple[list[Column], list[str]]:
    """Return the columns that fit into ``width`` cells, and the names of those left out.

    Dispensable columns go first, one by one, some of them to give long names room; what is left is given to the
    names and then to the bar.
    """
    shown = list(found)
    natural = min(found[0].width, MAX_NAME)
    while _least(shown, min(natural, GOOD_NAME)) > width and any(column.dispensable > 3 for column in shown):
        shown.remove(max(shown, key=lambda column: column.dispensable))
    while _least(shown, min(natural, MIN_NAME)) > width and any(column.dispensable for column in shown):
        shown.remove(max(shown, key=lambda column: column.dispensable))
    least = min(natural, MIN_NAME)
    spare = max(0, width - _least(shown, least))
    name = least + min(spare, natural - least)
    sizes = {"layer": name, "account": min(MAX_BAR, MIN_BAR + spare - (name - least))}
    fitted = [replace(column, width=sizes.get(column.name, column.width)) for column in shown]
    return fitted, [column.name for column in found if column not in shown]


def narrowed(found: Sequence[Column], width: int) -> tuple[list[Column], list[str]]:
    """Return the columns that fit into ``width`` cells uncut, and the names of those left out: dispensable ones."""
    shown = list(found)
    while _least(shown, shown[0].width) > width and any(column.dispensable for column in shown):
        shown.remove(max(shown, key=lambda column: column.dispensable))
    return shown, [column.name for column in found if column not in shown]


def column(name: str, head: tuple[str, ...], cells: list[str], dispensable: int = 0, left: bool = False) -> Column:
    """Return a column at its natural width."""
    return Column(name, head, tuple(cells), max(map(cell_len, (*cells, *head))), dispensable, left)


def shorten(name: str, width: int, dots: str = "…") -> str:
    """Return a name of at most ``width`` cells that still tells layers apart.

    Its longest words lose letters while its numbers stay (``stage1_block0_conv2`` becomes ``sta1_blo0_con2``);
    where that is not enough it loses its middle.
    """
    while cell_len(name) > width:
        word = max(_WORD.finditer(name), key=lambda found: len(found.group()), default=None)
        if word is None or len(word.group()) < SHORTEST_WORD:
            return _without_middle(name, width, dots)
        name = name[: word.end() - 1] + name[word.end() :]
    return name


def _without_middle(name: str, width: int, dots: str) -> str:
    keep = max(0, width - len(dots))
    head = set_cell_size(name, keep // 2)
    tail = ""
    for char in reversed(name):
        if cell_len(head + char + tail) > keep:
            break
        tail = char + tail
    return (head + dots + tail)[:width]


def worked(result: NetworkResult) -> tuple[LayerResult, ...]:
    """Return the simulated layers that took time or moved data, and those that were folded: renamings have no row."""

    def works(layer: LayerResult) -> bool:
        return bool(layer.cycles or layer.traffic or facts.causes(layer) or layer.folded_into)

    return tuple(filter(works, result.simulated))


def _least(shown: Sequence[Column], name: int) -> int:
    """Return the width that the columns need when the names get ``name`` cells and the bar as few as it may."""
    least = {"layer": name, "account": MIN_BAR}
    return sum(min(c.width, least.get(c.name, c.width)) for c in shown) + GAP * (len(shown) - 1)


def _percent(part: int, whole: int) -> str:
    return words.percent(part / whole, "") if whole else ""
