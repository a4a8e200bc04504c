"""Huffman codes: the lengths of an optimal prefix code, from how often each symbol occurs.

Source: Huffman, "A Method for the Construction of Minimum-Redundancy Codes", Proc. IRE 40(9), 1952.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from accelsim.operands.codec import Ints


def code_lengths(counts: NDArray[np.int64]) -> Ints:
    """Return the length in bits of each symbol's code word; 0 for symbols that never occur.

    A message of a single symbol takes no bits: how many there are is stored anyway.

    Parameters
    ----------
    counts : ndarray of int64, shape (symbols,)
    """
    lengths = np.zeros(counts.size, dtype=np.int64)
    present = np.flatnonzero(counts)
    heap = [(int(counts[symbol]), i) for i, symbol in enumerate(present)]
    heapq.heapify(heap)
    parent = [0] * max(2 * present.size - 1, 0)
    for node in range(present.size, len(parent)):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = node
        heapq.heappush(heap, (a + b, node))
    depth = [0] * len(parent)
    for node in range(len(parent) - 2, -1, -1):
        depth[node] = depth[parent[node]] + 1
    lengths[present] = depth[: present.size]
    return lengths


def size_bits(counts: NDArray[np.int64]) -> int:
    """Return the bits of a message with these counts in its own optimal prefix code, without the table."""
    return int((counts * code_lengths(counts)).sum())


def table_bits(counts: NDArray[np.int64]) -> int:
    """Return the bits of the table: one code length per symbol of the alphabet (canonical codes need no more)."""
    return int(counts.size) * int(code_lengths(counts).max(initial=0)).bit_length()


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Return the entropy of a message with these counts: no prefix code, and no code symbol by symbol, is shorter."""
    total = int(counts.sum())
    return math.fsum(int(n) * math.log2(total / int(n)) for n in counts if n)
