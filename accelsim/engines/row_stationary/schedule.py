"""The passes as steps of the memory timeline, and the traffic at every boundary."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import groupby
from typing import TypeAlias

from accelsim.activity import Flow, Loop, Step, Transfer
from accelsim.engines.row_stationary.cut import Cut, Residency, Span
from accelsim.engines.row_stationary.fmaps import Fmap, input_block, output_block
from accelsim.engines.row_stationary.walk import Cycles, Kind, kind
from accelsim.workload.layers import LayerView

Items: TypeAlias = tuple[Step | Loop, ...]


def schedule(cut: Cut, cycles: dict[Kind, Cycles], source: Fmap, sink: Fmap) -> Items:
    """Return the passes: filters are prefetched, ifmap loads and ofmap dumps stand alone."""
    known: dict[Hashable, Items] = {}
    parts = []
    # maps that are not coded move as much from one place as from another
    plain = source.coded_bits is None and sink.coded_bits is None
    for at in cut.residencies():
        key = (kind(at), cut.image_rows(at.rows).size) if plain else at
        if key not in known:
            known[key] = _residency(cut, at, cycles[kind(at)], source, sink)
        parts.append(known[key])
    return _folded(parts)


def _residency(cut: Cut, at: Residency, cycles: Cycles, source: Fmap, sink: Fmap) -> Items:
    known: dict[Hashable, list[Step]] = {}
    blocks = []
    for channels, taken in zip(cut.channel_blocks, cycles, strict=True):
        # what the same blocks took is one tuple, of which hundreds are not to be compared number by number
        key = (channels.size if source.coded_bits is None else channels, id(taken))
        if key not in known:
            known[key] = _block(cut, at, channels, taken, source)
        blocks.append(known[key])
    last = blocks[-1][-1]._replace(after=sink.transfer(output_block(cut, at)))
    blocks[-1] = [*blocks[-1][:-1], last]
    distinct = {id(steps): steps for steps in blocks}
    folded = {key: _folded([(step,) for step in steps]) for key, steps in distinct.items()}
    return _folded([folded[id(steps)] for steps in blocks])


def _block(cut: Cut, at: Residency, channels: Span, taken: tuple[int, ...], source: Fmap) -> list[Step]:
    """Return the passes of a channel block; the ifmap load stands before the first."""
    tap_bits = cut.conv.r * cut.conv.s * cut.params.word_bits
    known: dict[tuple[int, int], Step] = {}
    steps = []
    for held, count in zip(cut.filter_blocks(at.filters.size), taken, strict=True):
        if (key := (held.size, count)) not in known:
            filters = Transfer("weight", "read", held.size * channels.size * tap_bits)
            known[key] = Step((filters,), count, ())
        steps.append(known[key])
    steps[0] = steps[0]._replace(before=source.transfer(input_block(cut, at, channels)))
    return steps


def _folded(parts: list[Items]) -> Items:
    """Return the parts one after another, equal neighbours as a loop."""
    items: list[Step | Loop] = []
    for body, same in groupby(parts):
        count = len(list(same))
        items.extend(body if count == 1 else (Loop(count, body),))
    return tuple(items)


def passes(cut: Cut) -> int:
    """Return how many passes the layer takes."""
    return cut.conv.groups * len(cut.channel_blocks) * cut.filter_passes * len(cut.strips) * len(cut.image_blocks)


def on_chip(cut: Cut, view: LayerView, reading_macs: int) -> dict[Flow, int]:
    """Return the traffic of buffer, networks and spads in bits.

    Parameters
    ----------
    reading_macs : int
        Multiplications that read the filter spad.
    """
    conv, mp, width = cut.conv, cut.mapping, cut.params.word_bits
    every = cut.params.psum_counting == "every_pass"
    strips, channel_passes = len(cut.strips), len(cut.channel_blocks)
    filter_passes = cut.filter_passes
    weights = conv.k * cut.channels * conv.r * conv.s * len(cut.image_blocks) * strips
    ifmap = conv.n * conv.c * strips * cut.strip_rows * cut.strip_words
    delivered = conv.n * conv.c * strips * filter_passes * cut.used_columns * conv.r * mp.e * mp.t
    outputs = conv.n * conv.k * conv.e * conv.f
    kept = channel_passes if every else channel_passes - 1
    words = {
        Flow("glb.filters", "weight", "write"): weights,
        Flow("glb.filters", "weight", "read"): weights,
        Flow("glb.fmaps", "input", "write"): ifmap * len(cut.blocks),
        Flow("glb.fmaps", "input", "read"): ifmap * filter_passes,
        Flow("glb.fmaps", "psum", "read"): outputs * kept,
        Flow("glb.fmaps", "psum", "write"): outputs * kept,
        Flow("glb.fmaps", "output", "read"): outputs if every else 0,
        Flow("array", "weight", "read"): weights * mp.e,
        Flow("array", "input", "read"): delivered,
        Flow("array", "psum", "read"): outputs * kept,
        Flow("array", "psum", "write"): outputs * channel_passes * mp.r * conv.r,
        Flow("pe.filters", "weight", "write"): weights * mp.e,
        Flow("pe.filters", "weight", "read"): reading_macs,
        Flow("pe.inputs", "input", "write"): delivered,
        Flow("pe.inputs", "input", "read"): view.macs,
        Flow("pe.psums", "psum", "write"): view.macs,
        Flow("pe.psums", "psum", "read"): view.macs,
    }
    return {flow: count * width for flow, count in words.items()}


def bus_bits(flows: dict[Flow, int]) -> int:
    """Return the bits on buses across the array: each word between it and the buffer on one that reaches all rows, and
    on the one of a row, an ifmap word in every row that takes it.
    """
    filters = flows[Flow("glb.filters", "weight", "read")]
    psums = flows[Flow("glb.fmaps", "psum", "read")] + flows[Flow("glb.fmaps", "psum", "write")]
    return (
        2 * (filters + psums) + flows[Flow("glb.fmaps", "input", "read")] + flows[Flow("pe.inputs", "input", "write")]
    )


def glb_array_bits(flows: dict[Flow, int]) -> int:
    """Return the bits between buffer and array, filters apart: what the chip's table calls buffer accesses."""
    array = (Flow("glb.fmaps", "input", "read"), Flow("glb.fmaps", "psum", "read"), Flow("glb.fmaps", "psum", "write"))
    return sum(flows[flow] for flow in array)
