"""Weight sharing: the non-zero weights of a layer become codes into a small codebook.

Source: Han, Mao, Dally, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and
Huffman Coding", ICLR 2016, section 3: k-means over the weights of a layer, centroids first spread evenly between
smallest and largest weight (the paper's "linear" initialisation). Code 0 is kept for zero, which padding entries of
relative indices need, so 2^b codes hold 2^b - 1 weights. Nothing is trained again.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands import streams
from accelsim.operands.codec import Ints

ITERATIONS = 25
SAMPLE = 1 << 18
"""Centroids of larger layers come from a seeded sample of this many weights; every weight is assigned."""

MAX_CODE_BITS = 16


@dataclass(frozen=True, eq=False)
class Shared:
    """A layer of shared weights.

    Attributes
    ----------
    codes : ndarray of int64
        In the shape of the weights; 0 for zero.
    codebook : ndarray (codes in use + 1,)
        Weights in ascending order from code 1; ``codebook[0]`` is 0.
    """

    codes: Ints
    codebook: NDArray[Any]

    def decode(self, name: str = "tensor") -> NDArray[Any]:
        """Return the weights; WorkloadError for a code outside the codebook."""
        return decode(self.codes, self.codebook, name)


def decode(codes: NDArray[Any], codebook: NDArray[Any], name: str = "tensor") -> NDArray[Any]:
    """Return ``codebook[codes]``; WorkloadError for a code outside the codebook."""
    if codes.size and (int(codes.min()) < 0 or int(codes.max()) >= codebook.size):
        wrong = int(codes.min()) if int(codes.min()) < 0 else int(codes.max())
        raise WorkloadError(
            f"tensor '{name}': code {wrong} is outside its codebook", f"its codes are 0 to {codebook.size - 1}"
        )
    return np.asarray(codebook[codes])


def share(weights: NDArray[Any], bits: int, seed: int = 0, name: str = "tensor") -> Shared:
    """Cluster the non-zero weights to at most ``2**bits - 1`` values.

    Parameters
    ----------
    weights : ndarray
        Reals or integers. Those with no more distinct values than codes keep their values.
    bits : int
        Width of a code, 1 to 16.
    seed, name : int, str
        Of the sample; `streams` makes it.
    """
    if not 1 <= bits <= MAX_CODE_BITS:
        raise WorkloadError(f"tensor '{name}': codes of {bits} bits", f"give 1 to {MAX_CODE_BITS}")
    there = weights != 0
    values = weights[there].astype(np.float64)
    if not np.isfinite(values).all():
        raise WorkloadError(f"tensor '{name}' holds NaN or infinity", "give finite numbers")
    book = _centroids(values, (1 << bits) - 1, seed, name) if values.size else values
    nearest = np.searchsorted((book[1:] + book[:-1]) / 2, values)
    used, nearest = np.unique(nearest, return_inverse=True)
    codes = np.zeros(weights.shape, dtype=np.int64)
    codes[there] = nearest + 1
    return Shared(codes, np.concatenate(([0.0], book[used])))


def _centroids(values: NDArray[Any], count: int, seed: int, name: str) -> NDArray[Any]:
    """Return at most ``count`` centroids in ascending order."""
    sample = values
    if values.size > SAMPLE:
        drawn = streams.words(seed, name, streams.WEIGHTS, "sample", SAMPLE)
        sample = values[(drawn % np.uint64(values.size)).astype(np.int64)]
    if np.unique(sample).size <= count and (distinct := np.unique(values)).size <= count:
        return distinct
    from scipy.cluster.vq import kmeans2

    start = np.linspace(values.min(), values.max(), count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # clusters that stay empty are dropped by the caller
        found, _ = kmeans2(sample, start, iter=ITERATIONS, minit="matrix", missing="warn")
    return np.unique(found)
