"""Rows and totals of the three networks' sheets, formula by formula in exact fractions.

Sizes are in KB of 1024 bytes and bandwidths in GB/s of 10^9: the workbook divides the one by the other as they stand.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from accelsim.errors import ConfigError

NETWORKS = ("alexnet", "resnet50", "googlenet")
MULTIPLIERS, BUFFER_KB, BATCH, SRAM_KB = 2048, 512, 16, 4096
MHZ, DRAM_GB_PER_S, SRAM_GB_PER_S = 1000, 10, 25
ROUNDED_KERNELS = {"alexnet": 16, "googlenet": 16, "resnet50": 128}
"""To a multiple of which kernels are rounded up for MAC cycles without SRAM."""
WINOGRAD_WEIGHTS = {"alexnet": range(1, 99), "resnet50": range(1, 99), "googlenet": range(9)}
"""Rows, counted from the first, whose 3 x 3 weights take 16/9 of their size."""
EXTRA_ROW = {"alexnet": range(99), "googlenet": range(99), "resnet50": range(1)}
"""Rows whose least input has a row more than the filter."""
MERGED = ("1x1", "3x3 red", "5x5 red")
"""Branches of an inception module that read one input: one convolution with all their kernels."""


@dataclass(frozen=True)
class Layer:
    """A row of a layer table; without pooling its window is 0."""

    name: str
    kind: str
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    padded: bool
    sv: int
    sh: int
    pool: tuple[int, int, int, int]

    @property
    def convolved(self) -> tuple[int, int]:
        """Rows and columns of the convolution's output (rule 1)."""
        if self.padded:
            return ceil(Fraction(self.h, self.sv)), ceil(Fraction(self.w, self.sh))
        return ceil(Fraction(self.h - self.r, self.sv)) + 1, ceil(Fraction(self.w - self.s, self.sh)) + 1

    @property
    def output(self) -> tuple[int, int]:
        """The same after pooling."""
        p, q = self.convolved
        height, width, v, h = self.pool
        return (ceil(Fraction(p - height, v)) + 1, ceil(Fraction(q - width, h)) + 1) if height else (p, q)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        p, q = self.convolved
        return self.c * p * q * self.k * self.r * self.s

    @property
    def channels(self) -> int:
        """Channels with the strides folded in, in sixteens."""
        return 16 * ceil(Fraction(self.c * self.sv * self.sh, 16))

    def input_kb(self, rows: int | None = None) -> Fraction:
        """Return the input, or so many of its rows (rule 2)."""
        height = ceil(Fraction(self.h, self.sv))
        kept = height if rows is None else min(rows, height)
        return Fraction(self.channels * kept * ceil(Fraction(self.w, self.sh)), 1024)

    @property
    def output_kb(self) -> Fraction:
        """The output (rule 3)."""
        a, b = self.output
        return Fraction(a * b * 16 * ceil(Fraction(self.k, 16)), 1024)

    def weight_kb(self, kernels: int) -> Fraction:
        """Return the weights of so many kernels (rule 4, Winograd apart)."""
        taps = ceil(Fraction(self.r, self.sv)) * ceil(Fraction(self.s, self.sh))
        return Fraction(self.channels * taps * kernels, 1024)

    def mac_cycles(self, rounded: int) -> Fraction:
        """Return the cycles of the multipliers, fractions kept (rule 5)."""
        batch = BATCH if self.kind == "fc" else 1
        height = self.h if self.padded else self.h - self.r + 1
        width = self.w if self.padded else self.w - self.s + 1
        area = ceil(Fraction(height, self.sv)) * ceil(Fraction(width, self.sh))
        kernels = rounded * ceil(Fraction(self.k * batch, rounded))
        cycles = Fraction(self.channels * area * kernels * self.r * self.s, self.sv * self.sh * MULTIPLIERS * batch)
        return cycles * Fraction(4, 9) if self.r == self.s == 3 else cycles


@dataclass(frozen=True)
class Row:
    """A row of a sheet. Cycles are None for branches that are part of another row's convolution."""

    name: str
    macs: int
    input_kb: float
    min_input_kb: float
    output_kb: float
    weight_kb: float
    min_weight_kb: float
    kept: str
    dram_kb: float
    dram_cycles: int
    mac_cycles: float | None
    cycles: float | None
    bound_by: str
    sram_read_cycles: int = 0
    sram_write_cycles: int = 0


@dataclass(frozen=True)
class Totals:
    """The foot of a sheet."""

    cycles: float
    fps: float
    hw_mac_efficiency: float
    network_mac_efficiency: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def network(name: str, sram_mb: int = 0) -> tuple[tuple[Row, ...], Totals]:
    """Return the rows and totals of a sheet.

    Raises
    ------
    ConfigError
        SRAM of another size than the workbook has, or with a network other than AlexNet.
    """
    if sram_mb not in (0, 4) or (sram_mb and name != "alexnet"):
        raise ConfigError(f"no sheet of {name} with {sram_mb} MB of SRAM", "use 0, or 4 with alexnet", key="--sram-mb")
    layers = _with_merged(_table(name))
    plain = [_plain(name, number, layer, merged) for number, (layer, merged) in enumerate(layers)]
    rows = _with_sram(layers, plain) if sram_mb else plain
    counted = [row for row in rows if row.cycles is not None]
    cycles = sum(row.cycles or 0 for row in counted)
    # the sheet sums all multiplications that it shows: those of merged branches stand in one place only
    macs = sum(row.macs for row in counted)
    busy = sum(row.mac_cycles or 0 for row in counted)
    totals = Totals(cycles, 1000 / (cycles / 1000 / MHZ), busy / cycles, macs / MULTIPLIERS / cycles)
    return tuple(rows), totals


def _table(name: str) -> list[Layer]:
    with (Path(__file__).parent / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [_layer(row) for row in csv.DictReader(file)]


def _layer(row: dict[str, str]) -> Layer:
    c, h, w, k, r, s, sv, sh = (int(row[key]) for key in ("C", "H", "W", "K", "R", "S", "stride_v", "stride_h"))
    height, width, v, across = (int(row[key] or 0) for key in ("pool_h", "pool_w", "pool_v", "pool_hs"))
    padded = row["padded"] == "yes"
    return Layer(row["layer"], row["kind"], c, h, w, k, r, s, padded, sv, sh, (height, width, v, across))


def _with_merged(layers: list[Layer]) -> list[tuple[Layer, bool]]:
    """Return the layers and whether each is part of another: behind three branches stands their sum (rule 9)."""
    found: list[tuple[Layer, bool]] = []
    for layer in layers:
        module, _, branch = layer.name.partition(" ")
        found.append((layer, branch in MERGED))
        if branch == MERGED[-1]:
            parts = [part for part, _ in found[-len(MERGED) :]]
            values = {**vars(layer), "name": f"{module} 1x1 (combined)", "k": sum(part.k for part in parts)}
            found.append((Layer(**values), False))
    return found


def _cycles(kb: Fraction, gb_per_s: int) -> int:
    return ceil(kb * MHZ / gb_per_s)


def _plain(name: str, number: int, layer: Layer, merged: bool) -> Row:
    """Return a row without SRAM (rules 6 to 8)."""
    x, z = layer.input_kb(), layer.output_kb
    y_all = layer.weight_kb(layer.k)
    if layer.r == layer.s == 3 and number in WINOGRAD_WEIGHTS[name]:
        y_all *= Fraction(16, 9)
    least_x = layer.input_kb(layer.r + (number in EXTRA_ROW[name]))
    some = layer.weight_kb(32)
    least_y = some if some < BUFFER_KB else Fraction(BUFFER_KB, 2)
    if name == "alexnet":
        kept, kb = "", x + y_all / (BATCH if layer.kind == "fc" else 1) + z
    else:
        small, large = (x, y_all) if name == "resnet50" and number else (x, least_y)
        small = least_x if name == "resnet50" and not number else small
        kept = "feature" if small < large else "weight"
        again, stays, room = (y_all, x, BUFFER_KB - least_x) if kept == "weight" else (x, y_all, BUFFER_KB - least_y)
        kb = (ceil(again / room) if again > room else 1) * stays + again + z
        kb += z if layer.kind == "elementwise" else 0
    macs, dram = layer.mac_cycles(ROUNDED_KERNELS[name]), _cycles(kb, DRAM_GB_PER_S)
    longest = max(macs, Fraction(dram))
    return Row(
        layer.name, layer.macs, float(x), float(least_x), float(z), float(y_all), float(least_y), kept, float(kb), dram,
        None if merged else float(macs), None if merged else float(longest),
        "" if merged else "MAC" if longest == macs else "DRAM",
    )  # fmt: skip


def _with_sram(layers: list[tuple[Layer, bool]], plain: list[Row]) -> list[Row]:
    """Return AlexNet's rows with 4 MB of SRAM (rule 10)."""
    sizes = [(Fraction(r.input_kb), layer.weight_kb(layer.k) * (Fraction(16, 9) if layer.r == layer.s == 3 else 1),
              Fraction(r.output_kb)) for (layer, _), r in zip(layers, plain, strict=True)]  # fmt: skip
    convolutions = [number for number, (layer, _) in enumerate(layers) if layer.kind != "fc"]
    batch = min((SRAM_KB - y) // (x + z) for x, y, z in (sizes[number] for number in convolutions))
    rows = []
    for number, ((layer, _), row) in enumerate(zip(layers, plain, strict=True)):
        x, y, z = sizes[number]
        fc = layer.kind == "fc"
        images = BATCH if fc else min(batch, BATCH) if number == 1 else batch
        dram = y / images + (x if fc or number == 0 else 0) + (z if layer.name in ("conv5a", "conv5b") else 0)
        read = _cycles(x if number else Fraction(0), SRAM_GB_PER_S)
        write = _cycles(z, SRAM_GB_PER_S)
        cycles, macs = _cycles(dram, DRAM_GB_PER_S), row.mac_cycles or 0.0
        longest = max(cycles, read, write, macs)
        bound = "MAC" if longest == macs else "SRAM write" if longest == write else "DRAM"
        bound = "SRAM read" if longest == read and bound == "DRAM" and longest != cycles else bound
        rows.append(
            Row(**{**vars(row), "dram_kb": float(dram), "dram_cycles": cycles, "cycles": float(longest),
                   "bound_by": bound, "sram_read_cycles": read, "sram_write_cycles": write})
        )  # fmt: skip
    return rows
