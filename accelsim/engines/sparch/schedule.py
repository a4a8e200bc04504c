"""Which nodes each round merges: a Huffman code of 2^layers branches, or the plain orders."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


class Schedule:
    """Nodes still to be merged; leaves are 0 .. n-1, the result of round i is n + i."""

    def __init__(self, leaf_weights: Sequence[int], ways: int, huffman: bool, running: bool) -> None:
        self._ways, self._huffman, self._running = ways, huffman, running
        self._leaves = len(leaf_weights)
        self._nodes = [(int(weight), node) for node, weight in enumerate(leaf_weights)]
        if huffman:
            heapq.heapify(self._nodes)
        self._first = True
        self._made = 0

    def next_round(self) -> list[int]:
        """Return the nodes of the next round, in the order of the tree's leaves."""
        count = self._ways
        if self._huffman and self._first and len(self._nodes) > 1:
            # the first round takes as many as leave full rounds for the rest
            count = (len(self._nodes) - 2) % (self._ways - 1) + 2
        self._first = False
        if self._huffman:
            return [heapq.heappop(self._nodes)[1] for _ in range(min(count, len(self._nodes)))]
        taken, self._nodes = self._nodes[:count], self._nodes[count:]
        return [node for _, node in taken]

    def add(self, weight: int) -> int:
        """Put the result of a round back and return its number."""
        node = self._leaves + self._made
        self._made += 1
        if self._huffman:
            heapq.heappush(self._nodes, (weight, node))
        elif self._running:
            self._nodes.insert(0, (weight, node))
        else:
            self._nodes.append((weight, node))
        return node

    @property
    def finished(self) -> bool:
        """Whether nothing is left to merge after the round under way."""
        return not self._nodes
