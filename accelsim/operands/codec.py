"""What every compressed format has in common: three functions, one check of widths, runs of zeros.

A codec is a frozen value holding the widths of its fields. ``encode`` makes the machine's own arrays, ``decode``
gives the tensor back, ``size_bits`` counts what they take from a mask alone. The shape of a tensor is
configuration, known to the machine: no format stores it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.units import INT64_MAX, ceil_div

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MOST_AT_ONCE = 1 << 20
"""Elements whose places are held as 64-bit integers together."""


class Coded(Protocol):
    """A compressed tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor it stands for."""

    @property
    def bits(self) -> int:
        """Exact size of everything that is stored."""


C = TypeVar("C")


class Codec(Protocol[C]):
    """A compressed format with given widths."""

    def encode(self, values: NDArray[Any], name: str = "tensor") -> C:
        """Compress integers; WorkloadError, naming the tensor, for what the format cannot hold."""

    def decode(self, coded: C) -> Ints:
        """Return the tensor, int64, in its shape."""

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size in bits of a tensor whose non-zeros are where ``mask`` is, without encoding it."""


def check_width(field: str, bits: int, least: int = 1, most: int = 62) -> None:
    """Refuse a field width outside ``least..most`` bits (ConfigError)."""
    if not least <= bits <= most:
        raise ConfigError(f"{bits} is not a width in bits", f"give {least} to {most}", key=field)


def integers(values: NDArray[Any], bits: int, signed: bool, name: str) -> Ints:
    """Return ``values`` as int64 if each fits ``bits`` bits; WorkloadError otherwise, naming the first misfit."""
    values = np.asarray(values)
    if values.dtype.kind not in "iub":
        raise WorkloadError(f"tensor '{name}': {values.dtype} values cannot be coded", "quantise them to integers")
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    most = min(most, INT64_MAX)
    if values.size and (int(values.min()) < least or int(values.max()) > most):
        wrong = np.flatnonzero((values.ravel() < least) | (values.ravel() > most))[0]
        kind = "signed" if signed else "unsigned"
        raise WorkloadError(
            f"tensor '{name}': value {values.ravel()[wrong]} does not fit {bits} {kind} bits",
            f"its range is {least}..{most}",
        )
    return values.astype(np.int64)


def check_count(count: int, bits: int, what: str, name: str) -> None:
    """Refuse a count or address that a field of ``bits`` bits cannot hold (WorkloadError)."""
    if count >= 1 << bits:
        raise WorkloadError(
            f"tensor '{name}': {what} of {count} does not fit {bits} bits",
            f"widen the field to {count.bit_length()} bits or split the tensor",
        )


class Gaps(NamedTuple):
    """The non-zeros of a (groups, length) mask in order: ``group`` and the zeros before each inside its group."""

    group: Ints
    zeros: Ints

    def entries_by_group(self, span: int, groups: int) -> Ints:
        """Return the entries of each group, int64 (groups,): non-zeros, and one per ``span`` zeros before one."""
        padding = np.repeat(self.group, self.zeros // span)
        counts = np.bincount(self.group, minlength=groups) + np.bincount(padding, minlength=groups)
        return counts.astype(np.int64)


def gaps(mask: Bools) -> Gaps:
    """Measure the gaps of a (groups, length) mask; each group starts afresh."""
    group, place = np.divmod(np.flatnonzero(mask), max(mask.shape[1], 1))
    before = np.concatenate(([-1], place[:-1]))
    fresh = np.concatenate(([True], group[1:] != group[:-1])) if group.size else np.zeros(0, np.bool_)
    before = np.where(fresh, -1, before[: place.size])
    return Gaps(group.astype(np.int64), (place - before - 1).astype(np.int64))


def entries_of(mask: Bools, span: int) -> Ints:
    """Return the entries of each group of a (groups, length) mask, as `Gaps.entries_by_group` does; int64 (groups,).

    Gaps are measured only in groups with enough zeros for a padding entry, some `MOST_AT_ONCE` elements at a time.
    """
    counts = np.count_nonzero(mask, axis=1).astype(np.int64)
    open_ = np.flatnonzero(mask.shape[1] - counts >= span)
    rows = max(1, MOST_AT_ONCE // max(mask.shape[1], 1))
    for first in range(0, open_.size, rows):
        some = open_[first : first + rows]
        counts[some] = gaps(mask[some]).entries_by_group(span, some.size)
    return counts


def padded_runs(zeros: Ints, values: Ints, span: int) -> tuple[Ints, Ints]:
    """Return (run, value) of every entry in order; a padding entry is (span - 1, 0): ``span`` zeros."""
    last = np.cumsum(1 + zeros // span) - 1
    total = int(last[-1]) + 1 if last.size else 0
    runs, levels = np.full(total, span - 1, np.int64), np.zeros(total, np.int64)
    runs[last], levels[last] = zeros % span, values
    return runs, levels


def places(runs: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Undo ``padded_runs``: return (group, place in the group) of every entry, ``counts`` entries per group."""
    group = np.repeat(np.arange(counts.size, dtype=np.int64), counts)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(runs + 1)))
    first = np.cumsum(counts) - counts
    return group, ends[1:] - 1 - ends[first[group]]


def split(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Cut the last axis in pieces of ``size``, zeros added to the last: (..., pieces, size)."""
    pieces = ceil_div(array.shape[-1], size)
    added = pieces * size - array.shape[-1]
    padded = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, added)]) if added else array
    return padded.reshape(*array.shape[:-1], pieces, size)


def join(pieces: NDArray[Any], length: int) -> NDArray[Any]:
    """Undo ``split``."""
    return pieces.reshape(*pieces.shape[:-2], pieces.shape[-2] * pieces.shape[-1])[..., :length]
