"""Which tilings are worth trying, and what the mapper's objective needs of each, as columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from accelsim.engines.systolic.tilecost import TileCost, tile_cost
from accelsim.errors import MappingError
from accelsim.mapping.loopnest import ORDERS, LoopNest, Tiling, Widths
from accelsim.memory.dram import DramModel
from accelsim.seam import Bounds, Columns
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096)
"""Into how many pieces a loop is cut; every size of a piece is rounded up from these."""


def _pieces(size: int) -> list[int]:
    """Return the piece sizes worth trying, large ones first, down to 1."""
    return sorted({ceil_div(size, parts) for parts in (*SPLITS, size)}, reverse=True)


def tilings(conv: Conv2d, widths: Widths, halves: Mapping[str, int], rows: int, cols: int) -> Columns:
    """Return the tilings that fit half of each scratchpad.

    For each cut of the output pixels and of the output channels, the largest input-channel tile that fits; all
    orders of the loops that iterate. Groups share a tile only where all their channels fit.

    Raises
    ------
    MappingError
        Nothing fits: says which scratchpad is too small for the smallest tile.
    """
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    found: list[tuple[int, int, int, int, int, int, str]] = []
    for n, e, f in _pixel_cuts(conv):
        region = n * _reach(conv, 0, e) * _reach(conv, 1, f)
        for k in _channel_cuts(kg, rows, cols):
            c = min(
                cg,
                halves["input"] // max(1, region * widths.input),
                halves["weight"] // (k * conv.r * conv.s * widths.weight),
            )
            if c < 1 or n * e * f * k * widths.psum > halves["output"]:
                continue
            c = ceil_div(cg, ceil_div(cg, c))
            trips = {"m": n * e * f < conv.n * conv.e * conv.f, "k": k < kg, "c": c < cg}
            found += [(1, n, e, f, k, c, order) for order in _orders(trips)]
            if conv.groups > 1 and not (trips["k"] or trips["c"]):
                found += _group_tiles(conv, widths, halves, region, (n, e, f, k, c))
    if not found:
        raise MappingError(_too_small(conv, widths, halves), "raise the scratchpads")
    columns = list(zip(*found, strict=True))
    names = ("groups", "n", "e", "f", "k", "c")
    table = {name: np.array(column, dtype=np.int64) for name, column in zip(names, columns[:6], strict=True)}
    return table | {"order": np.array(columns[6])}


def _pixel_cuts(conv: Conv2d) -> list[tuple[int, int, int]]:
    """Return (n, e, f): several whole images, or rows of one image, or a part of one row."""
    images = [(n, conv.e, conv.f) for n in _pieces(conv.n)]
    rows = [(1, e, conv.f) for e in _pieces(conv.e) if e < conv.e]
    parts = [(1, 1, f) for f in _pieces(conv.f) if f < conv.f]
    return images + rows + parts


def _channel_cuts(kg: int, rows: int, cols: int) -> list[int]:
    """Return output-channel tiles: whole multiples of the array where possible."""
    sizes = {kg}
    for unit in {rows, cols}:
        size = unit
        while size < kg:
            sizes.add(size)
            size *= 2
    size = min(rows, cols, kg)
    while size > 1:
        size = ceil_div(size, 2)
        sizes.add(size)
    return sorted(sizes, reverse=True)


def _reach(conv: Conv2d, d: int, outputs: int) -> int:
    """Return the in-image input rows or columns under ``outputs`` neighbouring outputs, at most."""
    size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
    return min(size, (outputs - 1) * conv.stride[d] + (window - 1) * conv.dilation[d] + 1)


def _orders(trips: Mapping[str, bool]) -> list[str]:
    """Return one order of each kind that differs: the place of a loop that does not iterate does not matter."""
    seen: dict[str, str] = {}
    for order in ORDERS:
        live = "".join(loop for loop in order if trips[loop])
        seen.setdefault(live, order)
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


def _too_small(conv: Conv2d, widths: Widths, halves: Mapping[str, int]) -> str:
    needed = LoopNest(conv, Tiling(groups=1, n=1, e=1, f=1, k=1, c=1, order="mkc"), widths).largest_bits()
    short = [f"{t} needs {needed[t]:,} bits, has {halves[t]:,}" for t in halves if needed[t] > halves[t]]
    return "no tile fits half of each scratchpad" + (f" ({'; '.join(short)})" if short else "")


def bounds(layer: LoopNest, array: tuple[int, int, int, bool], dram: DramModel, columns: Columns) -> Bounds:
    """Return what the objective needs; of ``layer``, the tiling does not matter.

    Compute cycles and on-chip words are exact; DRAM bits count whole bursts, edge tiles like the others; of the
    timeline, only the first load and the last store are seen: cycles = max(compute + first load + last store, DRAM).
    """
    conv, widths = layer.conv, layer.widths
    crosses = {tensor: int(tensor not in layer.resident) for tensor in ("input", "weight", "output")}
    cost = _layer_cost(conv, array, columns)
    trips = _trips(conv, columns)
    live = {loop: trips[loop] > 1 for loop in "mkc"}
    order = columns["order"]
    position = {loop: np.array([str(o).index(loop) for o in order], dtype=np.int64) for loop in "mkc"}

    def innermost(loop: str) -> np.ndarray:
        others = [o for o in "mkc" if o != loop]
        return live[loop] & ~np.any([live[o] & (position[o] > position[loop]) for o in others], axis=0)

    again_input = np.where(innermost("k"), 1, trips["k"])
    again_weight = np.where(innermost("m"), 1, trips["m"])
    stays = (trips["c"] == 1) | innermost("c")
    region = _input_region(conv, columns)
    input_bits = region * conv.c * widths.input * again_input * crosses["input"]
    all_weights = conv.k * (conv.c // conv.groups) * conv.r * conv.s * crosses["weight"]
    weight_bits = all_weights * widths.weight * again_weight
    outputs = conv.n * conv.k * conv.e * conv.f
    spill_bits = np.where(stays, 0, outputs * (trips["c"] - 1) * widths.psum)
    output_bits = outputs * widths.output * crosses["output"]
    output_run = _output_run(conv, columns)
    spill_bus = spill_bits * _burst_factor(dram, output_run * widths.psum)
    read = (
        input_bits * _burst_factor(dram, _input_run(conv, columns) * widths.input)
        + weight_bits * _burst_factor(dram, _weight_run(conv, columns) * widths.weight)
        + spill_bus
    )
    write = output_bits * _burst_factor(dram, output_run * widths.output) + spill_bus
    bus = read + write
    rate = float(dram.bits_per_cycle)
    tiles = trips["groups"] * trips["m"] * trips["k"] * trips["c"]
    first = (input_bits / again_input + weight_bits / again_weight) / tiles
    last = output_bits / (trips["groups"] * trips["m"] * trips["k"])
    ends = (first + last) / rate + dram.latency_cycles
    cycles = np.maximum(cost.cycles + ends, bus / rate).astype(np.int64)
    traffic = _scratchpad_traffic(widths, array[0], cost, input_bits, weight_bits, spill_bits)
    traffic |= {("dram", "read"): read, ("dram", "write"): write}
    return Bounds(cycles, bus.astype(np.int64), traffic)


def _trips(conv: Conv2d, columns: Columns) -> dict[str, np.ndarray]:
    ceil = lambda size, tile: -(-size // tile)  # noqa: E731
    m = ceil(conv.n, columns["n"]) * ceil(conv.e, columns["e"]) * ceil(conv.f, columns["f"])
    return {
        "groups": ceil(conv.groups, columns["groups"]),
        "m": m,
        "k": ceil(conv.k // conv.groups, columns["k"]),
        "c": ceil(conv.c // conv.groups, columns["c"]),
    }


def _layer_cost(conv: Conv2d, array: tuple[int, int, int, bool], columns: Columns) -> TileCost:
    """Return the counts of the whole layer: every kind of tile, full or at an edge, times how often it occurs."""
    taps = conv.r * conv.s
    dimensions = [
        _full_and_edge(size, columns[axis])
        for axis, size in (
            ("groups", conv.groups), ("n", conv.n), ("e", conv.e), ("f", conv.f),
            ("k", conv.k // conv.groups), ("c", conv.c // conv.groups),
        )
    ]  # fmt: skip
    total = [np.zeros(len(columns["k"]), dtype=np.int64) for _ in TileCost._fields]
    for choice in np.ndindex(*(len(d) for d in dimensions)):
        picked = [dimensions[i][c] for i, c in enumerate(choice)]
        times = np.prod([count for _, count in picked], axis=0)
        if not times.any():
            continue
        g, n, e, f, k, c = (np.maximum(size, 1) for size, _ in picked)
        cost = tile_cost(*array, g, n * e * f, k, c * taps)
        for i, part in enumerate(cost):
            total[i] += times * part
    return TileCost(*total)


def _full_and_edge(size: int, tile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (extent, count) of the full pieces and, if any candidate has one, of the piece at the edge."""
    full, rest = size // tile, size % tile
    pieces = [(tile, full)]
    return [*pieces, (rest, (rest > 0).astype(np.int64))] if rest.any() else pieces


def _input_region(conv: Conv2d, columns: Columns) -> np.ndarray:
    """Return the input positions fetched per channel in one sweep over all output pixels, halos again per tile."""
    widths = Widths(1, 1, 1, 1)
    sums: dict[tuple[str, int], int] = {}

    def swept(axis: str, tile: int) -> int:
        if (axis, tile) not in sums:
            cut = Tiling(groups=1, n=1, e=1, f=1, k=1, c=1, order="mkc").model_copy(update={axis: tile})
            sums[axis, tile] = sum(times * p.inputs for times, p in LoopNest(conv, cut, widths).runs(axis))
        return sums[axis, tile]

    rows = np.array([swept("e", int(tile)) for tile in columns["e"]], dtype=np.int64)
    cols = np.array([swept("f", int(tile)) for tile in columns["f"]], dtype=np.int64)
    return conv.n * rows * cols


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
    reach = lambda d, tile: np.minimum(  # noqa: E731
        (conv.h, conv.w)[d], (tile - 1) * conv.stride[d] + ((conv.r, conv.s)[d] - 1) * conv.dilation[d] + 1
    )
    return _run(
        [
            (columns["c"], conv.c // conv.groups), (columns["groups"], conv.groups),
            (reach(1, columns["f"]), conv.w), (reach(0, columns["e"]), conv.h), (columns["n"], conv.n),
        ]
    )  # fmt: skip


def _weight_run(conv: Conv2d, columns: Columns) -> np.ndarray:
    taps = conv.r * conv.s
    return taps * _run(
        [
            (columns["c"], conv.c // conv.groups), (columns["k"], conv.k // conv.groups),
            (columns["groups"], conv.groups),
        ]
    )  # fmt: skip


def _output_run(conv: Conv2d, columns: Columns) -> np.ndarray:
    return _run(
        [
            (columns["k"], conv.k // conv.groups), (columns["groups"], conv.groups),
            (columns["f"], conv.f), (columns["e"], conv.e), (columns["n"], conv.n),
        ]
    )  # fmt: skip


def _scratchpad_traffic(
    widths: Widths, flow: int, cost: TileCost, input_bits: np.ndarray, weight_bits: np.ndarray,
    spill_bits: np.ndarray,
) -> dict[tuple[str, str], np.ndarray]:  # fmt: skip
    """Return the scratchpads' traffic (that of links and registers hardly differs between candidates)."""
    inputs, weights = ((cost.left, cost.top), (cost.left, cost.held), (cost.held, cost.left))[flow]
    return {
        ("glb.inputs", "read"): inputs * widths.input,
        ("glb.inputs", "write"): input_bits,
        ("glb.weights", "read"): weights * widths.weight,
        ("glb.weights", "write"): weight_bits,
        ("glb.outputs", "read"): cost.results * widths.psum + spill_bits,
        ("glb.outputs", "write"): cost.results * widths.psum + spill_bits,
    }
