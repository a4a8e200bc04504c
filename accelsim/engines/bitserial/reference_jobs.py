"""What one column does in one step, a cycle at a time: the reference's lanes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

Place = tuple[int, int, int, int]
Fired = tuple[str, Place, int]
"""Cause of the product's cycle, its output, and what is added to that."""


class Product(NamedTuple):
    """One activation times one weight, and the output they belong to."""

    a: int
    w: int
    place: Place


class Job:
    """The products of one column and step; ``tick`` gives one (cause, place, addend) per product."""

    started = False
    finished = False
    activation_cycles = 1
    weight_cycles = 1

    def __init__(self, lanes: list[list[Product]]) -> None:
        self.lanes = lanes
        self.size = sum(map(len, lanes))

    def tick(self) -> list[Fired]:
        """Pass one cycle."""
        self.started = True
        return self._fire()

    def _fire(self) -> list[Fired]:
        raise NotImplementedError


class _Planes(Job):
    """All lanes pass the same bits: of activations in an inner loop, of weights in an outer one."""

    def __init__(self, lanes: list[list[Product]], a_chunks: list[list[int]], w_chunks: list[list[int]]) -> None:
        super().__init__(lanes)
        self.activation_cycles, self.weight_cycles = len(a_chunks), len(w_chunks)
        self.order = list(product(w_chunks, a_chunks))

    def _fire(self) -> list[Fired]:
        w_bits, a_bits = self.order.pop(0)
        self.finished = not self.order
        fired = []
        for p in (p for lane in self.lanes for p in lane):
            value = sum(_weight_of(p.a, i) * _weight_of(p.w, j) for i in a_bits for j in w_bits)
            fired.append(("busy" if p.a and p.w else "zero", p.place, value))
        return fired


class _Shifted(Job):
    """Lanes use up the set bits (or terms) of their activations behind a shifter of short reach."""

    def __init__(self, lanes: list[list[Product]], recoding: str, reach: int) -> None:
        super().__init__(lanes)
        self.reach = reach
        self.left = [sorted(terms(lane[0].a, recoding)) for lane in lanes]

    def _fire(self) -> list[Fired]:
        lowest = min((left[0][0] for left in self.left if left), default=0)
        fired: list[Fired] = []
        for lane, left in zip(self.lanes, self.left, strict=True):
            term = left.pop(0) if left and left[0][0] < lowest + self.reach else None
            for p in lane:
                if term is None:
                    fired.append(("imbalance", p.place, 0))
                else:
                    fired.append(("busy" if p.w else "zero", p.place, p.w * term[1] * 2 ** term[0]))
        self.finished = not any(self.left)
        return fired


class _Pairs(Job):
    """Each product works off the pairs of its operands' terms, one per cycle."""

    def __init__(self, lanes: list[list[Product]], recoding: str) -> None:
        super().__init__(lanes)
        self.left = [
            (p, list(product(terms(p.a, recoding), terms(p.w, recoding)))) for lane in lanes for p in lane
        ]  # fmt: skip

    def _fire(self) -> list[Fired]:
        fired: list[Fired] = []
        for p, pairs in self.left:
            if pairs:
                (i, s), (j, t) = pairs.pop()
                fired.append(("busy", p.place, s * t * 2 ** (i + j)))
            else:
                fired.append(("imbalance", p.place, 0))
        self.finished = not any(pairs for _, pairs in self.left)
        return fired


def make_jobs(
    params: Any, columns: list[list[list[Product]]], activation: tuple[int, bool], weight: tuple[int, bool]
) -> list[Job]:
    """Return the job of each column in one step; trimmed widths are those of all columns together."""
    if params.machine == "pragmatic":
        return [_Shifted(lanes, params.recoding, 2**params.shift_bits) for lanes in columns]
    if params.machine == "laconic":
        return [_Pairs(lanes, params.recoding) for lanes in columns]
    everything = [p for lanes in columns for lane in lanes for p in lane]
    (a_bits, a_signed), (w_bits, w_signed) = activation, weight
    a_whole, w_whole = params.machine == "dadiannao", params.machine != "loom"
    if params.trim != "layer":
        a_bits = max(1, max((_needs(p.a, a_signed) for p in everything), default=1))
    if params.trim == "both":
        w_bits = max(1, max((_needs(p.w, w_signed) for p in everything), default=1))
    a_chunks = _chunks(a_bits, a_whole, params.pe_bits, params.activation_bits_per_cycle)
    w_chunks = _chunks(w_bits, w_whole, params.pe_bits, 1)
    bounded = [
        [[Product(_Bits(p.a, a_bits, a_signed), _Bits(p.w, w_bits, w_signed), p.place) for p in lane] for lane in lanes]
        for lanes in columns
    ]
    return [_Planes(lanes, a_chunks, w_chunks) for lanes in bounded]


class _Bits(int):
    """An integer that knows its width and sign."""

    bits: int
    signed: bool

    def __new__(cls, value: int, bits: int, signed: bool) -> _Bits:
        self = super().__new__(cls, value)
        self.bits, self.signed = bits, signed
        return self


def _weight_of(value: Any, i: int) -> int:
    """Return what bit ``i`` is worth: the top bit of a signed number subtracts."""
    if i >= value.bits or not (value + 2**value.bits) >> i & 1:
        return 0
    return -(2**i) if value.signed and i == value.bits - 1 else 2**i


def _chunks(bits: int, whole: bool, pe_bits: int, per_cycle: int) -> list[list[int]]:
    """Return the bit positions of each cycle; pieces of operands wider than a lane pass side by side."""
    if whole:
        return [list(range(bits))]
    first = list(range(min(bits, pe_bits)))
    groups = [first[i : i + per_cycle] for i in range(0, len(first), per_cycle)]
    return [[p + piece for p in group for piece in range(0, bits, pe_bits)] for group in groups]


def _needs(value: int, signed: bool) -> int:
    """Return the bits a number needs by counting up."""
    bits = 0
    low, high = (lambda b: -(2 ** (b - 1))) if signed else (lambda b: 0), (lambda b: 2 ** (b - signed) - 1)
    bits = 1 if signed else 0
    while not low(bits) <= value <= high(bits):
        bits += 1
    return bits


def terms(value: int, recoding: str) -> list[tuple[int, int]]:
    """Return (position, sign) of each term, from a string of bits."""
    sign = -1 if value < 0 else 1
    digits = {"none": _plain, "naf": _naf, "booth": _booth}[recoding](abs(value))
    return [(i, sign * d) for i, d in digits]


def _plain(size: int) -> Iterator[tuple[int, int]]:
    return ((i, 1) for i, bit in enumerate(reversed(f"{size:b}")) if bit == "1")


def _naf(size: int) -> Iterator[tuple[int, int]]:
    i = 0
    while size:
        if size % 2:
            digit = 2 - size % 4
            yield i, digit
            size -= digit
        size //= 2
        i += 1


def _booth(size: int) -> Iterator[tuple[int, int]]:
    text, run = f"{size:b}" + "00", False
    for at in range(len(text) - 2):
        i, window = len(text) - 3 - at, text[at : at + 3]
        if run:
            if window in ("010", "011"):
                yield i, -1
            elif window == "100":
                yield i, -1
                run = False
        elif window in ("100", "101", "110"):
            yield i, 1
        elif window == "111":
            yield i + 1, 1
            run = True
