"""Masks of seeded tensors whose zeros fall in a pattern: deterministic, exact in density where the pattern is.

``bernoulli`` is `streams.nonzero_mask`, unchanged. All others draw from streams of their own (purpose "mask" for
elements, "level" for channels and rows), so that the image, the seed and the name decide, nothing else. What each
parameter means is written at `accelsim.workload.pattern.Pattern`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.operands import streams
from accelsim.units import exact
from accelsim.workload.layers import Tensor
from accelsim.workload.pattern import BERNOULLI, FOLLOWS, parse

LEVEL_STEPS = 1 << 32
"""Row densities are multiples of its inverse: a last digit of ``exp`` that differs between machines changes nothing."""


def nonzero_mask(
    seed: int, tensor: Tensor, image: int, size: int, met: Callable[[], np.ndarray] | None = None
) -> np.ndarray:
    """Return which elements of one image (or of a constant) are non-zero.

    Parameters
    ----------
    tensor : Tensor
        Its name, shape, density and pattern.
    image : int
        `streams.WEIGHTS` for a constant.
    size : int
        Elements of the image.
    met : callable, optional
        Of filters: the share of inputs that are not zero, float64 of shape (groups, channels of a group).

    Returns
    -------
    ndarray of bool, shape (size,)

    Raises
    ------
    WorkloadError
        ``nm`` with a density that is no whole number of elements per group; ``follows`` without ``met``.
    """
    pattern, density = parse(tensor.pattern), exact(tensor.density)
    if pattern.kind == BERNOULLI:
        return streams.nonzero_mask(seed, tensor.name, image, size, tensor.density)
    if density >= 1:
        return np.ones(size, dtype=np.bool_)
    if pattern.kind == FOLLOWS and met is None:
        problem = f"tensor '{tensor.name}' has pattern '{pattern}', and it is no filters that meet a layer's input here"
        raise WorkloadError(problem, "give it another pattern; or operands, where layers compute their inputs")
    words = streams.words(seed, tensor.name, image, "mask", size).reshape(_rows_channels_rest(tensor, size))
    if pattern.kind == FOLLOWS:
        assert met is not None
        return _following(words, density, pattern.value, met()).ravel()
    if pattern.kind == "nm":
        return _grouped(words, per_group(density, pattern.count, tensor.name), pattern.count).ravel()
    if pattern.kind == "balanced":
        return _balanced(_by_row(words, tensor), density, pattern.count).ravel()
    clustered = pattern.kind == "clustered"
    by_channel = clustered or not _has_rows(tensor)
    count = words.shape[1] if by_channel else words.shape[0]
    order = np.argsort(streams.words(seed, tensor.name, image, "level", count), kind="stable")
    levels = _clustered_levels if clustered else _row_levels
    by_rank = np.array([_threshold(d) for d in levels(density, pattern.value, count)], dtype=np.uint64)
    thresholds = np.empty_like(by_rank)
    thresholds[order] = by_rank
    spread = thresholds[:, None] if by_channel else thresholds[:, None, None]
    return (words < spread).ravel()


def per_group(density: Fraction, group: int, name: str) -> int:
    """Return the N of N:M; WorkloadError if ``density`` x M is no whole number."""
    kept = density * group
    if kept.denominator != 1 and round(kept) / group == float(density):
        return round(kept)  # the float nearest to 1/3 means 1/3
    if kept.denominator != 1:
        raise WorkloadError(
            f"tensor '{name}': a density of {float(density):g} keeps {float(kept):g} of every {group} elements",
            f"give a multiple of 1/{group}",
        )
    return int(kept)


def _rows_channels_rest(tensor: Tensor, size: int) -> tuple[int, int, int]:
    """Return the shape of one image as (first dimension, channels, rest)."""
    shape = tensor.shape
    if len(shape) < 2:
        return 1, size, 1
    rest = math.prod(shape[2:])
    return size // (shape[1] * rest), shape[1], rest


def _by_row(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return (repeats, rows, rest): a weight's rows are its first dimension, an activation's its channels."""
    return array.reshape(1, array.shape[0], -1) if _has_rows(tensor) else array


def _has_rows(tensor: Tensor) -> bool:
    return tensor.weight and len(tensor.shape) > 1


def _threshold(density: Fraction) -> int:
    """Return the word below which an element is non-zero; the largest word stands for 2**64."""
    return min(int(density * 2**64), 2**64 - 1)


def _clustered_levels(density: Fraction, correlation: float, channels: int) -> list[Fraction]:
    """Return channel densities, best first: d + s (1 - d) in floor(d C) of the C channels, the rest shares the rest."""
    alive = int(density * channels)
    high = density + exact(correlation) * (1 - density)
    low = (channels * density - alive * high) / (channels - alive)
    return [high] * alive + [low] * (channels - alive)


def _row_levels(density: Fraction, spread: float, rows: int) -> list[Fraction]:
    """Return row densities, best first: the quantiles of a log-normal, cut at 1, scaled to the wanted mean."""
    normal = NormalDist()
    return _scaled(density, [math.exp(spread * normal.inv_cdf((rows - i - 0.5) / rows)) for i in range(rows)])


def _scaled(density: Fraction, weights: Sequence[float]) -> list[Fraction]:
    """Return densities in the ratios of descending ``weights``, cut at 1, with the wanted mean."""
    rows = len(weights)
    full, left = 0, sum(weights)
    while full < rows and weights[full] * (float(density) * rows - full) > left:
        left -= weights[full]
        full += 1
    scale = (float(density) * rows - full) / left if full < rows else 0.0
    return [Fraction(1)] * full + [Fraction(round(scale * w * LEVEL_STEPS), LEVEL_STEPS) for w in weights[full:]]


def _following(words: np.ndarray, density: Fraction, ratio: float, met: np.ndarray) -> np.ndarray:
    """Return which words (filters, channels, taps) are below their channel's density: 1 to ``ratio`` by ``met``."""
    weights = 1 + (ratio - 1) * met.ravel()
    order = np.argsort(-weights, kind="stable")
    by_rank = np.array([_threshold(d) for d in _scaled(density, weights[order].tolist())], dtype=np.uint64)
    thresholds = np.empty_like(by_rank)
    thresholds[order] = by_rank
    per_filter = np.repeat(thresholds.reshape(met.shape), words.shape[0] // met.shape[0], axis=0)
    return np.asarray(words < per_filter[:, :, None])


def _grouped(words: np.ndarray, kept: int, group: int) -> np.ndarray:
    """Return which words are among the ``kept`` lowest of their group of channels; a last short group keeps as many."""
    mask = np.zeros(words.shape, dtype=np.bool_)
    for start in range(0, words.shape[1], group):
        part = words[:, start : start + group]
        ranks = np.argsort(np.argsort(part, axis=1, kind="stable"), axis=1, kind="stable")
        mask[:, start : start + group] = ranks < kept
    return mask


def _balanced(words: np.ndarray, density: Fraction, pes: int) -> np.ndarray:
    """Return which words are among the lowest of their PE's rows: its share, rounded, in every PE."""
    mask = np.zeros(words.shape, dtype=np.bool_)
    for pe in range(min(pes, words.shape[1])):
        part = words[:, pe::pes]
        lowest = np.argsort(part, axis=None, kind="stable")[: round(density * part.size)]
        chosen = np.zeros(part.size, dtype=np.bool_)
        chosen[lowest] = True
        mask[:, pe::pes] = chosen.reshape(part.shape)
    return mask
