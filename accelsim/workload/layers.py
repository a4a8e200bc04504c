"""Named tensors, and layers that work on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from accelsim.errors import ModelError
from accelsim.workload.pattern import BERNOULLI
from accelsim.workload.shapes import Conv2d, Factor, Linear, Matmul, Shape, elements, macs

Home: TypeAlias = Literal["dram", "chip"]


@dataclass(frozen=True)
class Tensor:
    """A named tensor.

    Attributes
    ----------
    name : str
    shape : tuple of int
        The first dimension of an activation covers the batch.
    bits : int or None
        Width of an element; None until the machine's default precision is applied.
    signed : bool
    density : float
        Share of non-zero elements, in [0, 1].
    weight : bool
        A constant of the network: the same for every image.
    home : "dram" or "chip"
        Where it lives between layers, as far as a layer by itself knows.
    buffer : str
        Name of the machine's buffer where it must live between layers on one clock; a layer alone finds it in DRAM.
    state : bool
        Whether it lives over runs: a cache, a recurrent state. Its home is DRAM unless ``buffer`` says otherwise.
    pattern : str
        Where the zeros of synthetic values fall: a text that `accelsim.workload.pattern.parse` reads.
    """

    name: str
    shape: tuple[int, ...]
    bits: int | None = None
    signed: bool = True
    density: float = 1.0
    weight: bool = False
    home: Home = "dram"
    pattern: str = BERNOULLI
    buffer: str = ""
    state: bool = False

    @property
    def place(self) -> str:
        """Where it lives between layers: ``dram``, ``chip`` or a buffer."""
        return self.buffer or self.home

    @property
    def elements(self) -> int:
        """Number of elements."""
        return elements(self.shape)

    @property
    def width(self) -> int:
        """Bits of an element; ModelError before the machine's default precision is applied."""
        if self.bits is None:
            raise ModelError(f"tensor '{self.name}' has no width yet")
        return self.bits


class Post(NamedTuple):
    """Work on each element of a layer's result on its way out: what another layer did before it was folded in.

    Attributes
    ----------
    name : str
        The layer that left.
    shape : Shape
        What it did.
    weights : tuple of str
        Its constants.
    inputs : tuple of str
        Activations that it takes beside the layer's result.
    into : str
        ``weights`` where they are changed and nothing is left to do, ``lanes`` where hardware does it; empty where no
        machine was asked.
    """

    name: str
    shape: Shape
    weights: tuple[str, ...]
    into: Literal["", "weights", "lanes"] = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """One piece of work on named tensors.

    Of a layer that multiplies, the first of ``weights`` are the filters and a second one is the bias; other layers
    list their constants there (scales, shifts, constant operands). ``parent`` is the operator of which it is a part,
    ``post`` the work of layers that were folded into it, in order. ``parts`` are the layers that an attention stands
    for, where they are not those of its shape: see `accelsim.workload.lowering`.
    """

    name: str
    shape: Shape
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    outputs: tuple[str, ...]
    parent: str = ""
    post: tuple[Post, ...] = ()
    parts: tuple[Layer, ...] = ()

    @property
    def kind(self) -> str:
        """``conv2d``, ``linear``, ``matmul``, ``pool``, ..."""
        return self.shape.kind

    @property
    def macs(self) -> int | None:
        """Dense multiply-accumulates; 0 for the memory-bound kinds, None where they are unknown."""
        return macs(self.shape)

    @property
    def joins(self) -> tuple[str, ...]:
        """Activations that what was folded into it takes beside its result."""
        return tuple(name for post in self.post for name in post.inputs)

    @property
    def reads(self) -> tuple[str, ...]:
        """All activations that it takes."""
        return (*self.inputs, *self.joins)

    def batched(self, factor: Factor) -> Layer:
        """Return the same work on ``factor`` times as many images."""
        parts = tuple(part.batched(factor) for part in self.parts)
        return replace(self, shape=self.shape.batched(factor), parts=parts)


@dataclass(frozen=True)
class LayerView:
    """A layer with its tensors resolved: all that an engine sees of a network.

    ``beside_bits`` is what other layers' tensors take of the unit's room meanwhile (`accelsim.engine.Room`).
    ``joins`` are activations that meet its results on their way out, behind the engine.
    """

    name: str
    shape: Shape
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batch: int = 1
    joins: tuple[Tensor, ...] = ()
    beside_bits: int = 0

    @property
    def kind(self) -> str:
        """The kind of work."""
        return self.shape.kind

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """All activations that it takes."""
        return (*self.inputs, *self.joins)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates; a unit sees only layers whose number is known."""
        return macs(self.shape) or 0

    @cached_property
    def conv(self) -> Conv2d:
        """A product as a convolution; of a layer of another kind, ModelError."""
        if isinstance(self.shape, Conv2d | Linear | Matmul):
            return self.shape.as_conv()
        raise ModelError(f"layer '{self.name}' is no convolution but {self.kind}")

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def weight(self) -> Tensor:
        """The filters; of a matmul, the second activation."""
        return self.weights[0] if self.weights else self.inputs[1]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]
