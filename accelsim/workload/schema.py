"""The schema of a network file."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from accelsim.config.schema import Bits, Strict
from accelsim.workload.pattern import PatternText
from accelsim.workload.shapes import MAX_DIM, SHAPE_TYPES, Attention, Causal, Elementwise, Pads, Pair, Shape

SPEC_KEYS = {"inputs": "operand_shapes"}
"""Keys that differ from the field of the shape they fill."""

Dim = Annotated[int, Field(ge=1, le=MAX_DIM)]
TensorDims = Annotated[tuple[Dim, ...], Field(strict=False)]
PartlyKnownDims = Annotated[tuple[Annotated[int, Field(ge=0, le=MAX_DIM)], ...], Field(strict=False)]
Density = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]


def _sizes(value: Any, lengths: tuple[int, ...], least: int, words: str) -> tuple[int, ...]:
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(p, int) and not isinstance(p, bool) and least <= p <= MAX_DIM for p in parts):
        raise ValueError(f"{value!r} is not made of whole numbers from {least} on; give {words}")
    if len(parts) not in lengths:
        raise ValueError(f"{len(parts)} numbers are the wrong count; give {words}")
    return tuple(parts)


def _pair(value: Any) -> Pair:
    parts = _sizes(value, (1, 2), 1, "a number or [vertical, horizontal]")
    return parts[0], parts[-1]


def _pads(value: Any) -> Pads:
    parts = _sizes(value, (1, 2, 4), 0, "a number, [vertical, horizontal] or [top, left, bottom, right]")
    if len(parts) == 4:
        return parts[0], parts[1], parts[2], parts[3]
    return parts[0], parts[-1], parts[0], parts[-1]


def _schema_of(least: int, lengths: tuple[int, ...]) -> dict[str, Any]:
    number = {"type": "integer", "minimum": least}
    lists = [{"type": "array", "items": number, "minItems": n, "maxItems": n} for n in lengths]
    return {"anyOf": [number, *lists]}


PairSpec = Annotated[Pair, BeforeValidator(_pair), WithJsonSchema(_schema_of(1, (2,)))]
PadSpec = Annotated[Pads, BeforeValidator(_pads), WithJsonSchema(_schema_of(0, (2, 4)))]


class RoleSpec(Strict):
    """What is known of a tensor besides its shape; what is absent has the default."""

    bits: Bits | None = Field(None, description="width of an element; the machine's precision by default")
    signed: bool | None = Field(None, description="true by default")
    density: Density | None = Field(None, description="share of non-zero elements, 1 by default")
    pattern: PatternText | None = Field(
        None,
        description="where zeros fall: bernoulli (default), clustered:S, rows:SPREAD, nm:M, balanced:PES; of filters "
        "also follows:RATIO",
    )
    home: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="where it lives between layers: dram (default), chip (the engine's own storage), or, on one clock, "
        "a buffer of the machine",
    )
    state: bool | None = Field(
        None, description="whether it lives over runs, as a cache does; false by default; in DRAM unless home says more"
    )


class TensorSpec(RoleSpec):
    """A tensor by name."""

    shape: PartlyKnownDims | None = Field(None, description="needed where no layer implies it")


class DefaultsSpec(Strict):
    """Defaults for the tensors that do not say."""

    input: RoleSpec = Field(RoleSpec(), description="activations that a layer reads")
    weight: RoleSpec = Field(RoleSpec(), description="weights, biases and other constants")
    output: RoleSpec = Field(RoleSpec(), description="activations that no layer reads")


class LayerBase(Strict):
    """What layers of every kind have."""

    name: Name
    repeat: int = Field(1, ge=1, le=10_000, description="as many copies, called name.0, name.1, ...; isolated only")
    inputs: Names | None = Field(None, description="tensors read; <name>.input, <name>.input2, ... by default")
    weights: Names | None = Field(None, description="constants read; <name>.weight and <name>.bias by default")
    outputs: Names | None = Field(None, description="tensors written; <name>.output by default")
    parent: str = Field("", description="operator of the source of which the layer is a part")
    input: RoleSpec = RoleSpec()
    output: RoleSpec = RoleSpec()

    kind: str

    def to_shape(self) -> Shape:
        """Return the layer's dimensions."""
        shape_type = SHAPE_TYPES[self.kind]
        given = {item.name: getattr(self, SPEC_KEYS.get(item.name, item.name)) for item in fields(shape_type)}
        return shape_type(**given)


class ProductBase(LayerBase):
    """A layer with filters."""

    bias: bool = False
    weight: RoleSpec = RoleSpec()


class Conv2dSpec(ProductBase):
    """A grouped 2-D convolution: groups = c is depthwise."""

    kind: Literal["conv2d"]
    n: Dim = 1
    c: Dim
    k: Dim
    h: Dim
    w: Dim
    r: Dim
    s: Dim
    groups: Dim = 1
    stride: PairSpec = (1, 1)
    pad: PadSpec = (0, 0, 0, 0)
    dilation: PairSpec = (1, 1)


class LinearSpec(ProductBase):
    """A fully connected layer from c to k features on n rows."""

    kind: Literal["linear"]
    n: Dim = 1
    c: Dim
    k: Dim


class MatmulSpec(LayerBase):
    """A batched product of two activations: (batch, m, k) x (batch, k, n)."""

    kind: Literal["matmul"]
    batch: Dim = 1
    m: Dim
    n: Dim
    k: Dim
    weight: RoleSpec = Field(RoleSpec(), description="of the second operand")


class AttentionSpec(LayerBase):
    """softmax(Q K^T / sqrt(head_dim)) V per head; inputs are queries, keys, values, and a mask if there is one."""

    kind: Literal["attention"]
    batch: Dim = 1
    heads: Dim
    kv_heads: Dim | None = Field(None, description="heads of keys and values, as many as of queries by default")
    q: Dim = Field(description="positions of queries")
    kv: Dim | None = Field(None, description="positions of keys and values, those of queries by default")
    head_dim: Dim
    causal: Causal = Field(
        "none", description="skip: what a query does not see is left out where a unit can; full: computed and masked"
    )
    parts: Annotated[tuple[SingleSpec, ...], Field(strict=False)] = Field(
        (), description="layers that it stands for on other units, where they are not the usual ones; connected only"
    )

    def to_shape(self) -> Shape:
        """Return the layer's dimensions."""
        kv_heads, kv = self.kv_heads or self.heads, self.kv or self.q
        return Attention(self.batch, self.heads, kv_heads, self.q, kv, self.head_dim, self.causal)


class SpGemmSpec(LayerBase):
    """A product of two sparse matrices, (m, k) x (k, n), with a sparse result; density by operand."""

    kind: Literal["spgemm"]
    m: Dim
    n: Dim
    k: Dim
    weight: RoleSpec = Field(RoleSpec(), description="of the second operand")


class PoolSpec(LayerBase):
    """Pooling over r x s windows."""

    kind: Literal["pool"]
    op: Literal["max", "min", "sum", "average"]
    n: Dim = 1
    c: Dim
    h: Dim
    w: Dim
    r: Dim
    s: Dim
    stride: PairSpec = (1, 1)
    pad: PadSpec = (0, 0, 0, 0)
    ceil: bool = Field(False, description="round the output size up")
    count_pad: bool = Field(False, description="an average counts the padding too")


class ElementwiseSpec(LayerBase):
    """An operation element by element."""

    kind: Literal["elementwise"]
    op: Name = Field(description="relu, add, mul, sigmoid, copy, ...")
    shape: TensorDims
    operands: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="how many activations it reads")
    operand_shapes: Annotated[tuple[TensorDims, ...], Field(strict=False)] = Field(
        (), description="shapes of the activations, where one is broadcast to 'shape'"
    )

    def to_shape(self) -> Shape:
        """Return the layer's dimensions."""
        return Elementwise(self.op, self.shape, self.operand_shapes or (self.shape,) * self.operands)


class NormalizationSpec(LayerBase):
    """Normalisation."""

    kind: Literal["normalization"]
    op: Literal["batch", "affine", "lrn", "layer"]
    shape: TensorDims
    size: Dim = Field(1, description="window of lrn, in channels")


class SoftmaxSpec(LayerBase):
    """Softmax over groups of length elements."""

    kind: Literal["softmax"]
    shape: TensorDims
    length: Dim


class ViewSpec(LayerBase):
    """A renaming without work."""

    kind: Literal["view"]
    op: Name = Field(description="reshape, flatten, concat, slice, repeat, identity, ...")
    operand_shapes: Annotated[tuple[TensorDims, ...], Field(min_length=1, strict=False)] = Field(
        description="shapes of the inputs"
    )
    shape: TensorDims
    axis: int = Field(1, ge=0, le=64)
    start: int = Field(0, ge=0, le=MAX_DIM, description="of a slice")


class UnsupportedSpec(LayerBase):
    """An operator that accelsim does not know: never simulated, always reported."""

    kind: Literal["unsupported"]
    op: Name
    reason: str
    operand_shapes: Annotated[tuple[PartlyKnownDims, ...], Field(strict=False)] = ()
    shape: PartlyKnownDims
    macs: Annotated[int, Field(ge=0)] | None = Field(
        None, description="multiply-accumulates that running it takes, for coverage; unknown by default"
    )


class BlockSpec(Strict):
    """A sequence of layers that repeats: <block>.0.<layer>, <block>.1.<layer>, ...; isolated only."""

    kind: Literal["block"]
    name: Name
    repeat: int = Field(1, ge=1, le=10_000)
    layers: Annotated[tuple[LayerSpec, ...], Field(min_length=1, strict=False)]


SingleSpec: TypeAlias = (
    Conv2dSpec
    | LinearSpec
    | MatmulSpec
    | AttentionSpec
    | SpGemmSpec
    | PoolSpec
    | ElementwiseSpec
    | NormalizationSpec
    | SoftmaxSpec
    | ViewSpec
    | UnsupportedSpec
)
LayerSpec = Annotated[SingleSpec | BlockSpec, Field(discriminator="kind")]

AttentionSpec.model_rebuild()
BlockSpec.model_rebuild()


class NetworkSpec(Strict):
    """A network: layers in running order, where they come from, and what is known of their tensors."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    source: str = Field("", description="author, venue and year, and where the shapes come from")
    description: str = ""
    isolated: bool = Field(
        description="true: each layer has tensors of its own; false: layers name the tensors they read"
    )
    batch: Dim = Field(1, description="images that the shapes cover")
    notes: Names = Field((), description="what a reader of results must know")
    inputs: Names = Field((), description="tensors that no layer makes; connected networks only")
    defaults: DefaultsSpec = DefaultsSpec()
    layers: Annotated[tuple[LayerSpec, ...], Field(min_length=1, strict=False)]
    tensors: dict[str, TensorSpec] = Field(default_factory=dict, description="what is known of tensors, by name")
