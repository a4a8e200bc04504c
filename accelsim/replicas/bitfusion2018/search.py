"""The search both releases share: every tiling and loop order of a layer, guarded, then the best."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import MappingError, ModelError, WorkloadError
from accelsim.replicas.bitfusion2018.values import LOOPS, Layer, LayerResult

ORDERS = tuple(permutations(range(len(LOOPS))))
"""All 120 loop orders, outermost loop first, in lexicographic order."""

DEPENDS = (
    (0, 0, 0, 1, 1),  # weights
    (1, 1, 1, 1, 0),  # activations
    (1, 1, 1, 0, 1),  # outputs, DRAM to OBUF
    (1, 1, 1, 0, 1),  # outputs, OBUF to DRAM
)
"""Which streams change with which of the loops B, OW, OH, IC, OC."""

BUFFERS = ("wbuf", "ibuf", "obuf")
TENSORS = ("weights", "activations", "outputs")

Column = NDArray[Any]
"""One value per tiling: int64, or float64 when magnitudes are checked."""


class Prices(NamedTuple):
    """Energy per event that a search minimises among equal cycles, in pJ; leakage is equal there."""

    core_pj_per_cycle: float
    wbuf_read_pj_per_bit: float
    wbuf_write_pj_per_bit: float
    ibuf_read_pj_per_bit: float
    ibuf_write_pj_per_bit: float
    obuf_read_pj_per_bit: float
    obuf_write_pj_per_bit: float
    dram_read_pj_per_bit: float
    dram_write_pj_per_bit: float


class Tiles(NamedTuple):
    """Tile sizes, one entry per tiling, all of one dtype."""

    b: Column
    o: Column
    ic: Column
    oc: Column


class Costs(NamedTuple):
    """What one tile of each tiling costs; ``stream_bits`` and ``array_bits`` as in ``kernel.choose``.

    ``scratch`` holds intermediate products whose magnitude must be checked too.
    """

    stream_bits: Column
    compute_cycles: Column
    array_bits: Column
    scratch: Column


class Choice(NamedTuple):
    """The best tiling and order of a layer, and the bits of its streams and of the array."""

    tiling: dict[str, tuple[int, int]]
    order: tuple[str, ...]
    cycles: int
    compute_cycles: int
    stall_cycles: int
    stream_bits: tuple[int, ...]
    array_bits: tuple[int, ...]

    @property
    def dram_read_bits(self) -> int:
        """Weights, activations and partial sums that enter."""
        return sum(self.stream_bits[:3])

    @property
    def dram_write_bits(self) -> int:
        """Outputs that leave."""
        return self.stream_bits[3]

    @property
    def sram_bits(self) -> dict[str, int]:
        """Bits read and written per buffer, by the array and by DRAM fills and drains."""
        weights, inputs, psums, outputs = self.stream_bits
        return {
            "wbuf_read": self.array_bits[0],
            "wbuf_write": weights,
            "ibuf_read": self.array_bits[1],
            "ibuf_write": inputs,
            "obuf_read": self.array_bits[2] + outputs,
            "obuf_write": self.array_bits[3] + psums,
        }

    def result(self, name: str, energy_parts_nj: dict[str, float]) -> LayerResult:
        """Return the choice as the result of the layer ``name``."""
        return LayerResult(
            name,
            self.cycles,
            self.compute_cycles,
            self.stall_cycles,
            self.dram_read_bits,
            self.dram_write_bits,
            self.sram_bits,
            energy_parts_nj,
            self.tiling,
            self.order,
        )


def ceil_div(a: Any, b: Any) -> Any:
    """Return ``a / b`` rounded up, element by element, exact in int64."""
    return -(-a // b)


def powers_of_two(size: int, unit: int = 1) -> list[int]:
    """Return the tile sizes of a dimension: ``unit * 2^j`` up to the first that covers it, capped at ``size``."""
    steps = (-(-size // unit) - 1).bit_length() + 1
    return [min(unit << j, size) for j in range(steps)]


def best_choice(
    layer: Layer,
    batch: int,
    oc_unit: int,
    costs_of: Callable[[Tiles], Costs],
    buffer_bytes: tuple[int, int, int],
    prices: Prices,
    dram_bits_per_cycle: int,
) -> Choice:
    """Return the best tiling and loop order of ``layer``.

    ``costs_of`` maps tiles to costs and works for int64 and float64 alike; ``buffer_bytes`` are WBUF, IBUF, OBUF.

    Raises
    ------
    WorkloadError
        When a count of the layer would not fit in 64 bits.
    MappingError
        When not even the smallest tile fits in half of each buffer.
    """
    from accelsim.replicas.bitfusion2018.kernel import choose

    sizes = (
        powers_of_two(batch * layer.tokens),
        powers_of_two(layer.output_side),
        powers_of_two(layer.in_channels),
        powers_of_two(layer.out_channels, oc_unit),
    )
    # b varies slowest and oc fastest, as in the release
    tiles = Tiles(*(axis.ravel() for axis in np.meshgrid(*map(_int64, sizes), indexing="ij")))
    b, o, ic, oc = tiles
    side = ceil_div(layer.output_side, o)
    trips = np.stack(
        [
            ceil_div(batch * layer.tokens, b),
            side,
            side,
            ceil_div(layer.in_channels, ic),
            ceil_div(layer.out_channels, oc),
        ],
        axis=1,
    )
    _check_magnitudes(layer, costs_of(Tiles(*(x.astype(np.float64) for x in tiles))), trips)
    costs = costs_of(tiles)
    half_bits = tuple(4 * size for size in buffer_bytes)
    legal = (costs.stream_bits[:, :3] <= _int64(half_bits)).all(axis=1)
    if not legal.any():
        raise _nothing_fits(layer, costs.stream_bits.min(axis=0), half_bits)
    trips, tile_count = trips[legal], trips[legal].prod(axis=1)
    compute_cycles = costs.compute_cycles[legal] * tile_count
    array_bits = costs.array_bits[legal] * tile_count[:, None]
    best = choose(
        _int64(ORDERS),
        _int64(DEPENDS),
        _int64((*half_bits, half_bits[2])),
        trips,
        costs.stream_bits[legal],
        compute_cycles,
        array_bits,
        np.array(prices, dtype=np.float64),
        dram_bits_per_cycle,
    )
    row, order, cycles, stall = (int(x) for x in best[:4])
    tile = [int(column[legal][row]) for column in (b, o, o, ic, oc)]
    return Choice(
        tiling={loop: (int(n), size) for loop, n, size in zip(LOOPS, trips[row], tile, strict=True)},
        order=tuple(LOOPS[loop] for loop in ORDERS[order]),
        cycles=cycles,
        compute_cycles=cycles - stall,
        stall_cycles=stall,
        stream_bits=tuple(int(x) for x in best[4:]),
        array_bits=tuple(int(x) for x in array_bits[row]),
    )


def _int64(values: Any) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _check_magnitudes(layer: Layer, costs: Costs, trips: NDArray[np.int64]) -> None:
    """Refuse a layer whose counts could wrap around in int64, judged in floating point."""
    tile_count = trips.prod(axis=1, dtype=np.float64)
    per_layer = (costs.stream_bits, costs.array_bits, costs.compute_cycles[:, None])
    largest = max(*(float((x * tile_count[:, None]).max()) for x in per_layer), float(costs.scratch.max()))
    if largest > 2.0**60:
        raise WorkloadError(
            f"a count of this layer would reach {largest:.1e}, beyond 2^60",
            "use a smaller batch or smaller dimensions",
            key=layer.name,
        )


def _nothing_fits(layer: Layer, smallest_bits: NDArray[np.int64], half_bits: tuple[int, ...]) -> MappingError:
    # the smallest tile in every dimension is the smallest in every stream, so one buffer at least is too small
    for i, (buffer, tensor) in enumerate(zip(BUFFERS, TENSORS, strict=True)):
        needed = int(smallest_bits[i])
        if needed > half_bits[i]:
            return MappingError(
                f"the smallest tile of the {tensor} is {needed} bits and half of {buffer} holds {half_bits[i]}",
                f"set {buffer}_bytes to at least {-(-needed // 4)}",
                key=layer.name,
            )
    raise ModelError(f"{layer.name}: every tiling is illegal although no buffer overflows")
