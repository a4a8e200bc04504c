"""Both models again in plain Python, one tile and one loop order at a time; nothing shared with ``search``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from math import ceil, log2

from accelsim.replicas.bitfusion2018.ant import Design
from accelsim.replicas.bitfusion2018.machine import ReleaseMachine
from accelsim.replicas.bitfusion2018.search import Prices
from accelsim.replicas.bitfusion2018.values import LOOPS, Layer
from accelsim.units import ceil_div

WEIGHT_LOOPS = {"IC", "OC"}
INPUT_LOOPS = {"B", "OW", "OH", "IC"}
OUTPUT_LOOPS = {"B", "OW", "OH", "OC"}


@dataclass(frozen=True)
class Tile:
    """One tile: its loops, its streams in bits, its cycles, and the array's SRAM accesses in bits."""

    trips: dict[str, int]
    sizes: dict[str, int]
    weights: int
    inputs: int
    psums: int
    outputs: int
    cycles: int
    weight_reads: int
    input_reads: int
    output_accesses: int


@dataclass(frozen=True)
class Answer:
    """What the reference found, in the columns of a ``LayerResult``."""

    cycles: int
    stall_cycles: int
    dram_read_bits: int
    dram_write_bits: int
    sram_bits: dict[str, int]
    tiling: dict[str, tuple[int, int]]
    order: tuple[str, ...]


def reference(layer: Layer, batch: int, array: ReleaseMachine | Design) -> Answer | None:
    """Return the best answer for ``layer``, or None where no tile is legal."""
    best: Answer | None = None
    best_key: tuple[int, float] | None = None
    tiles = list(_tiles(layer, batch, array))
    for order in permutations(LOOPS):
        for tile in tiles:
            answer, energy_pj = _walk(tile, order, array)
            if best_key is None or (answer.cycles, energy_pj) < best_key:
                best, best_key = answer, (answer.cycles, energy_pj)
    return best


def _halvings(size: int) -> list[int]:
    """Return the powers of two up to the first that is not below ``size``."""
    return [2**j for j in range(ceil(log2(size)) + 1)]


def _tiles(layer: Layer, batch: int, array: ReleaseMachine | Design) -> Iterator[Tile]:
    """Yield the legal tiles in the order b, o, ic, oc of the release."""
    full = {
        "B": batch * layer.tokens,
        "OW": layer.output_side,
        "OH": layer.output_side,
        "IC": layer.in_channels,
        "OC": layer.out_channels,
    }
    unit = array.columns if isinstance(array, ReleaseMachine) and not layer.im2col else 1
    steps = [_halvings(full[loop]) for loop in ("B", "OW", "IC")] + [_halvings(ceil_div(full["OC"], unit))]
    for b, o, ic, oc in product(*steps):
        asked = {"B": b, "OW": o, "OH": o, "IC": ic, "OC": oc * unit}
        sizes = {loop: min(asked[loop], full[loop]) for loop in LOOPS}
        trips = {loop: ceil_div(full[loop], sizes[loop]) for loop in LOOPS}
        if isinstance(array, ReleaseMachine):
            tile = _bitfusion_tile(layer, array, sizes, trips)
        else:
            tile = _ant_tile(layer, array, sizes, trips)
        halves = [size * 8 / 2 for size in array.buffer_bytes]
        if tile.weights <= halves[0] and tile.inputs <= halves[1] and tile.psums <= halves[2]:
            yield tile


def _bitfusion_tile(layer: Layer, machine: ReleaseMachine, sizes: dict[str, int], trips: dict[str, int]) -> Tile:
    b, o, ic, oc = sizes["B"], sizes["OW"], sizes["IC"], sizes["OC"]
    area, pi, pw = layer.kernel**2, layer.activation_bits, layer.weight_bits
    pf = int(machine.pmax_bits / max(pi, machine.pmin_bits)) * int(machine.pmax_bits / max(pw, machine.pmin_bits))
    lanes, groups = machine.rows * pf, ceil_div(oc, machine.columns)
    weights = ceil_div(area * ic, lanes) * lanes * oc * pw
    side = layer.kernel + (o - 1) * layer.stride
    inputs = (o * o * area * ic if layer.im2col else side * side * ic) * b * pi
    psums = o * o * groups * machine.columns * b * 32
    steps = ceil_div(area * ic, lanes) if layer.im2col else area * ceil_div(ic, lanes)
    cycles = b * o * o * groups * steps

    i, x, y = groups * machine.columns, steps * lanes, b * o * o
    input_first = x * y * (pi + i * (pw + 32))
    output_first = i * y * (32 + x * (pi + pw))
    weight_first = x * i * (pw + y * (pi + 32))
    cheapest = min(input_first, output_first, weight_first)
    k = area * ic
    if input_first == cheapest:
        reads = (k * y * oc * pw, k * y * pi, k * y * oc * 32)
    elif output_first == cheapest:
        reads = (oc * y * k * pw, oc * y * k * pi, oc * y * 32)
    else:
        reads = (k * oc * pw, k * oc * y * pi, k * oc * y * 32)
    return Tile(trips, sizes, weights, inputs, psums, psums, cycles, *reads)


def _ant_tile(layer: Layer, design: Design, sizes: dict[str, int], trips: dict[str, int]) -> Tile:
    b, o, ic, oc = sizes["B"], sizes["OW"], sizes["IC"], sizes["OC"]
    pi, pw = layer.activation_bits, layer.weight_bits
    fi, fw = (int(design.pmax_bits / max(p, design.pmin_bits)) for p in (pi, pw))
    n, m, k, y = design.rows, design.columns, layer.kernel**2 * ic, b * o * o
    weights = ceil_div(k, n * fw) * n * fw * oc * pw
    inputs = o * o * ceil_div(k, m * fi) * m * fi * b * pi
    if design.stationary == "output":
        cycles = ceil_div(y, n * fi) * ceil_div(oc, m * fw) * k
        reads = (oc * y * k * pw, oc * y * k * pi, oc * y * 16)
    else:
        cycles = y * ceil_div(oc, m * fw) * ceil_div(k, n * fi)
        reads = (k * oc * pw, k * oc * y * pi, k * oc * y * 16)
    return Tile(trips, sizes, weights, inputs, 0, o * o * oc * b * 16, cycles, *reads)


def _stream(
    tile_bits: int, loops: set[str], order: tuple[str, ...], trips: dict[str, int], half_bits: float
) -> tuple[int, int, bool]:
    """Return the bits moved, the most that was held at once, and whether any loop was absorbed."""
    inwards = list(reversed(order))
    held, absorbed = tile_bits, False
    for level, loop in enumerate(inwards):
        if loop not in loops:
            continue
        if held * trips[loop] > half_bits:
            moved = held
            for outer in inwards[level:]:  # every loop from here outwards moves the data again
                moved *= trips[outer]
            return moved, held, absorbed
        held, absorbed = held * trips[loop], True
    return held, held, absorbed


def _walk(tile: Tile, order: tuple[str, ...], array: ReleaseMachine | Design) -> tuple[Answer, float]:
    halves = [size * 8 / 2 for size in array.buffer_bytes]
    weights, max_weights, _ = _stream(tile.weights, WEIGHT_LOOPS, order, tile.trips, halves[0])
    inputs, max_inputs, _ = _stream(tile.inputs, INPUT_LOOPS, order, tile.trips, halves[1])
    psums, max_psums, _ = _stream(tile.psums, OUTPUT_LOOPS, order, tile.trips, halves[2])
    outputs, max_outputs, absorbed = _stream(tile.outputs, OUTPUT_LOOPS, order, tile.trips, halves[2])
    if absorbed and isinstance(array, Design):
        max_outputs = 0  # the release records the other output stream here, which is empty in ANT
    bandwidth = array.dram_bits_per_cycle
    first = max_weights + max_inputs + max_psums
    latency = ceil_div(first, bandwidth) + ceil_div(max_outputs, bandwidth)
    memory = ceil_div(weights + inputs + psums + outputs - first - max_outputs, bandwidth)
    count = 1
    for trips in tile.trips.values():
        count *= trips
    compute = count * tile.cycles
    stall = max(0, memory - compute) + latency
    sram_bits = {
        "wbuf_read": count * tile.weight_reads,
        "wbuf_write": weights,
        "ibuf_read": count * tile.input_reads,
        "ibuf_write": inputs,
        "obuf_read": count * tile.output_accesses + outputs,
        "obuf_write": count * tile.output_accesses + psums,
    }
    tiling = {loop: (tile.trips[loop], tile.sizes[loop]) for loop in LOOPS}
    answer = Answer(compute + stall, stall, weights + inputs + psums, outputs, sram_bits, tiling, order)
    return answer, _energy_pj(answer, array.prices)


def _energy_pj(answer: Answer, prices: Prices) -> float:
    """Add up the energy in the order of the release, on which ties between floats depend."""
    energy = (answer.cycles - answer.stall_cycles) * prices.core_pj_per_cycle
    for event, bits in answer.sram_bits.items():
        energy += bits * float(getattr(prices, f"{event}_pj_per_bit"))
    energy += answer.dram_read_bits * prices.dram_read_pj_per_bit
    return energy + answer.dram_write_bits * prices.dram_write_pj_per_bit
