"""What NVDLA asks of a DRAM device, beat by beat, and its time when the device answers.

A beat comes when the device has it, and is asked for when those before it came. Three steps, as SpArch's (they need not
agree: docs/decisions/0096-coupled-engines-ask-the-device.md): the device serves the beats when a walk under its peak
bandwidth asks; a walk in which each beat keeps the device as long as it did there; the device serves the beats when
that walk asks. The layer takes as much longer than this walk as the latest beat comes later than it came there.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelsim.engines.nvdla.params import Params
from accelsim.engines.nvdla.plan import Work
from accelsim.memory.runs import Runs, in_order
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Stream(NamedTuple):
    """Data, or weights, of all hardware layers.

    Attributes
    ----------
    beats : int
    fresh : ndarray of int64
        The beats that are not whole in the transaction in which the one before ended.
    first_bit, bits : ndarray of int64
        Of the transactions of each of these that were not moved before.
    """

    beats: int
    fresh: np.ndarray
    first_bit: np.ndarray
    bits: np.ndarray


def answered(work: Work, written_bits: list[int], params: Params, door: Door) -> tuple[Any, np.ndarray]:
    """Return the counts of a walk that a device answers, and where each hardware layer ends.

    ``written_bits`` are those of each hardware layer, whose results leave evenly from its first product to its end.
    """
    from accelsim.engines.nvdla import kernel as k

    streams = _streams(work, params, door)
    asks = np.zeros((sum(stream.beats for stream in streams), k.ASKS), np.int64)
    rates = work.rates._replace(limited=1)

    def walk() -> tuple[np.ndarray, np.ndarray]:
        counts = np.zeros(k.COUNTS, np.int64)
        return counts, k.walk(work.layers, rates, counts, asks)

    def serve(door: Door, ends: np.ndarray) -> np.ndarray:
        """Return when each beat is there, and all before it."""
        reads = Runs(first_bit, bits, np.zeros(moved.size, np.int64)), asks[moved, k.ASKED]
        over = np.zeros(len(asks), np.int64)
        over[moved] = served(door, reads, _writes(door, written_bits, ends))
        return np.asarray(np.maximum.accumulate(over, out=over))

    _, ends = walk()
    where = [np.flatnonzero(asks[:, k.KIND] == kind)[stream.fresh] for kind, stream in enumerate(streams)]
    order = np.argsort(np.concatenate(where))
    moved = np.concatenate(where)[order]
    first_bit = np.concatenate([stream.first_bit for stream in streams])[order]
    bits = np.concatenate([stream.bits for stream in streams])[order]
    over = serve(door.mark(), ends)
    free = asks[:, k.ASKED] + rates.latency
    np.maximum(free[1:], over[:-1], out=free[1:])
    np.maximum(0, over - free, out=asks[:, k.BUS])
    del over, free  # a layer has millions of beats
    rates = rates._replace(beat_cycles=1, beat_ticks=0, ticks=1)  # the port's own pace; the device has its
    counts, ends = walk()
    late = int((serve(door, ends) - asks[:, k.COME]).max(initial=0))
    for count in (k.CYCLES, k.LOAD):
        counts[count] += late
    return counts, ends


def served(door: Door, reads: tuple[Runs, np.ndarray], writes: tuple[Runs, np.ndarray]) -> np.ndarray:
    """Let a device serve reads and writes by their earliest cycles, ascending in each; return the reads' ends."""
    earliest = np.concatenate([reads[1], writes[1]])
    order = np.argsort(earliest, kind="stable")
    runs = Runs(*(np.concatenate(columns)[order] for columns in zip(reads[0], writes[0], strict=True)))
    over = np.empty(order.size, np.int64)
    over[order] = door.serve(runs, earliest[order]).over
    return over[: reads[1].size]


def _streams(work: Work, params: Params, door: Door) -> tuple[Stream, Stream]:
    """Return data and weights, and where they lie in DRAM.

    Data lie surface by surface, lines of whole beats; weights as hardware layers have them, for all bands and images.
    A line comes surface by surface.
    """
    from accelsim.engines.nvdla import kernel as k

    layers, parts, conv = work.layers, work.parts, work.conv
    bits = 8 * params.port_bytes
    bundle = max(part.groups for part in parts)
    surfaces, wide, weights = (int(layers[:, column].max()) for column in (k.SURFACES, k.LINE_BEATS, k.WEIGHT_BEATS))
    image = ceil_div(conv.groups, bundle) * surfaces * conv.h * wide
    data_at = door.room("input", conv.n * image * bits)
    weight_at = door.room("weight", ceil_div(conv.groups, bundle) * weights * bits)
    data, kernels = list[np.ndarray](), list[np.ndarray]()
    for part, layer in zip(parts, layers, strict=True):
        of = part.first_group // bundle
        top = 0 if layer[k.LINES] == conv.h else min(conv.h - 1, max(0, part.top * conv.stride[0] - conv.pad[0]))
        line, surface, beat = np.ogrid[: layer[k.LINES], : layer[k.SURFACES], : layer[k.LINE_BEATS]]
        at = part.image * image + ((of * surfaces + surface) * conv.h + top + line) * wide + beat
        data.append(data_at + at.ravel() * bits)
        kernels.append(weight_at + (of * weights + np.arange(layer[k.WEIGHT_BEATS])) * bits)
    return _stream(data, bits, door.tx_bits), _stream(kernels, bits, door.tx_bits)


def _stream(first_bits: list[np.ndarray], bits: int, tx: int) -> Stream:
    """Return a stream of beats that begin where each hardware layer's do."""
    beats, found = 0, list[tuple[np.ndarray, ...]]()
    for first_bit in first_bits:
        begin, end = first_bit // tx, -(-(first_bit + bits) // tx)
        begin[1:] += begin[1:] == end[:-1] - 1
        fresh = np.flatnonzero(end > begin)
        found.append((beats + fresh, begin[fresh] * tx, (end - begin)[fresh] * tx))
        beats += first_bit.size
    return Stream(beats, *(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _writes(door: Door, written_bits: list[int], ends: np.ndarray) -> tuple[Runs, np.ndarray]:
    """Return the transactions of all results, and when each is whole."""
    tx, at = door.tx_bits, door.room("output", sum(written_bits))
    first, earliest = list[np.ndarray](), list[np.ndarray]()
    for bits, (begin, _, done, *_) in zip(written_bits, ends.tolist(), strict=True):
        one = np.arange(at // tx, -(-(at + bits) // tx))
        first.append(one * tx)
        earliest.append(evenly(begin, done, one.size))
        at += bits
    order = np.argsort(np.concatenate(earliest), kind="stable")  # hardware layers overlap
    runs = np.concatenate(first)[order]
    return Runs(runs, np.full(runs.size, tx, np.int64), np.ones(runs.size, np.int64)), np.concatenate(earliest)[order]


def evenly(begin: int, end: int, count: int) -> np.ndarray:
    """Return when each of ``count`` things is there of which the last one is at ``end``."""
    return begin + (np.arange(count) + 1) * (end - begin) // max(1, count)


class Image(NamedTuple):
    """An image that passes the post-processing.

    Attributes
    ----------
    reads : tuple of (str, int, bool)
        Of each tensor: name, bits of an image, whether all images read the same ones.
    written_bits : int
    bits_per_cycle : Fraction
        At which it is read, with the peak bandwidth.
    passing, rest : int
        Cycles in which elements pass, and all others without those that reads take longer.
    """

    reads: tuple[tuple[str, int, bool], ...]
    written_bits: int
    bits_per_cycle: Fraction
    passing: int
    rest: int


def late_of(image: Image, images: int, latency: int, door: Door) -> int:
    """Return how much longer than elements pass the reads of all images take, which come one after another.

    Tensors take turns; results leave evenly while elements pass.
    """
    start = waited = 0
    rate = image.bits_per_cycle
    for number in range(images):
        parts, sizes = list[tuple[Runs, np.ndarray]](), list[np.ndarray]()
        for name, bits, same in image.reads:
            ends = _turns(bits, door)
            first = door.room(name, bits if same else bits * images) + (0 if same else number * bits)
            parts.append((door.stream(first, ends, 0), np.arange(ends.size)))
            sizes.append(np.diff(ends, prepend=0))
        order = np.argsort(np.concatenate([key for _, key in parts]), kind="stable")
        moved = np.cumsum(np.concatenate(sizes)[order])
        asked = np.append(0, moved[:-1]) * rate.denominator // rate.numerator
        ends = _turns(image.written_bits, door)
        first = door.room("output", image.written_bits * images) + number * image.written_bits
        over = served(
            door, (in_order(parts), start + asked),
            (door.stream(first, ends, 1), evenly(start + latency, start + latency + image.passing, ends.size)),
        )  # fmt: skip
        took = max(int(over.max()) - start - latency, ceil_div(int(moved[-1]) * rate.denominator, rate.numerator))
        late = max(0, took - image.passing)
        waited += late
        start += image.passing + late + image.rest
    return waited


def _turns(bits: int, door: Door) -> np.ndarray:
    """Return where the turns of a stream end."""
    return np.append(np.arange(door.turn_bits, bits, door.turn_bits), bits)
