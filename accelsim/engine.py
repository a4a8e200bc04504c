"""What an engine offers, and what it is given. A new machine is one folder and one YAML.

An engine is a subclass of `Engine` in ``engines/<name>/engine.py``, exported as ``ENGINE``; that file imports no
numba. Kernels live in ``kernel.py`` and are imported inside `Engine.run`; ``reference.py`` exports the plain twin,
``reference(view, operands, params, mapping, machine) -> Activity``, which never sees a plan.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel

from accelsim.activity import Activity, Event
from accelsim.components import Component, Sram
from accelsim.config.schema import MappingSpec, Strict
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf
from accelsim.memory.dram import DramModel
from accelsim.operands.golden import golden
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy
from accelsim.results import StoredBits
from accelsim.units import INT64_MAX
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Attention, Shape

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door

ParamsT = TypeVar("ParamsT", bound=BaseModel)
MappingT = TypeVar("MappingT", bound=BaseModel)

Walk: TypeAlias = Generator[float, None, Activity]
"""A walk in pieces: yields the share that is done, now and then, and returns what it found."""


def finished(walk: Walk, report: Callable[[float], None] | None = None) -> Activity:
    """Go through a walk to its end and return what it found; ``report`` hears every share."""
    while True:
        try:
            share = next(walk)
            if report is not None:
                report(share)
        except StopIteration as end:
            found: Activity = end.value
            return found


class Machine(NamedTuple):
    """What an engine may know of the rest of the machine."""

    clocks_mhz: Mapping[str, Fraction]
    dram: DramModel
    door: Door | None = None
    """To the machine's DRAM device, for an engine that `asks_device`."""


class Many(NamedTuple):
    """Totals of many layers on one machine, a row per layer: what `closed_form_many` gives.

    Attributes
    ----------
    table : ndarray of int64, shape (layers, 5 + causes + events + others)
        1, or 0 where the plain path must be asked and nothing else in the row means anything; cycles, stalls
        included; bits read from DRAM and written, whole bursts; performed multiply-accumulates; unit-cycles of the
        primary units by cause; counts of events; unit-cycles of other units.
    causes : tuple of str
        ``memory`` is one of them.
    events : tuple of Event
        Everything that is priced but DRAM: operations, and bits of storage and links.
    others : tuple of (str, str)
        Kind of unit and cause, of kinds beside the primary one whose registers are clocked.
    """

    table: np.ndarray
    causes: tuple[str, ...]
    events: tuple[Event, ...]
    others: tuple[tuple[str, str], ...] = ()


class Counted(NamedTuple):
    """Many layers on one machine, DRAM's speed apart: what `Engine.counted` gives.

    Attributes
    ----------
    table : ndarray of int64, shape (layers, 5 + causes + events)
        As `Many.table`, without the stalls that a timeline adds.
    causes, events : tuple
        As those of `Many`, without ``memory``.
    rows, first : ndarray of int64
        The schedules, as `timeline.run_each` takes them.
    """

    table: np.ndarray
    causes: tuple[str, ...]
    events: tuple[Event, ...]
    rows: np.ndarray
    first: np.ndarray


class Chosen(NamedTuple):
    """The mappings of many layers.

    Attributes
    ----------
    keys : tuple
        What tells mappings apart, of each layer.
    mapping : callable
        Number of the layer -> its mapping.
    """

    keys: tuple[Any, ...]
    mapping: Callable[[int], Any]


class Sample(NamedTuple):
    """A small random case for the contract tests.

    Attributes
    ----------
    params : dict
        Parameters, as in a machine file.
    mapping : dict or None
        A random legal mapping; None leaves the choice to the mapper.
    widest_bits : int
        Widest operand that the engine takes with these parameters.
    on_chip : bool
        Whether tensors at home on the chip fit there.
    """

    shape: Shape
    params: dict[str, Any]
    mapping: dict[str, Any] | None = None
    widest_bits: int = 8
    on_chip: bool = False


Draw: TypeAlias = Callable[[int, int], int]
"""(low, high) -> a number between them, both included."""


def drawing(rng: np.random.Generator) -> Draw:
    """Return a generator's way to draw one number."""
    return lambda low, high: int(rng.integers(low, high + 1))


class Room(NamedTuple):
    """A storage of an engine where tensors may live between layers (``home: chip``), without traffic at DRAM.

    Attributes
    ----------
    boundary : str
        The boundary whose component holds them.
    roles : tuple of str
        What may live there: ``input``, ``input2`` (a second activation, of a matmul the right matrix), ``weight``,
        ``output``.
    shared : bool
        Whether the engine cuts its tiles around what lives there: `plan` and `candidates` heed `LayerView.beside_bits`.
    """

    boundary: str
    roles: tuple[str, ...]
    shared: bool = False

    def capacity_bits(self, components: Sequence[Component]) -> int:
        """Return the size of the storage, tiles included."""
        held = next(c for c in components if c.name == self.boundary)
        assert isinstance(held, Sram)
        return held.count * held.size_bits


def too_large(view: LayerView, tensor: Tensor, storage: str, keys: str) -> MappingError:
    """Return the error of a tensor at home on the chip that its room does not hold; ``keys`` are to be raised."""
    return MappingError(
        f"layer '{view.name}': '{tensor.name}' is at home on the chip but does not fit {storage}",
        f"raise {keys} or give it home: dram",
    )


def check_counts(view: LayerView, growth: int) -> None:
    """Raise MappingError if counts may exceed 64 bits: a multiplication adds at most ``growth`` to any of them."""
    if view.macs * growth > INT64_MAX:
        raise MappingError.too_many(view.name)


def roles(view: LayerView) -> list[tuple[str, Tensor]]:
    """Return all tensors of a layer with their roles; a bias is a weight."""
    inputs = [("input" if i == 1 else f"input{i}", tensor) for i, tensor in enumerate(view.inputs, 1)]
    return [*inputs, *(("weight", t) for t in view.weights), *(("output", t) for t in view.outputs)]


class Word(NamedTuple):
    """The widest tensor that ``part`` of a machine takes, a plural noun."""

    bits: int
    part: str


def beside(bits: int, *sizes: int) -> Word:
    """Return what an element of ``bits`` leaves for its value beside indices into dimensions of these ``sizes``."""
    return Word(max(0, bits - sum((size - 1).bit_length() for size in sizes)), "values of elements")


def too_wide(view: LayerView, words: Mapping[str, Word]) -> str | None:
    """Return which tensor of a layer is wider than the word of its role, or None.

    Of a layer that multiplies, ``input`` and ``weight`` are the two operands, of attention queries beside keys and
    values; of others, all inputs and all constants.
    """
    roles = {"input": view.inputs, "weight": view.weights, "output": view.outputs}
    if isinstance(view.shape, Attention):
        roles |= {"input": view.inputs[:1], "weight": view.inputs[1:3]}
    elif view.macs:
        roles |= {"input": (view.input,), "weight": (view.weight,)}
    for role, tensors in roles.items():
        for tensor in tensors if role in words else ():
            word = words[role]
            if tensor.width > word.bits:
                return f"'{tensor.name}' has {tensor.bits} bits, the {word.part} take {word.bits}"
    return None


class NoMapping(Strict):
    """The mapping of an engine that has nothing to choose."""


class Engine(Generic[ParamsT, MappingT]):
    """Base of all engines: what has no body here an engine must give, the rest are defaults."""

    name: ClassVar[str]
    params_schema: ClassVar[type[BaseModel]]
    mapping_schema: ClassVar[type[BaseModel]] = NoMapping
    primary: ClassVar[str]
    """The unit kind whose account the report shows first."""
    support_params: ClassVar[tuple[str, ...] | None] = None
    """The parameters that `supports`, `rooms` and `words` look at; None if nothing is known of them."""
    attends: ClassVar[bool] = False
    """Whether it takes layers of kind ``attention`` whole; those that it refuses, as all others, are lowered."""
    dram_inside: ClassVar[tuple[str, ...]] = ()
    """The fields of `DramModel` that decide what an activity says, the burst apart, which always may: sweeps keep an
    activity for all others. With a schedule or `Activity.phases` the bandwidth is none of them."""
    asks_device: ClassVar[Literal["", "runs", "rounds", "beats"]] = ""
    """How a walk that models memory itself takes it from `Machine.door` where there is one: its phases are served run
    by run, exactly, or its rounds, or the beats of its port, approximately; "": not at all."""
    spread: ClassVar[tuple[str, ...]] = ()
    """The parameters that under a given mapping decide nothing but how many primary units there are: all that they add
    are ``unmapped``."""
    looks: ClassVar[tuple[str, ...]] = ()
    """The parameters that `looked_up` depends on."""

    def units(self, params: ParamsT) -> dict[str, int]:
        """Return how many units of each kind there are."""
        raise NotImplementedError

    def supports(self, view: LayerView, params: ParamsT) -> str | None:
        """Return why a layer cannot run here, or None if it can; widths apart, which `words` declares."""
        raise NotImplementedError

    def rooms(self, params: ParamsT) -> tuple[Room, ...]:
        """Return where tensors may live between layers; a layer with a tensor at home that has no room is refused.

        `plan` checks that what is at home fits, and raises MappingError if it does not.
        """
        del params
        return ()

    def least_bits(self, view: LayerView, params: ParamsT, mapping: MappingT | None = None) -> int:
        """Return what tiles of a layer need of the room that has a capacity, beside what is at home there.

        The smallest tiles, or those of a mapping.
        """
        del view, params, mapping
        return 0

    def words(self, view: LayerView, params: ParamsT) -> Mapping[str, Word]:
        """Return the widest tensor by role: ``input``, ``weight``, ``output``; a role that is left out takes any."""
        del view, params
        return {}

    def refuses(self, view: LayerView, params: ParamsT) -> str | None:
        """Return why a layer cannot run here: what `supports` says, a tensor without room, or one too wide."""
        return self.supports(view, params) or self._homeless(view, params) or too_wide(view, self.words(view, params))

    def _homeless(self, view: LayerView, params: ParamsT) -> str | None:
        """Return which tensor at home on the chip has no room here, or None."""
        roomy = {role for room in self.rooms(params) for role in room.roles}
        for role, tensor in roles(view):
            if tensor.home == "chip" and role not in roomy:
                return (
                    f"{role} '{tensor.name}' is at home on the chip, where engine '{self.name}' has no room for it; "
                    "give it home: dram"
                )
        return None

    def components(self, params: ParamsT) -> tuple[Component, ...]:
        """Return the hardware, DRAM apart. A component that bears a boundary's name is charged for its traffic."""
        raise NotImplementedError

    def candidates(self, view: LayerView, params: ParamsT, machine: Machine) -> Candidates:
        """Return the legal mappings, pruned, in order of preference; raise MappingError if none fits."""
        del view, params, machine
        return {}

    def bounds(self, view: LayerView, params: ParamsT, machine: Machine, columns: Candidates) -> Bounds:
        """Return what the objective needs of each candidate."""
        raise NotImplementedError

    def search(
        self, view: LayerView, params: ParamsT, machine: Machine, objective: str, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Choice | None:  # fmt: skip
        """Return the best of `candidates` without listing them, or None if this objective wants the list.

        ``price`` and ``leak_pj_per_cycle`` are as `mapping.choose.choose` takes them.
        """
        del view, params, machine, objective, price, leak_pj_per_cycle
        return None

    def plan(self, view: LayerView, operands: Operands, params: ParamsT, mapping: MappingT, machine: Machine) -> Any:
        """Return the integers and arrays that a walk needs, after every legality check."""
        raise NotImplementedError

    def run(self, plan: Any, operands: Operands | None = None) -> Activity:
        """Walk the plan with the kernel; with operands, compute the values on the way."""
        if type(self).walk is Engine.walk:
            raise NotImplementedError
        return finished(self.walk(plan, operands))

    def walk(self, plan: Any, operands: Operands | None = None) -> Walk:
        """Do what `run` does, in pieces; an engine whose layers take longer than a second offers this in its place."""
        yield from ()
        return self.run(plan, operands)

    def closed_form(self, plan: Any) -> Activity | None:
        """Return the same integers as `run` without walking, or None if there is no closed form."""
        del plan
        return None

    def ends_together(
        self, views: Sequence[LayerView], mappings: Sequence[MappingT], params: ParamsT, machine: Machine
    ) -> list[int] | None:
        """Return at which cycle each of some layers ends that are given one after another, or None if none overlap.

        The layers multiply, and none reads what the one before it makes.
        """
        del views, mappings, params, machine
        return None

    def walks(self, params: ParamsT) -> bool:
        """Whether layers are counted one by one, and not by `closed_form_many`; of `support_params` alone."""
        del params
        return type(self).encode is Engine.encode

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a layer as integers for `closed_form_many`, or None if it has no such form or counts too large."""
        del view, effective_macs
        return None

    def closed_form_many(
        self, layers: np.ndarray, params: ParamsT, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Return the totals of many layers, each under the mapping that is chosen for it, as the plain path has them.

        Parameters
        ----------
        layers : ndarray of int64
            What `encode` returned, a row per layer.
        mapping : MappingSpec
            How mappings are chosen.
        price : callable
            (boundary, direction) -> pJ per bit, (component, action) -> pJ; called for energy objectives only.
        leak_pj_per_cycle : float
            Of the whole machine; 0 under other objectives.
        """
        del layers, params, machine, mapping, price, leak_pj_per_cycle
        return None

    def mappings_of_many(
        self, layers: np.ndarray, params: ParamsT, machine: Machine, mapping: MappingSpec
    ) -> Chosen | None:
        """Return what is chosen for layers that `encode` described, or None where each is to be asked for alone."""
        del layers, params, machine, mapping
        return None

    def looked_up(self, layers: Sequence[tuple[LayerView, Operands]], params: ParamsT) -> Any | None:
        """Return what `counted` needs of layers: a tuple of arrays and such tuples. None if there is no such form.

        Of the parameters it depends on those in `looks` alone.
        """
        del layers, params
        return None

    def counted(self, looked: Any, params: ParamsT, machine: Machine) -> Counted | None:
        """Return the counts of layers of which `looked_up` told, each as the plain path has them before the timeline.

        None if one of them is for the plain path.
        """
        del looked, params, machine
        return None

    def stored(self, plan: Any) -> dict[str, StoredBits]:
        """Return tensor -> size in the machine's compressed format; nothing of tensors that it keeps plain."""
        del plan
        return {}

    def truth(self, operands: Operands) -> np.ndarray:
        """Return what the values must equal, by NumPy alone: the layer's output, unless the machine fuses more in."""
        return golden(operands)

    def truth_of(self, plan: Any, operands: Operands) -> np.ndarray:
        """Return the same of a machine whose output depends on what was planned: what it leaves out."""
        del plan
        return self.truth(operands)

    def remedies(self, params: ParamsT) -> tuple[Remedy, ...]:
        """Return what could be set against lost cycles; runs try it, and tell only what gains."""
        del params
        return ()

    def dear(self, params: ParamsT) -> str:
        """Return why a run of a remedy costs more than a glance, or nothing: such are tried only when asked for."""
        del params
        return ""

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small random legal case: what the contract tests run."""
        raise NotImplementedError

    @cached_property
    def notes(self) -> Notes:
        """What the engine's docstring says of itself."""
        module = inspect.getmodule(type(self))
        text = module.__doc__
        if text is None and module is not None:  # ``python -OO`` drops docstrings, and reports must not change
            text = ast.get_docstring(ast.parse(inspect.getsource(module)))
        return Notes.of(text or "")


class Notes(NamedTuple):
    """The parts of an engine's docstring that reports print."""

    summary: str
    source: str
    modelled: tuple[str, ...]
    not_modelled: tuple[str, ...]
    assumed: tuple[str, ...]

    @classmethod
    def of(cls, docstring: str) -> Notes:
        """Split a docstring at its headings Source, Modelled, Not modelled and Assumed; items start with '- '."""
        parts: dict[str, list[str]] = {"": []}
        heading = ""
        for raw in inspect.cleandoc(docstring).splitlines():
            line = raw.strip()
            if line.startswith("==="):
                heading = "rest"  # a table is not an item
                parts.setdefault(heading, [])
            title, colon, rest = line.partition(":")
            if colon and title in ("Source", "Modelled", "Not modelled", "Assumed"):
                heading, line = title, rest.strip()
                parts[heading] = []
            if not line:
                heading = heading if heading in ("Modelled", "Not modelled", "Assumed") else "rest"
                parts.setdefault(heading, [])
            elif line.startswith("- ") or not parts[heading] or heading in ("", "rest"):
                parts[heading].append(line.removeprefix("- "))
            else:
                parts[heading][-1] += " " + line
        modelled, missing, assumed = (tuple(parts.get(h, ())) for h in ("Modelled", "Not modelled", "Assumed"))
        return cls((parts[""] or [""])[0], " ".join(parts.get("Source", ())), modelled, missing, assumed)
