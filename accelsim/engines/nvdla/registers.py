"""Flip-flops of the pipelines, counted in the RTL of nv_small (nvdla/hw 771f20c, vmod/nvdla) by width and depth.

Words that the components have as storage (weights of the cells, sums) are not counted again. Dual sets of configuration
registers, counters and the memory interface are left out. Other configurations have the same pipelines (assumed).
"""

from __future__ import annotations

from accelsim.components import Registers
from accelsim.engines.nvdla.params import ACCUMULATOR_BITS, Params

RESULT_BITS = 32
"""Of a result on its way to the post-processing (CACC_FINAL_WIDTH)."""
SEQUENCER_ENTRIES = 22
"""Words as wide as an entry of the convolution buffer in the sequencer: 8 of pixels, 6 shifted, 1 passed by, 3 of
weights, 4 at its outputs (NV_NVDLA_CSC_dl.v, NV_NVDLA_CSC_wl.v, without Winograd and compression)."""
SDP_BITS = 1078
"""Of a lane: two stages of adder (2 x 64 + 2 x 33), multiplier (2 x 50), truncation and ReLU (2 x 32 each), and the
converter behind them (2 x (33 + 49 + 18 + 17)), each with a skid register (NV_NVDLA_SDP_HLS_X_int_*.v, _C_int.v)."""
PDP_BITS = 681
"""Of a lane: eight windows of a line (26), their input and output (29), eight lines (52), two inputs (28)
(NV_NVDLA_PDP_CORE_unit1d.v, _cal1d.v, _cal2d.v)."""
CDP_BITS = 1024
"""Of a lane: assumed; windows of nine channels, squares, table and interpolation."""


SOURCE = "RTL of nv_small (nvdla/hw 771f20c) by width and depth; assumed the same in other configurations"


def registers(params: Params) -> tuple[Registers, ...]:
    """Return cells, assembly, sequencer with the buffer's read path, and the three pipelines behind them."""
    p = params
    entry = 8 * p.channels
    result = 16 + (p.channels - 1).bit_length()
    # of a cell: pixels and their flags, flags of weights; its result 3 times retimed, then 4.5 times on its way to
    # CACC, which is 2 + 2 cycles of one half of the cells and 2 + 3 of the other
    cell = entry + 5 * p.channels + 2 + 15 * result // 2
    # of a kernel: sum, partial and final result, and what goes to the two buffers
    assembly = (ACCUMULATOR_BITS + 1) + ACCUMULATOR_BITS + RESULT_BITS + 1 + ACCUMULATOR_BITS + 2 * RESULT_BITS
    # of both halves of the cells: pixels and weights, 1.5 + 2 + 1 times
    inputs = 2 * (9 * (p.channels * 9) + 31)
    # of each bank: a word to write, one read for pixels and one for weights; these come together by fours twice
    buffer = entry * (3 * p.banks + 2 * (p.banks // 4 + p.banks // 16 + 1) + 2)
    return (
        Registers("cells", p.kernels, cell, gated_words=2 * p.channels, unit="macs", source=SOURCE),
        Registers("assembly", p.kernels, assembly, unit="macs", source=SOURCE),
        Registers("sequencer", 1, SEQUENCER_ENTRIES * entry + inputs, unit="macs", source=SOURCE),
        Registers("latches", 1, buffer, unit="macs", source=SOURCE),
        Registers("sdp", p.post_elements, SDP_BITS, unit="sdp", source=SOURCE),
        Registers("pdp", p.post_elements, PDP_BITS, unit="pdp", source=SOURCE),
        Registers(
            "cdp",
            p.post_elements,
            CDP_BITS,
            unit="cdp",
            source="assumed: windows of nine channels, squares, table and interpolation",
        ),
    )
