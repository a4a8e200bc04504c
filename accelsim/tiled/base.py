"""What an engine of tiles states of itself; what follows from it is in `engine` and `columns`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel

from accelsim.activity import Event, Flow
from accelsim.engine import Engine, Machine
from accelsim.mapping import loopnest
from accelsim.mapping.choose import Candidates
from accelsim.mapping.loopnest import LoopNest, Tiling, Widths
from accelsim.mapping.search import TiledNest, Variant
from accelsim.operands.handle import Operands
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d

ParamsT = TypeVar("ParamsT", bound=BaseModel)
TilingT = TypeVar("TilingT", bound=Tiling)

Count: TypeAlias = Any
"""A count of a layer, int; of candidates, ndarray of int64."""


class Stack(NamedTuple):
    """Several layers as one `CutLayer`: the numbers of each in arrays."""

    conv: Any
    widths: Widths
    resident: frozenset[str] = frozenset()


CutLayer: TypeAlias = LoopNest | TiledNest | Stack
"""A layer with its widths and its tensors at home, whether its tiling is chosen or not; or many of them."""

BUFFERS = {"input": "glb.inputs", "weight": "glb.weights", "output": "glb.outputs"}
"""Tensor -> the buffer whose halves hold its tiles."""


class TiledPlan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    unit: Any
    params: Any
    machine: Machine
    operands: Operands


class TiledBase(Engine[ParamsT, TilingT]):
    """Base of engines with three double-buffered buffers, ``params.input_kib``, ``weight_kib`` and ``output_kib``."""

    counts: ClassVar[Any]
    """The named tuple of a tile's counts; the first is ``cycles``."""
    what: ClassVar[str]
    """The unit in words, as the subject of "has no pool unit"."""
    operand_axes: ClassVar[tuple[int, int]] = (4, 4)
    """Axes of input and weights as `walk_tile` takes them."""

    # what an engine gives

    def unit(self, view: LayerView, params: ParamsT, fields: Mapping[str, Any]) -> Any:
        """Return the numbers that a tile's cost depends on; ``fields`` are those of the mapping beside its tiling."""
        raise NotImplementedError

    def variants(self, view: LayerView, params: ParamsT) -> tuple[Variant, ...]:
        """Return the fields that a mapping may have beside its tiling, each with the form of a tile's cycles."""
        raise NotImplementedError

    def grain(self, view: LayerView, params: ParamsT) -> tuple[tuple[int, ...], int]:
        """Return what tiles of output channels should be multiples of, and of input channels (0: never cut)."""
        raise NotImplementedError

    def cost(self, unit: Any, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Any:
        """Return the `counts` of tiles.

        Tiles are of ``g`` groups, ``m`` output pixels, ``k`` output and ``c`` input channels of a group, arrays of
        int64 of one length; ``taps`` are the positions of a filter.
        """
        raise NotImplementedError

    def account(self, unit: Any, total: Any, params: ParamsT, effective_macs: int) -> dict[str, Count]:
        """Return the unit-cycles of the primary units by cause, stalls apart."""
        raise NotImplementedError

    def events(self, unit: Any, total: Any, params: ParamsT, macs: int) -> dict[Event, Count]:
        """Return the operations."""
        raise NotImplementedError

    def growth(self, params: ParamsT) -> int:
        """Return what a multiplication adds to any count at most, with some room: counts stay below 2^63."""
        raise NotImplementedError

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Call the kernel of a tile with ``(span, shape, with values, x, w, out)``; return counts as `cost` does."""
        raise NotImplementedError

    # what an engine may say otherwise

    def widths(self, view: LayerView, params: ParamsT) -> Widths:
        """Return the width of elements in buffers and DRAM."""
        return loopnest.widths(view, params.accumulator_bits)  # type: ignore[attr-defined]

    def whole(self, params: ParamsT) -> tuple[int, int]:
        """Return the block in which weights come from DRAM, as `LoopNest.whole`; (0, 0): as large as their tile."""
        del params
        return 0, 0

    def limits(self, view: LayerView, params: ParamsT) -> dict[str, int]:
        """Return the bits that a tile of each tensor may take: half of its buffer."""
        del view
        return {tensor: size // 2 for tensor, size in buffer_bits(params).items()}

    def completed(self, view: LayerView, params: ParamsT, candidates: Candidates) -> Candidates:
        """Return candidates with the fields that follow from their tiling."""
        del view, params
        return candidates

    def settled(self, unit: Any, widths: Widths, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Any:
        """Return the unit with what follows from its largest tile, as `completed` does; arrays as in `cost`."""
        del widths, taps, g, m, k, c
        return unit

    def check(self, view: LayerView, params: ParamsT, mapping: TilingT, nest: LoopNest) -> None:
        """Raise MappingError for a mapping that fits and still cannot run."""

    def on_chip(self, unit: Any, total: Any, cut: CutLayer, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
        """Return the traffic of the buffers in bits; ``dram`` is what crosses their other side.

        By default counts are called ``inputs``, ``weights`` (elements read) and ``sums`` (written, and but for the
        first of each output read before).
        """
        del unit
        w, outputs = cut.widths, output_elements(cut.conv)
        spilled, returned = (dram.get(Flow("dram", "psum", way), 0) for way in ("write", "read"))
        return feeds(total, w, dram) | {
            Flow("glb.outputs", "psum", "write"): total.sums * w.psum + returned,
            Flow("glb.outputs", "psum", "read"): (total.sums - outputs) * w.psum + spilled,
            Flow("glb.outputs", "output", "read"): outputs * w.psum,
        }

    def details(self, plan: TiledPlan, total: Any) -> dict[str, int]:
        """Return figures for the report beside the number of tiles."""
        del plan, total
        return {}

    def buffer_use(self, nest: LoopNest, params: ParamsT) -> dict[str, tuple[int, int]]:
        """Return capacity and peak of each buffer: two tiles where another one follows, else one."""
        largest, follows = nest.largest_bits, nest.follows()
        sizes = buffer_bits(params).items()
        return {BUFFERS[tensor]: (size, largest[tensor] * (1 + follows[tensor])) for tensor, size in sizes}

    def coded(self, plan: TiledPlan, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
        """Return input, shape (..., n, c, h, w), and weights, shape (..., k, c per group, r, s), for `walk_tile`."""
        del plan
        x, w = operands.conv_arrays()
        return x, w

    def alike(self, unit: Any) -> Any:
        """Return a key of units whose `cost` and accounts are the same formulas, so that arrays may stand in them."""
        del unit

    def in_columns(self, unit: Any) -> bool:
        """Whether counts do not depend on operands."""
        del unit
        return True


def buffer_bits(params: Any) -> dict[str, int]:
    """Return the bits of each buffer, both halves."""
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS for tensor, size in kib.items()}


def feeds(total: Any, widths: Widths, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
    """Return what the buffers of inputs and weights give to the unit, and what fills them."""
    return {
        Flow("glb.inputs", "input", "read"): total.inputs * widths.input,
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.weights", "weight", "read"): total.weights * widths.weight,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
    }


def output_elements(conv: Conv2d) -> int:
    """Return the outputs of a layer."""
    return conv.n * conv.k * conv.e * conv.f
