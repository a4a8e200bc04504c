"""Work on results on their way out of a unit: what joins a product on a machine, and what it takes there.

A layer folded into weights takes nothing. One that a unit's ``post_ops`` do takes no time where their lanes keep up: a
tile computes for max(its cycles, ceil(results that it stores / lanes)), the difference being ``fill_drain``; each
result costs its operations once. What is added to the results is loaded tile by tile, as role ``residual``. See
docs/decisions/0101-folded-runs.md and 0108-residual-additions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from accelsim.activity import Activity, Event, Loop, Step, Transfer, walk
from accelsim.components import Alu
from accelsim.config.arch import Unit
from accelsim.config.schema import PostOp
from accelsim.engines.vector.program import Ops, program
from accelsim.errors import ConfigError
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.passes.fold import Folded, fold, per_channel
from accelsim.results import LayerResult
from accelsim.schedules import Factor, Fold, NetworkSchedule
from accelsim.units import ceil_div
from accelsim.workload.layers import Layer, LayerView
from accelsim.workload.network import Network

FoldInto: TypeAlias = Literal["none", "weights", "hardware"]
FOLDS_INTO: tuple[FoldInto, ...] = get_args(FoldInto)
ALONE = "cycles_without_post_ops"
"""Detail of a layer whose results the lanes hold up."""
ALONE_DRAM = "dram_bits_without_post_ops"
"""Detail of a layer to whose results another activation is added."""
NAME = "post_ops"
"""Of the component."""
RESIDUAL = "residual"
"""What ``post_ops`` call the sum with another activation, and the role of that."""


def folded_for(network: Network, rule: FoldInto, unit_of: Callable[[LayerView], Unit | None]) -> Folded:
    """Return a network with what joins its products on a machine.

    Parameters
    ----------
    network : Network
        Tensors have widths.
    rule : "none", "weights" or "hardware"
        Nothing; scaling per channel ahead of everything else, into filters and bias; that, and what ``post_ops`` of the
        product's unit do.
    unit_of : callable
        The unit that runs a layer, or None.
    """
    if rule == "none":
        return Folded(network, {})

    def into(host: Layer, layer: Layer) -> Literal["", "weights", "lanes"]:
        if per_channel(layer, host) and not any(post.into == "lanes" for post in host.post):
            return "weights"
        unit = unit_of(network.view(host)) if rule == "hardware" else None
        does = unit is not None and unit.post_ops is not None and operation(layer) in unit.post_ops.ops
        return "lanes" if does and _fits(network, host, layer) else ""

    return fold(network, "unary", into)


def joinable(network: Network, results: Iterable[LayerResult]) -> dict[str, str]:
    """Return each layer that could be part of a product, if its unit had the ``post_ops`` for it, and the product.

    ``results`` say of which layers it is known when what leaves: not of those whose units model their own memory, and
    where the results stored are not one after the other (compressed), nothing can be added to them.
    """
    ran = {result.name: result for result in results if "dram" in result.needed_bits_per_cycle}

    def into(host: Layer, layer: Layer) -> Literal["", "lanes"]:
        op, result = operation(layer), ran.get(host.name)
        able = result is not None and op in get_args(PostOp)
        if result is not None and op == RESIDUAL:
            made = network.tensors[host.outputs[0]]
            stored = sum(r.bits for r in result.traffic if (r.boundary, r.tensor) == ("dram", "output"))
            able = stored == made.elements * made.width
        return "lanes" if (able or per_channel(layer, host)) and _fits(network, host, layer) else ""

    return fold(network, "unary", into).hosts


def _fits(network: Network, host: Layer, layer: Layer) -> bool:
    """Whether a layer's tensors pass DRAM or a buffer, and its host adds nothing to its results yet if this does."""
    away = all(network.tensors[name].home == "dram" for name in (*layer.inputs, *layer.outputs))
    return away and not (host.joins and operation(layer) == RESIDUAL)


def operation(layer: Layer) -> str:
    """Return what ``post_ops`` call an elementwise layer."""
    if len(layer.inputs) > 1:
        return RESIDUAL
    op = str(getattr(layer.shape, "op", ""))
    return "affine" if layer.kind == "normalization" else op


def views(network: Network, layer: Layer) -> tuple[LayerView, ...]:
    """Return the folded layers that ``post_ops`` do, in order."""
    made = tuple(network.tensors[name] for name in layer.outputs)
    return tuple(
        LayerView(
            post.name,
            post.shape,
            (*made, *(network.tensors[name] for name in post.inputs)),
            tuple(network.tensors[name] for name in post.weights),
            made,
        )
        for post in layer.post
        if post.into == "lanes"
    )


def component(unit: Unit) -> tuple[Alu, ...]:
    """Return the lanes of a unit that has some."""
    return () if unit.post_ops is None else (Alu(NAME, unit.post_ops.lanes),)


def with_posts(
    activity: Activity, view: LayerView, posts: Sequence[LayerView], unit: Unit, units: Mapping[str, int],
    dram: DramModel,
) -> Activity:  # fmt: skip
    """Return what a unit does of a product and of what joins it.

    Raises
    ------
    ConfigError
        A unit without tiles, or which does not store one result after the other.
    """
    if not posts or unit.post_ops is None:
        return activity
    if activity.schedule is None:
        problem = f"unit '{unit.name}' models its own memory, so nothing can be done to what a tile stores"
        raise ConfigError(problem, "remove post_ops from it", key=f"units.{unit.name}.post_ops")
    slower = _Lanes(unit.post_ops.lanes, view.output.width, sum(tensor.width for tensor in view.joins))
    schedule = slower.tiles(activity.schedule)
    joined = [
        (t, times) for step, times in walk(schedule, 1) for t in step.loads if t.tensor == RESIDUAL
    ]  # fmt: skip
    if sum(times * t.bits for t, times in joined) != sum(tensor.elements * tensor.width for tensor in view.joins):
        problem = f"what unit '{unit.name}' stores of layer '{view.name}' is not one result after the other"
        remedy = f"remove {RESIDUAL} from its post_ops"
        raise ConfigError(problem, remedy, key=f"units.{unit.name}.post_ops.ops")
    traffic, details = dict(activity.traffic), dict(activity.details)
    for flow, bits in timeline.moved(joined, dram).items():
        traffic[flow] = traffic.get(flow, 0) + bits
    if joined:
        details[ALONE_DRAM] = sum(bits for flow, bits in activity.traffic.items() if flow.boundary == "dram")
    done = Ops()
    for post in posts:
        done = done.plus(program(post).per_element.times(view.output.elements))
    accounts = activity.accounts
    if slower.added_cycles:
        accounts = {
            kind: causes | {"fill_drain": causes.get("fill_drain", 0) + units[kind] * slower.added_cycles}
            for kind, causes in accounts.items()
        }
    return replace(
        activity,
        compute_cycles=activity.compute_cycles + slower.added_cycles,
        accounts=accounts,
        traffic=traffic,
        schedule=schedule if slower.added_cycles or joined else activity.schedule,
        events=activity.events | {Event(NAME, name): n for name, n in done._asdict().items() if n},
        details=details | {"post_ops": ", ".join(post.name for post in posts)},
    )


@dataclass
class _Lanes:
    """Lanes that take ``lanes`` results of ``width`` bits per cycle, and the cycles that tiles wait for them.

    What they add to each result has ``joined`` bits, 0 if they add nothing.
    """

    lanes: int
    width: int
    joined: int = 0
    added_cycles: int = 0

    def tiles(self, items: Iterable[Step | Loop], times: int = 1) -> tuple[Step | Loop, ...]:
        """Return tiles that last as long as their results take, and load what is added to them."""
        found: list[Step | Loop] = []
        for item in items:
            if isinstance(item, Loop):
                found.append(Loop(item.repeat, self.tiles(item.body, times * item.repeat)))
                continue
            results = [t for t in (*item.stores, *item.after) if t.tensor == "output"]
            stored = sum(t.bits for t in results)
            cycles = max(item.compute_cycles, ceil_div(ceil_div(stored, self.width), self.lanes))
            self.added_cycles += times * (cycles - item.compute_cycles)
            more = tuple(self._load(t) for t in results) if self.joined else ()
            found.append(item._replace(loads=item.loads + more, compute_cycles=cycles))
        return tuple(found)

    def _load(self, stored: Transfer) -> Transfer:
        """Return the load of what is added to stored results: run by run as many elements."""
        return Transfer(RESIDUAL, "read", ceil_div(stored.run_bits, self.width) * self.joined, stored.runs)


def with_folds(
    schedule: NetworkSchedule, network: Network, hosts: Mapping[str, str], layers: Sequence[LayerResult],
    apart: Sequence[LayerResult],
) -> NetworkSchedule:  # fmt: skip
    """Return a schedule that knows what was folded, and what the layers alone take without that.

    Parameters
    ----------
    schedule : NetworkSchedule
    network : Network
        Folded.
    hosts : mapping
        Layer that left -> the layer that does its work.
    layers, apart : sequence of LayerResult
        Of the folded network, and of the layers that left, each alone.
    """
    if not hosts:
        return schedule
    ways = {post.name: post.into for layer in network.layers for post in layer.post}
    left = [layer for layer in apart if layer.simulated]
    alone = [*(layer for layer in layers if layer.simulated), *left]
    cycles = sum(int(layer.details.get(ALONE, layer.cycles)) for layer in alone)
    dram_bits = sum(int(layer.details.get(ALONE_DRAM, layer.dram_bits)) for layer in alone)
    first, *rest = schedule.factors
    return replace(
        schedule,
        isolated_cycles=cycles,
        isolated_dram_bits=dram_bits,
        factors=(first._replace(cycles=cycles), Factor("folded", first.cycles), *rest),
        folded=tuple(Fold(name, host, ways.get(name, "")) for name, host in hosts.items()),
    )
