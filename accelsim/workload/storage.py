"""Storages: tensors with one address, how long they live, and what they move; docs/decisions/0089-residency.md."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

from accelsim.errors import WorkloadError
from accelsim.text import nearest
from accelsim.workload.layers import Layer
from accelsim.workload.network import Network, is_view
from accelsim.workload.shapes import Conv2d, View, elements

Role: TypeAlias = Literal["inner", "input", "output", "state"]
InPlace: TypeAlias = Literal["none", "depthwise"]
INPLACE: tuple[InPlace, ...] = get_args(InPlace)

DEFAULT_BITS = 8
"""Width of an element where the network says none."""


@dataclass(frozen=True)
class Storage:
    """Tensors that share one address.

    Attributes
    ----------
    name : str
        The tensor that covers it: of a concatenation, the joined one.
    tensors : tuple of str
        All tensors that lie in it.
    bits : int
        Its size.
    first, last : int
        Positions between which it is alive, both included; a position is the index of a layer that works.
    moved_bits : int
        What its writers write and its readers read, each once.
    writers, readers : tuple of int
        Positions of the layers that write into it and that read from it, in order.
    role : str
        ``inner``, or why it is no planner's to keep: ``input``, ``output``, ``state``.
    """

    name: str
    tensors: tuple[str, ...]
    bits: int
    first: int
    last: int
    moved_bits: int
    role: Role = "inner"
    writers: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()

    def meets(self, other: Storage) -> bool:
        """Whether both are alive at some position."""
        return self.first <= other.last and other.first <= self.last


class Copy(NamedTuple):
    """A part of the concatenation ``into`` that cannot lie where it was made."""

    tensor: str
    into: str
    bits: int
    position: int


class Layout(NamedTuple):
    """The storages of a network, in order of their first tensors; ``layers`` are those that work, by position."""

    layers: tuple[str, ...]
    storages: tuple[Storage, ...]
    copies: tuple[Copy, ...]


def live_bits(storages: Collection[Storage], positions: int) -> list[int]:
    """Return how many bits are alive at each position."""
    change = [0] * (positions + 1)
    for storage in storages:
        change[storage.first] += storage.bits
        change[storage.last + 1] -= storage.bits
    live, total = [], 0
    for step in change[:-1]:
        total += step
        live.append(total)
    return live


def layout(network: Network, *, state: Collection[str] = (), inplace: InPlace = "none") -> Layout:
    """Return which tensors share an address, and for how long.

    Parameters
    ----------
    network : Network
        Connected.
    state : collection of str
        Tensors that live over the whole run, beside those of which the network says so.
    inplace : str
        ``depthwise``: a depthwise convolution writes its result over its input where nobody else reads that.

    Raises
    ------
    WorkloadError
        Layers of a table, a network in which nothing works, a state that is no tensor.
    """
    if network.isolated:
        raise WorkloadError("no edges", "use onnx:... or net:...", file=network.name, key="isolated")
    for name in state:
        if name not in network.tensors:
            raise WorkloadError(f"state '{name}' is no tensor", nearest(name, network.tensors, "correct its name"))
    inputs = frozenset(name for name in network.inputs if not network.tensors[name].weight)
    read = frozenset(name for layer in network.layers for name in layer.reads)
    living = frozenset(name for name, tensor in network.tensors.items() if tensor.state and not tensor.weight)
    found = _Finder(network, living.union(state), inputs, read)
    for layer in network.layers:
        found.add(layer)
    if not found.layers:
        raise WorkloadError("no layer of it works", "give a network that computes something", file=network.name)
    storages = found.storages()
    if inplace == "depthwise":
        storages = _merged(storages, network)
    return Layout(tuple(found.layers), storages, tuple(found.copies))


class _Seen(NamedTuple):
    """What a tensor covers: ``whole`` if exactly the atoms, else a part of what they are joined to.

    An atom is what one writer fills: a tensor that a layer makes, a network input, a copy. Tensors of one ``key`` are
    the same elements at the same place.
    """

    key: str
    bits: int
    atoms: tuple[str, ...]
    whole: bool


@dataclass
class _Span:
    """Life and traffic of an atom."""

    bits: int
    first: int
    last: int
    moved: int
    writers: tuple[int, ...] = ()
    readers: tuple[int, ...] = ()


@dataclass
class _Finder:
    """Walks the layers in running order."""

    network: Network
    state: frozenset[str]
    inputs: frozenset[str]
    read: frozenset[str]
    layers: list[str] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    seen: dict[str, _Seen] = field(default_factory=dict)
    spans: dict[str, _Span] = field(default_factory=dict)
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Atom -> the atoms side by side with it, in order, itself among them."""
    named: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Atoms side by side -> the tensor that covers them."""

    def __post_init__(self) -> None:
        for name in self.network.inputs:
            if name in self.inputs:
                self._make(name, self._bits(name), 0, 0)

    def add(self, layer: Layer) -> None:
        """Take the next layer."""
        if isinstance(layer.shape, View):
            self._view(layer, layer.shape)
            return
        position = len(self.layers)
        self.layers.append(layer.name)
        read = {self.seen[name] for name in layer.reads if name in self.seen}
        for part in read:
            self._read(part, position)
        for name in layer.outputs:
            self._make(name, self._bits(name), position, self._bits(name))

    def _bits(self, name: str) -> int:
        tensor = self.network.tensors[name]
        return tensor.elements * (tensor.bits or DEFAULT_BITS)

    def _make(self, name: str, bits: int, position: int, written: int) -> None:
        self.spans[name] = _Span(bits, position, position, written, (position,) if written else ())
        self.joined[name] = (name,)
        self.named[name,] = name
        self.seen[name] = _Seen(name, bits, (name,), True)

    def _read(self, part: _Seen, position: int) -> None:
        for atom in part.atoms:
            self.spans[atom].last = max(self.spans[atom].last, position)
            self.spans[atom].readers += (position,)
        self.spans[part.atoms[0]].moved += part.bits

    def _view(self, layer: Layer, shape: View) -> None:
        out = layer.outputs[0]
        if shape.op == "concat" and len(layer.inputs) > 1:
            self._concat(layer)
        elif layer.inputs[0] in self.seen:  # else of a constant
            source = self.seen[layer.inputs[0]]
            if shape.op in ("slice", "crop") and elements(shape.shape) < elements(shape.inputs[0]):
                bits = elements(shape.shape) * (self.network.tensors[layer.inputs[0]].bits or DEFAULT_BITS)
                self.seen[out] = _Seen(out, bits, source.atoms, False)
            else:
                self.seen[out] = source

    def _concat(self, layer: Layer) -> None:
        out, parts = layer.outputs[0], list(layer.inputs)
        atoms: list[str] = []
        while parts:
            row = self._claimed(parts, atoms)
            if row:
                atoms += self.joined[self.seen[parts[0]].atoms[0]]
            else:
                atoms.append(self._copied(parts[0], out))
            del parts[: max(row, 1)]
        whole = tuple(atoms)
        self.joined |= dict.fromkeys(whole, whole)
        self.named[whole] = out
        self.seen[out] = _Seen(out, sum(self.spans[atom].bits for atom in whole), whole, True)

    def _claimed(self, parts: list[str], taken: list[str]) -> int:
        """Return how many of the leading parts are together all that lies at one place, in its order; 0 if none."""
        first = self.seen.get(parts[0])
        if first is None or first.atoms[0] in taken or self._fixed(first):
            return 0
        place, covered = self.joined[first.atoms[0]], 0
        for count, name in enumerate(parts, 1):
            part = self.seen.get(name)
            if part is None or not part.whole or place[covered : covered + len(part.atoms)] != part.atoms:
                return 0
            covered += len(part.atoms)
            if covered == len(place):
                return count
        return 0

    def _fixed(self, part: _Seen) -> bool:
        """Whether the tensor's place is not ours to choose: a network input or a state."""
        return any(atom in self.state or atom in self.inputs for atom in part.atoms)

    def _copied(self, name: str, into: str) -> str:
        """Return a new atom with the elements of a tensor, which are read once and written once."""
        position, copy = max(len(self.layers) - 1, 0), f"{into} <- {name}"
        while copy in self.spans:
            copy += "'"
        part = self.seen.get(name)
        bits = self._bits(name) if part is None else part.bits
        if part is not None:
            self._read(part, position)
        self._make(copy, bits, position, bits)
        self.copies.append(Copy(name, into, bits, position))
        return copy

    def storages(self) -> tuple[Storage, ...]:
        """Return what lies together, once all layers are in."""
        inside: dict[tuple[str, ...], list[str]] = {}
        for name, part in self.seen.items():
            if name in self.network.tensors:
                inside.setdefault(self.joined[part.atoms[0]], []).append(name)
        return tuple(self._storage(place, tuple(names)) for place, names in inside.items())

    def _storage(self, place: tuple[str, ...], names: tuple[str, ...]) -> Storage:
        spans = [self.spans[atom] for atom in place]
        role = self._role(place, names)
        end = len(self.layers) - 1
        first = 0 if role == "state" else min(span.first for span in spans)
        last = end if role in ("state", "output") else max(span.last for span in spans)
        bits, moved = sum(span.bits for span in spans), sum(span.moved for span in spans)
        writers = tuple(sorted({position for span in spans for position in span.writers}))
        readers = tuple(sorted({position for span in spans for position in span.readers}))
        return Storage(self.named[place], names, bits, first, last, moved, role, writers, readers)

    def _role(self, place: tuple[str, ...], names: tuple[str, ...]) -> Role:
        if self.state.intersection(names):
            return "state"
        if any(atom in self.inputs for atom in place):
            return "input"
        return "inner" if self.read.issuperset(names) else "output"


def _merged(storages: tuple[Storage, ...], network: Network) -> tuple[Storage, ...]:
    """Return the storages with input and result of depthwise convolutions in one, where the input dies there."""
    holding = {name: storage for storage in storages for name in storage.tensors}
    for position, layer in _depthwise(network):
        source, made = holding[layer.inputs[0]], holding[layer.outputs[0]]
        alone = source.role == made.role == "inner" and source.readers == (made.first,) == (position,)
        if alone and layer.outputs[0] == made.name:
            names, bits = (*source.tensors, *made.tensors), max(source.bits, made.bits)
            moved = source.moved_bits + made.moved_bits
            both = replace(
                source, tensors=names, bits=bits, last=made.last, moved_bits=moved,
                writers=source.writers + made.writers, readers=source.readers + made.readers,
            )  # fmt: skip
            holding |= dict.fromkeys(names, both)
    return tuple(dict.fromkeys(holding.values()))


def _depthwise(network: Network) -> Iterator[tuple[int, Layer]]:
    """Yield the convolutions with one filter per channel, and their positions."""
    work = (layer for layer in network.layers if not is_view(layer))
    for position, layer in enumerate(work):
        if isinstance(layer.shape, Conv2d) and 1 < layer.shape.groups == layer.shape.c == layer.shape.k:
            yield position, layer
