"""What a row of a SCALE-Sim table looks like it was meant to be.

SCALE-Sim has no padding, groups or depthwise layers, so people write them into the sizes, each in their own way, or
leave them out. A reading names the layer that a row most likely stands for, and why; nothing is changed here.

Evidence for padding is what the neighbours say (the next row reads this row's outputs, perhaps pooled 2:1) and
whether a size is one that image networks have (224 halved, powers of two, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from accelsim.units import ceil_div
from accelsim.workload.scalesim.topology import TopologyRow
from accelsim.workload.shapes import Conv2d

Kind = Literal["depthwise", "unpadded", "padded", "unclear", "stride"]

USUAL = frozenset([7 << k for k in range(8)] + [1 << k for k in range(2, 12)] + [13, 27, 55, 149, 299, 300, 416])
"""Sizes of images and feature maps in published networks; assumed, and only ever used to choose between two."""


@dataclass(frozen=True)
class Reading:
    """One thing that a row does not say: ``text`` follows the layer's name; ``real`` is the layer it looks like.

    ``real`` is None where the file does not tell enough.
    """

    kind: Kind
    text: str
    real: Conv2d | None


def literal(row: TopologyRow) -> Conv2d:
    """Return the layer that SCALE-Sim counts for a row: the same products, windows outside the image as padding."""
    groups = row.channels if row.depthwise == "expanded" else 1
    below = max(0, (row.out_h - 1) * row.stride_h + row.filter_h - row.ifmap_h)
    right = max(0, (row.out_w - 1) * row.stride_w + row.filter_w - row.ifmap_w)
    return Conv2d(
        n=row.batch, c=row.channels, k=row.filters * groups, h=row.ifmap_h, w=row.ifmap_w, r=row.filter_h,
        s=row.filter_w, groups=groups, stride=(row.stride_h, row.stride_w), pad=(0, 0, below, right),
    )  # fmt: skip


def readings(rows: Sequence[TopologyRow]) -> list[tuple[Reading, ...]]:
    """Return for each row of a table of convolutions what it does not say, in the order of the rows."""
    verdicts = [_padding(rows, i) for i in range(len(rows))]
    bare = "unpadded" in verdicts and "padded" not in verdicts
    found = []
    for i, (row, channels) in enumerate(zip(rows, _channels(rows), strict=True)):
        conv, items = literal(row), []
        wide = _depthwise(row, conv, channels)
        if wide is not None:
            items.append(wide)
            conv = wide.real or conv
        verdict = verdicts[i]
        if verdict == "unknown":
            # a row that nothing tells about is like the others; with a stride the outputs would be a guess
            verdict = "unpadded" if bare and (row.stride_h, row.stride_w) == (1, 1) else "unclear"
        if verdict in ("unpadded", "padded", "unclear"):
            items.append(_reading(row, conv, verdict))
        elif not row.stride_fits:
            counted, valid = _size((row.out_h, row.out_w)), _size(_valid(row))
            text = f"SCALE-Sim counts {counted} outputs, the last partly outside the image; without padding {valid}"
            items.append(Reading("stride", text, replace(conv, pad=(0, 0, 0, 0))))
        found.append(tuple(items))
    return found


def _depthwise(row: TopologyRow, conv: Conv2d, channels: int | None) -> Reading | None:
    if row.depthwise == "expanded":
        text = f"'DP' in the name, so {row.channels} layers of one channel: imported as one layer of as many groups"
        return Reading("depthwise", text, conv)
    if row.depthwise == "one_filter":
        real = replace(conv, k=conv.c, groups=conv.c)
        text = f"one filter over {conv.c} channels; depthwise, it has as many products but {conv.c} times the outputs"
        return Reading("depthwise", text, real)
    if row.depthwise == "one_channel":
        if channels is None:
            return Reading("depthwise", "one channel of a depthwise layer; its neighbours do not tell how many", None)
        real = replace(conv, c=channels, k=channels, groups=channels)
        text = f"one channel of a depthwise layer of {channels} channels, as its neighbours say"
        return Reading("depthwise", text, real)
    return None


def _channels(rows: Sequence[TopologyRow]) -> list[int | None]:
    """Return how many channels reach each row: what the row before makes, if the next one reads as many.

    Depthwise rows hand on what they get; None where the neighbours disagree or there is none before.
    """
    made: list[int | None] = []
    last: int | None = None
    for row in rows:
        made.append(last)
        if row.depthwise == "expanded":
            last = row.channels * row.filters
        elif row.depthwise != "one_channel":
            last = row.channels if row.depthwise else row.filters
    read: int | None = None
    for i in reversed(range(len(rows))):
        if read not in (None, made[i]):
            made[i] = None
        if rows[i].depthwise != "one_channel":
            read = rows[i].channels
    return made


def _padding(rows: Sequence[TopologyRow], i: int) -> str:
    """Return ``unpadded`` (the image, its padding forgotten), ``padded`` (padding in the sizes), or what else.

    ``none``: nothing to pad; ``stated``: the neighbours agree with the row as it is; ``unknown``.
    """
    row = rows[i]
    tall, wide = 1 < row.filter_h < row.ifmap_h, 1 < row.filter_w < row.ifmap_w
    if not (tall or wide):  # the window is one element or all there is: nothing to pad
        return "none"
    size, window = (row.ifmap_h, row.filter_h) if tall else (row.ifmap_w, row.filter_w)
    same, valid = row.same_out[0 if tall else 1], _valid(row)[0 if tall else 1]
    bare = size - window + 1
    before = _before(rows, i, tall)
    if before and any(_fits(bare, out) for out in before) and not any(_fits(size, out) for out in before):
        return "padded"
    following = _after(rows, i, tall)
    if following is not None:
        unpadded = _fits(following[0], same)
        stated = any(_fits(image, valid) for image in _images(following))
        if unpadded and not stated:
            return "unpadded"
        if stated and not unpadded:
            return "padded" if _looks_padded(row) else "stated"
    if _looks_padded(row):
        return "padded"
    if following is not None and following[0] == same and size in USUAL and bare not in USUAL:
        return "unpadded"
    return "unknown"


def _images(stated: tuple[int, int]) -> tuple[int, ...]:
    """Return the images that a stated size may mean: as it is, or without padding written in."""
    size, bare = stated
    if (size in USUAL) != (bare in USUAL):
        return (size,) if size in USUAL else (bare,)
    return stated


def _valid(row: TopologyRow) -> tuple[int, int]:
    """Return the outputs without padding, as the field counts them."""
    return (row.ifmap_h - row.filter_h) // row.stride_h + 1, (row.ifmap_w - row.filter_w) // row.stride_w + 1


def _before(rows: Sequence[TopologyRow], i: int, tall: bool) -> set[int]:
    """Return the sizes that the outputs of the row before may have, with or without padding."""
    if not i:
        return set()
    row, d = rows[i - 1], 0 if tall else 1
    return {_valid(row)[d], (row.out_h, row.out_w)[d], row.same_out[d]}


def _after(rows: Sequence[TopologyRow], i: int, tall: bool) -> tuple[int, int] | None:
    """Return the image that the next row states, and what is left of it without padding; None for another branch."""
    if i + 1 == len(rows):
        return None
    row = rows[i + 1]
    size, window = (row.ifmap_h, row.filter_h) if tall else (row.ifmap_w, row.filter_w)
    follows = rows[i].depthwise or row.depthwise or row.channels == rows[i].filters
    return (size, size - window + 1) if size > 1 and follows else None


def _fits(size: int, out: int) -> bool:
    """Whether ``out`` outputs make an image of ``size``, as they are or pooled by 2 with windows of 2 or 3."""
    return size in (out, out // 2, ceil_div(out, 2), (out - 3) // 2 + 1, ceil_div(out - 3, 2) + 1)


def _looks_padded(row: TopologyRow) -> bool:
    """Whether both sizes are unusual, and usual without padding."""
    tall = (row.ifmap_h, row.filter_h, row.stride_h)
    wide = (row.ifmap_w, row.filter_w, row.stride_w)
    return all(size not in USUAL and _written_in(size, *rest) is not None for size, *rest in (tall, wide))


def _written_in(size: int, window: int, stride: int) -> int | None:
    """Return how much padding is in ``size`` if the rest is a usual image; with a stride less than all may be."""
    candidates = [window - 1] if stride == 1 else list(range(window - 1, 0, -1))
    return next((p for p in candidates if p and size - p in USUAL), None)


def _reading(row: TopologyRow, conv: Conv2d, verdict: str) -> Reading:
    image, window = f"{row.ifmap_h}x{row.ifmap_w}", f"{row.filter_h}x{row.filter_w}"
    counted = f"{row.out_h}x{row.out_w}"
    valid, same = _size(_valid(row)), _size(row.same_out)
    as_is = f"{image}, {window}, stride {row.stride_h}: SCALE-Sim counts {counted} outputs"
    if verdict == "padded":
        real = _without_padding(row, conv)
        text = f"{as_is}; looks like a {real.h}x{real.w} image with its padding written in: {real.e}x{real.f} outputs"
        return Reading("padded", text, real)
    real = replace(conv, pad=_same_pads(row))
    if verdict == "unpadded":
        text = f"{as_is}, the real layer (pad {_pads(real)}) has {same} and {_times(real.macs, conv.macs)} products"
        return Reading("unpadded", text, real)
    text = f"{as_is}; without padding {valid}, with pad {_pads(real)} {same}: the file does not tell which"
    return Reading("unclear", text, None)


def _without_padding(row: TopologyRow, conv: Conv2d) -> Conv2d:
    sizes, pads = [], []
    for size, window, stride in (
        (row.ifmap_h, row.filter_h, row.stride_h),
        (row.ifmap_w, row.filter_w, row.stride_w),
    ):
        found = _written_in(size, window, stride)
        p = window - 1 if found is None else found
        sizes.append(size - p)
        pads.append((p // 2, p - p // 2))
    return replace(conv, h=sizes[0], w=sizes[1], pad=(pads[0][0], pads[1][0], pads[0][1], pads[1][1]))


def _same_pads(row: TopologyRow) -> tuple[int, int, int, int]:
    """Return the pads that give outputs of image / stride: (window - 1) / 2 on each side, one more behind if even."""
    tall, wide = row.filter_h - 1, row.filter_w - 1
    return tall // 2, wide // 2, tall - tall // 2, wide - wide // 2


def _pads(conv: Conv2d) -> str:
    top, left, bottom, right = conv.pad
    if top == bottom and left == right:
        return str(top) if top == left else f"{top}, {left}"
    return ", ".join(map(str, conv.pad))


def _size(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _times(ours: int, theirs: int) -> str:
    return "the same" if ours == theirs else f"{ours / theirs:.2f} times the"
