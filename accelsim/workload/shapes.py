"""Shapes of layers: the loop bounds of each kind of work, with what follows from them.

Dimensions are the field's: ``n`` batch, ``c`` input channels, ``k`` output channels, ``h w`` input rows and
columns, ``r s`` filter rows and columns, ``e f`` output rows and columns; ``m n k`` for a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from math import prod
from typing import Any, ClassVar, Literal, Self, TypeAlias, get_args

from accelsim.errors import WorkloadError

Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[int, int, int, int]
"""Padding as top, left, bottom, right."""
Dims: TypeAlias = tuple[int, ...]
Causal: TypeAlias = Literal["none", "skip", "full"]
Factor: TypeAlias = int | Fraction

MAX_DIM = 2**31 - 1
"""Larger dimensions are refused: no real layer has them."""
UNKNOWN: Dims = (0,)
"""Shape of a tensor behind an unsupported operator that nobody can infer: it counts no elements."""


def output_size(size: int, window: int, stride: int, pads: Pair = (0, 0), dilation: int = 1, ceil: bool = False) -> int:
    """Return the outputs along one dimension: ``(size + pads - dilated window) / stride + 1``, floored.

    With ``ceil`` it is rounded up, except that a window that would start behind the image and its leading padding
    is dropped (ONNX operator MaxPool, attribute ceil_mode).
    """
    span = size + sum(pads) - dilation * (window - 1) - 1
    if not ceil:
        return span // stride + 1
    outputs = -(-span // stride) + 1
    return outputs - 1 if (outputs - 1) * stride >= size + pads[0] else outputs


def scaled(size: int, factor: Factor, what: str = "a leading dimension") -> int:
    """Return ``size`` times ``factor``; WorkloadError if that is not whole."""
    result = size * factor
    if result.denominator != 1:
        raise WorkloadError(f"{what} of {size} cannot be scaled by {factor}", "ask for a multiple of the graph's batch")
    return int(result)


def batched_dims(dims: Dims, factor: Factor) -> Dims:
    """Return a tensor shape with its first dimension scaled; a scalar stays one."""
    return (scaled(dims[0], factor), *dims[1:]) if dims else ()


class _OneShape:
    """A kind that reads and writes one tensor of one shape."""

    shape: Dims

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the inputs."""
        return (self.shape,)

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return self.shape

    def batched(self, factor: Factor) -> Self:
        """Return the same work on ``factor`` times as many images."""
        return replace(self, shape=batched_dims(self.shape, factor))  # type: ignore[type-var]


class _ListedShapes:
    """A kind that lists the shapes of its inputs."""

    inputs: tuple[Dims, ...]
    shape: Dims

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the inputs, in order."""
        return self.inputs

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return self.shape

    def batched(self, factor: Factor) -> Self:
        """Return the same work on ``factor`` times as many images."""
        inputs = tuple(batched_dims(dims, factor) for dims in self.inputs)
        return replace(self, inputs=inputs, shape=batched_dims(self.shape, factor))  # type: ignore[type-var]


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
        return output_size(self.h, self.r, self.stride[0], (self.pad[0], self.pad[2]), self.dilation[0])

    @property
    def f(self) -> int:
        """Output columns."""
        return output_size(self.w, self.s, self.stride[1], (self.pad[1], self.pad[3]), self.dilation[1])

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates: n k (c/groups) r s e f, padding taps included."""
        return self.n * self.k * (self.c // self.groups) * self.r * self.s * self.e * self.f

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the inputs, in order."""
        return ((self.n, self.c, self.h, self.w),)

    @property
    def weight_shape(self) -> Dims:
        """Shape of the filters."""
        return (self.k, self.c // self.groups, self.r, self.s)

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return (self.n, self.k, self.e, self.f)

    def batched(self, factor: Factor) -> Conv2d:
        """Return the same work on ``factor`` times as many images."""
        return replace(self, n=scaled(self.n, factor))

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
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the inputs, in order."""
        return ((self.n, self.c),)

    @property
    def weight_shape(self) -> Dims:
        """Shape of the weights."""
        return (self.k, self.c)

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return (self.n, self.k)

    def batched(self, factor: Factor) -> Linear:
        """Return the same work on ``factor`` times as many rows."""
        return replace(self, n=scaled(self.n, factor))

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
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the two operands."""
        return ((self.batch, self.m, self.k), (self.batch, self.k, self.n))

    @property
    def weight_shape(self) -> None:
        """There are no weights: the second operand is an activation."""
        return

    @property
    def output_shape(self) -> Dims:
        """Shape of the product."""
        return (self.batch, self.m, self.n)

    def batched(self, factor: Factor) -> Matmul:
        """Return the same work on ``factor`` times as many matrices."""
        return replace(self, batch=scaled(self.batch, factor))

    def as_conv(self) -> Conv2d:
        """Return the grouped 1 x 1 convolution that does the same work: one group per matrix of the batch."""
        b = self.batch
        return Conv2d(n=self.m, c=b * self.k, k=b * self.n, h=1, w=1, r=1, s=1, groups=b)


@dataclass(frozen=True)
class Attention:
    """softmax(Q K^T / sqrt(head_dim)) V per head; ``heads / kv_heads`` heads of queries share one of keys and values.

    Tensors: queries (batch, q, heads x head_dim), keys and values (batch, kv, kv_heads x head_dim), output as queries.
    Of a ``causal`` one, query ``i`` sees the first ``kv - q + i + 1`` keys: ``skip`` leaves the rest out where the unit
    can, ``full`` computes it and masks it.
    """

    batch: int
    heads: int
    kv_heads: int
    q: int
    kv: int
    head_dim: int
    causal: Causal = "none"

    kind: ClassVar[str] = "attention"

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of scores and context, those behind the diagonal of a causal one included."""
        return 2 * self.batch * self.heads * self.q * self.kv * self.head_dim

    @property
    def skipped_macs(self) -> int:
        """Multiply-accumulates behind the diagonal that ``causal: skip`` lets a unit leave out; else 0."""
        pairs = self.q * (self.q - 1) // 2 if self.causal == "skip" else 0
        return 2 * self.batch * self.heads * pairs * self.head_dim

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of queries, keys and values; a layer may list a mask behind them."""
        kept = (self.batch, self.kv, self.kv_heads * self.head_dim)
        return (self.output_shape, kept, kept)

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return (self.batch, self.q, self.heads * self.head_dim)

    def batched(self, factor: Factor) -> Attention:
        """Return the same work on ``factor`` times as many sequences."""
        return replace(self, batch=scaled(self.batch, factor))


@dataclass(frozen=True)
class SpGemm:
    """A product of two sparse matrices whose result is sparse: A (m, k) x B (k, n) -> C (m, n)."""

    m: int
    n: int
    k: int

    kind: ClassVar[str] = "spgemm"

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates."""
        return self.m * self.n * self.k

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the two operands."""
        return ((self.m, self.k), (self.k, self.n))

    @property
    def output_shape(self) -> Dims:
        """Shape of the product."""
        return (self.m, self.n)

    def batched(self, factor: Factor) -> SpGemm:
        """Return itself for a factor of 1: a product of matrices has no batch."""
        if factor != 1:
            raise WorkloadError("a product of sparse matrices has no batch", "run it without --batch")
        return self


@dataclass(frozen=True)
class Pool:
    """Maximum, minimum, sum or average of (n, c, h, w) over r x s windows.

    ``ceil`` rounds the output size up; ``count_pad`` lets an average count the padding too.
    """

    op: Literal["max", "min", "sum", "average"]
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
        return output_size(self.h, self.r, self.stride[0], (self.pad[0], self.pad[2]), ceil=self.ceil)

    @property
    def f(self) -> int:
        """Output columns."""
        return output_size(self.w, self.s, self.stride[1], (self.pad[1], self.pad[3]), ceil=self.ceil)

    @property
    def input_shapes(self) -> tuple[Dims, ...]:
        """Shapes of the inputs."""
        return ((self.n, self.c, self.h, self.w),)

    @property
    def output_shape(self) -> Dims:
        """Shape of the output."""
        return (self.n, self.c, self.e, self.f)

    def batched(self, factor: Factor) -> Pool:
        """Return the same work on ``factor`` times as many images."""
        return replace(self, n=scaled(self.n, factor))

    def windows(self) -> Conv2d:
        """Return the convolution of each channel with itself that has the same windows, padded as far as they reach."""
        (top, left, bottom, right), (down, across) = self.pad, self.stride
        bottom = max(bottom, (self.e - 1) * down + self.r - self.h - top)
        right = max(right, (self.f - 1) * across + self.s - self.w - left)
        return Conv2d(
            self.n, self.c, self.c, self.h, self.w, self.r, self.s, groups=self.c, stride=self.stride,
            pad=(top, left, bottom, right),
        )  # fmt: skip


@dataclass(frozen=True)
class Elementwise(_ListedShapes):
    """``op`` on activations of the shapes ``inputs``, broadcast to ``shape`` (the first dimension is the batch).

    Without ``inputs`` there is one, of the output's shape. Constant operands are weights of the layer.
    """

    op: str
    shape: Dims
    inputs: tuple[Dims, ...] = ()

    kind: ClassVar[str] = "elementwise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", self.inputs or (self.shape,))

    @property
    def operands(self) -> int:
        """Number of activations read."""
        return len(self.inputs)


@dataclass(frozen=True)
class Normalization(_OneShape):
    """Normalisation of a tensor, without change of shape.

    ``batch`` and ``affine`` scale and shift per channel; ``lrn`` divides by a window of ``size`` channels;
    ``layer`` works over the last dimension.
    """

    op: Literal["batch", "affine", "lrn", "layer"]
    shape: Dims
    size: int = 1

    kind: ClassVar[str] = "normalization"


@dataclass(frozen=True)
class Softmax(_OneShape):
    """Softmax over the last ``length`` elements of each of the other positions."""

    shape: Dims
    length: int

    kind: ClassVar[str] = "softmax"


@dataclass(frozen=True)
class View(_ListedShapes):
    """A renaming without work: tensors are placed where they are needed.

    ``concat`` joins along ``axis``; ``slice`` takes ``shape[axis]`` positions of ``axis`` from ``start`` on;
    ``crop`` takes another part, ``repeat`` takes elements more than once; everything else gives the same elements
    another shape.
    """

    op: str
    inputs: tuple[Dims, ...]
    shape: Dims
    axis: int = 1
    start: int = 0

    kind: ClassVar[str] = "view"


@dataclass(frozen=True)
class Unsupported(_ListedShapes):
    """An operator that accelsim does not know; reported by name, never simulated. Shapes may be `UNKNOWN`.

    ``macs`` are what a machine that runs it would have to do, for coverage; None where nobody can tell.
    """

    op: str
    reason: str
    inputs: tuple[Dims, ...]
    shape: Dims
    macs: int | None = None

    kind: ClassVar[str] = "unsupported"

    def batched(self, factor: Factor) -> Self:
        """Return the same work on ``factor`` times as many images."""
        macs = None if self.macs is None else scaled(self.macs, factor, "a number of MACs")
        return replace(super().batched(factor), macs=macs)


Product: TypeAlias = Conv2d | Linear | Matmul
Shape: TypeAlias = (
    Conv2d | Linear | Matmul | Attention | SpGemm | Pool | Elementwise | Normalization | Softmax | View | Unsupported
)

PRODUCTS = ("conv2d", "linear", "matmul")
"""Kinds whose work is multiply-accumulates."""
SHAPE_TYPES: dict[str, type[Shape]] = {kind.kind: kind for kind in get_args(Shape)}
"""Kind -> class of its dimensions."""


def macs(shape: Shape) -> int | None:
    """Return the dense multiply-accumulates of a layer: 0 for the memory-bound kinds, None where they are unknown."""
    found: int | None = getattr(shape, "macs", 0)
    return found


def elements(shape: Dims) -> int:
    """Return the number of elements of a tensor shape."""
    return prod(shape)


def dims(shape: Shape) -> dict[str, Any]:
    """Return a shape's dimensions for reports: plain names to ints, strings and lists."""
    found = ((each.name, getattr(shape, each.name)) for each in fields(shape) if each.name != "macs")
    table = {name: list(value) if isinstance(value, tuple) else value for name, value in found}
    if isinstance(shape, Conv2d | Pool):
        table |= {"e": shape.e, "f": shape.f}
    return table
