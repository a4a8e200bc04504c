"""Chained operands: each layer reads what the layers before it computed, requantised to the tensor's width."""

from __future__ import annotations

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.operands import handle
from accelsim.operands.files import to_integers
from accelsim.operands.golden import golden
from accelsim.workload.network import Network


def propagate(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Return tensor name -> integers for every activation that a layer computes, and for those the network carries.

    Parameters
    ----------
    network : Network
        Connected; tensors have widths.
    seed : int
        For the weights and network inputs without values.
    """
    if network.isolated:
        raise WorkloadError(
            f"network '{network.name}' has isolated layers: nothing connects them",
            "run it without '--operands chain'",
        )
    values = {name: to_integers(network.values[name], network.tensors[name]) for name in network.values}
    for layer in network.layers:
        operands = handle.of(network.view(layer), seed, values)
        computed = golden(operands)
        for name in layer.outputs:
            tensor = network.tensors[name]
            values[name] = to_integers(_scaled(computed.reshape(tensor.shape)), tensor)
    return values


def _scaled(array: np.ndarray) -> np.ndarray:
    """Return reals, so that requantisation scales the accumulators to the tensor's width."""
    return array.astype(np.float64)
