"""The product cut into tiles and bit planes: sizes, cycles, and the schedule of fetch, execute and result."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.activity import Flow, Loop, Step, Transfer
from accelsim.units import ceil_div

ADDER_DEPTH = {32: 2, 64: 3, 128: 3, 256: 4, 512: 5}
"""Dot-product width -> register stages of its popcount tree."""

PIPELINE = 3 + 1 + 3
"""Cycles from an instruction to the popcount tree: memory read 3, AND 1, shift and accumulate 3."""

RESULT_BITS = 32

STRIPES_HELD = 4
"""Stripes that an operand memory must hold at once: the tokens between fetch and execute."""


class Cut(NamedTuple):
    """A layer as products (M, K) x (K, N) on a Dm x Dk x Dn array; numbers of layers may be arrays over many of them.

    Attributes
    ----------
    groups : int
        Products, one after another.
    m, k, n : int
    lhs_bits, rhs_bits : int
        Planes of the operands.
    """

    groups: int
    m: int
    k: int
    n: int
    lhs_bits: int
    rhs_bits: int
    dm: int
    dk: int
    dn: int
    instruction_cycles: int

    @property
    def tiles(self) -> tuple[int, int, int]:
        """Tiles along M, K and N."""
        return ceil_div(self.m, self.dm), ceil_div(self.k, self.dk), ceil_div(self.n, self.dn)

    @property
    def units(self) -> int:
        """AND gates."""
        return self.dm * self.dk * self.dn

    @property
    def drain(self) -> int:
        """Cycles from the last issue to the last result."""
        return PIPELINE + ADDER_DEPTH[self.dk]

    @property
    def pairs(self) -> int:
        """Pairs of planes."""
        return self.lhs_bits * self.rhs_bits

    @property
    def tile_cycles(self) -> int:
        """Cycles of one tile of results: a cycle per pair of planes and part of K."""
        return self.pairs * (self.tiles[1] + self.instruction_cycles)

    @property
    def entries(self) -> tuple[int, int]:
        """Words that the stripes take in the left-hand and in the right-hand memory."""
        held = STRIPES_HELD * self.tiles[1]
        return held * self.lhs_bits, held * self.rhs_bits

    @property
    def lhs_stripe(self) -> Transfer:
        """The rows of a tile, plane by plane, padded to the array."""
        return Transfer("input", "read", self.tiles[1] * self.dm * self.dk, self.lhs_bits)

    @property
    def rhs_stripe(self) -> Transfer:
        """The columns of a tile, plane by plane, padded to the array."""
        return Transfer("weight", "read", self.tiles[1] * self.dn * self.dk, self.rhs_bits)

    @property
    def result(self) -> Transfer:
        """A tile's results, written one by one."""
        return Transfer("output", "write", RESULT_BITS, self.dm * self.dn)

    @property
    def total_tiles(self) -> int:
        """Tiles of results in all."""
        return self.groups * self.tiles[0] * self.tiles[2]

    @property
    def columns(self) -> int:
        """Columns of tiles in all."""
        return self.groups * self.tiles[2]

    def transfers(self) -> tuple[tuple[Transfer, int], ...]:
        """Return what `schedule` moves: a stripe or a tile of results, and how often."""
        return (self.rhs_stripe, self.columns), (self.lhs_stripe, self.total_tiles), (self.result, self.total_tiles)

    def schedule(self) -> tuple[Step | Loop, ...]:
        """Return the tiles as steps: the RHS stripe with the first tile of a column, the LHS stripe with each."""
        tm = self.tiles[0]
        stores = (self.result,)
        first = Step((self.rhs_stripe, self.lhs_stripe), self.tile_cycles, stores)
        other = Step((self.lhs_stripe,), self.tile_cycles, stores)
        column: tuple[Step | Loop, ...] = (first, *((Loop(tm - 1, (other,)),) if tm > 1 else ()))
        before = self.columns - 1
        head: tuple[Step | Loop, ...] = (Loop(before, column),) if before else ()
        if tm == 1:
            return (*head, first._replace(compute_cycles=self.tile_cycles + self.drain))
        middle: tuple[Step | Loop, ...] = (Loop(tm - 2, (other,)),) if tm > 2 else ()
        last = other._replace(compute_cycles=self.tile_cycles + self.drain)
        return (*head, first, *middle, last)


class Counts(NamedTuple):
    """What the array does: cycles without the drain, and gate-cycles with work and with padding."""

    cycles: int
    work: int
    padding: int


def counted(cut: Cut, macs: int) -> Counts:
    """Return the counts in closed form."""
    work = macs * cut.pairs
    return Counts(
        cut.total_tiles * cut.tile_cycles, work, cut.total_tiles * cut.pairs * cut.tiles[1] * cut.units - work
    )


def account(cut: Cut, counts: Counts, effective_macs: int) -> dict[str, int]:
    """Return gate-cycles by cause."""
    busy = effective_macs * cut.pairs
    return {
        "busy": busy,
        "zero": counts.work - busy,
        "padding": counts.padding,
        "control": counts.cycles * cut.units - counts.work - counts.padding,
        "fill_drain": cut.drain * cut.units,
    }


def on_chip(cut: Cut, counts: Counts) -> dict[Flow, int]:
    """Return the bits that pass the memories."""
    bits = {transfer.tensor: times * transfer.bits for transfer, times in cut.transfers()}
    computing = (counts.work + counts.padding) // cut.units
    return {
        Flow("glb.inputs", "input", "write"): bits["input"],
        Flow("glb.inputs", "input", "read"): computing * cut.dm * cut.dk,
        Flow("glb.weights", "weight", "write"): bits["weight"],
        Flow("glb.weights", "weight", "read"): computing * cut.dn * cut.dk,
        Flow("glb.outputs", "output", "write"): bits["output"],
        Flow("glb.outputs", "output", "read"): bits["output"],
    }
