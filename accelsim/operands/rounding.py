"""Reals rounded once to the integers that a layer reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.workload.layers import Tensor


class RefusedValuesError(Exception):
    """A value cannot be carried: the reason, for the report."""


class Rounding(NamedTuple):
    """What integers stand for: ``(integer - zero) * step``."""

    step: float = 1.0
    zero: int = 0


class Chain(NamedTuple):
    """What the layers of a network read.

    Attributes
    ----------
    values : mapping
        Tensor name -> integers of its shape; tensors that are not here are synthetic.
    roundings : mapping
        Tensor name -> what its integers stand for; of drawn inputs too.
    notes : tuple of str
        How values came about, and what was refused.
    """

    values: dict[str, np.ndarray]
    roundings: dict[str, Rounding]
    notes: tuple[str, ...]


def limits(tensor: Tensor) -> tuple[int, int]:
    """Return the least and largest integer of a tensor's type."""
    bits = tensor.width
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if tensor.signed else (0, 2**bits - 1)


def rounded(array: np.ndarray, tensor: Tensor, code: Rounding | None = None) -> tuple[np.ndarray, Rounding]:
    """Return the integers of a tensor and what they stand for.

    Parameters
    ----------
    array : ndarray
        Integers and booleans are taken as they are, at the tensor's width. Reals are divided by ``code`` if there is
        one, and saturate; else by one step for the tensor, the largest magnitude over the largest integer, and
        rounded to nearest. One signed bit is a sign.
    tensor : Tensor
    code : Rounding, optional
        The graph's own.

    Raises
    ------
    RefusedValuesError
        Reals that are not finite or negative in an unsigned tensor, integers beyond the width.
    """
    low, high = limits(tensor)
    kind = np.min_scalar_type(low if tensor.signed else high)
    if array.dtype.kind in "iub":
        least, most = int(array.min(initial=0)), int(array.max(initial=0))
        if least < low or most > high:
            raise RefusedValuesError(f"its values {least}..{most} do not fit {tensor.width} bits")
        return array.astype(kind), Rounding()
    if array.dtype.kind != "f":
        raise RefusedValuesError(f"it holds {array.dtype}")
    if not np.isfinite(array).all():
        raise RefusedValuesError("it holds NaN or infinity")
    reals = array.astype(np.float64)
    if code is not None:
        return np.clip(np.rint(reals / code.step) + code.zero, low, high).astype(kind), code
    if tensor.width == 1 and tensor.signed:
        return np.where(reals < 0, -1, 1).astype(np.int8), Rounding()
    if not tensor.signed and reals.min(initial=0.0) < 0:
        raise RefusedValuesError("it holds negative values and is unsigned")
    largest = float(np.abs(reals).max(initial=0.0))
    if largest / high == 0:
        return np.zeros(array.shape, kind), Rounding()
    return np.clip(np.rint(reals / largest * high), low, high).astype(kind), Rounding(largest / high)
