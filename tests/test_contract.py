"""What every engine must satisfy. A new engine is picked up by itself."""

import ast
import os
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from contract import MACHINES, Case, at_home, random_case, reference_of, reshaped

from accelsim import contract
from accelsim.charges import events
from accelsim.components import Dram
from accelsim.energy import load_table
from accelsim.engines import registry
from accelsim.errors import MappingError
from accelsim.memory import timeline
from accelsim.operands.golden import agree

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
CHECKED = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")
CASES = 20 if INTERPRETED else 150
SECONDS = 3 if INTERPRETED or CHECKED else 10

engines = pytest.mark.parametrize("name", list(registry.modules()))


def cases(name, count=CASES, seconds=SECONDS):
    """Yield random cases until their number or the time is spent; at least ten."""
    start = time.process_time()
    for seed in range(count):
        if seed >= 10 and time.process_time() - start > seconds:
            return
        yield random_case(name, seed)


@engines
def test_kernel_closed_form_and_reference_give_the_same_integers_and_close(name):
    for case in cases(name):
        plan = case.plan()
        walked, expected = case.engine.run(plan), reference_of(case)
        assert walked.same_integers(expected) == [], case
        walked.check(case.engine.units(case.params))
        if (closed := case.engine.closed_form(plan)) is not None:
            assert closed.same_integers(walked) == [], case


@engines
def test_values_equal_numpy(name):
    for case in cases(name, 60, SECONDS / 2):
        truth = case.engine.truth_of(case.plan(), case.operands)
        walked = case.engine.run(case.plan(), case.operands)
        assert walked.values is not None
        assert walked.values.shape == truth.shape
        assert agree(walked.values, truth, case.operands), case.view
        assert agree(reference_of(case).values, truth, case.operands), case.view
        assert walked.same_integers(case.engine.run(case.plan())) == []


@engines
def test_a_tensor_in_the_shape_of_its_producer_is_computed_like_one_of_the_layers_own(name):
    for number, case in enumerate(cases(name, 60, SECONDS / 2)):
        if case.view.kind == "spgemm":
            continue  # sparse matrices have no other shape
        other = reshaped(case, flat=number % 2 == 0)
        plan = other.plan()
        walked, truth = other.engine.run(plan, other.operands), other.engine.truth_of(plan, other.operands)
        assert agree(walked.values, truth, other.operands), other.view
        assert truth.shape == case.view.shape.output_shape
        assert walked.same_integers(reference_of(other)) == [], other
        assert agree(reference_of(other).values, truth, other.operands), other.view


@engines
def test_every_boundary_with_traffic_has_a_component_and_every_event_a_price(name):
    table = load_table("45nm")
    for case in cases(name, 15, SECONDS / 4):
        activity = case.engine.run(case.plan())
        components = {c.name: c for c in (*case.engine.components(case.params), Dram("dram", standard="lpddr4"))}
        for event in events(tuple(components.values()), activity):
            assert event.action in components[event.component].actions, event
            assert table.price(components[event.component], event.action).pj >= 0


def test_random_cases_meet_every_dram_and_burst():
    first = {random_case("diannao", seed).machine.dram for seed in range(10)}
    assert first == {machine.dram for machine in MACHINES}
    assert len({dram.burst_bits for dram in first}) == len(first)
    assert any(dram.latency_cycles == 0 for dram in first)
    assert any(dram.bits_per_cycle.denominator > 1 for dram in first)


@engines
def test_at_a_fixed_mapping_a_faster_dram_is_never_slower(name):
    for case in cases(name, 10, SECONDS / 4):
        cycles = []
        for bits_per_cycle in (Fraction(3, 2), Fraction(96, 5), Fraction(4000)):
            machine = case.machine._replace(dram=case.machine.dram._replace(bits_per_cycle=bits_per_cycle))
            activity = case.engine.run(case._replace(machine=machine).plan())
            if activity.schedule is None:
                cycles.append(activity.compute_cycles)
            else:
                cycles.append(timeline.run(activity.schedule, machine.dram).cycles)
        assert cycles == sorted(cycles, reverse=True), case


def dram_bits(activity):
    """Return (tensor, direction) -> bits of the DRAM's traffic."""
    return {flow[1:]: bits for flow, bits in activity.traffic.items() if flow.boundary == "dram" and bits}


@engines
def test_a_tensor_at_home_on_the_chip_is_refused_by_name_or_crosses_no_dram(name):
    honoured, rooms, refused = set(), set(), []
    for case in cases(name, 60, SECONDS / 2):
        roomy = {role for room in case.engine.rooms(case.params) for role in room.roles}
        rooms |= roomy
        if any(tensor.home == "chip" for tensor in (*case.view.inputs, *case.view.weights, *case.view.outputs)):
            continue
        far = dram_bits(case.engine.run(case.plan()))
        for role, has in (
            ("input", case.view.inputs), ("input2", case.view.inputs[1:]), ("weight", case.view.weights),
            ("output", case.view.outputs),
        ):  # fmt: skip
            if not has:
                continue
            home = at_home(case, role)
            reason = case.engine.refuses(home.view, case.params)
            if role not in roomy:
                tensor = "input1" if role == "input2" else "input0" if role == "input" else role
                assert reason == (
                    f"{role} '{tensor}' is at home on the chip, where engine '{name}' has no room for it; "
                    "give it home: dram"
                )
                continue
            assert reason is None, role
            try:
                walked = case.engine.run(home.plan())
            except MappingError as error:
                refused.append(error.problem)
                continue
            assert walked.same_integers(reference_of(home)) == [], home
            near, moved = dram_bits(walked), "weight" if role == "input2" else role
            assert moved not in {tensor for tensor, _ in near}, (role, case)
            assert all(bits <= far.get(flow, 0) for flow, bits in near.items()), (role, case)
            honoured.add(role)
    assert honoured == rooms
    assert all("layer 'layer'" in problem for problem in refused)


@engines
def test_rooms_are_storage_of_the_engine(name):
    for case in cases(name, 10, 0):
        storage = {component.name for component in case.engine.components(case.params) if component.counts_bits}
        assert {room.boundary for room in case.engine.rooms(case.params)} <= storage


def test_references_import_nothing_of_their_engines():
    """What a reference took from its engine, both would say wrongly."""
    files = sorted((Path(registry.__file__).parent).glob("*/*reference*.py"))
    assert {file.parent.name for file in files if file.name == "reference.py"} >= {
        name for name, module in registry.modules().items() if module.startswith("accelsim.engines")
    }
    for file in files:
        for module in imports_of(ast.parse(file.read_text())):
            inside = module.startswith((".", "accelsim.engines"))
            helper = ".".join(module.split(".")[3:]).startswith(("reference", "pass_reference"))
            assert helper or not inside, f"{file} imports {module}"


def imports_of(tree):
    """Yield what a file imports, within functions too; "from a import b" as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def _referred(engine, *given):
    return reference_of(Case(engine, *given))


@engines
def test_tiles_beside_what_lives_in_a_room_fit_there_and_there_are_some_in_what_is_least(name):
    rooms = 0
    for case in cases(name, 60, SECONDS / 2):
        reference = partial(_referred, case.engine)
        assert contract.beside_others(case, reference) == []
        rooms += any(room.shared for room in case.engine.rooms(case.params))
    assert bool(rooms) == (name == "systolic")
