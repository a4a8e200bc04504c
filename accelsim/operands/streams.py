"""Seeded synthetic tensors: the same numbers on every machine, in every order, for every batch size.

Each tensor has its own stream, keyed by a hash of (seed, tensor name, image index, purpose) into the counter-based
Philox generator (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). Only raw 64-bit words are
drawn, so that no change in a library's distributions changes a tensor. Weights have no image index.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from accelsim.units import exact

CHUNK_ELEMENTS = 1 << 20
"""Words are drawn in chunks of this many, which bounds the memory on top of the result."""

WEIGHTS = -1
"""In place of an image index: a constant of the network."""


def nonzero_mask(seed: int, name: str, image: int, size: int, density: float) -> np.ndarray:
    """Return which elements are non-zero: Bernoulli with probability ``density`` per element.

    Returns
    -------
    ndarray of bool, shape (size,)
    """
    threshold = int(exact(density) * 2**64)
    mask = np.ones(size, dtype=np.bool_)
    if threshold >= 2**64:
        return mask
    for start, words in _words(seed, name, image, "mask", size):
        mask[start : start + words.size] = words < np.uint64(threshold)
    return mask


def nonzero_values(seed: int, name: str, image: int, size: int, bits: int, signed: bool) -> np.ndarray:
    """Return non-zero integers, uniform over all non-zero values of the width.

    Returns
    -------
    ndarray of int64, shape (size,)
    """
    values, half = np.empty(size, dtype=np.int64), 2 ** (bits - 1)
    for start, words in _words(seed, name, image, "values", size):
        drawn = values[start : start + words.size]  # everything in place: it is memory that takes the time
        np.remainder(words, np.uint64(2 * half - 1), out=drawn.view(np.uint64))
        drawn += 1
        if signed:  # the upper half are the negative numbers
            drawn += half
            drawn &= 2 * half - 1
            drawn -= half
    return values


def normal_values(seed: int, name: str, image: int, size: int) -> np.ndarray:
    """Return standard normal numbers: the quantiles of uniform ones between the multiples of 2^-32.

    Returns
    -------
    ndarray of float64, shape (size,)
    """
    from scipy.special import ndtri

    values = np.empty(size, dtype=np.float64)
    for start, drawn in _words(seed, name, image, "normals", size):
        values[start : start + drawn.size] = ndtri(((drawn >> np.uint64(32)) + 0.5) / 2**32)
    return values


def words(seed: int, name: str, image: int, purpose: str, size: int) -> np.ndarray:
    """Return raw words of a stream: uint64, shape (size,)."""
    drawn = np.empty(size, dtype=np.uint64)
    for start, chunk in _words(seed, name, image, purpose, size):
        drawn[start : start + chunk.size] = chunk
    return drawn


def _words(seed: int, name: str, image: int, purpose: str, size: int) -> Iterator[tuple[int, np.ndarray]]:
    key = hashlib.blake2b(f"{seed}|{name}|{image}|{purpose}".encode(), digest_size=16).digest()
    source = np.random.Philox(key=np.frombuffer(key, dtype="<u8").astype(np.uint64))
    for start in range(0, size, CHUNK_ELEMENTS):
        yield start, source.random_raw(min(CHUNK_ELEMENTS, size - start))
