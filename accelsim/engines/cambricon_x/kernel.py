"""One output group: blocks one after another, each PE through its own entries. Nothing arbitrates."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_group(entries, multipliers, at_blocks):  # type: ignore[no-untyped-def]
    """Walk one window of an output group; return (cycles, PE-cycles worked, PE-cycles waited).

    Parameters
    ----------
    entries : ndarray of int64, shape (outputs, blocks)
    multipliers : int
    at_blocks : bool
        Whether the PEs meet after every block.
    """
    now = np.zeros(entries.shape[0], np.int64)
    worked = waited = np.int64(0)
    for block in range(entries.shape[1]):
        for pe in range(entries.shape[0]):
            cost = max(1, (entries[pe, block] + multipliers - 1) // multipliers)
            now[pe] += cost
            worked += cost
        if at_blocks:
            level = now.max()
            for pe in range(entries.shape[0]):
                waited += level - now[pe]
                now[pe] = level
    level = now.max()
    for pe in range(entries.shape[0]):
        waited += level - now[pe]
    return level, worked, waited


@kernel
def multiply(columns, w, block, pes, out):  # type: ignore[no-untyped-def]
    """Multiply all windows by the non-zero synapses, group by group, block by block, PE by PE.

    Parameters
    ----------
    columns, w, out : ndarray of int64
        (windows, length), (outputs, length), (outputs, windows); products are added to ``out``.
    """
    for first in range(0, w.shape[0], pes):
        for window in range(columns.shape[0]):
            for start in range(0, columns.shape[1], block):
                for k in range(first, min(first + pes, w.shape[0])):
                    for i in range(start, min(start + block, columns.shape[1])):
                        if w[k, i] != 0:
                            out[k, window] += columns[window, i] * w[k, i]
