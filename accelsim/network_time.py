"""The simulated layers of a network on one clock; decision 0090 has the rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from accelsim import network_energy, own_rooms, rooms
from accelsim.activity import TENSORS
from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import ModelError
from accelsim.layer import machine_view
from accelsim.memory import network as clock
from accelsim.memory import network_path
from accelsim.memory.network import DRAM, Edge, NetworkSpans, Program
from accelsim.memory.network_rows import Known
from accelsim.results import LayerResult
from accelsim.rooms import EVERYTHING_IN_DRAM, Homes, Moved
from accelsim.schedules import BufferTime, Factor, LayerTime, NetworkSchedule, PathPart, UnitAccount
from accelsim.workload.layers import LayerView
from accelsim.workload.network import Network, is_view

if TYPE_CHECKING:
    from accelsim.memory.network_device import SharedDevice

Again: TypeAlias = Callable[[Network, Mapping[int, int]], Sequence[LayerResult]]
"""Simulates the layers of a network with homes; position -> what lives beside a layer's own tensors, in bits."""


@dataclass
class Memo:
    """What clocks of one network have found, for those of other machines: plans, tiles in their places, and rows.

    Attributes
    ----------
    homes : dict
        By all of a machine and of its layers that decides them.
    moves : dict
        As `rooms.moves` knows them.
    rows : dict
        By the buses' places and bursts, which are all of buses that rows in bits depend on, as `clock.run` knows them.
    """

    homes: dict[Any, Homes] = field(default_factory=dict)
    moves: rooms.Known = field(default_factory=dict)
    rows: dict[Any, Known] = field(default_factory=dict)

    def plans_of(self, arch: Arch, network: Network, layers: Sequence[LayerResult]) -> list[Homes]:
        """Return what `rooms.plans` does, planned once for all machines that differ in nothing it looks at."""
        given = arch.schedule
        if not arch.memory.buffers or given.places is not None or own_rooms.of(arch):
            return rooms.plans(arch, network, layers, given.residency)
        reach = rooms.Reach.of(arch, network, layers)
        key = (reach, arch.memory.buffers, len(arch.units) > 1, given.residency)
        if key not in self.homes:
            self.homes[key] = rooms.homes(arch, network, layers, given.residency)
        return [self.homes[key]]

    def rows_of(self, buses: clock.Buses) -> Known:
        """Return what is known of rows on such buses; forget what is more than `MOST_KEPT`."""
        parts: tuple[dict[Any, Any], ...] = (self.homes, self.moves, *self.rows.values())
        for part in parts:
            if len(part) > MOST_KEPT:
                part.clear()
        return self.rows.setdefault(tuple((place, bus and bus.burst_bits) for place, bus in buses.items()), {})


MOST_KEPT = 2048
"""Plans and tiles that a `Memo` holds of a kind."""


def scheduled(
    arch: Arch,
    network: Network,
    layers: Sequence[LayerResult],
    again: Again | None = None,
    *,
    explained: bool = True,
    memo: Memo | None = None,
) -> NetworkSchedule:
    """Return the layers on one clock as the machine's ``schedule`` says: activations wait in DRAM or live on the chip.

    Parameters
    ----------
    arch : Arch
    network : Network
        Connected.
    layers : sequence of LayerResult
        One for each layer with work, with ``tiles`` where it was simulated.
    again : callable, optional
        Simulates all layers once more, as `own_rooms.at_home` has them; of a machine with storage that tiles share.
    explained : bool
        Also find the critical path, and what brings the cycles from the layers alone to these: more runs of the clock.
    memo : Memo, optional
        Of this network.

    Raises
    ------
    WorkloadError
        Too many tiles.
    ConfigError
        They take more room than a DRAM device has.
    """
    given = arch.schedule
    memo = memo or Memo()
    alone = [layer for layer in layers if layer.simulated]
    buses = {DRAM: machine_view(arch).dram, **rooms.ports(arch)}
    known = memo.rows_of(buses)
    timeline = partial(clock.run, buses=buses, prefetch=given.prefetch, known=known)
    side = partial(timeline, overlap=given.overlap)
    plans = [
        _Clocked.of(arch, network, _at_home(network, layers, homes, again), homes, memo, side)
        for homes in memo.plans_of(arch, network, layers)
    ]
    homes, there, programs, kept, device, found = min(plans, key=_Clocked.rank)
    mine = [layer for layer in there if layer.simulated]
    unwritten = check_written(programs, mine, kept)
    dram_read_bits = sum(layer.dram_read_bits - move.saved_read_bits for layer, move in zip(mine, kept, strict=True))
    dram_write_bits = sum(
        layer.dram_write_bits - move.saved_written_bits for layer, move in zip(mine, kept, strict=True)
    )
    dram_bits = tuple(layer.dram_bits - move.saved_bits for layer, move in zip(mine, kept, strict=True))
    dram: dict[str, Any] = {}
    if device is not None:  # by address
        from accelsim import network_dram

        dram_read_bits, dram_write_bits, dram_bits = network_dram.moved(device, mine)
        dram = network_dram.facts(device, mine)
    accounts = accounts_of(arch, mine, found)
    schedule = NetworkSchedule(
        given.prefetch, given.overlap, found.cycles, sum(layer.cycles for layer in alone), found.bound_cycles,
        _times(alone, mine, found, kept, dram_bits), accounts, (), (),
        given.residency if arch.memory.buffers or own_rooms.of(arch) else "none", homes.proof,
        dram_read_bits, dram_write_bits, sum(layer.dram_bits for layer in alone), {},
        _moved(arch, network, homes, there, kept),
        homes.kept, unwritten, (), dram,
    )  # fmt: skip
    schedule = replace(schedule, energy_pj=network_energy.energy_pj(arch, mine, schedule))
    if not explained:
        return schedule
    in_dram = programs_of(network, layers) if homes.kept else None

    def in_turn(some: Sequence[Program]) -> int:
        """Return the cycles if units take turns."""
        anew = None
        if device is not None:
            from accelsim import network_dram

            lies = device.lies if some is programs else network_dram.shared(arch, network, layers).lies
            anew = device.again(lies)
        return timeline(some, overlap=False, device=anew).cycles

    schedule = replace(schedule, factors=_factors(schedule, programs, in_dram, in_turn))
    if device is not None:  # a path would need what each request waited for in the device
        return schedule
    path = network_path.critical(programs, buses, given.prefetch, overlap=given.overlap, known=known)
    if path.cycles != found.cycles:
        raise ModelError(f"the critical path takes {path.cycles} cycles, the network {found.cycles}")
    return replace(schedule, critical=tuple(PathPart(*segment) for segment in path.segments))


def _at_home(
    network: Network, layers: Sequence[LayerResult], homes: Homes, again: Again | None
) -> Sequence[LayerResult]:  # fmt: skip
    """Return the layers with what stays in storage of their units' own at home there, and tiles in what is left."""
    if not homes.own:
        return layers
    if again is None:
        raise ModelError("tensors live beside tiles, and nobody simulates the layers again")
    found = again(own_rooms.at_home(network, homes.own), homes.beside_bits)
    for before, after in zip(layers, found, strict=True):
        if (before.simulated, before.unit) != (after.simulated, after.unit):
            raise ModelError(f"layer '{before.name}' runs elsewhere with its tensors at home: {after.reason}")
    for view, layer in zip(rooms.views(network), found, strict=True):
        for tensor, role, way in ((view.inputs[0], "input", "read"), (view.output, "output", "write")):
            if layer.simulated and tensor.name in homes.own and _dram_bits(layer, way, {role}):
                raise ModelError(f"layer '{layer.name}' moves '{tensor.name}' to or from DRAM, which is at home")
    return found


class _Clocked(NamedTuple):
    """A plan of what lives where, on the clock."""

    homes: Homes
    layers: Sequence[LayerResult]
    programs: tuple[Program, ...]
    kept: list[Moved]
    device: SharedDevice | None
    found: NetworkSpans

    @classmethod
    def of(
        cls, arch: Arch, network: Network, layers: Sequence[LayerResult], homes: Homes, memo: Memo,
        timeline: Callable[..., NetworkSpans],
    ) -> _Clocked:  # fmt: skip
        """Run the clock with layers as they are with such homes."""
        moves = rooms.moves(network, layers, homes.places, memo.moves, homes.own)
        programs, device = programs_of(network, layers, homes, moves), None
        if arch.memory.dram.device is not None:  # `network_dram` loads machine code
            from accelsim import network_dram

            device = network_dram.shared(arch, network, layers, moves)
        kept = [move for move in moves if move is not None]
        return cls(homes, layers, programs, kept, device, timeline(programs, device=device))

    def rank(self) -> tuple[int, int]:
        """Return what is to be small: cycles, then bits of DRAM."""
        moved = sum(layer.dram_bits for layer in self.layers if layer.simulated)
        return self.found.cycles, moved - sum(move.saved_bits for move in self.kept)


def _moved(
    arch: Arch, network: Network, homes: Homes, layers: Sequence[LayerResult], kept: Sequence[Moved]
) -> tuple[BufferTime, ...]:  # fmt: skip
    """Return the buffers with what moved."""
    own = own_rooms.used(arch, rooms.views(network), layers, homes.own)
    return tuple(
        buffer._replace(
            read_bits=sum(move.read_bits.get(buffer.name, 0) for move in kept) + own[buffer.name, "read"],
            written_bits=sum(move.written_bits.get(buffer.name, 0) for move in kept) + own[buffer.name, "write"],
        )
        for buffer in homes.buffers
    )


def _factors(
    schedule: NetworkSchedule, programs: Sequence[Program], in_dram: Sequence[Program] | None,
    in_turn: Callable[[Sequence[Program]], int],
) -> tuple[Factor, ...]:  # fmt: skip
    """Return the steps from the layers alone to the clock; ``in_turn`` gives the cycles of units that take turns."""
    factors = [Factor("layer by layer", schedule.isolated_cycles)]
    if in_dram is not None:
        factors.append(Factor("one clock", in_turn(in_dram)))
    last = "one clock" if in_dram is None else "kept on the chip"
    if schedule.overlap and len(clock.units_of(programs)) > 1:
        return (*factors, Factor(last, in_turn(programs)), Factor("units side by side", schedule.cycles))
    return (*factors, Factor(last, schedule.cycles))


def _times(
    alone: Sequence[LayerResult], layers: Sequence[LayerResult], found: NetworkSpans, kept: Sequence[Moved],
    dram_bits: Sequence[int],
) -> tuple[LayerTime, ...]:  # fmt: skip
    """Return each layer's place on the clock; of the layer ``alone`` its cycles."""
    names = ("producer", "room", "memory", "conflict")
    return tuple(
        LayerTime(
            layer.name, layer.unit or "", span.start_cycle, span.end_cycle, span.cycles, before.cycles,
            {cause: cycles for cause, cycles in zip(names, span[5:], strict=True) if cycles},
            bits, dict(move.homes), moves,
        )
        for before, layer, span, move, moves, bits in zip(
            alone, layers, found.layers, kept, found.moves, dram_bits, strict=True
        )
    )  # fmt: skip


def check_written(
    programs: Sequence[Program], layers: Sequence[LayerResult], moves: Sequence[Moved]
) -> tuple[str, ...]:  # fmt: skip
    """Return the layers that read activations from DRAM of which an engine by itself had written none there.

    Raises
    ------
    ModelError
        A layer reads from where no tensor was put that it reads.
    """
    found: dict[str, None] = {}
    for reader, program in enumerate(programs):
        for producer, place in program.producers:
            layer, move = layers[producer], moves[producer]
            if place == DRAM:
                written = _dram_bits(layer, "write", TENSORS) - move.saved_written_bits
            else:
                written = 1 if place == "chip" else move.written_bits.get(place.removesuffix(rooms.WRITE), 0)
            if written > 0:
                continue
            if place != DRAM or move.saved_written_bits:
                raise ModelError(f"layer '{layers[reader].name}' reads from {place} what '{layer.name}' did not write")
            read = _dram_bits(layers[reader], "read", program.made - {"psum", "index"})
            if read > sum(moves[reader].read_bits.values()):
                found[layers[reader].name] = None
    return tuple(found)


def _dram_bits(layer: LayerResult, way: str, tensors: Collection[str]) -> int:
    return sum(r.bits for r in layer.traffic if r.boundary == DRAM and r.direction == way and r.tensor in tensors)


def programs_of(
    network: Network, layers: Sequence[LayerResult], homes: Homes = EVERYTHING_IN_DRAM,
    moves: Sequence[Moved | None] | None = None,
) -> tuple[Program, ...]:  # fmt: skip
    """Return the simulated layers as programs; what was not simulated takes no time, and hands on what it reads."""
    results = iter(zip(range(len(layers)), layers, moves or [None] * len(layers), strict=True))
    numbers: dict[int, int] = {}
    makers: dict[str, tuple[tuple[int, str], ...]] = {}
    """Tensor -> who makes it, and where: empty for the place of the tensor itself."""
    programs: list[Program] = []
    for layer in network.layers:
        position, result, move = (-1, None, None) if is_view(layer) else next(results)
        if result is None or not result.simulated:
            read = dict.fromkeys(
                (number, place if result is None else place or homes.place(network.tensors[name]))
                for name in layer.reads for number, place in makers.get(name, ())
            )  # fmt: skip
            makers |= dict.fromkeys(layer.outputs, tuple(read))
            continue
        if result.tiles is None:
            raise ModelError(f"layer '{layer.name}' was simulated without its tiles")
        view = network.view(layer)
        edges = dict.fromkeys(
            Edge(number, place or homes.place(tensor))
            for tensor in view.reads
            for number, place in makers.get(tensor.name, ())
        )
        made = made_by_others(view, {tensor.name for tensor in view.reads if makers.get(tensor.name)})
        alone = result.cycles if result.tiles.schedule is None else 0
        makers |= dict.fromkeys(layer.outputs, ((len(programs), ""),))
        schedule = result.tiles.schedule if move is None else move.schedule
        after = tuple(numbers[at] for at in homes.after.get(position, ()) if at in numbers)
        numbers[position] = len(programs)
        programs.append(Program(result.unit or "", layer.name, schedule, tuple(edges), after, made, alone))
    return tuple(programs)


def made_by_others(view: LayerView, made: set[str]) -> frozenset[str]:
    """Return which of the tensors that a layer's tiles name wait for other layers, if tensors ``made`` do.

    Of a product of two activations the second is moved as ``weight``. An index may be of either operand: it waits with
    the first.
    """
    found = {"psum"}
    if any(tensor.name in made for tensor in view.inputs[: None if view.weights else 1]):
        found |= {"input", "index"}
    if not view.weights and any(tensor.name in made for tensor in view.inputs[1:]):
        found |= {"input", "weight", "index"}
    if any(tensor.name in made for tensor in view.joins):
        found.add("residual")
    return frozenset(found)


def accounts_of(arch: Arch, layers: Sequence[LayerResult], found: NetworkSpans) -> dict[str, dict[str, UnitAccount]]:
    """Return where the time of each unit went, from the network's first cycle to its last.

    Raises
    ------
    ModelError
        An account that does not close.
    """
    accounts = {}
    for unit in arch.units:
        mine = [(a, span) for a, span in zip(layers, found.layers, strict=True) if a.unit == unit.name]
        tail = found.cycles - sum(span.cycles for _, span in mine)
        kinds = {}
        for kind, count in registry.get(unit.engine).units(unit.params).items():
            causes: dict[str, int] = {}
            for layer, span in mine:
                _add(causes, layer.accounts[kind].causes)
                stalls = 0 if layer.tiles is None or layer.tiles.schedule is None else layer.stall_cycles
                waits = {"memory": span.memory_cycles - stalls, "conflict": span.conflict_cycles,
                         "idle": span.idle_cycles}  # fmt: skip
                _add(causes, {cause: count * cycles for cause, cycles in waits.items()})
            _add(causes, {"idle": count * tail})
            if sum(causes.values()) != count * found.cycles or min(causes.values(), default=0) < 0:
                raise ModelError(f"unit '{unit.name}', {kind}: {causes} do not sum to {count} x {found.cycles}")
            kinds[kind] = UnitAccount(count, {cause: spent for cause, spent in causes.items() if spent})
        accounts[unit.name] = kinds
    return accounts


def _add(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for cause, cycles in more.items():
        sums[cause] = sums.get(cause, 0) + cycles
