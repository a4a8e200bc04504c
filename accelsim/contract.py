"""What every engine must satisfy, on random cases: for the tests of a machine in a package of its own.

``tests/test_contract.py`` of the source tree asks the same of all engines there, and more, one question at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from accelsim.activity import Activity
from accelsim.charges import events
from accelsim.components import Dram, Registers
from accelsim.energy import load_table
from accelsim.engine import Engine, Machine
from accelsim.errors import MappingError
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.operands.golden import agree
from accelsim.operands.handle import Operands, of
from accelsim.workload.layers import LayerView, Tensor

MACHINE = Machine({"core": Fraction(200)}, DramModel(Fraction(96, 5), 7, 64))
MACHINES = (
    MACHINE,
    Machine({"core": Fraction(1000)}, DramModel(Fraction(512, 7), 0, 512)),
    Machine({"core": Fraction(700)}, DramModel(Fraction(3, 2), 100, 256)),
    Machine({"core": Fraction(50)}, DramModel(Fraction(4000), 1, 1)),
)
"""Slow and fast DRAMs, with and without latency, of four bursts; most rates are no whole number."""

Reference: TypeAlias = Callable[[LayerView, Operands, Any, Any, Machine], Activity]


class Case(NamedTuple):
    """A layer with operands, on a machine with parameters, under a mapping."""

    engine: Engine[Any, Any]
    view: LayerView
    operands: Operands
    params: Any
    mapping: Any
    machine: Machine

    def on(self, view: LayerView) -> Case:
        """Return the case with another layer, its operands from the same seed."""
        return self._replace(view=view, operands=of(view, self.operands.input.seed))

    def plan(self) -> Any:
        """Return the engine's plan of it."""
        return self.engine.plan(self.view, self.operands, self.params, self.mapping, self.machine)


def view_of(shape: Any, rng: np.random.Generator, widest_bits: int = 8, on_chip: bool = False) -> LayerView:
    """Return a layer of ``shape`` with random widths, signs and densities."""

    def tensor(name: str, dims: tuple[int, ...], weight: bool = False) -> Tensor:
        bits = int(rng.integers(2, widest_bits + 1))
        density = float(rng.choice([1.0, 1.0, 0.5, 0.1]))
        home = "chip" if on_chip and rng.random() < 0.3 else "dram"
        return Tensor(name, dims, bits, bool(rng.integers(2)), density, weight, home)  # type: ignore[arg-type]

    inputs = tuple(tensor(f"input{i}", dims) for i, dims in enumerate(shape.input_shapes))
    weight_shape = getattr(shape, "weight_shape", None)
    weights = (tensor("weight", weight_shape, True),) if weight_shape else ()
    return LayerView("layer", shape, inputs, weights, (tensor("output", shape.output_shape),))


def random_case(engine: Engine[Any, Any], seed: int) -> Case:
    """Return the ``seed``-th random case of an engine; the same one every time."""
    rng = np.random.default_rng([seed, *engine.name.encode()])
    sample = engine.sample(rng)
    params = engine.params_schema.model_validate(sample.params)
    view = view_of(sample.shape, rng, sample.widest_bits, sample.on_chip)
    words = engine.words(view, params)
    if "output" in words:
        view = replace(view, outputs=tuple(replace(t, bits=min(t.width, words["output"].bits)) for t in view.outputs))
    mapping = engine.mapping_schema.model_validate(sample.mapping or {})
    assert engine.refuses(view, params) is None
    return Case(engine, view, of(view, seed), params, mapping, MACHINES[seed % len(MACHINES)])


def at_home(case: Case, role: str) -> Case:
    """Return the case with one of its tensors at home on the chip: "input", "input2", "weight" or "output"."""
    part, place = {"input": ("inputs", 0), "input2": ("inputs", 1)}.get(role, (f"{role}s", 0))
    tensors = list(getattr(case.view, part))
    tensors[place] = replace(tensors[place], home="chip")
    changed: dict[str, Any] = {part: tuple(tensors)}
    return case.on(replace(case.view, **changed))


def reshaped(case: Case, flat: bool) -> Case:
    """Return the case with inputs in other shapes of as many elements, as their producers may leave them.

    ``flat`` gives all dimensions behind the first one as one; else there is one more in front and one behind.
    """

    def other(given: Tensor) -> tuple[int, ...]:
        return (given.shape[0], given.elements // given.shape[0]) if flat else (1, *given.shape, 1)

    return case.on(replace(case.view, inputs=tuple(replace(t, shape=other(t)) for t in case.view.inputs)))


def amiss(engine: Engine[Any, Any], reference: Reference, seed: int) -> list[str]:
    """Return what a random case of an engine breaks of the contract: nothing, if all is well.

    Kernel, closed form and reference give the same integers, and NumPy their values, whatever shape the producers
    left the inputs in; accounts close; every boundary with traffic has a component and every event a price; a tensor
    at home on the chip has a room, where it crosses no DRAM, or is refused; tiles beside what lives in a room of known
    capacity fit there, and there are some where `Engine.least_bits` are left; faster DRAM is never slower. An engine
    packaged with accelsim declares its pipeline registers: of others reports say `registers not declared`.

    Parameters
    ----------
    reference : callable
        That of the engine's ``reference.py``.
    """
    case = random_case(engine, seed)
    found = _disagreements(case, reference)
    if case.view.kind != "spgemm":
        found += [
            f"inputs as their producer left them: {each}" for each in _disagreements(reshaped(case, True), reference)
        ]
    walked = engine.run(case.plan())
    parts = {part.name: part for part in (*engine.components(case.params), Dram("dram", standard="lpddr4"))}
    table = load_table("45nm")
    for event in events(tuple(parts.values()), walked):
        if event.action not in parts[event.component].actions:
            found.append(f"component '{event.component}' has no action '{event.action}'")
        elif table.price(parts[event.component], event.action).pj < 0:
            found.append(f"{event.component} {event.action} has a price below 0")
    roles = {"input": case.view.inputs, "input2": case.view.inputs[1:], "weight": case.view.weights,
             "output": case.view.outputs}  # fmt: skip
    for role in (role for role, tensors in roles.items() if tensors):
        found += _from_home(at_home(case, role), role, reference)
    return found + beside_others(case, reference) + _slower(case) + undeclared(engine, case.params)


def undeclared(engine: Engine[Any, Any], params: Any) -> list[str]:
    """Return what a packaged engine leaves out of `Registers`: all of them, or where their numbers come from."""
    if not type(engine).__module__.startswith("accelsim."):
        return []
    declared = [part for part in engine.components(params) if isinstance(part, Registers)]
    if not sum(part.count * part.clocked_bits for part in declared):
        return ["declares no pipeline registers: add `Registers` to its components"]
    return [f"'{part.name}' has no source" for part in declared if len(part.source) <= len("assumed: ")]


def _disagreements(case: Case, reference: Reference) -> list[str]:
    """Return where kernel, closed form, reference and NumPy differ, and accounts that do not close."""
    engine, plan = case.engine, case.plan()
    walked, truth = engine.run(plan), engine.truth_of(plan, case.operands)
    expected = reference(case.view, case.operands, case.params, case.mapping, case.machine)
    walked.check(engine.units(case.params))
    found = [f"kernel and reference: {each}" for each in walked.same_integers(expected)]
    if (closed := engine.closed_form(plan)) is not None:
        found += [f"closed form and kernel: {each}" for each in closed.same_integers(walked)]
    computed = engine.run(plan, case.operands)
    found += [f"kernel with values and without: {each}" for each in computed.same_integers(walked)]
    for who, values in (("kernel", computed.values), ("reference", expected.values)):
        if values is None or values.shape != truth.shape or not agree(values, truth, case.operands):
            found.append(f"{who} and NumPy: values differ")
    return found


def _from_home(case: Case, role: str, reference: Reference) -> list[str]:
    engine = case.engine
    if role not in {each for room in engine.rooms(case.params) for each in room.roles}:
        refused = engine.refuses(case.view, case.params)
        return [] if refused else [f"{role} at home on the chip has no room and is not refused"]
    try:
        walked = engine.run(case.plan())
    except MappingError:  # does not fit
        return []
    found = _disagreements(case, reference)
    moved = "weight" if role == "input2" else role
    if any(bits for flow, bits in walked.traffic.items() if flow[:2] == ("dram", moved)):
        found.append("crosses the DRAM")
    return [f"{role} at home on the chip: {each}" for each in found]


def beside_others(case: Case, reference: Reference) -> list[str]:
    """Return what is wrong with tiles beside tensors of other layers."""
    engine, found = case.engine, list[str]()
    for room in engine.rooms(case.params):
        if not room.shared:
            continue
        capacity_bits = room.capacity_bits(engine.components(case.params))
        own = sum(t.elements * t.width for t in (case.view.input, case.view.output) if t.home == "chip")
        left = capacity_bits - own
        for taken in (left // 2, left - engine.least_bits(case.view, case.params)):
            beside = case.on(replace(case.view, beside_bits=taken))
            try:
                peak = engine.run(beside.plan()).buffers[room.boundary][1]
            except MappingError:  # does not fit
                continue
            found += _disagreements(beside, reference)
            if peak + taken > capacity_bits:
                found.append(f"{peak} bits of '{room.boundary}' beside {taken}, of {capacity_bits}")
        try:
            engine.candidates(case.view, case.params, case.machine)
            engine.candidates(beside.view, case.params, case.machine)
        except MappingError as error:
            if "input" in error.problem:
                found.append(f"no tiles in what is least: {error.problem}")
    return [f"beside what lives on the chip: {each}" for each in found]


def _slower(case: Case) -> list[str]:
    cycles = []
    for rate in (Fraction(3, 2), Fraction(96, 5), Fraction(4000)):
        machine = case.machine._replace(dram=case.machine.dram._replace(bits_per_cycle=rate))
        walked = case.engine.run(case._replace(machine=machine).plan())
        schedule = walked.schedule
        cycles.append(walked.compute_cycles if schedule is None else timeline.run(schedule, machine.dram).cycles)
    return [] if cycles == sorted(cycles, reverse=True) else [f"faster DRAM is slower: {cycles}"]
