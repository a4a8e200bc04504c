"""Addresses of a network's tensors in DRAM: by first use, weights first, each on a boundary; none is reused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from accelsim.units import ceil_div
from accelsim.workload.network import Network
from accelsim.workload.shapes import UNKNOWN


class Layout(NamedTuple):
    """Tensor -> first byte and bytes, and the first byte behind all of them."""

    tensors: Mapping[str, tuple[int, int]]
    end_byte: int


def layout(network: Network, align_bytes: int) -> Layout:
    """Return where tensors lie whose home is DRAM and whose size is known; sparse ones (`spgemm`) have none.

    Parameters
    ----------
    network : Network
        With widths (see `accelsim.passes.precision.resolve`).
    align_bytes : int
        What every address is a multiple of.
    """
    if align_bytes not in network.layouts:
        dense = [layer for layer in network.layers if layer.kind != "spgemm"]
        weights = [name for layer in dense for name in layer.weights]
        activations = [name for layer in dense for name in (*layer.inputs, *layer.outputs)]
        found: dict[str, tuple[int, int]] = {}
        end = 0
        for name in dict.fromkeys((*weights, *activations)):
            tensor = network.tensors[name]
            if tensor.home == "dram" and tensor.shape != UNKNOWN and tensor.bits is not None:
                first, size = ceil_div(end, align_bytes) * align_bytes, ceil_div(tensor.elements * tensor.width, 8)
                found[name] = first, size
                end = first + size
        network.layouts[align_bytes] = Layout(found, end)
    placed: Layout = network.layouts[align_bytes]
    return placed
