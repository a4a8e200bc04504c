"""Magnitude pruning: the smallest weights of a layer become zero until a density is reached.

Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NIPS 2015 (fine-grained);
Han et al., "ESE: Efficient Speech Recognition Engine with Sparse LSTM on FPGA", FPGA 2017 (load-balance-aware: the
same share in the sub-matrix of every PE). N:M keeps the N largest of every M consecutive input channels. Nothing is
trained again: what accuracy a network keeps is not known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands.codec import Bools
from accelsim.operands.patterns import per_group
from accelsim.units import exact
from accelsim.workload.pattern import BERNOULLI, Pattern

FINE = Pattern(BERNOULLI)
"""Fine-grained pruning: any weight may go."""


def prune(weights: NDArray[Any], density: float, structure: Pattern = FINE, name: str = "tensor") -> NDArray[Any]:
    """Return the weights with all but the largest magnitudes zero.

    Parameters
    ----------
    weights : ndarray (k, c, ...)
        Integers or reals; rows are the first dimension, channels the second.
    density : float
        Share that is kept, in [0, 1]: ``round(density x elements)`` weights, of equal ones the earlier. Zeros that
        are there already stay.
    structure : Pattern
        ``bernoulli`` (over the whole layer), ``nm`` (in every group of channels) or ``balanced`` (in the rows of every
        PE).

    Raises
    ------
    WorkloadError
        A density outside [0, 1] or, for N:M, without a whole N; a structure that pruning does not make; NaN.
    """
    if not 0 <= density <= 1:
        raise WorkloadError(f"tensor '{name}': {density:g} is no density", "give a share from 0 to 1")
    if weights.dtype.kind == "f" and np.isnan(weights).any():
        raise WorkloadError(f"tensor '{name}' holds NaN", "give finite numbers")
    size = np.abs(weights)
    if structure.kind == BERNOULLI:
        kept = _largest(size, density)
    elif structure.kind == "nm":
        kept = _in_groups(size, per_group(exact(density), structure.count, name), structure.count)
    elif structure.kind == "balanced":
        kept = np.zeros(weights.shape, dtype=np.bool_)
        for pe in range(min(structure.count, weights.shape[0])):
            kept[pe :: structure.count] = _largest(size[pe :: structure.count], density)
    else:
        raise WorkloadError(
            f"tensor '{name}': pruning does not make the pattern '{structure}'", "use nm:M, balanced:PES or none"
        )
    return np.where(kept, weights, weights.dtype.type(0))


def _largest(size: NDArray[Any], density: float) -> Bools:
    """Return where the largest are; of equal ones the earlier."""
    flat = size.ravel()
    count = round(exact(density) * flat.size)
    if count == 0:
        return np.zeros(size.shape, dtype=np.bool_)
    edge = np.partition(flat, flat.size - count)[flat.size - count]
    kept = np.asarray(flat > edge)
    ties = np.flatnonzero(flat == edge)
    kept[ties[: count - np.count_nonzero(kept)]] = True
    return kept.reshape(size.shape)


def _in_groups(size: NDArray[Any], count: int, group: int) -> Bools:
    """Return where the ``count`` largest of each group of channels are; a last short group keeps as many."""
    kept = np.zeros(size.shape, dtype=np.bool_)
    axis = min(1, size.ndim - 1)
    for start in range(0, size.shape[axis], group):
        here = (slice(None),) * axis + (slice(start, start + group),)
        part = size[here].astype(np.float64) if size.dtype.kind == "f" else size[here].astype(np.int64)
        order = np.argsort(-part, axis=axis, kind="stable")
        chosen = np.zeros(part.shape, dtype=np.bool_)
        first = (slice(None),) * axis + (slice(0, count),)
        np.put_along_axis(chosen, order[first], True, axis=axis)
        kept[here] = chosen
    return kept
