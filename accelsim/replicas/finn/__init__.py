"""FINN's matrix-vector units, one a layer and all at work at once: the cycles of a folding, and the best folding.

Source: Y. Umuroglu et al., "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", FPGA 2017;
Xilinx/BNN-PYNQ 65f2124, network/*/hw/config.h, of which the two packaged foldings are. A unit takes ``pe`` rows of a
layer's matrix and ``simd`` of its columns a cycle; the slowest unit says how often an image may start.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from accelsim.config import csvfile
from accelsim.errors import ConfigError

COLUMNS = ("layer", "kind", "out_h", "out_w", "c", "k", "pe", "simd")
TAPS = {"conv3x3": 9, "fc": 1}
MAX_SIZE = 2**20
PACKAGED = ("cnv_w1a1", "lfc_w1a1")


@dataclass(frozen=True)
class Unit:
    """A layer as a matrix of ``rows`` outputs and ``columns`` inputs, taken once for each of ``vectors`` pixels."""

    layer: str
    vectors: int
    rows: int
    columns: int
    pe: int
    simd: int

    @property
    def cycles(self) -> int:
        """Cycles of an image."""
        return self.vectors * (self.rows // self.pe) * (self.columns // self.simd)

    @property
    def multipliers(self) -> int:
        """Products a cycle: XNORs where weights are binary."""
        return self.pe * self.simd


def initiation_interval(units: Iterable[Unit]) -> int:
    """Return the cycles from one image to the next."""
    return max(unit.cycles for unit in units)


def read(path: Path | str) -> tuple[Unit, ...]:
    """Return the units of a folding, a CSV file or the name of a packaged one.

    Raises
    ------
    ConfigError
        A file that is no folding, or a unit that does not divide its matrix: the release pads matrices until it does.
    """
    packaged = str(path) in PACKAGED
    return tuple(map(_unit, csvfile.read(Path(__file__).parent / f"{path}.csv" if packaged else Path(path), COLUMNS)))


def fewest(units: Iterable[Unit], interval: int) -> tuple[Unit, ...] | None:
    """Return the folding of fewest multipliers with at most the interval, or None where a layer has more pixels.

    All divisors of rows and columns are looked at.
    """
    found = []
    for unit in units:
        folding = next((folding for folding in _foldings(unit) if folding.cycles <= interval), None)
        if folding is None:
            return None
        found.append(folding)
    return tuple(found)


def best(units: Sequence[Unit], multipliers: int) -> tuple[Unit, ...]:
    """Return the folding with the least interval that so many multipliers allow, and as few of them as it needs.

    A longer interval never needs more multipliers, so that the list of all that occur is halved.

    Raises
    ------
    ConfigError
        Fewer multipliers than there are layers.
    """
    if multipliers < len(units):
        raise ConfigError(
            f"{multipliers} multipliers for {len(units)} layers", "give each one at least", key="--multipliers"
        )

    def fits(interval: int) -> bool:
        found = fewest(units, interval)
        return found is not None and sum(unit.multipliers for unit in found) <= multipliers

    intervals = sorted({folding.cycles for unit in units for folding in _foldings(unit)})
    found = fewest(units, intervals[bisect_left(intervals, True, key=fits)])
    assert found is not None  # the longest interval is that of one multiplier a layer
    return found


def figures(path: str, multipliers: int | None = None, interval: int | None = None) -> dict[str, float]:
    """Return the figures that `accelsim validate` judges: cycles by layer, the interval, the multipliers.

    Of the folding of a file, or of the best one of so many multipliers, or of the smallest within an interval.
    """
    given = read(path)
    units: Sequence[Unit] | None = given
    if multipliers is not None:
        units = best(given, multipliers)
    elif interval is not None:
        units = fewest(given, interval)
    assert units is not None  # no case asks for less than a layer's pixels
    total = sum(unit.multipliers for unit in units)
    return {"ii": initiation_interval(units), "multipliers": total, **{unit.layer: unit.cycles for unit in units}}


@cache
def _foldings(unit: Unit) -> list[Unit]:
    """Return all foldings of a unit, those with fewer multipliers first."""
    found = [replace(unit, pe=pe, simd=simd) for pe in _divisors(unit.rows) for simd in _divisors(unit.columns)]
    return sorted(found, key=lambda folding: (folding.multipliers, folding.pe))


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _unit(line: csvfile.Line) -> Unit:
    kind = line.cells["kind"].strip()
    if kind not in TAPS:
        raise line.error(f"'{kind}' is no kind of layer", f"use {' or '.join(TAPS)}", "kind")
    out_h, out_w, c, k, pe, simd = (line.whole(column, 1, MAX_SIZE) for column in COLUMNS[2:])
    if kind == "fc" and out_h * out_w != 1:
        raise line.error("a fully connected layer has one output pixel", "write 1", "out_h" if out_h != 1 else "out_w")
    for key, size, what, part in (("pe", k, "rows", pe), ("simd", c * TAPS[kind], "columns", simd)):
        if size % part:
            padded = -(-size // part) * part
            raise line.error(f"{part} does not divide {size} {what}", f"fold otherwise, or pad them to {padded}", key)
    return Unit(line.cells["layer"].strip(), out_h * out_w, k, c * TAPS[kind], pe, simd)
