"""Lays out a connected network, layer by layer: every method adds one and returns the tensor that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import make_layer
from accelsim.workload.shapes import (
    Attention,
    Conv2d,
    Dims,
    Elementwise,
    Linear,
    Normalization,
    Pool,
    Shape,
    View,
)


@dataclass
class Builder:
    """Layers and tensors so far; a layer called ``x`` makes the tensor ``x.output``."""

    batch: int = 1
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def input(self, name: str, *dims: int) -> str:
        """Declare an activation that comes from outside, of ``dims`` per image."""
        self.tensors[name] = Tensor(name, (self.batch, *dims))
        return name

    def constant(self, name: str, *dims: int) -> str:
        """Declare a constant of the network."""
        self.tensors[name] = Tensor(name, dims, weight=True)
        return name

    def dims(self, tensor: str) -> Dims:
        """Return the shape of a tensor."""
        return self.tensors[tensor].shape

    def conv(
        self, name: str, x: str, k: int, window: int, stride: int = 1, *, pad: int | None = None, groups: int = 1,
        bias: bool = False,
    ) -> str:  # fmt: skip
        """Add a convolution of square windows; padded so that a stride of 1 keeps the size, unless ``pad`` is given."""
        n, c, h, w = self.dims(x)
        pads = (window // 2 if pad is None else pad,) * 4
        return self._add(name, Conv2d(n, c, k, h, w, window, window, groups, (stride, stride), pads), x, bias=bias)

    def linear(self, name: str, x: str, k: int, *, bias: bool = True) -> str:
        """Add a linear layer on the last dimension; of an image, on all of it."""
        dims = self.dims(x)
        rows = dims[:1] if len(dims) == 4 else dims[:-1]
        return self._add(name, Linear(prod(rows), prod(dims[len(rows) :]), k), x, bias=bias)

    def pool(
        self, name: str, x: str, op: Literal["max", "average"], window: int, stride: int, *, pad: int = 0,
        ceil: bool = False,
    ) -> str:  # fmt: skip
        """Add pooling over square windows."""
        n, c, h, w = self.dims(x)
        return self._add(name, Pool(op, n, c, h, w, window, window, (stride, stride), (pad,) * 4, ceil), x)

    def average(self, name: str, x: str) -> str:
        """Add the average over each channel's image."""
        n, c, h, w = self.dims(x)
        return self._add(name, Pool("average", n, c, h, w, h, w), x)

    def norm(self, name: str, x: str, op: Literal["batch", "layer"] = "batch") -> str:
        """Add a normalisation with a scale and a shift per channel; the statistics of a batch are part of the two."""
        dims = self.dims(x)
        channels = dims[1] if op == "batch" else dims[-1]
        constants = tuple(self.constant(f"{name}.{part}", channels) for part in ("scale", "shift"))
        return self._add(name, Normalization(op, dims), x, constants=constants)

    def elementwise(self, name: str, op: str, *inputs: str, constants: tuple[str, ...] = ()) -> str:
        """Add an operation element by element; all operands, constants among them, are broadcast to the first."""
        shapes = tuple(map(self.dims, inputs))
        return self._add(name, Elementwise(op, shapes[0], shapes), *inputs, constants=constants)

    def attention(
        self, name: str, shape: Attention, *inputs: str, output: str, constants: tuple[str, ...] = ()
    ) -> str:  # fmt: skip
        """Add an attention on queries, keys and values, with a mask if there is a constant."""
        return self._add(name, shape, *inputs, constants=constants, output=output)

    def view(self, name: str, op: str, x: str, seen: Dims, dims: Dims, *, axis: int = 1, start: int = 0) -> str:
        """Take a tensor, or a part of it, seen in the shape ``seen``, in the shape ``dims``."""
        return self._add(name, View(op, (seen,), dims, axis, start), x)

    def concat(self, name: str, *inputs: str) -> str:
        """Join tensors along their second dimension."""
        shapes = tuple(map(self.dims, inputs))
        n, _, *rest = shapes[0]
        return self._add(name, View("concat", shapes, (n, sum(dims[1] for dims in shapes), *rest)), *inputs)

    def conv_norm(
        self, name: str, x: str, k: int, window: int, stride: int = 1, *, pad: int | None = None, groups: int = 1,
        act: str = "",
    ) -> str:  # fmt: skip
        """Add a convolution, its batch normalisation, and the activation ``act`` if there is one."""
        x = self.norm(f"{name}.norm", self.conv(name, x, k, window, stride, pad=pad, groups=groups))
        return self.elementwise(f"{name}.{act}", act, x) if act else x

    def _add(
        self, name: str, shape: Shape, *inputs: str, bias: bool = False, constants: tuple[str, ...] = (),
        output: str | None = None,
    ) -> str:  # fmt: skip
        layer, tensors = make_layer(name, shape, inputs=inputs, output=output, bias=bias)
        self.tensors = tensors | self.tensors
        self.layers.append(Layer(name, shape, layer.inputs, layer.weights + constants, layer.outputs))
        return layer.outputs[0]
