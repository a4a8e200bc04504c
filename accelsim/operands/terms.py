"""Integers as signed powers of two: bit planes, magnitudes and recodings, which bit-serial machines walk.

Every operand becomes two masks, ``plus`` and ``minus``: its value is the sum of the powers of two in ``plus`` less
those in ``minus``. A plane of a two's complement number is one position of all masks; its sign plane subtracts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands.handle import Operands

Ints = NDArray[np.int64]


class Terms(NamedTuple):
    """Masks of the powers of two that add and that subtract; int64 arrays of one shape."""

    plus: Ints
    minus: Ints

    @property
    def values(self) -> Ints:
        """The numbers that the terms stand for."""
        return np.asarray(self.plus - self.minus, dtype=np.int64)

    @property
    def mask(self) -> Ints:
        """All positions with a term."""
        return np.asarray(self.plus | self.minus, dtype=np.int64)

    @property
    def counts(self) -> Ints:
        """Terms of each number."""
        return np.bitwise_count(self.mask).astype(np.int64)


def check_fit(values: Ints, bits: int, signed: bool, what: str, sign_only: bool = True) -> None:
    """Raise WorkloadError, naming ``what``, unless all values fit; with ``sign_only`` one signed bit may be +1 too."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if bits == 1 and signed and sign_only:
        high = 1
    smallest, largest = int(values.min(initial=0)), int(values.max(initial=0))
    if smallest < low or largest > high:
        wrong = smallest if smallest < low else largest
        needed = width_of(wrong, signed or wrong < 0)
        kind = "signed" if signed else "unsigned"
        raise WorkloadError(
            f"{what}: the value {wrong} does not fit in {bits} {kind} bits",
            f"declare {'signed with ' if wrong < 0 and not signed else ''}{needed} bits",
        )


def check_operands(operands: Operands, x: Ints, w: Ints, sign_only: bool = True) -> None:
    """Raise WorkloadError, naming layer and tensor, unless input and weights of a layer fit their widths."""
    for operand, numbers in ((operands.input, x), (operands.weight, w)):
        what = f"layer '{operands.view.name}': tensor '{operand.tensor.name}'"
        check_fit(numbers, operand.bits, operand.tensor.signed, what, sign_only)


def width_of(value: int, signed: bool) -> int:
    """Return the bits that a value needs: two's complement if ``signed``; at least 1."""
    return max(1, (value if value >= 0 else ~value).bit_length() + signed)


def needed_widths(values: Ints, signed: bool) -> Ints:
    """Return for each number the bits it needs: the highest set bit (of the complement, if negative) + 1, + a sign."""
    magnitude = np.where(values < 0, ~values, values)
    return _bit_lengths(magnitude) + int(signed)


def planes(values: Ints, bits: int, signed: bool) -> Terms:
    """Return the two's complement bits, of which the sign plane subtracts.

    Values must fit (`check_fit`). One signed bit is -1, or +1 where weights are +1 and -1.
    """
    if not signed:
        return Terms(values.astype(np.int64), np.zeros_like(values, dtype=np.int64))
    if bits == 1:
        return Terms((values == 1).astype(np.int64), (values == -1).astype(np.int64))
    sign = np.int64(1 << (bits - 1))
    return Terms(values & (sign - 1), values & sign)


def magnitudes(values: Ints) -> Terms:
    """Return the set bits of the magnitude, with the number's sign."""
    size = np.abs(values).astype(np.int64)
    zero = np.zeros_like(size)
    return Terms(np.where(values > 0, size, zero), np.where(values < 0, size, zero))


def nonadjacent(values: Ints) -> Terms:
    """Return the non-adjacent form: the fewest signed powers of two, no two of them neighbours."""
    size = np.abs(values).astype(np.int64)
    half = size >> 1
    sum3 = size + half
    differ = half ^ sum3
    return _with_sign(values, sum3 & differ, half & differ)


def booth(values: Ints) -> Terms:
    """Return the recoding in which only runs of three or more ones become a difference of two powers.

    Windows of three bits are scanned from the top: 111 outside a run opens one with a term above it; inside a run
    a zero subtracts, and 100 subtracts and closes it; outside, ones add. It may have more terms than the
    non-adjacent form. Source: rule of the public simulator isakedo/DNNsim.
    """
    size = np.abs(values).astype(np.int64)
    plus, minus = np.zeros_like(size), np.zeros_like(size)
    run = np.zeros(size.shape, dtype=np.bool_)
    for i in range(int(size.max(initial=0)).bit_length() - 1, -1, -1):
        window = ((size << 2) >> i) & 7
        bit = np.int64(1 << i)
        opens = (window == 7) & ~run
        closes = (window == 4) & run
        plus[opens] |= bit << 1
        plus[(window >= 4) & (window <= 6) & ~run] |= bit
        minus[(((window == 2) | (window == 3)) & run) | closes] |= bit
        run = (run | opens) & ~closes
    return _with_sign(values, plus, minus)


RECODINGS = {"none": magnitudes, "naf": nonadjacent, "booth": booth}
"""Name -> recoding of signed numbers into terms."""


def _with_sign(values: Ints, plus: Ints, minus: Ints) -> Terms:
    negative = values < 0
    return Terms(np.where(negative, minus, plus), np.where(negative, plus, minus))


def _bit_lengths(magnitude: Ints) -> Ints:
    lengths = np.zeros(magnitude.shape, dtype=np.int64)
    rest = magnitude.astype(np.int64)
    while rest.any():
        lengths += rest > 0
        rest = rest >> 1
    return lengths
