"""The Deep Compression pipeline: prune, share weights, code both codes and indices; what it saves layer by layer.

Source: Han, Mao, Dally, "Deep Compression", ICLR 2016. A layer is stored as its non-zeros in the order of its
dimensions, each with the zeros before it (relative index, a padding entry where a run is too long for the field), a
codebook, and a Huffman code each for the codes and for the indices. Sizes count everything: entries, padding, codebook
and code tables. A layer without zeros stores no indices. Filters only: biases and other constants are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands.codec import gaps, padded_runs
from accelsim.operands.files import to_integers
from accelsim.operands.handle import Operand
from accelsim.passes import huffman
from accelsim.passes.profile import Entry, assigned
from accelsim.passes.prune import FINE, prune
from accelsim.passes.sharing import Shared, share
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network
from accelsim.workload.pattern import Pattern, parse
from accelsim.workload.shapes import PRODUCTS

CONV_BITS, LINEAR_BITS = 8, 5
"""Widths of codes and of indices in the paper's AlexNet (recalled): 8 for convolutions, 5 for linear layers."""

DENSE_BITS = 32
"""The uncompressed weight that ratios refer to, as in the paper."""


@dataclass(frozen=True)
class Settings:
    """How to compress.

    Attributes
    ----------
    code_bits, index_bits : int, optional
        Width of codes and of relative indices; by default 8 for convolutions and 5 for linear layers.
    weight_bits : int
        Width of a shared weight where the network does not say.
    dense_bits : int
        Width of an uncompressed weight.
    structure : Pattern
        How targets without a pattern of their own are pruned.
    seed : int
        Of synthetic weights and of samples.
    """

    code_bits: int | None = None
    index_bits: int | None = None
    weight_bits: int = 8
    dense_bits: int = DENSE_BITS
    structure: Pattern = FINE
    seed: int = 0


@dataclass(frozen=True)
class CompressedLayer:
    """Sizes of one layer; ``origin`` is ``file``, ``network`` or ``seeded``. Entries include the padding entries."""

    name: str
    kind: str
    origin: str
    elements: int
    nonzeros: int
    target_density: float | None
    code_bits: int
    index_bits: int
    codes: int
    entries: int
    padding_entries: int
    dense_bits: int
    pruned_bits: int
    shared_bits: int
    coded_bits: int
    index_coded_bits: int
    table_bits: int

    @property
    def density(self) -> float:
        """Share of non-zero weights."""
        return self.nonzeros / self.elements

    @property
    def bits(self) -> int:
        """Size after the whole pipeline."""
        return self.coded_bits + self.index_coded_bits + self.table_bits

    @property
    def ratio(self) -> float:
        """Dense size over compressed size; of a layer of zeros, the dense size."""
        return self.dense_bits / max(self.bits, 1)


@dataclass(frozen=True)
class Compression:
    """A compressed network: sizes by layer, and shared weights as integers, layer name -> array of its shape."""

    network: str
    layers: tuple[CompressedLayer, ...]
    weights: Mapping[str, NDArray[np.signedinteger]] = field(repr=False)
    weight_bits: Mapping[str, int] = field(default_factory=dict)

    def total(self, attribute: str) -> int:
        """Return the sum of a count over all layers."""
        return sum(getattr(layer, attribute) for layer in self.layers)

    @property
    def ratio(self) -> float:
        """Dense size of all layers over their compressed size."""
        return self.total("dense_bits") / max(self.total("bits"), 1)

    def arrays(self) -> dict[str, NDArray[np.signedinteger]]:
        """Return ``<layer>.weight`` -> integers: what `accelsim.operands.files.load_operands` reads."""
        return {f"{name}.weight": array for name, array in self.weights.items()}


def compress(
    network: Network,
    profile: tuple[Entry, ...] = (),
    settings: Settings | None = None,
    given: Mapping[str, NDArray[np.generic]] | None = None,
) -> Compression:
    """Run the pipeline on every layer with filters; shared filters once.

    Parameters
    ----------
    network : Network
    profile : tuple of Entry
        Target densities of weights, see `accelsim.passes.density.read_density`; a pattern beside one says how to
        prune. Without a target a layer keeps its zeros.
    settings : Settings, optional
    given : mapping, optional
        Tensor name -> array of its shape, in place of the network's own values; `files.read_npz` reads them. What
        neither gives is seeded, with the density and the pattern of the network.

    Raises
    ------
    WorkloadError
        No layer with filters, and whatever is wrong with a layer's weights or target, by name.
    ConfigError
        A profile that does not fit the network.
    """
    network = lowered(network)
    plan, targets = settings or Settings(), assigned(network, profile)
    given = {} if given is None else given
    layers: list[CompressedLayer] = []
    weights: dict[str, NDArray[np.signedinteger]] = {}
    widths: dict[str, int] = {}
    seen: set[str] = set()
    for layer in network.layers:
        if layer.kind not in PRODUCTS or not layer.weights or layer.weights[0] in seen:
            continue
        seen.add(layer.weights[0])
        tensor = network.tensors[layer.weights[0]]
        tensor = replace(tensor, bits=tensor.bits or plan.weight_bits)
        row, weights[layer.name] = _compressed(network, layer, tensor, targets.get(tensor.name), plan, given)
        widths[layer.name] = tensor.bits or plan.weight_bits
        layers.append(row)
    if not layers:
        raise WorkloadError(f"network '{network.name}' has no layer with filters", "give one that has weights")
    return Compression(network.name, tuple(layers), weights, widths)


def _compressed(
    network: Network,
    layer: Layer,
    tensor: Tensor,
    target: float | tuple[float, str] | None,
    plan: Settings,
    given: Mapping[str, NDArray[np.generic]],
) -> tuple[CompressedLayer, NDArray[np.signedinteger]]:
    weights, origin = _weights(network, tensor, plan.seed, given)
    density, structure = target if isinstance(target, tuple) else (target, None)
    if density is not None:
        weights = prune(weights, density, parse(structure) if structure else plan.structure, tensor.name)
    usual = CONV_BITS if layer.kind == "conv2d" else LINEAR_BITS
    code_bits, index_bits = plan.code_bits or usual, plan.index_bits or usual
    shared = _integers(share(weights, code_bits, plan.seed, tensor.name), weights.dtype.kind == "f", tensor)
    width = tensor.bits or plan.weight_bits
    sizes = _sizes(shared, code_bits, index_bits, width, plan.dense_bits)
    row = CompressedLayer(layer.name, layer.kind, origin, tensor.elements, target_density=density, **sizes)
    return row, shared.decode(tensor.name).astype(np.min_scalar_type(-(1 << (width - tensor.signed))))


def _weights(
    network: Network, tensor: Tensor, seed: int, given: Mapping[str, NDArray[np.generic]]
) -> tuple[NDArray[np.generic], str]:
    """Return a layer's weights as they are, and where they come from."""
    if tensor.name in given:
        found, origin = given[tensor.name], "file"
    elif tensor.name in network.values:
        found, origin = network.values[tensor.name], "network"
    else:
        network.refuse_absent(tensor.name)
        return Operand(tensor, seed).values, "seeded"
    if found.dtype.kind == "f":
        return found, origin
    return to_integers(found, tensor), origin


def _integers(shared: Shared, real: bool, tensor: Tensor) -> Shared:
    """Return the codebook in integers of the tensor's width; weights that become equal share a code, none zero.

    Reals are scaled as `to_integers` does; integers keep their scale.
    """
    book = shared.codebook[1:]
    if tensor.width < 2:
        raise WorkloadError(f"tensor '{tensor.name}': 1 bit holds no shared weights", "give at least 2 bits")
    if not tensor.signed and (book < 0).any():
        raise WorkloadError(f"tensor '{tensor.name}' is unsigned but has negative weights", "declare it signed")
    whole = to_integers(book if real else np.rint(book).astype(np.int64), replace(tensor, shape=book.shape))
    whole = np.where(whole == 0, np.where(book < 0, -1, 1), whole)
    levels, place = np.unique(whole, return_inverse=True)
    renamed = np.concatenate((np.zeros(1, np.int64), place.astype(np.int64) + 1))
    return Shared(renamed[shared.codes], np.concatenate((np.zeros(1, np.int64), levels)))


def _sizes(shared: Shared, code_bits: int, index_bits: int, weight_bits: int, dense_bits: int) -> dict[str, int]:
    """Return the sizes of a layer at each stage of the pipeline."""
    codes = shared.codes.ravel()
    nonzeros = int(np.count_nonzero(codes))
    codebook_bits = (shared.codebook.size - 1) * weight_bits
    counts = np.bincount(codes, minlength=shared.codebook.size)
    runs_bits, index_coded_bits, index_table_bits, entries = 0, 0, 0, nonzeros
    if nonzeros < codes.size:
        runs, levels = padded_runs(gaps(codes[None] != 0).zeros, codes[codes != 0], 1 << index_bits)
        counts = np.bincount(levels, minlength=shared.codebook.size)
        run_counts = np.bincount(runs, minlength=1 << index_bits)
        entries, runs_bits = int(runs.size), index_bits
        index_coded_bits, index_table_bits = huffman.size_bits(run_counts), huffman.table_bits(run_counts)
    return {
        "nonzeros": nonzeros,
        "code_bits": code_bits,
        "index_bits": runs_bits,
        "codes": shared.codebook.size - 1,
        "entries": entries,
        "padding_entries": entries - nonzeros,
        "dense_bits": codes.size * dense_bits,
        "pruned_bits": entries * (dense_bits + runs_bits),
        "shared_bits": entries * (code_bits + runs_bits) + codebook_bits,
        "coded_bits": huffman.size_bits(counts),
        "index_coded_bits": index_coded_bits,
        "table_bits": codebook_bits + huffman.table_bits(counts) + index_table_bits,
    }
