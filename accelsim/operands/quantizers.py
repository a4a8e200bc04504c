"""Real numbers as integers: uniform symmetric and asymmetric, ternary, binary; per tensor or per channel.

A real number x becomes the code ``round(x / scale) + zero``, rounded half to even and saturated to its type, as the
ONNX operator QuantizeLinear does; a code stands for ``(code - zero) * scale``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError

Scheme: TypeAlias = Literal["symmetric", "asymmetric", "ternary", "binary"]
Range: TypeAlias = Literal["max", "mse"]
Reals: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

SAMPLE = 1 << 16
"""The range of least error is sought on about so many evenly spaced elements."""

FEWEST = 1 << 10
"""Fewest elements of a channel in that sample, if it has as many."""

SHARES = np.arange(64, 2, -1) / 64
"""Shares of the full range among which the one of least error is sought, the full range first."""


@dataclass(frozen=True)
class Quantized:
    """Codes of a tensor and what they stand for.

    Attributes
    ----------
    codes : ndarray of int64
        Of the tensor's shape.
    scale, zero : ndarray of float64, of int64
        Broadcastable to it: one element, or one per channel along the first dimension.
    bits : int
    signed : bool
        Whether codes are two's complement. One signed bit is +1 or -1.
    scheme : str
    """

    codes: Ints = field(repr=False)
    scale: Reals
    zero: Ints
    bits: int
    signed: bool
    scheme: Scheme

    @property
    def values(self) -> Reals:
        """The real numbers that the codes stand for."""
        return np.asarray((self.codes - self.zero) * self.scale)


def quantize(
    reals: Reals, bits: int, scheme: Scheme = "symmetric", *, signed: bool = True, channels: bool = False,
    limits: Range = "max",
) -> Quantized:  # fmt: skip
    """Quantise a tensor.

    Parameters
    ----------
    reals : ndarray of float64
    bits : int
        Width of a code; a ternary code takes 2 and a binary one 1.
    scheme : "symmetric", "asymmetric", "ternary" or "binary"
        Symmetric: the zero point is 0 and the largest magnitude the largest code. Asymmetric: codes from 0 cover the
        range, zero included, which stays exact. Ternary: -1, 0, 1; binary: -1, 1, which a symmetric scheme becomes
        where it has one signed bit.
    signed : bool
        Of symmetric codes; those of an asymmetric scheme are unsigned, the others signed.
    channels : bool
        A scale and zero point for each index of the first dimension.
    limits : "max" or "mse"
        Cover all numbers, or the share of that range that leaves the least squared error.

    Raises
    ------
    WorkloadError
        A width that the scheme cannot have, numbers that are not finite, negative numbers in unsigned symmetric codes.
    """
    if not np.isfinite(reals).all():
        raise WorkloadError("holds NaN or infinity", "give finite numbers")
    if scheme == "symmetric" and bits == 1 and signed:
        scheme = "binary"
    low, high = _code_range(bits, scheme, signed)
    make: Callable[[Reals, Reals], tuple[Ints, Reals, Ints]]
    flat = np.asarray(reals, dtype=np.float64).reshape(reals.shape[0] if channels else 1, -1)
    if scheme in ("ternary", "binary"):
        codes, scale = (_ternary if scheme == "ternary" else _binary)(flat)
        return _shaped(reals, scheme, codes, scale, np.zeros_like(scale, dtype=np.int64), bits, True)
    if scheme == "symmetric":
        if not signed and flat.min(initial=0) < 0:
            raise WorkloadError("has negative values but is unsigned", "declare it signed, or choose asymmetric")
        peak = np.abs(flat).max(axis=1, keepdims=True, initial=0)
        make = partial(_symmetric, peak, low, high)
    else:
        ends = flat.min(axis=1, keepdims=True, initial=0), flat.max(axis=1, keepdims=True, initial=0)
        make = partial(_asymmetric, ends, high)
    share = np.ones((len(flat), 1)) if limits == "max" else _best_share(flat, make)
    return _shaped(reals, scheme, *make(flat, share), bits, signed and scheme == "symmetric")


def noise_ratio(reals: Reals, decoded: Reals) -> float:
    """Return the energy of the error over that of the numbers: 0 where nothing is lost, or nothing was there."""
    signal = float(np.square(reals, dtype=np.float64).sum())
    return float(np.square(reals - decoded).sum()) / signal if signal else 0.0


def decibels(noise: float) -> float | None:
    """Return a noise ratio as a signal-to-quantisation-noise ratio in dB; None without noise."""
    return -10 * float(np.log10(noise)) if noise else None


def _code_range(bits: int, scheme: Scheme, signed: bool) -> tuple[int, int]:
    """Return the least and the largest code."""
    fixed = {"ternary": 2, "binary": 1}.get(scheme)
    if fixed is not None:
        if bits != fixed:
            raise WorkloadError(f"{bits} bits for {scheme} codes", f"give {fixed}")
        return -1, 1
    if not 1 <= bits <= 32:
        raise WorkloadError(f"{bits} bits for {scheme} codes", "give 1 to 32")
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed and scheme == "symmetric" else (0, 2**bits - 1)


def _symmetric(peak: Reals, low: int, high: int, x: Reals, share: Reals) -> tuple[Ints, Reals, Ints]:
    scale = np.where(peak > 0, peak * share / high, 1.0)
    codes = np.clip(np.rint(x / scale), low, high).astype(np.int64)
    return codes, scale, np.zeros_like(scale, dtype=np.int64)


def _asymmetric(ends: tuple[Reals, Reals], high: int, x: Reals, share: Reals) -> tuple[Ints, Reals, Ints]:
    least, most = ends
    scale = np.where(most > least, (most - least) * share / high, 1.0)
    zero = np.clip(np.rint(-least * share / scale), 0, high).astype(np.int64)
    return np.clip(np.rint(x / scale) + zero, 0, high).astype(np.int64), scale, zero


def _ternary(x: Reals) -> tuple[Ints, Reals]:
    """Return the codes and scale of least squared error.

    With the n largest magnitudes coded the best scale is their mean, and the error falls with their sum squared over
    n (F. Li, B. Zhang, B. Liu, "Ternary Weight Networks", 2016, which then approximates the best n; here it is found).
    """
    size = np.abs(x)
    falling = -np.sort(-size, axis=1)
    sums = np.cumsum(falling, axis=1)
    counts = np.arange(1, x.shape[1] + 1)
    best = np.argmax(np.square(sums) / counts, axis=1)[:, None]
    scale = np.take_along_axis(sums, best, axis=1) / (best + 1)
    threshold = np.take_along_axis(falling, best, axis=1)
    codes = np.where((size >= threshold) & (size > 0), np.sign(x), 0).astype(np.int64)
    return codes, np.where(scale > 0, scale, 1.0)


def _binary(x: Reals) -> tuple[Ints, Reals]:
    """Return signs and mean magnitude, which is the scale of least squared error.

    Source: M. Rastegari et al., "XNOR-Net", ECCV 2016. Zero counts as positive.
    """
    scale = np.abs(x).mean(axis=1, keepdims=True)
    return np.where(x < 0, -1, 1).astype(np.int64), np.where(scale > 0, scale, 1.0)


def _best_share(x: Reals, make: Callable[[Reals, Reals], tuple[Ints, Reals, Ints]]) -> Reals:
    """Return per channel the share of the range with the least squared error on a sample; of equals the largest."""
    part = x[:, :: max(1, min(x.size // SAMPLE, x.shape[1] // FEWEST))]
    best = np.ones((len(x), 1))
    least = np.full((len(x), 1), np.inf)
    for share in SHARES:
        codes, scale, zero = make(part, np.full((len(x), 1), share))
        error = np.square(part - (codes - zero) * scale).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, share, best), np.minimum(error, least)
    return best


def _shaped(reals: Reals, scheme: Scheme, codes: Ints, scale: Reals, zero: Ints, bits: int, signed: bool) -> Quantized:
    dims = (scale.size, *(1,) * (reals.ndim - 1))
    return Quantized(codes.reshape(reals.shape), scale.reshape(dims), zero.reshape(dims), bits, signed, scheme)
