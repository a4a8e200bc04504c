"""Feature maps in DRAM: the transfers of every load and dump, run-length coded where that is smaller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from accelsim.activity import Transfer
from accelsim.engines.row_stationary.cut import Cut, Residency, Span
from accelsim.mapping.loopnest import contiguous
from accelsim.operands.handle import Operand, Operands, to_conv_input
from accelsim.operands.rlc import Rlc
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Matmul

RUN_BITS, CODE_WORD_BITS = 5, 64
"""JSSC 2017: runs of at most 31 zeros; as many pairs as fit a 64-bit word beside the mark of the last one."""

Block: TypeAlias = tuple[Span, Span, Span]
"""Images, channels and rows of one transfer."""


@dataclass(frozen=True)
class Fmap:
    """How one feature map lies in DRAM.

    Attributes
    ----------
    coded_bits : dict or None
        Block -> size of its stream; None where the map is not coded.
    """

    tensor: Literal["input", "output"]
    shape: tuple[int, int, int, int]
    word_bits: int
    coded_bits: dict[Block, int] | None

    def transfer(self, block: Block) -> tuple[Transfer, ...]:
        """Return the transfer of a block: of a coded map one stream, else rows where they lie."""
        direction: Literal["read", "write"] = "read" if self.tensor == "input" else "write"
        images, channels, rows = block
        if not rows.size:
            return ()
        if self.coded_bits is not None:
            return (Transfer(self.tensor, direction, self.coded_bits[block]),)
        n, c, h, w = self.shape
        run, count = contiguous(((w, w), (rows.size, h), (channels.size, c), (images.size, n)))
        return (Transfer(self.tensor, direction, run * self.word_bits, count),)


def input_block(cut: Cut, at: Residency, channels: Span) -> Block:
    """Return what is loaded for a channel block of a residency."""
    first = Span(at.group * cut.channels + channels.start, channels.size)
    return at.images, first, cut.image_rows(at.rows)


def output_block(cut: Cut, at: Residency) -> Block:
    """Return what is dumped at the end of a residency."""
    first = Span(at.group * cut.filters + at.filters.start, at.filters.size)
    return at.images, first, at.rows


def input_fmap(cut: Cut, operands: Operands) -> Fmap:
    """Return the ifmap in DRAM, coded from its own zeros."""
    conv = cut.conv
    shape = (conv.n, conv.c, conv.h, conv.w)
    mask = None if operands.input.dense else to_conv_input(operands.view, operands.input.mask)
    blocks = (input_block(cut, at, c) for at in cut.residencies() for c in cut.channel_blocks)
    return Fmap("input", shape, cut.params.word_bits, _coded(cut, mask, blocks))


def output_fmap(cut: Cut, operands: Operands) -> Fmap:
    """Return the ofmap in DRAM, coded from the zeros that its tensor is described to have."""
    conv = cut.conv
    shape = (conv.n, conv.k, conv.e, conv.f)
    blocks = (output_block(cut, at) for at in cut.residencies())
    return Fmap("output", shape, cut.params.word_bits, _coded(cut, _output_mask(operands, shape), blocks))


def _output_mask(operands: Operands, shape: tuple[int, int, int, int]) -> np.ndarray | None:
    view: LayerView = operands.view
    described = Operand(view.output, operands.input.seed, operands.input.batch)
    if described.dense:
        return None
    if isinstance(view.shape, Matmul):
        return described.mask.transpose(1, 0, 2).reshape(shape)
    return described.mask.reshape(shape)


def _coded(cut: Cut, mask: np.ndarray | None, blocks: Iterable[Block]) -> dict[Block, int] | None:
    """Return the size of each block's stream, or None if the map is smaller as it is (certainly without zeros)."""
    word_bits = cut.params.word_bits
    if mask is None or not cut.params.rlc:
        return None
    code = Rlc(RUN_BITS, word_bits, (CODE_WORD_BITS - 1) // (RUN_BITS + word_bits))
    sizes: dict[Block, int] = {}
    plain = 0
    for block in blocks:
        if block in sizes:
            continue
        n, c, h = (slice(span.start, span.start + span.size) for span in block)
        part = mask[n, c, h]
        sizes[block] = code.size_bits(part)
        plain += part.size * word_bits
    return sizes if sum(sizes.values()) < plain else None
