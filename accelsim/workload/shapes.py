"""Shapes of layers: the loop bounds of each kind of work, with what follows from them.

Dimensions are the field's: ``n`` batch, ``c`` input channels, ``k`` output channels, ``h w`` input rows and
columns, ``r s`` filter rows and columns, ``e f`` output rows and columns; ``m n k`` for a matrix product.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, ClassVar, Literal, TypeAlias

Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[int, int, int, int]
"""Padding as top, left, bottom, right."""


def output_size(size: int, window: int, stride: int, pads: int, dilation: int = 1, ceil: bool = False) -> int:
    """Return the outputs along one dimension: ``(size + pads - dilated window) / stride + 1``, floored."""
    span = size + pads - dilation * (window - 1) - 1
    return (-(-span // stride) if ceil else span // stride) + 1


@dataclass(frozen=True)
class Conv2d:
    """A grouped 2-D convolution. Tensors: input (n, c, h, w), weight (k, c/groups, r, s), output (n, k, e, f)."""

    n: int
    c: int
    k: int
    h: int
    w: int
    r: int
    s: int
    groups: int = 1
    stride: Pair = (1, 1)
    pad: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)

    kind: ClassVar[str] = "conv2d"

    @property
    def e(self) -> int:
        """Output rows."""
        return output_size(self.h, self.r, self.stride[0], self.pad[0] + self.pad[2], self.dilation[0])

    @property
    def f(self) -> int:
        """Output columns."""
        return output_size(self.w, self.s, self.stride[1], self.pad[1] + self.pad[3], self.dilation[1])

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates: n k (c/groups) r s e f, padding taps included."""
        return self.n * self.k * (self.c // self.groups) * self.r * self.s * self.e * self.f

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs, in order."""
        return ((self.n, self.c, self.h, self.w),)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the filters."""
        return (self.k, self.c // self.groups, self.r, self.s)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (self.n, self.k, self.e, self.f)

    def batched(self, batch: int) -> Conv2d:
        """Return the same work on ``batch`` times as many images."""
        return replace(self, n=self.n * batch)

    def as_conv(self) -> Conv2d:
        """Return itself: the common form of everything that multiplies and accumulates."""
        return self


@dataclass(frozen=True)
class Linear:
    """A fully connected layer on ``n`` rows (images or tokens): input (n, c), weight (k, c), output (n, k)."""

    n: int
    c: int
    k: int

    kind: ClassVar[str] = "linear"

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates."""
        return self.n * self.c * self.k

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs, in order."""
        return ((self.n, self.c),)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        return (self.k, self.c)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (self.n, self.k)

    def batched(self, batch: int) -> Linear:
        """Return the same work on ``batch`` times as many rows."""
        return replace(self, n=self.n * batch)

    def as_conv(self) -> Conv2d:
        """Return the 1 x 1 convolution on 1 x 1 images that does the same work."""
        return Conv2d(n=self.n, c=self.c, k=self.k, h=1, w=1, r=1, s=1)


@dataclass(frozen=True)
class Matmul:
    """A batched product of two activations: (batch, m, k) x (batch, k, n) -> (batch, m, n)."""

    batch: int
    m: int
    n: int
    k: int

    kind: ClassVar[str] = "matmul"

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates."""
        return self.batch * self.m * self.n * self.k

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the two operands."""
        return ((self.batch, self.m, self.k), (self.batch, self.k, self.n))

    @property
    def weight_shape(self) -> None:
        """There are no weights: the second operand is an activation."""
        return

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the product."""
        return (self.batch, self.m, self.n)

    def batched(self, batch: int) -> Matmul:
        """Return the same work on ``batch`` times as many matrices."""
        return replace(self, batch=self.batch * batch)

    def as_conv(self) -> Conv2d:
        """Return the grouped 1 x 1 convolution that does the same work: one group per matrix of the batch."""
        b = self.batch
        return Conv2d(n=self.m, c=b * self.k, k=b * self.n, h=1, w=1, r=1, s=1, groups=b)


@dataclass(frozen=True)
class Pool:
    """Max or average pooling of (n, c, h, w) over r x s windows."""

    op: Literal["max", "average"]
    n: int
    c: int
    h: int
    w: int
    r: int
    s: int
    stride: Pair = (1, 1)
    pad: Pads = (0, 0, 0, 0)
    ceil: bool = False
    count_pad: bool = False

    kind: ClassVar[str] = "pool"

    @property
    def e(self) -> int:
        """Output rows."""
        return output_size(self.h, self.r, self.stride[0], self.pad[0] + self.pad[2], 1, self.ceil)

    @property
    def f(self) -> int:
        """Output columns."""
        return output_size(self.w, self.s, self.stride[1], self.pad[1] + self.pad[3], 1, self.ceil)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs."""
        return ((self.n, self.c, self.h, self.w),)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return (self.n, self.c, self.e, self.f)

    def batched(self, batch: int) -> Pool:
        """Return the same work on ``batch`` times as many images."""
        return replace(self, n=self.n * batch)


@dataclass(frozen=True)
class Elementwise:
    """``op`` over ``operands`` tensors of one shape (the first dimension is the batch)."""

    op: str
    shape: tuple[int, ...]
    operands: int = 1

    kind: ClassVar[str] = "elementwise"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs."""
        return (self.shape,) * self.operands

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.shape

    def batched(self, batch: int) -> Elementwise:
        """Return the same work on ``batch`` times as many images."""
        return replace(self, shape=(self.shape[0] * batch, *self.shape[1:]))


@dataclass(frozen=True)
class Normalization:
    """Normalisation of a tensor: ``batch`` and ``affine`` scale and shift per channel; ``lrn`` divides by a

    window of ``size`` channels; ``layer`` works over the last dimension.
    """

    op: Literal["batch", "affine", "lrn", "layer"]
    shape: tuple[int, ...]
    size: int = 1

    kind: ClassVar[str] = "normalization"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs."""
        return (self.shape,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.shape

    def batched(self, batch: int) -> Normalization:
        """Return the same work on ``batch`` times as many images."""
        return replace(self, shape=(self.shape[0] * batch, *self.shape[1:]))


@dataclass(frozen=True)
class Softmax:
    """Softmax over the last ``length`` elements of each of the other positions."""

    shape: tuple[int, ...]
    length: int

    kind: ClassVar[str] = "softmax"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs."""
        return (self.shape,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.shape

    def batched(self, batch: int) -> Softmax:
        """Return the same work on ``batch`` times as many images."""
        return replace(self, shape=(self.shape[0] * batch, *self.shape[1:]))


@dataclass(frozen=True)
class View:
    """A renaming without work (reshape, concatenation, dropout at inference): tensors are placed where needed."""

    op: str
    inputs: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    axis: int = 1

    kind: ClassVar[str] = "view"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs."""
        return self.inputs

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.shape

    def batched(self, batch: int) -> View:
        """Return the same view of ``batch`` times as many images."""
        return replace(
            self,
            inputs=tuple((s[0] * batch, *s[1:]) for s in self.inputs),
            shape=(self.shape[0] * batch, *self.shape[1:]),
        )


@dataclass(frozen=True)
class Unsupported:
    """An operator that accelsim does not know; reported by name, never simulated."""

    op: str
    reason: str
    inputs: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    kind: ClassVar[str] = "unsupported"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs, as far as they are known."""
        return self.inputs

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, as far as it is known."""
        return self.shape

    def batched(self, batch: int) -> Unsupported:
        """Return the same operator on ``batch`` times as many images."""
        return replace(
            self,
            inputs=tuple((s[0] * batch, *s[1:]) for s in self.inputs if s),
            shape=(self.shape[0] * batch, *self.shape[1:]) if self.shape else (),
        )


Product: TypeAlias = Conv2d | Linear | Matmul
Shape: TypeAlias = Conv2d | Linear | Matmul | Pool | Elementwise | Normalization | Softmax | View | Unsupported

PRODUCTS = ("conv2d", "linear", "matmul")
"""Kinds whose work is multiply-accumulates."""


def elements(shape: tuple[int, ...]) -> int:
    """Return the number of elements of a tensor shape."""
    return prod(shape)


def dims(shape: Shape) -> dict[str, Any]:
    """Return a shape's dimensions for reports: plain names to ints, strings and lists."""
    table = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(shape).items()}
    if isinstance(shape, Conv2d | Pool):
        table |= {"e": shape.e, "f": shape.f}
    return table
