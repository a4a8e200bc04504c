"""The two operands of a layer as matrices of word addresses, and the order in which the array asks for them.

All six pairs of operand and dataflow have one form: a matrix of *times* x *ports*, cut into tiles of
``width`` ports. An address is ``times[t] + ports[p]`` (im2col for the ifmap, ``n K + k`` for the filter),
counted from the operand's own offset. Source: SCALE-Sim 3.0.0, ``operand_matrix.py`` and
``systolic_compute_{os,ws,is}.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.config.scalesim.config import Config
from accelsim.errors import WorkloadError

from .layer import Folds, Layer, fold
from .sparse import Pruned, prune

Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]

MAX_WORDS = 2**28
"""Operands of more words are refused where a table of them is needed (DRAM counts, sparsity)."""


class Operand(NamedTuple):
    """One operand: a times x ports matrix of word addresses, int64.

    ``time_row/time_col`` (T,) and ``port_row/port_col`` (P,) are image coordinates whose sums must stay below
    ``rows`` and ``cols``; beyond them nothing is requested. They have length 0 where every word is inside.
    ``table`` (T, P) replaces the sum where sparsity makes the addresses irregular (-1: nothing); else (0, 0).
    ``distinct`` says that all T x P words exist and differ; ``footprint`` is one more than the largest.
    """

    times: Ints
    ports: Ints
    time_row: Ints
    time_col: Ints
    port_row: Ints
    port_col: Ints
    rows: int
    cols: int
    table: Ints
    width: int
    footprint: int
    distinct: int


class Order(NamedTuple):
    """When an operand's words are asked for: in each fold, from line ``lead`` on.

    A stationary operand is loaded row by row, bottom first, in ``depth`` (array height) lines, all ports at
    once; the others are skewed, port i one line behind port i-1, and ``block`` > 0 is their variant for
    row-wise sparsity. ``by_column`` says that the tile of a fold is its column fold, not its row fold.
    """

    stationary: int
    lead: int
    depth: int
    fold_lines: int
    row_folds: int
    col_folds: int
    by_column: int
    block: int


class Plan(NamedTuple):
    """A layer laid out for one configuration."""

    folds: Folds
    pruned: Pruned | None
    ifmap: Operand
    ifmap_order: Order
    filter: Operand
    filter_order: Order


def windows(config: Config, layer: Layer) -> tuple[Folds, Pruned | None]:
    """Return the folds of ``layer``, and what sparsity leaves of its filters (None when dense)."""
    if config.sparsity is None:
        return fold(config, layer, layer.window, layer.window), None
    check_size(layer)
    pruned = prune(config, layer)
    return fold(config, layer, len(pruned.kept), pruned.filter_rows), pruned


def plan(config: Config, layer: Layer) -> Plan:
    """Lay out both operands of ``layer``.

    Raises
    ------
    WorkloadError
        An operand has more than 2^28 words.
    """
    check_size(layer)
    folds, pruned = windows(config, layer)
    k = np.arange(layer.window, dtype=np.int64)
    kept = k if pruned is None else pruned.kept
    ifmap_order, filter_order = _orders(config, folds, pruned)
    ifmap = _ifmap(config, layer, kept, int(pruned is None and layer.inside and not layer.overlaps))
    weights = _filter(config, layer, kept, pruned)
    return Plan(folds, pruned, ifmap, ifmap_order, weights, filter_order)


def check_size(layer: Layer) -> None:
    """Refuse what would not fit in memory, before anything is allocated."""
    sizes = {
        "ifmap": layer.ifmap_h * layer.ifmap_w * layer.channels,
        "filter": layer.window * layer.filters,
        "output": layer.pixels,
    }
    for name, words in sizes.items():
        if words > MAX_WORDS:
            problem = f"the {name} has {words} words, more than {MAX_WORDS}"
            raise WorkloadError(problem, "use the closed forms, or split the layer")


def _orders(config: Config, folds: Folds, pruned: Pruned | None) -> tuple[Order, Order]:
    rows, flow = config.rows, config.dataflow
    shape = (rows, folds.fold_lines, folds.row_folds, folds.col_folds)
    if flow == "os":
        return Order(0, 0, *shape, 0, 0), Order(0, 0, *shape, 1, 0)
    blocks = pruned.block if flow == "ws" and pruned is not None else 0
    skewed, stationary = Order(0, rows, *shape, 0, blocks), Order(1, 0, *shape, 1, 0)
    return (skewed, stationary) if flow == "ws" else (stationary, skewed)


def _ifmap(config: Config, layer: Layer, kept: Ints, distinct: int) -> Operand:
    """Lay out im2col: pixel (ho, wo) x window position (kr, kc, channel), channels fastest, ifmap HWC."""
    ho, wo = np.divmod(np.arange(layer.pixels, dtype=np.int64), layer.out_w)
    pixel_row, pixel_col = ho * layer.stride_h, wo * layer.stride_w
    kr, rest = np.divmod(kept, layer.filter_w * layer.channels)
    kc, channel = np.divmod(rest, layer.channels)
    pixel = (pixel_row * layer.ifmap_w + pixel_col) * layer.channels
    window = (kr * layer.ifmap_w + kc) * layer.channels + channel
    if layer.inside:
        pixel_row = pixel_col = kr = kc = _NONE
    shape = (layer.ifmap_h, layer.ifmap_w, _NO_TABLE)
    last = (layer.ifmap_h * layer.ifmap_w * layer.channels, distinct)
    if config.dataflow == "ws":
        return Operand(pixel, window, pixel_row, pixel_col, kr, kc, *shape, config.rows, *last)
    width = config.rows if config.dataflow == "os" else config.cols
    return Operand(window, pixel, kr, kc, pixel_row, pixel_col, *shape, width, *last)


def _filter(config: Config, layer: Layer, kept: Ints, pruned: Pruned | None) -> Operand:
    column = np.arange(layer.filters, dtype=np.int64) * layer.window
    table = _NO_TABLE if pruned is None or pruned.table is None else pruned.table
    shape = (_NONE, _NONE, _NONE, _NONE, 0, 0)
    footprint, distinct = layer.window * layer.filters, int(table.size == 0)
    if table.size:
        kept = np.zeros(table.shape[0], np.int64)
    if config.dataflow == "is":
        table = np.ascontiguousarray(table.T)
        return Operand(column, kept, *shape, table, config.rows, footprint, distinct)
    return Operand(kept, column, *shape, table, config.cols, footprint, distinct)


_NONE: Ints = np.zeros(0, np.int64)
_NO_TABLE: Ints = np.zeros((0, 0), np.int64)
