"""SRAM at a node as the cheapest banking of computed macros. See ``docs/decisions/0086-prices-with-physics.md``.

The macros are the rows of ``sram_cacti.csv``. At their width they are read log-log in size, between widths log-log in
width; energies go with the square of the supply. A memory of S bytes with a port of W bits is k macros side by side,
each of S / k bytes and W / k bits, and k is the power of two that makes the access cheapest unless a machine fixes it.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from accelsim.energy.constants import nominal_v
from accelsim.energy.curve import REACH, NoFigureError
from accelsim.energy.rows import Status
from accelsim.energy.scaling import between_nodes

FILE = Path(__file__).parent / "sram_cacti.csv"
LEAST_BYTES, LEAST_WORDS, LEAST_BITS = 256, 16, 16
"""A bank holds at least so many bytes and words; a macro narrower than this is one of this width."""
MOST_BANKS = 1 << 12
ENERGY, LEAK = "itrs-hp", "itrs-lstp"
"""The cells whose energy and area, and whose leakage, price a memory."""
SOURCE = "CACTI 7.0, HewlettPackard/cacti commit 1ffd8df"


class Macro(NamedTuple):
    """A row: an SRAM of ``bytes`` with a port of ``width_bits`` at the supply ``vdd_v`` of its node and cell."""

    node_nm: float
    vdd_v: float
    cell: str
    bytes: int
    width_bits: int
    read_pj: float
    write_pj: float
    leak_mw: float
    mm2: float


class Grid(NamedTuple):
    """The macros of a node: width -> sizes in bytes, and (size, width) -> figure at 1 V."""

    status: Status
    text: str
    sizes: dict[int, tuple[int, ...]]
    read_pj: dict[tuple[int, int], float]
    write_pj: dict[tuple[int, int], float]
    mm2: dict[tuple[int, int], float]


class Banked(NamedTuple):
    """A figure of a whole memory, its number of banks, and whether a macro beyond the rows was needed."""

    value: float
    banks: int
    bank_bytes: float
    bank_bits: float
    beyond: bool


@lru_cache(maxsize=1)
def macros() -> tuple[Macro, ...]:
    """Return all rows of the file."""
    with FILE.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    found = []
    for row in csv.DictReader(lines):
        figures = [float(row[name]) for name in ("read_pj", "write_pj", "leak_mw", "mm2")]
        found.append(
            Macro(float(row["node_nm"]), float(row["vdd_v"]), row["cell"], int(row["bytes"]), int(row["width_bits"]),
                  figures[0], figures[1], figures[2], figures[3])
        )  # fmt: skip
    return tuple(found)


@lru_cache(maxsize=32)
def grid(node_nm: float) -> Grid:
    """Return the macros of a node: its own rows, between those of its neighbours, or carried from the nearest node.

    Raises
    ------
    ConfigError
        A node outside the range of the scaling equations.
    """
    nodes = sorted({row.node_nm for row in macros() if row.cell == ENERGY})
    if node_nm in nodes:
        return _own(node_nm)
    if nodes[0] < node_nm < nodes[-1]:
        at = bisect_left(nodes, node_nm)
        return _between(_own(nodes[at - 1]), _own(nodes[at]), nodes[at - 1], nodes[at], node_nm)
    near = nodes[0] if node_nm < nodes[0] else nodes[-1]
    own, volts = _own(near), nominal_v(node_nm)
    by = between_nodes(near, _supply(near), node_nm, volts)
    energy = by.energy * (_supply(near) / volts) ** 2
    text = f"{own.text}, carried to {node_nm:g} nm: capacitance x {energy:.4g}, mm2 x {by.area:.4g} (stillmaker17)"
    return own._replace(
        status="carried",
        text=text,
        read_pj={key: pj * energy for key, pj in own.read_pj.items()},
        write_pj={key: pj * energy for key, pj in own.write_pj.items()},
        mm2={key: mm2 * by.area for key, mm2 in own.mm2.items()},
    )


@lru_cache(maxsize=8)
def _own(node_nm: float) -> Grid:
    rows = [row for row in macros() if row.node_nm == node_nm and row.cell == ENERGY]
    sizes: dict[int, tuple[int, ...]] = {}
    for row in rows:
        sizes[row.width_bits] = tuple(sorted({*sizes.get(row.width_bits, ()), row.bytes}))
    places = [(row, (row.bytes, row.width_bits)) for row in rows]
    return Grid(
        "computed",
        f"{SOURCE}, {ENERGY} at {node_nm:g} nm and {_supply(node_nm):g} V",
        dict(sorted(sizes.items())),
        {at: row.read_pj / row.vdd_v**2 for row, at in places},
        {at: row.write_pj / row.vdd_v**2 for row, at in places},
        {at: row.mm2 for row, at in places},
    )


def _supply(node_nm: float) -> float:
    return next(row.vdd_v for row in macros() if row.node_nm == node_nm and row.cell == ENERGY)


def _between(small: Grid, large: Grid, small_nm: float, large_nm: float, node_nm: float) -> Grid:
    share = math.log(node_nm / small_nm) / math.log(large_nm / small_nm)

    def mix(left: dict[tuple[int, int], float], right: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
        return {at: left[at] ** (1 - share) * right[at] ** share for at in left if at in right}

    read = mix(small.read_pj, large.read_pj)
    sizes = {width: tuple(s for s in found if (s, width) in read) for width, found in small.sizes.items()}
    text = f"{small.text}; {large.text}; {node_nm:g} nm log-log between the two"
    return Grid(
        "computed", text, {width: found for width, found in sizes.items() if found},
        read, mix(small.write_pj, large.write_pj), mix(small.mm2, large.mm2),
    )  # fmt: skip


def macro(at: Grid, figure: str, size_bytes: float, width_bits: float) -> tuple[float, bool]:
    """Return a figure of one macro at 1 V, and whether it lies beyond the rows.

    Smaller or narrower than the smallest of its rows, it costs what that one does. Beyond the largest and the widest
    the last line goes on, up to `REACH` times.
    """
    widths = list(at.sizes)
    width = max(width_bits, widths[0])
    if width in at.sizes:
        return _sized(at, figure, size_bytes, int(width))
    if width > widths[-1] * REACH:
        raise NoFigureError(f"a port of {width:g} bit is more than {REACH} times wider than its rows")
    i = min(bisect_left(widths, width), len(widths) - 1)
    (low, out), (high, too) = (_sized(at, figure, size_bytes, widths[j]) for j in (i - 1, i))
    return _line(widths[i - 1], low, widths[i], high, width), out or too or width > widths[-1]


def _sized(at: Grid, figure: str, size_bytes: float, width: int) -> tuple[float, bool]:
    sizes, rows = at.sizes[width], getattr(at, figure)
    size = max(size_bytes, sizes[0])
    if (size, width) in rows:
        return rows[size, width], False
    if size > sizes[-1] * REACH:
        raise NoFigureError(f"{size / 1024:g} KiB is more than {REACH} times beyond its rows")
    if len(sizes) == 1:
        return rows[sizes[0], width] * size / sizes[0], True
    i = min(bisect_left(sizes, size), len(sizes) - 1)
    low, high = rows[sizes[i - 1], width], rows[sizes[i], width]
    return _line(sizes[i - 1], low, sizes[i], high, size), size > sizes[-1]


def _line(x0: float, y0: float, x1: float, y1: float, x: float) -> float:
    return y0 * math.pow(x / x0, math.log(y1 / y0) / math.log(x1 / x0))


class Cheapest(NamedTuple):
    """Logarithms of a figure over all sizes (bytes) and widths (bits) of a node's macros.

    Each is that of the cheapest macro that is as large and as wide at least, so that none is below a smaller one's.
    """

    sizes: list[float]
    widths: list[float]
    rows: list[list[float]]

    def at(self, size_bytes: float, width_bits: float) -> tuple[float, bool]:
        """Return the figure, log-log in size and width, and whether it lies beyond the rows."""
        i, s, out = _place(self.sizes, math.log(size_bytes))
        j, w, too = _place(self.widths, math.log(width_bits))
        low, high = self.rows[i], self.rows[i + 1]
        small, large = low[j] + w * (low[j + 1] - low[j]), high[j] + w * (high[j + 1] - high[j])
        return math.exp(small + s * (large - small)), out or too


def _place(points: list[float], x: float) -> tuple[int, float, bool]:
    """Return the interval that holds x, or whose line goes on to it, how far x lies in it, and if it lies beyond."""
    if x <= points[0]:
        return 0, 0.0, False
    i = min(bisect_right(points, x), len(points) - 1) - 1
    return i, (x - points[i]) / (points[i + 1] - points[i]), x > points[-1] + 1e-9


@lru_cache(maxsize=64)
def cheapest(node_nm: float, figure: str) -> Cheapest:
    """Return the cheapest macros of a node by a figure."""
    at = grid(node_nm)
    sizes, widths = sorted({size for found in at.sizes.values() for size in found}), list(at.sizes)
    least = [[macro(at, figure, size, width)[0] for width in widths] for size in sizes]
    for i in reversed(range(len(sizes))):
        for j in reversed(range(len(widths))):
            larger = least[i + 1][j] if i + 1 < len(sizes) else math.inf
            wider = least[i][j + 1] if j + 1 < len(widths) else math.inf
            least[i][j] = min(least[i][j], larger, wider)
    logs = [[math.log(value) for value in row] for row in least]
    return Cheapest([math.log(size) for size in sizes], [math.log(width) for width in widths], logs)


@lru_cache(maxsize=1 << 14)
def banked(node_nm: float, figure: str, size_bits: int, width_bits: int, banks: int | None) -> Banked:
    """Return ``read_pj`` or ``write_pj`` of one access of the whole port at 1 V, or the ``mm2``, of a memory.

    Parameters
    ----------
    banks : int or None
        Macros side by side; None takes the cheapest power of two, for an area that of the reads. Then a macro that is
        larger or wider than needed may serve too, so that a smaller memory never costs more than a larger one.

    Raises
    ------
    NoFigureError
        A size or width out of reach of the rows.
    """
    if banks is not None:
        size, bits = size_bits / 8 / banks, width_bits / banks
        value, beyond = macro(grid(node_nm), figure, size, bits)
        return Banked(banks * value, banks, size, bits, beyond)
    if figure == "mm2":
        chosen = banked(node_nm, "read_pj", size_bits, width_bits, None)
        value, beyond = macro(grid(node_nm), figure, chosen.bank_bytes, chosen.bank_bits)
        return Banked(chosen.banks * value, *chosen[1:4], beyond)
    known, best, k = cheapest(node_nm, figure), None, 1
    reach = math.log(REACH)
    while k <= MOST_BANKS and (k == 1 or size_bits / 8 / k >= LEAST_BYTES / 2 or width_bits / k >= LEAST_BITS / 2):
        bits = max(width_bits / k, LEAST_BITS)
        size = max(size_bits / 8 / k, LEAST_BYTES, LEAST_WORDS * bits / 8)
        if math.log(size) <= known.sizes[-1] + reach and math.log(bits) <= known.widths[-1] + reach:
            value, beyond = known.at(size, bits)
            if best is None or k * value < best.value:
                best = Banked(k * value, k, size, bits, beyond)
        k *= 2
    if best is None:
        raise NoFigureError(f"{size_bits / 8192:g} KiB is more than {REACH} times beyond its rows")
    return best


def leak_mw(node_nm: float, size_bits: int) -> tuple[float, float, Status, str]:
    """Return the leakage at the supply of its rows, that supply, its status and text; by size alone.

    Bit cells are of the kind that leaks least (lstp) in every process: rows at 65 and 45 nm; other nodes are carried.
    """
    rows = [row for row in macros() if row.cell == LEAK]
    nodes = sorted({row.node_nm for row in rows})
    near = min(nodes, key=lambda nm: abs(math.log(nm / node_nm)))
    points = sorted((row.bytes, row.leak_mw) for row in rows if row.node_nm == near)
    size = size_bits / 8
    at = next((pair for pair in pairwise(points) if size <= pair[1][0]), (points[-2], points[-1]))
    value = _line(*at[0], *at[1], size)
    status: Status = "computed" if near == node_nm and points[0][0] <= size <= points[-1][0] else "carried"
    volts = next(row.vdd_v for row in rows if row.node_nm == near)
    text = f"{SOURCE}, {LEAK} at {near:g} nm, {volts:g} V and 330 K: {value:.4g} mW"
    return value, volts, status, text if near == node_nm else f"{text}; taken for {node_nm:g} nm"


def leave_one_out(figure: str, node_nm: float) -> list[float]:
    """Return the relative error at every row between two others of its node and width, read without that row."""
    own = grid(node_nm)
    rows, errors = getattr(own, figure), []
    for width, sizes in own.sizes.items():
        for i, size in enumerate(sizes[1:-1], start=1):
            low, high = sizes[i - 1], sizes[i + 1]
            value = _line(low, rows[low, width], high, rows[high, width], size)
            errors.append(abs(value / rows[size, width] - 1))
    return errors
