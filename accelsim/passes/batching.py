"""Batching: the same network on more images."""

from __future__ import annotations

from accelsim.workload.network import Network


def batched(network: Network, batch: int) -> Network:
    """Return the network for ``batch`` images in all: activations and work scale, weights do not.

    Raises
    ------
    WorkloadError
        A batch that is not positive, or that a graph with a fixed batch cannot be brought to.
    """
    return network.batched(batch)
