"""Cycles and DRAM bytes of the five designs: 256 x 256 PEs and a row of 256 lanes beside them, 940 MHz.

Names are the artifact's: B batch, H heads, E = F width of a head, M keys, P queries; a tile is 256 x 256 scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SIDE = 256
"""PEs along each side of the array, and lanes of the row beside it."""
HERTZ = 940 * 10**6
BYTES_PER_S = 400 * 2**30
VALUE_BYTES = 2
FUSED_BUFFER = 16 * 2**20
SOFTMAX_PASSES = 4
"""Max; exponential of the difference; sum; division."""
EXPONENTIAL, SUBTRACTION = 6, 1
"""MACs of an exponential, and the addition before it."""
ON_CHIP_LENGTH = 2**16
"""Longest sequence whose scores FLAT keeps on the chip."""
OFF_CHIP_QUERIES = 1024
"""Queries of a row block of FLAT whose scores are off the chip."""
SCORE_ACCESSES = 7
"""Accesses of a score in FLAT's buffer; they go to DRAM for the share that spills."""


@dataclass(frozen=True)
class Attention:
    """An attention layer: self-attention of ``length`` tokens, a multiple of 256.

    ``spilled`` is the share of the buffer that FLAT overbooks, and ``kept`` the tensor that it keeps on the chip
    (Q, V or none), both as the artifact chose them.
    """

    B: int
    H: int
    E: int
    length: int
    spilled: Fraction
    kept: str

    @property
    def tiles_along(self) -> int:
        """Tiles along the keys, and along the queries."""
        return self.length // SIDE

    @property
    def tiles(self) -> int:
        """Tiles of scores over all heads of the batch."""
        return self.B * self.H * self.tiles_along**2

    @property
    def tensor_bytes(self) -> int:
        """Bytes of each of Q, K, V and the output."""
        return self.B * self.H * self.length * self.E * VALUE_BYTES

    @property
    def score_bytes(self) -> int:
        """Bytes of the scores."""
        return self.B * self.H * self.length**2 * VALUE_BYTES


@dataclass(frozen=True)
class Cost:
    """What a design takes: seconds, DRAM bytes, and the busy cycles of the array and of the row beside it."""

    latency_s: Fraction
    traffic_bytes: Fraction
    busy_2d: Fraction
    busy_1d: Fraction


def unfused(a: Attention) -> Cost:
    """Return the cost of scores, softmax and weighted sum one after another, each through DRAM (rule 3).

    The artifact searches tilings, which re-read a little more at 256K and 1M.
    """
    product, softmax = a.E * a.tiles, _softmax(a)
    reads = 2 * a.tensor_bytes + a.score_bytes
    latency = 2 * _longest(product, reads) + _longest(softmax, 2 * a.score_bytes)
    return Cost(latency, Fraction(2 * reads + 2 * a.score_bytes), Fraction(2 * product), Fraction(softmax))


def flat(a: Attention) -> Cost:
    """Return the cost of FLAT: the three overlapped, scores on the chip up to 64K (rule 4)."""
    product, softmax, again = 2 * a.E * a.tiles, _softmax(a), a.tiles_along
    if a.length > ON_CHIP_LENGTH:
        blocks = Fraction(a.length, OFF_CHIP_QUERIES)
        traffic = (1 + 2 * blocks + 1) * a.tensor_bytes + 4 * a.score_bytes
    else:
        kept = (1 - a.spilled) + a.spilled * again
        reads = 2 * again + (kept if a.kept else again)
        traffic = (reads + 1) * a.tensor_bytes + SCORE_ACCESSES * a.spilled * a.score_bytes
    return Cost(_longest(max(product, softmax), traffic), traffic, Fraction(product), Fraction(softmax))


def cascade(a: Attention) -> Cost:
    """Return the cost of the one-pass cascade with all of softmax on the row beside the array (rule 6)."""
    exponential_passes = 2
    passes = 1 + exponential_passes + 1  # local max, exponential, sum: one row of the tile after another
    once = 1 + 2 + 1 + a.E + 1 + a.E  # running max, correction, SPD, SPNV, RD, RNV
    row = a.tiles * (SIDE * passes + once + Fraction(a.E, a.tiles_along))
    array = Fraction(2 * a.E * a.tiles)
    traffic = _streamed(a, 2 * a.E + 2 * SIDE + 2)
    return Cost(_longest(max(row, array), traffic), traffic, array, row)


def architecture(a: Attention) -> Cost:
    """Return the cost with PEs that take maxima and exponentials, one tile at a time (rule 7)."""
    division = Fraction(a.E, a.tiles_along)
    exponential = EXPONENTIAL + SUBTRACTION + 1  # and the sum behind it
    per_tile = max(Fraction(a.E + 1), 1 + division) + SIDE + 1 + exponential + max(a.E, 2 * a.E)
    return _one_pass(a, per_tile)


def binding(a: Attention) -> Cost:
    """Return the cost of FuseMax: two tiles interleaved, so that none waits for the running maximum (rule 8)."""
    division = Fraction(a.E, a.tiles_along)
    exponential = EXPONENTIAL + SUBTRACTION + 1
    per_tile = max(Fraction(a.E + 1), 1 + a.E + division) + 1 + exponential + a.E
    return _one_pass(a, per_tile)


def _one_pass(a: Attention, cycles_per_tile: Fraction) -> Cost:
    traffic = _streamed(a, 2 * a.E + 2)
    array = Fraction(a.tiles * (2 * a.E + 1 + EXPONENTIAL + SUBTRACTION + 1))
    row = a.tiles * (10 + 2 * a.E + Fraction(a.E, a.tiles_along))
    return Cost(_longest(a.tiles * cycles_per_tile, traffic), traffic, array, row)


def _softmax(a: Attention) -> int:
    return SOFTMAX_PASSES * a.B * a.H * a.length * a.tiles_along


def _longest(cycles: Fraction | int, traffic: Fraction | int) -> Fraction:
    """Return the seconds of computing or of memory, whichever is longer."""
    return max(Fraction(cycles) / HERTZ, Fraction(traffic) / BYTES_PER_S)


def _streamed(a: Attention, values_per_query: int) -> Fraction:
    """Return the bytes of a one-pass cascade: K and V come once for each block of queries that fits (rule 9)."""
    room = (FUSED_BUFFER - VALUE_BYTES * SIDE * 2 * a.E) // (VALUE_BYTES * SIDE * values_per_query)
    together = max(n for n in range(1, a.tiles_along + 1) if n <= room and a.tiles_along % n == 0)
    return Fraction(2 * a.tensor_bytes + a.tiles_along // together * 2 * a.tensor_bytes)
