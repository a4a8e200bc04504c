"""Base of engines that hold a layer whole on the chip and choose no mapping: what follows from their counts.

Inputs and weights come from DRAM before the first cycle and outputs leave after the last one, each in one run; a tensor
at home on the chip does neither. Refusals, walk, closed form, activity and sweep columns follow from formulas over a
`Layer`, whose numbers are integers of one layer or arrays over many.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.config.schema import MappingSpec
from accelsim.engine import Engine, Machine, Many, NoMapping, Room, Word
from accelsim.errors import MappingError
from accelsim.mapping.choose import PriceOf
from accelsim.memory import timeline
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d, Pool

ParamsT = TypeVar("ParamsT", bound=BaseModel)
Count: TypeAlias = Any
"""A count of a layer, int; of many layers, ndarray of int64."""
OPS = ("", "max", "min", "sum", "average")
"""What a unit does with an input: multiply and add, or pool."""
MOST = 2**56
"""Numbers of a layer in columns: their bits, of up to 64 each, are counted in 64."""


class Layer(NamedTuple):
    """A product or a pooling layer as numbers; pooling has the windows of `Pool.windows`, and no weights.

    Attributes
    ----------
    n, c, k, e, f, r, s, groups, stride_e, stride_f, dilation_r, dilation_s : int or ndarray
        As in `Conv2d`.
    product, compare, divide : int or ndarray
        1 of a layer that multiplies, of pooling that compares (else it adds), and of pooling that divides; or 0.
    input_bits, weight_bits, output_bits : int or ndarray
        Widths.
    inputs, weights, outputs : int or ndarray
        Elements.
    input_far, weight_far, output_far : int or ndarray
        1 of a tensor that crosses DRAM, 0 at home on the chip.
    work, effective : int or ndarray
        Products or pooled taps, those in the padding included; products of two non-zeros.
    """

    n: Count
    c: Count
    k: Count
    e: Count
    f: Count
    r: Count
    s: Count
    groups: Count
    stride_e: Count
    stride_f: Count
    dilation_r: Count
    dilation_s: Count
    product: Count
    compare: Count
    divide: Count
    input_bits: Count
    weight_bits: Count
    output_bits: Count
    inputs: Count
    weights: Count
    outputs: Count
    input_far: Count
    weight_far: Count
    output_far: Count
    work: Count
    effective: Count

    @classmethod
    def of(cls, view: LayerView, effective_macs: int) -> Layer:
        """Return a layer as numbers."""
        conv, op = windows(view), pooling(view)
        tensors = [view.input, view.output] if op else [view.input, view.weight, view.output]
        facts = [(t.width, t.elements, int(t.home == "dram")) for t in tensors]
        if op:
            facts.insert(1, (0, 0, 0))
        widths, elements, far = zip(*facts, strict=True)
        return cls._make([
            conv.n, conv.c, conv.k, conv.e, conv.f, conv.r, conv.s, conv.groups, *conv.stride, *conv.dilation,
            int(not op), int(op in ("max", "min")), int(op == "average"), *widths, *elements, *far, conv.macs,
            effective_macs,
        ])  # fmt: skip

    @property
    def channels(self) -> Count:
        """Input channels of a group."""
        return self.c // self.groups

    def bits(self, role: str) -> Count:
        """Return the bits of the whole input, weight or output."""
        return getattr(self, f"{role}s") * getattr(self, f"{role}_bits")

    def far_bits(self, role: str) -> Count:
        """Return the bits of a tensor that cross DRAM."""
        return self.bits(role) * getattr(self, f"{role}_far")


class Store(NamedTuple):
    """A storage that holds all of some tensors.

    Attributes
    ----------
    boundary : str
        The component.
    kib_param : str
        The parameter that says its size.
    roles : tuple of str
        ``input``, ``weight``, ``output``.
    """

    boundary: str
    kib_param: str
    roles: tuple[str, ...]

    def capacity_bits(self, params: BaseModel) -> int:
        """Return its size."""
        size: int = getattr(params, self.kib_param) * KIB_BITS
        return size

    def held_bits(self, layer: Layer) -> Count:
        """Return what a layer keeps there."""
        return sum(layer.bits(role) for role in self.roles)


SEPARATE = tuple(Store(f"glb.{role}s", f"{role}_kib", (role,)) for role in ("input", "weight", "output"))
"""A store for each tensor."""


class WholePlan(NamedTuple):
    """What a walk needs; ``conv`` of pooling are its `Pool.windows`."""

    view: LayerView
    conv: Conv2d
    layer: Layer
    params: Any
    machine: Machine


class WholeEngine(Engine[ParamsT, NoMapping]):
    """Engine whose stores hold every tensor of a layer from its first cycle to its last.

    Its parameters include ``operand_bits``, its components multipliers called ``macs``; one that pools has Alus called
    ``pool``, and ``alu`` where averages are divided.
    """

    stores: ClassVar[tuple[Store, ...]]
    counts: ClassVar[Any]
    """The named tuple of a layer's counts; the first is ``cycles``."""
    what: ClassVar[str]
    """The machine in words, as the subject of "has no pool unit"."""
    pools: ClassVar[bool] = False
    """Whether it runs pooling too."""
    spare: ClassVar[str] = "unmapped"
    """Why a unit does nothing while others work."""

    # what an engine gives

    def count(self, layer: Layer, params: ParamsT) -> Any:
        """Return the `counts` in closed form."""
        raise NotImplementedError

    def walk_layer(self, plan: WholePlan, sizes: tuple[int, ...], *take: Any) -> Any:
        """Call the kernel; return the `counts`.

        Parameters
        ----------
        sizes : tuple of int
            n, k, e, f, channels of a group, r, s.
        take
            What `take_kernel.take` wants behind pixel and tap.
        """
        raise NotImplementedError

    def on_chip(self, layer: Layer, total: Any, params: ParamsT) -> dict[Flow, Count]:
        """Return what the units read and write; what crosses the other side of the stores comes on top."""
        raise NotImplementedError

    # what an engine may say otherwise

    def supports(self, view: LayerView, params: ParamsT) -> str | None:
        """Return why a layer cannot run here: it is no product, nor pooling on a machine that pools."""
        del params
        runs = view.kind in PRODUCTS or (self.pools and view.kind == "pool")
        return None if runs else f"{self.what} has no {view.kind} unit"

    def words(self, view: LayerView, params: ParamsT) -> dict[str, Word]:
        """Return the width of operands."""
        del view
        operand = Word(params.operand_bits, "multipliers")  # type: ignore[attr-defined]
        return {"input": operand, "weight": operand}

    def account(self, layer: Layer, total: Any, params: ParamsT) -> dict[str, Count]:
        """Return the unit-cycles of the primary units by cause, stalls apart: all but products and taps is `spare`."""
        rest = self.units(params)[self.primary] * total.cycles - layer.work
        zero = layer.product * layer.work - layer.effective
        return {"busy": layer.work - zero, "zero": zero, self.spare: rest}

    def events(self, layer: Layer, total: Any, params: ParamsT) -> dict[Event, Count]:
        """Return the operations."""
        del total, params
        found = {Event("macs", "mac"): layer.product * layer.work}
        if self.pools:
            found[Event("pool", "compare")] = layer.compare * layer.work
            found[Event("pool", "add")] = (1 - layer.product - layer.compare) * layer.work
            found[Event("alu", "special")] = layer.divide * layer.outputs
        return found

    def growth(self, params: ParamsT) -> int:
        """Return what a product or tap adds to any count at most, with some room: counts stay below 2^63."""
        return 64 * self.units(params)[self.primary]

    # what follows

    def rooms(self, params: ParamsT) -> tuple[Room, ...]:
        """Return all stores; the second activation of a matmul lives with the weights."""
        del params
        more = {"weight": ("weight", "input2")}
        return tuple(Room(s.boundary, sum((more.get(r, (r,)) for r in s.roles), ())) for s in self.stores)

    def plan(
        self, view: LayerView, operands: Operands, params: ParamsT, mapping: NoMapping, machine: Machine
    ) -> WholePlan:
        """Check that the layer fits and that no count overflows."""
        del mapping
        layer = Layer.of(view, operands.effective_macs if view.macs else 0)
        for store in self.stores:
            held, room = store.held_bits(layer), store.capacity_bits(params)
            if held > room:
                what = " and ".join(store.roles)
                problem = f"layer '{view.name}': {held:,} bits of {what}, and '{store.boundary}' holds {room:,}"
                raise MappingError(problem, f"raise params.{store.kib_param} to {ceil_div(held, KIB_BITS)}")
        if layer.work * self.growth(params) > INT64_MAX:
            raise MappingError.too_many(view.name)
        return WholePlan(view, windows(view), layer, params, machine)

    def run(self, plan: WholePlan, operands: Operands | None = None) -> Activity:
        """Walk the layer; with operands, compute it on the way."""
        view, conv, op = plan.view, plan.conv, pooling(plan.view)
        x = w = np.zeros((0, 0, 0, 0), dtype=np.int64)
        if operands is not None and op:
            x = operands.input.values.reshape(conv.input_shapes[0])
        elif operands is not None:
            x, w = operands.conv_arrays()
        ends = np.iinfo(np.int64)
        out = np.full(conv.output_shape, {"max": ends.min, "min": ends.max}.get(op, 0), dtype=np.int64)
        window = (*conv.stride, *conv.dilation, *conv.pad[:2])
        sizes = (conv.n, conv.k, conv.e, conv.f, conv.c // conv.groups, conv.r, conv.s)
        counts = self.walk_layer(plan, sizes, OPS.index(op), operands is not None, window, conv.groups, x, w, out)
        total = self.counts(*map(int, counts))
        if operands is None:
            return self._activity(plan, total, None)
        if isinstance(view.shape, Pool):
            return self._activity(plan, total, out / _divisors(view.shape) if op == "average" else out)
        return self._activity(plan, total, from_conv_output(view, out))

    def closed_form(self, plan: WholePlan) -> Activity:
        """Return the same integers without a walk."""
        return self._activity(plan, self.count(plan.layer, plan.params), None)

    def _activity(self, plan: WholePlan, total: Any, values: np.ndarray | None) -> Activity:
        layer, params, dram = plan.layer, plan.params, plan.machine.dram
        far = {role: layer.far_bits(role) for role in ("input", "weight", "output")}
        loads = tuple(Transfer(role, "read", far[role]) for role in ("input", "weight") if far[role])
        stores = (Transfer("output", "write", far["output"]),) if far["output"] else ()
        schedule = (Step(loads, total.cycles, stores),)
        return Activity(
            compute_cycles=total.cycles,
            accounts={self.primary: _ints(self.account(layer, total, params))},
            traffic={**timeline.dram_traffic(schedule, dram), **_ints(self._all_on_chip(layer, total, params))},
            events=_ints(self.events(layer, total, params)),
            schedule=schedule,
            buffers={s.boundary: (s.capacity_bits(params), s.held_bits(layer)) for s in self.stores},
            performed_macs=plan.view.macs,
            values=values,
        )

    def _all_on_chip(self, layer: Layer, total: Any, params: ParamsT) -> dict[Flow, Count]:
        found = dict(self.on_chip(layer, total, params))
        for store in self.stores:
            for role in store.roles:
                flow = Flow(store.boundary, role, "read" if role == "output" else "write")
                found[flow] = found.get(flow, 0) + layer.far_bits(role)
        return found

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return the numbers of a layer, or None for large ones or tensors of unknown width."""
        if any(t.bits is None for t in (*view.inputs, *view.weights, *view.outputs)):
            return None
        layer = Layer.of(view, effective_macs)
        return layer if max(layer) < MOST else None

    def closed_form_many(
        self, layers: np.ndarray, params: ParamsT, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Return the totals of layers by the same formulas; those that do not fit are left to the plain path."""
        from accelsim.memory import clock_kernel as clock

        del mapping, price, leak_pj_per_cycle
        layer, units = Layer(*layers.T), self.units(params)[self.primary]
        known = layer.work <= INT64_MAX // self.growth(params)
        for store in self.stores:
            known &= store.held_bits(layer) <= store.capacity_bits(params)
        total, burst = self.count(layer, params), machine.dram.burst_bits
        on_bus = {role: known * ceil_div(layer.far_bits(role), burst) * burst for role in ("input", "weight", "output")}
        read, write = on_bus["input"] + on_bus["weight"], on_bus["output"]
        steps = np.zeros((len(layers), clock.COLUMNS), dtype=np.int64)
        steps[:, clock.LOAD], steps[:, clock.COMPUTED], steps[:, clock.STORE] = read, known * total.cycles, write
        ends = timeline.run_each(steps, np.arange(len(layers) + 1), machine.dram)
        if max(ends) * units > INT64_MAX:
            return None
        cycles = np.array(ends, dtype=np.int64)
        causes = self.account(layer, total, params) | {"memory": (cycles - total.cycles) * units}
        actions = {component.name: component.actions for component in self.components(params)}
        events = dict(self.events(layer, total, params))
        for flow, bits in self._all_on_chip(layer, total, params).items():
            if flow.boundary in actions:  # nothing crosses the boundary of a part that is left out
                action = flow.direction if flow.direction in actions[flow.boundary] else "transfer"
                event = Event(flow.boundary, action)
                events[event] = events.get(event, 0) + bits
        columns = (known, cycles, read, write, layer.work * layer.product, *causes.values(), *events.values())
        table = np.empty((len(layers), len(columns)), dtype=np.int64)
        for place, column in enumerate(columns):
            table[:, place] = column
        return Many(table, tuple(causes), tuple(events))


def pooling(view: LayerView) -> str:
    """Return what a layer pools by, or nothing of a product."""
    return view.shape.op if isinstance(view.shape, Pool) else ""


def windows(view: LayerView) -> Conv2d:
    """Return a product as a convolution, and the windows of pooling."""
    return view.shape.windows() if isinstance(view.shape, Pool) else view.conv


def _divisors(pool: Pool) -> np.ndarray:
    """Return by what averages divide: the taps of each window in the image, and with ``count_pad`` in its padding."""

    def along(size: int, taps: int, outputs: int, stride: int, before: int, after: int) -> np.ndarray:
        at = np.arange(outputs)[:, None] * stride + np.arange(taps) - before
        first, end = (-before, size + after) if pool.count_pad else (0, size)
        inside: np.ndarray = ((at >= first) & (at < end)).sum(axis=1)
        return inside

    top, left, bottom, right = pool.pad
    rows = along(pool.h, pool.r, pool.e, pool.stride[0], top, bottom)
    return np.maximum(np.outer(rows, along(pool.w, pool.s, pool.f, pool.stride[1], left, right)), 1)


def _ints(table: dict[Any, Count]) -> dict[Any, int]:
    return {key: int(value) for key, value in table.items()}
