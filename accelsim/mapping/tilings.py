"""Which tilings of a loop nest are worth trying, and what DRAM adds to each: for any engine that tiles a layer.

Candidates are columns, one array per field of `Tiling`. Engines bring their own compute cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.loopnest import ORDERS, LoopNest, Tiling, Widths
from accelsim.memory.dram import DramModel
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d

Columns: TypeAlias = dict[str, np.ndarray]
TileCost: TypeAlias = Callable[..., np.ndarray]
"""(groups, n, e, f, k, c) of tiles, as arrays -> a count of each tile."""

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096)
"""Into how many pieces a loop is cut; every size of a piece is rounded up from these."""

LARGEST = 1 << 62
"""Estimates are cut here."""

FIELDS = ("groups", "n", "e", "f", "k", "c")


class Traffic(NamedTuple):
    """DRAM bits of each candidate in whole bursts, and useful bits that pass each buffer."""

    read: np.ndarray
    write: np.ndarray
    input: np.ndarray
    weight: np.ndarray
    spill: np.ndarray
    first_load: np.ndarray
    last_store: np.ndarray


def tilings(
    conv: Conv2d,
    widths: Widths,
    halves: Mapping[str, int],
    k_units: Iterable[int],
    cut_c: bool = True,
    c_unit: int | None = 1,
) -> Columns:
    """Return the tilings that fit half of each buffer.

    For each cut of the output pixels and of the output channels, the largest input-channel tile that fits (all
    channels, unless ``cut_c``); all orders of the loops that iterate; groups share a tile where all their channels
    fit.

    Parameters
    ----------
    conv : Conv2d
    widths : Widths
    halves : mapping
        ``input``, ``weight``, ``output`` -> bits of half a buffer.
    k_units : iterable of int
        Sizes that an output-channel tile should be a multiple of.
    cut_c : bool
        Whether a tile may hold a part of the input channels.
    c_unit : int or None
        Size that a part of the input channels should be a multiple of; equal parts are tried too. None: equal parts
        alone.

    Raises
    ------
    MappingError
        Nothing fits: says which buffer is too small for the smallest tile, and what would do.
    """
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    found: list[tuple[int, int, int, int, int, int, str]] = []
    units = tuple(k_units)
    for n, e, f in _pixel_cuts(conv):
        region = n * _reach(conv, 0, e) * _reach(conv, 1, f)
        for k in _channel_cuts(kg, units):
            most = min(
                cg,
                halves["input"] // max(1, region * widths.input),
                halves["weight"] // (k * conv.r * conv.s * widths.weight),
            )
            if most < (1 if cut_c else cg) or n * e * f * k * widths.psum > halves["output"]:
                continue
            for c in _input_channels(cg, most, c_unit):
                trips = {"m": n * e * f < conv.n * conv.e * conv.f, "k": k < kg, "c": c < cg}
                found += [(1, n, e, f, k, c, order) for order in _orders(trips)]
                if conv.groups > 1 and not (trips["k"] or trips["c"]):
                    found += _group_tiles(conv, widths, halves, region, (n, e, f, k, c))
    if not found:
        raise _too_small(conv, widths, halves, cut_c)
    columns = list(zip(*found, strict=True))
    table = {name: np.array(column, dtype=np.int64) for name, column in zip(FIELDS, columns[:6], strict=True)}
    return table | {"order": np.array(columns[6])}


def total(conv: Conv2d, columns: Columns, cost: TileCost) -> np.ndarray:
    """Return a count of the whole layer: that of every kind of tile, full or at an edge, times how often it occurs.

    ``cost`` may give several counts, as rows; so does the sum then.
    """
    sizes = (conv.groups, conv.n, conv.e, conv.f, conv.k // conv.groups, conv.c // conv.groups)
    pieces = [_full_and_edge(size, columns[axis]) for axis, size in zip(FIELDS, sizes, strict=True)]
    result: np.ndarray = np.zeros(len(columns["k"]), dtype=np.int64)
    for picked in product(*pieces):
        times = np.prod([count for _, count in picked], axis=0)
        if times.any():
            result = result + times * cost(*(np.maximum(size, 1) for size, _ in picked))
    return result


def traffic(conv: Conv2d, widths: Widths, dram: DramModel, columns: Columns, resident: Collection[str] = ()) -> Traffic:
    """Return what each candidate moves: bits exact but for bursts, where edge tiles count like the others.

    ``resident`` names the tensors (input, weight, output) that are at home on the chip: they do not move.
    """
    crosses = {tensor: int(tensor not in resident) for tensor in ("input", "weight", "output")}
    trips = _trips(conv, columns)
    live = {loop: trips[loop] > 1 for loop in "mkc"}
    position = {loop: np.array([str(o).index(loop) for o in columns["order"]], dtype=np.int64) for loop in "mkc"}

    def innermost(loop: str) -> np.ndarray:
        others = [o for o in "mkc" if o != loop]
        return live[loop] & ~np.any([live[o] & (position[o] > position[loop]) for o in others], axis=0)

    again_input = np.where(innermost("k"), 1, trips["k"])
    again_weight = np.where(innermost("m"), 1, trips["m"])
    stays = (trips["c"] == 1) | innermost("c")
    inputs = _input_region(conv, columns) * conv.c * widths.input * again_input * crosses["input"]
    all_weights = conv.k * (conv.c // conv.groups) * conv.r * conv.s * crosses["weight"]
    weights = all_weights * widths.weight * again_weight
    outputs = conv.n * conv.k * conv.e * conv.f
    spill = np.where(stays, 0, outputs * (trips["c"] - 1) * widths.psum)
    run = _output_run(conv, columns)
    spill_bus = spill * _burst_factor(dram, run * widths.psum)
    read = (
        inputs * _burst_factor(dram, _input_run(conv, columns) * widths.input)
        + weights * _burst_factor(dram, _weight_run(conv, columns) * widths.weight)
        + spill_bus
    )
    stored = outputs * widths.output * crosses["output"]
    write = stored * _burst_factor(dram, run * widths.output) + spill_bus
    output_tiles = trips["groups"] * trips["m"] * trips["k"]
    first = (inputs / again_input + weights / again_weight) / (output_tiles * trips["c"])
    return Traffic(read, write, inputs, weights, spill, first, stored / output_tiles)


def estimate(cycles: np.ndarray, moved: Traffic, dram: DramModel) -> np.ndarray:
    """Return cycles with DRAM: of the timeline only the first load and the last store are seen."""
    rate = float(dram.bits_per_cycle)
    ends = (moved.first_load + moved.last_store) / rate + dram.latency_cycles
    return whole(np.maximum(cycles + ends, (moved.read + moved.write) / rate))


def whole(estimates: np.ndarray) -> np.ndarray:
    """Return estimates as int64; what is beyond it counts as `LARGEST`, and no plan takes such a layer."""
    return np.minimum(estimates, float(LARGEST)).astype(np.int64)


def check_halves(layer: str, nest: LoopNest, halves: Mapping[str, int]) -> None:
    """Raise MappingError, naming layer, tensor and the size that would fit, unless each tile fits half a buffer."""
    needed = nest.largest_bits()
    for tensor, half in halves.items():
        if needed[tensor] > half:
            raise MappingError(
                f"layer '{layer}': the {tensor} tile takes {needed[tensor]:,} bits, half the buffer holds {half:,}",
                f"cut it smaller or raise params.{tensor}_kib to {ceil_div(2 * needed[tensor], KIB_BITS)}",
            )
    if nest.tiling.groups > 1 and (nest.trips["k"], nest.trips["c"]) != (1, 1):
        raise MappingError(
            f"layer '{layer}': a tile of {nest.tiling.groups} groups must hold all their channels", "set groups: 1"
        )


def buffer_use(nest: LoopNest, halves: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return capacity and peak of ``glb.inputs`` and so on: two tiles where another one follows, else one."""
    largest, trips = nest.largest_bits(), nest.trips
    follows = {
        "input": trips["groups"] * trips["m"] * trips["c"] > 1,
        "weight": trips["groups"] * trips["k"] * trips["c"] > 1,
        "output": trips["groups"] * trips["m"] * trips["k"] > 1,
    }
    return {f"glb.{t}s": (2 * halves[t], largest[t] * (2 if follows[t] else 1)) for t in follows}


def _pieces(size: int) -> list[int]:
    return sorted({ceil_div(size, parts) for parts in (*SPLITS, size)}, reverse=True)


def _pixel_cuts(conv: Conv2d) -> list[tuple[int, int, int]]:
    """Return (n, e, f): several whole images, or rows of one image, or a part of one row."""
    images = [(n, conv.e, conv.f) for n in _pieces(conv.n)]
    rows = [(1, e, conv.f) for e in _pieces(conv.e) if e < conv.e]
    return images + rows + [(1, 1, f) for f in _pieces(conv.f) if f < conv.f]


def _channel_cuts(kg: int, units: tuple[int, ...]) -> list[int]:
    """Return output-channel tiles: doublings of the units, and halvings of the smallest."""
    sizes = {kg}
    for unit in set(units):
        size = unit
        while size < kg:
            sizes.add(size)
            size *= 2
    size = min(*units, kg)
    while size > 1:
        size = ceil_div(size, 2)
        sizes.add(size)
    return sorted(sizes, reverse=True)


def _input_channels(cg: int, most: int, unit: int | None) -> Iterable[int]:
    """Return input-channel tiles of at most ``most``: the largest multiple of the unit, and equal parts."""
    even = ceil_div(cg, ceil_div(cg, most))
    if unit is None:
        return (even,)
    whole = most if most in (cg, 1) else max(1, most // unit) * min(most, unit)
    return dict.fromkeys((whole, even))


def _reach(conv: Conv2d, d: int, outputs: int) -> int:
    size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
    return min(size, (outputs - 1) * conv.stride[d] + (window - 1) * conv.dilation[d] + 1)


def _orders(trips: Mapping[str, bool]) -> list[str]:
    """Return one order of each kind that differs: the place of a loop that does not iterate does not matter."""
    seen: dict[str, str] = {}
    for order in ORDERS:
        seen.setdefault("".join(loop for loop in order if trips[loop]), order)
    return list(seen.values())


def _group_tiles(
    conv: Conv2d, widths: Widths, halves: Mapping[str, int], region: int, tile: tuple[int, int, int, int, int]
) -> list[tuple[int, int, int, int, int, int, str]]:
    n, e, f, k, c = tile
    most = min(
        halves["input"] // max(1, region * c * widths.input),
        halves["weight"] // (k * c * conv.r * conv.s * widths.weight),
        halves["output"] // (n * e * f * k * widths.psum),
    )
    return [(g, n, e, f, k, c, "mkc") for g in _pieces(conv.groups) if 1 < g <= most]


def _too_small(conv: Conv2d, widths: Widths, halves: Mapping[str, int], cut_c: bool) -> MappingError:
    c = 1 if cut_c else conv.c // conv.groups
    needed = LoopNest(conv, Tiling(groups=1, n=1, e=1, f=1, k=1, c=c, order="mkc"), widths).largest_bits()
    short = [t for t in halves if needed[t] > halves[t]]
    what = "; ".join(f"{t} needs {needed[t]:,} bits, has {halves[t]:,}" for t in short)
    remedy = ", ".join(f"params.{t}_kib to {ceil_div(2 * needed[t], KIB_BITS)}" for t in short)
    return MappingError(
        "no tile fits half of each buffer" + (f" ({what})" if what else ""), f"raise {remedy or 'the buffers'}"
    )


def _trips(conv: Conv2d, columns: Columns) -> dict[str, np.ndarray]:
    m = -(-conv.n // columns["n"]) * -(-conv.e // columns["e"]) * -(-conv.f // columns["f"])
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    return {"groups": -(-conv.groups // columns["groups"]), "m": m, "k": -(-kg // columns["k"]),
            "c": -(-cg // columns["c"])}  # fmt: skip


def _full_and_edge(size: int, tile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    full, rest = size // tile, size % tile
    pieces = [(tile, full)]
    return [*pieces, (rest, (rest > 0).astype(np.int64))] if rest.any() else pieces


def _input_region(conv: Conv2d, columns: Columns) -> np.ndarray:
    """Return the input positions fetched per channel in one sweep over all output pixels, halos again per tile."""
    sums: dict[tuple[str, int], int] = {}

    def swept(axis: str, tile: int) -> int:
        if (axis, tile) not in sums:
            cut = Tiling(groups=1, n=1, e=1, f=1, k=1, c=1, order="mkc").model_copy(update={axis: tile})
            runs = LoopNest(conv, cut, Widths(1, 1, 1, 1)).runs(axis)
            sums[axis, tile] = sum(times * piece.inputs for times, piece in runs)
        return sums[axis, tile]

    rows = np.array([swept("e", int(tile)) for tile in columns["e"]], dtype=np.int64)
    return conv.n * rows * np.array([swept("f", int(tile)) for tile in columns["f"]], dtype=np.int64)


def _burst_factor(dram: DramModel, run_bits: np.ndarray) -> np.ndarray:
    run = np.maximum(run_bits, 1)
    return -(-run // dram.burst_bits) * dram.burst_bits / run


def _run(extents: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Return the contiguous elements of a block, dimensions from the innermost."""
    run = np.ones_like(extents[0][0])
    whole = np.ones(len(run), dtype=np.bool_)
    for extent, full in extents:
        run = np.where(whole, run * extent, run)
        whole = whole & (extent == full)
    return run


def _input_run(conv: Conv2d, columns: Columns) -> np.ndarray:
    sides = []
    for d, axis in enumerate(("e", "f")):
        size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
        sides.append(np.minimum(size, (columns[axis] - 1) * conv.stride[d] + (window - 1) * conv.dilation[d] + 1))
    return _run(
        [(columns["c"], conv.c // conv.groups), (columns["groups"], conv.groups), (sides[1], conv.w),
         (sides[0], conv.h), (columns["n"], conv.n)]
    )  # fmt: skip


def _weight_run(conv: Conv2d, columns: Columns) -> np.ndarray:
    return (conv.r * conv.s) * _run(
        [(columns["c"], conv.c // conv.groups), (columns["k"], conv.k // conv.groups), (columns["groups"], conv.groups)]
    )


def _output_run(conv: Conv2d, columns: Columns) -> np.ndarray:
    return _run(
        [(columns["k"], conv.k // conv.groups), (columns["groups"], conv.groups), (columns["f"], conv.f),
         (columns["e"], conv.e), (columns["n"], conv.n)]
    )  # fmt: skip
