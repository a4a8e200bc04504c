"""What SCALE-Sim's N:M sparsity leaves of a filter matrix.

Source: SCALE-Sim 3.0.0, ``operand_matrix.py`` and ``compression.py``. Layer-wise, of every M weights the
first N are kept, in all filters alike; row-wise, each filter draws its own N of 1..B/2 for its blocks of B.
SCALE-Sim finds the kept words by testing addresses for zero, so that with ``FilterOffset: 0`` the first
weight of the first filter is taken for a zero; this is kept.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.config.scalesim.config import Config, Sparsity
from accelsim.errors import ConfigError, WorkloadError

from .layer import Layer

Ints = NDArray[np.int64]

MAX_TABLE = 2**26
"""Filters of more words are not pruned row-wise: each has an entry in a table."""


class Pruned(NamedTuple):
    """A layer's filters after pruning.

    ``kept`` (K',) are the window positions the ifmap is streamed at; ``filter_rows`` the rows of the
    condensed filter matrix; ``table`` (filter_rows, N) its word addresses where they are irregular (-1:
    none), else None. Storage is in words of 32 bits.
    """

    kept: Ints
    filter_rows: int
    table: Ints | None
    row_wise: bool
    block: int
    original_words: int
    stored_words: float
    metadata_words: float


def prune(config: Config, layer: Layer) -> Pruned:
    """Prune ``layer`` as the configuration and the layer's N:M column say.

    Raises
    ------
    ConfigError, WorkloadError
        What SCALE-Sim stops at: N outside 1..M, row-wise sparsity outside ws, blocks that do not tile the
        array.
    """
    sparsity = config.sparsity
    if sparsity is None:
        raise ConfigError("sparsity is off", "set SparsitySupport to true", file=config.file)
    if sparsity.row_wise:
        return _row_wise(config, sparsity, layer)
    n, m = layer.n_of_m
    if not 1 <= n <= m:
        raise WorkloadError(f"sparsity {n}:{m} is not possible", "keep 1 to M of every M weights")
    kept = np.arange(layer.window, dtype=np.int64)
    kept = kept[kept % m < n]
    table = _first_weight_lost(layer, kept, n) if config.filter_offset == 0 else None
    rows = len(kept) if table is None else table.shape[0]
    if rows == 0 or (rows != len(kept) and config.dataflow != "ws"):
        problem = "with FilterOffset 0 the only filter loses a weight, and SCALE-Sim stops"
        raise WorkloadError(problem, "use another FilterOffset", file=config.file)
    storage = _storage(sparsity, layer, len(kept) * layer.filters, rows)
    return Pruned(kept, rows, table, False, 0, *storage)


def _first_weight_lost(layer: Layer, kept: Ints, n: int) -> Ints | None:
    """Return the filter table where address 0 counts as a zero: it moves to the end of its block."""
    block = min(n, len(kept))
    if block == 1 and not (layer.filters == 1 and len(kept) == 1):
        return None
    table = kept[:, None] + np.arange(layer.filters, dtype=np.int64) * layer.window
    table[:block, 0] = np.append(kept[1:block], 0)
    if layer.filters == 1 and block == len(kept):  # a last row of zeros only is cut off
        table = table[:-1]
    return table


def _row_wise(config: Config, sparsity: Sparsity, layer: Layer) -> Pruned:
    block, window = sparsity.block, layer.window
    half, groups = block // 2, -(-window // (2 * block))
    _check_row_wise(config, layer, block, groups * block)
    draw = np.random.RandomState(sparsity.seed)
    drawn = np.array([draw.randint(1, half + 1) for _ in range(layer.filters)], np.int64)
    which, position = np.divmod(np.arange(groups * 2 * half, dtype=np.int64), half)
    k = which * block + position
    filled = (k < window)[:, None] & (position[:, None] < drawn)
    table = np.full((groups * block, layer.filters), -1, np.int64)
    column = np.arange(layer.filters, dtype=np.int64) * window
    table[: len(k)] = np.where(filled, k[:, None] + column, -1)
    if config.filter_offset == 0:
        left = min(int(drawn[0]), window)  # of the first block, its weight at address 0 is taken for a zero
        table[:half, 0] = -1
        table[: left - 1, 0] = np.arange(1, left)
        if left == 1:
            table[0, 0] = 0
    whole, rest = divmod(window, block)
    nonzero = int(drawn.sum()) * whole + int(np.minimum(drawn, rest).sum())
    storage = _storage(sparsity, layer, nonzero, table.shape[0])
    return Pruned(np.arange(window, dtype=np.int64), table.shape[0], table, True, block, *storage)


def _check_row_wise(config: Config, layer: Layer, block: int, rows: int) -> None:
    if rows * layer.filters > MAX_TABLE or config.rows * block > MAX_TABLE:
        problem = f"blocks of {block} make a table of more than {MAX_TABLE} words"
        raise ConfigError(problem, "use a smaller block", file=config.file, key="sparsity.BlockSize")
    if config.dataflow != "ws" and rows != layer.window:
        problem = "row-wise sparsity (OptimizedMapping) runs in ws only; SCALE-Sim stops"
        raise ConfigError(problem, "set Dataflow to ws", file=config.file, key="sparsity.OptimizedMapping")
    if config.dataflow == "ws" and 2 * config.rows % block:
        problem = f"blocks of {block} do not tile twice ArrayHeight ({config.rows}); SCALE-Sim stops"
        raise ConfigError(problem, "use another BlockSize", file=config.file, key="sparsity.BlockSize")


def _storage(sparsity: Sparsity, layer: Layer, nonzero: int, rows: int) -> tuple[int, float, float]:
    """Return original, stored and metadata words (``compression.py``); ELLPACK takes M from the topology."""
    original = layer.window * layer.filters
    if sparsity.representation == "ellpack_block":
        stored = rows * layer.filters
        metadata = stored * math.ceil(math.log2(layer.n_of_m[1])) / 32
        return original, stored + metadata, metadata
    pointers = (layer.window if sparsity.representation == "csr" else layer.filters) + 1
    return original, 2 * nonzero + pointers, nonzero + pointers
