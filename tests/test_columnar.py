"""Points evaluated over columns of layers: the same rows, to the last digit, as one layer after the other."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from contract import random_case
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sweep_files import LONG, write

import accelsim
from accelsim.activity import Event
from accelsim.charges import events
from accelsim.components import Dram
from accelsim.config.arch import build
from accelsim.config.schema import MappingSpec
from accelsim.engine import Machine
from accelsim.engines import registry
from accelsim.engines.systolic import columnar, columnar_kernel, priced_kernel
from accelsim.explore.sweep import evaluate, export, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.mapping import bound_kernel, loopnest, nest_kernel, schedule_kernel, search, tile_forms, tile_kernel
from accelsim.mapping.choose import build as build_mapping
from accelsim.mapping.choose import choose
from accelsim.memory import clock_kernel, timeline
from accelsim.memory.dram import DramModel
from accelsim.operands import handle
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Pool

CASES = 120
SPEEDS = (0.05, 0.333, 1.7, 12.8, 25.600999999999999, 400.0, 3.14159265358979)


def draw_shape(rng):
    def draw(low, high):
        return int(rng.integers(low, high + 1))

    kind = draw(0, 5)
    if kind == 0:
        return Linear(n=draw(1, 600), c=draw(1, 3000), k=draw(1, 800))
    if kind == 1:
        return Matmul(batch=draw(1, 8), m=draw(1, 90), n=draw(1, 90), k=draw(1, 200))
    groups = draw(1, 6) if kind == 2 else 1
    c, k = (draw(1, 9), draw(1, 9)) if kind == 2 else (draw(1, 300), draw(1, 300))
    r, s = draw(1, 5), draw(1, 5)
    dilation = (draw(1, 2), draw(1, 2))
    return Conv2d(
        n=draw(1, 5), c=groups * c, k=groups * k, h=draw(10, 40), w=draw(10, 40), r=r, s=s, groups=groups,
        stride=(draw(1, 4), draw(1, 3)), pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        dilation=dilation,
    )  # fmt: skip


def draw_network(rng):
    """Return layers of all product kinds, some alike, with odd widths, densities and homes; at times a pooling."""
    layers, tensors = [], {}
    shapes = [draw_shape(rng) for _ in range(3)]
    if rng.random() < 0.3:
        shapes.append(Pool("max", n=1, c=4, h=8, w=8, r=2, s=2, stride=(2, 2)))
    for i, shape in enumerate([*shapes, shapes[0]]):
        layer, own = make_layer(f"l{i}", shape)
        layers.append(layer)
        for name, tensor in own.items():
            wide = int(rng.integers(1, 9)) if i < len(shapes) else 8
            density = float(rng.choice([1.0, 1.0, 1.0, 0.4]))
            home = "chip" if rng.random() < 0.1 else "dram"
            tensors[name] = replace(tensor, bits=wide, density=density, home=home)
    return Network("drawn", tuple(layers), tensors, isolated=bool(rng.random() < 0.5))


def draw_machine(rng):
    """Return keys of an array of any shape, with scratchpads that may be too small and any DRAM."""

    def pick(*values):
        return values[int(rng.integers(len(values)))]

    side = (1, 2, 3, 5, 8, 13, 16, 32, 100)
    keys = {
        "params.rows": pick(*side), "params.cols": pick(*side), "params.dataflow": pick("ws", "os", "is"),
        "params.overlap_folds": pick(True, False), "params.accumulator_bits": pick(8, 16, 24, 32, 48),
        "params.input_kib": pick(2, 3, 4, 16, 64), "params.weight_kib": pick(1, 2, 5, 16, 64),
        "params.output_kib": pick(1, 2, 7, 64, 700), "memory.dram.gb_per_s": pick(*SPEEDS),
        "memory.dram.latency_ns": pick(0.0, 7.5, 100.0), "memory.dram.burst_bits": pick(1, 24, 64, 512),
        "clocks_mhz": {"core": pick(33.3, 200.0, 1000.0)}, "mapping.objective": pick("cycles", "dram", "energy", "edp"),
    }  # fmt: skip
    if keys["params.dataflow"] == "os":
        keys |= {"params.drain": pick("none", "rows", "cols"), "params.output_registers": pick(0, 1, 2)}
    return keys


def context_of(arch, network, **more):
    return evaluate.Context({"m": arch.document}, {"n": network}, None, **more)


def plain_row(context, job):
    """Return the row that follows from `accelsim.simulate`."""
    arch = build(evaluate.override(context.machines["m"], job.sets, "sweep"), registry.find_params)
    try:
        result = accelsim.simulate(arch, context.networks["n"], layers=job.options.layers, seed=job.options.seed)
    except accelsim.errors.UserError as error:
        return "illegal", str(error), {}
    if not result.simulated:
        first = result.layers[0]
        said = f"no layer of '{result.network}' ran on '{result.arch_name}': layer '{first.name}': {first.reason}"
        return "illegal", said, {}
    return "ok", None, evaluate._totals(arch, result)


def test_rows_are_those_of_simulate_to_the_last_digit():
    rng = np.random.default_rng(7)
    base = accelsim.load_arch("systolic_ws")
    statuses = {"complete": 0, "partial": 0, "illegal": 0}
    for case in range(CASES):
        if case % 3 == 0:  # what machines share must not depend on which came first
            context = context_of(base, draw_network(rng), columnar=True)
        sets = tuple(draw_machine(rng).items())
        job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec(seed=case // 3))
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job), sets
        whole = row.totals.get("coverage_layers") == 1
        statuses["illegal" if row.status == "illegal" else "complete" if whole else "partial"] += 1
    assert min(statuses["complete"], statuses["partial"]) > CASES // 10


def test_any_tiling_is_counted_as_by_the_plain_path():
    """Not only the tilings that win: every order, edges in every loop, and DRAM of any speed."""
    for seed in range(500):
        case = random_case("systolic", seed)
        if case.params.whole_weight_tiles:
            continue  # no columns: the plain path takes it
        rate, latency, burst = ((Fraction(1, 3), 0, 8), (Fraction(96, 5), 7, 64), (Fraction(7), 40, 24))[seed % 3]
        machine = Machine(case.machine.clocks_mhz, DramModel(rate, latency, burst))
        plan = case.engine.plan(case.view, case.operands, case.params, case.mapping, machine)
        activity = case.engine.closed_form(plan)
        ran = timeline.run(activity.schedule, machine.dram)
        row = np.array(case.engine.encode(case.view, case.operands.effective_macs), dtype=np.int64)
        tile = [getattr(case.mapping, axis) for axis in search.FIELDS]
        sizes = (row[nest_kernel.GROUPS], *row[[nest_kernel.N, nest_kernel.E, nest_kernel.F, nest_kernel.KG]], row[-2])
        tile = [*np.minimum(tile, sizes), nest_kernel.ORDERS.index(case.mapping.order)]
        out = np.zeros(len(columnar_kernel.COUNTS), dtype=np.int64)
        array, bus = columnar.array_row(case.params), columnar.bus_row(case.params, machine)
        form = search.form_row(case.engine.tiled_nest(case.view, case.params).variants[0].form)
        room = (bound_kernel.workspace(row), np.empty(8), np.empty((2, 10), dtype=np.int64))
        kinds = np.empty((bound_kernel.MOST_KINDS, len(bound_kernel.TILE)), dtype=np.int64)
        columnar_kernel.count_layer(row, array, form, bus, np.array(tile, dtype=np.int64), *room, kinds, out)
        found = dict(zip(columnar_kernel.COUNTS, out.tolist(), strict=True))
        causes = activity.accounts["pes"] | {"memory": case.params.rows * case.params.cols * ran.stall_cycles}
        assert found["known"] == 1
        assert found["cycles"] == ran.cycles, seed
        assert {cause: found[cause] for cause in columnar.CAUSES} == causes
        components = (*case.engine.components(case.params), Dram("dram", standard="lpddr4"))
        counted = events(components, activity)
        assert found["performed_macs"] == activity.performed_macs
        for direction in ("read", "write"):
            assert found[f"dram_{direction}"] == counted.get(Event("dram", direction), 0)
        assert out[11:].tolist() == [counted.get(event, 0) for event in columnar.EVENTS]


def test_two_arrays_share_the_layers_of_a_network():
    rng = np.random.default_rng(11)
    one = accelsim.load_arch("systolic_ws")
    params = dict(one.config["params"])
    big, small = ({**params, "rows": rows, "dataflow": flow} for rows, flow in ((32, "ws"), (8, "os")))
    units = [
        {"name": "big", "engine": "systolic", "params": big, "layers": ["conv2d"]},
        {"name": "small", "engine": "systolic", "params": small},
    ]
    data = {key: value for key, value in one.document.data.items() if key not in ("engine", "params", "sources")}
    document = replace(one.document, data=data | {"units": units, "sources": {}})
    for case in range(12):
        context = evaluate.Context({"m": document}, {"n": draw_network(rng)}, None, columnar=True)
        job = evaluate.Job(f"{case}", "m", "n", (("units.small.params.cols", 4 + case),), OptionsSpec(seed=case))
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)
        assert row.status == "illegal" or "big.macs" in row.totals["energy_pj"]


def test_nothing_is_left_to_the_plain_path_without_a_reason():
    rng = np.random.default_rng(8)
    base = accelsim.load_arch("systolic_ws")
    for case in range(60):
        context = context_of(base, draw_network(rng), columnar=True)
        job = evaluate.Job(f"{case}", "m", "n", tuple(draw_machine(rng).items()), OptionsSpec(seed=case))
        machine = evaluate._machine(context, job)
        found = evaluate._columnar(machine, evaluate._ready(context, job, machine.arch), job, None)
        status, _, totals = plain_row(context, job)
        unfit = status == "illegal" or totals["coverage_layers"] < 1  # pooling, or a layer that no tile fits
        assert found is not None or unfit


@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_priced_choices_are_those_of_the_mapper(objective):
    """Many prices are equal or 0, so that ties and roundings decide; `choose` prices candidate by candidate."""
    rng = np.random.default_rng(objective == "edp")
    engine, spec, compared = registry.get("systolic"), MappingSpec(objective=objective), 0
    for case in range(90):
        layer, tensors = make_layer("l", draw_shape(rng))
        tensors = {name: replace(tensor, bits=int(rng.integers(1, 9))) for name, tensor in tensors.items()}
        if rng.random() < 0.2:
            name = str(rng.choice([*layer.inputs, *layer.outputs]))
            tensors[name] = replace(tensors[name], home="chip")
        view = Network("n", (layer,), tensors, isolated=True).view(layer)
        drawn = draw_machine(rng)
        params = registry.get("systolic").params_schema(
            **{key[7:]: value for key, value in drawn.items() if key.startswith("params.")}
        )
        rate = Fraction(int(rng.integers(1, 300)), int(rng.integers(1, 30)))
        machine = Machine({}, DramModel(rate, int(rng.choice([0, 30])), int(rng.choice([8, 64, 512]))))
        prices = {at: float(rng.choice([0.0, 0.0, 0.1, 0.3, 2.0])) for at in priced_kernel.PRICED}
        leak = float(rng.choice([0.0, 0.7, 300.0]))

        def price(boundary, direction, prices=prices):
            return prices[boundary, direction]

        rows = np.array([engine.encode(view, 0)], dtype=np.int64)
        found = dict(zip(columnar_kernel.COUNTS, engine.closed_form_many(
            rows, params, machine, spec, price, leak).table[0].tolist(), strict=True))  # fmt: skip
        try:
            columns = engine.candidates(view, params, machine)
        except accelsim.errors.UserError:
            assert not found["known"]
            continue
        bounds = engine.bounds(view, params, machine, columns)
        choice = choose(columns, bounds, spec, price, leak)
        if not found["known"]:
            continue  # more are timed than the mapper times in any case: it is asked
        plan = engine.plan(
            view, handle.of(view, 0, None), params, build_mapping(engine.mapping_schema, choice.row), machine
        )
        activity = engine.closed_form(plan)
        bits = events((*engine.components(params), Dram("dram", standard="lpddr4")), activity)
        assert found["cycles"] == timeline.run(activity.schedule, machine.dram).cycles, case
        assert [found[f"dram_{way}"] for way in ("read", "write")] == [
            bits.get(Event("dram", way), 0) for way in ("read", "write")
        ], case
        assert found["array_transfer"] == bits[Event("array", "transfer")], case
        compared += 1
    assert compared > 40


@pytest.mark.parametrize(
    "sets",
    [
        {"mapping.fixed": {"order": "kmc"}},
        {"mapping.objective": "engine"},
        {"mapping.objective": "energy", "energy.table": "eyeriss_normalized"},
        {"memory.dram.gb_per_s": 1.23456789012345e-06},
        {"memory.dram.burst_bits": 1 << 20, "params.rows": 4096, "params.cols": 4096},
        {"energy.table": "eyeriss_normalized"},
        {"params.operand_bits": 4},
    ],
    ids=lambda sets: "-".join(sets),
)
def test_what_columns_cannot_do_falls_to_the_plain_path(sets):
    shapes = [Conv2d(n=4, c=64, k=96, h=28, w=28, r=3, s=3), Linear(n=1 << 20, c=1 << 16, k=1 << 10)]
    parts = [make_layer(f"l{i}", shape) for i, shape in enumerate(shapes)]
    network = Network("n", tuple(p[0] for p in parts), parts[0][1] | parts[1][1], isolated=True)
    context = context_of(accelsim.load_arch("systolic_ws"), network, columnar=True)
    job = evaluate.Job(json.dumps(sets), "m", "n", tuple(sets.items()), OptionsSpec())
    row = evaluate.run_point(context, job)
    assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)


def test_given_values_count_as_they_do_in_simulate():
    layer, tensors = make_layer("l", Linear(n=3, c=20, k=7))
    values = {"l.weight": np.eye(7, 20)}
    network = Network("n", (layer,), tensors, isolated=True, values=values)
    context = context_of(accelsim.load_arch("systolic_os"), network, columnar=True)
    job = evaluate.Job("k", "m", "n", (), OptionsSpec())
    row = evaluate.run_point(context, job)
    assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)
    assert row.totals["effective_macs"] == 3 * 7


def test_a_layer_is_evaluated_once_per_machine_whatever_network_it_stands_in(monkeypatch):
    asked = []
    engine = registry.get("systolic")
    ask = engine.closed_form_many
    monkeypatch.setattr(engine, "closed_form_many", lambda rows, *a: asked.append(len(rows)) or ask(rows, *a))
    rng = np.random.default_rng(2)
    one, two, three = (make_layer(name, draw_shape(rng)) for name in "abc")
    networks = {
        "n": Network("n", (one[0], two[0]), one[1] | two[1], isolated=True),
        "m": Network("m", (two[0], three[0]), two[1] | three[1], isolated=True),
    }
    arch = accelsim.load_arch("systolic_ws_128")
    context = evaluate.Context({"m": arch.document}, networks, None, columnar=True)
    for name, network in networks.items():
        row = evaluate.run_point(context, evaluate.Job(name, "m", name, (), OptionsSpec()))
        assert row.totals == evaluate._totals(arch, accelsim.simulate(arch, network))
    assert asked == [2, 1]


def test_the_compiled_code_holds_the_lists_of_the_mapper():
    # compiled code keeps the constants that it was compiled with, so they stand in its own file
    assert nest_kernel.ORDERS == loopnest.ORDERS
    for name in ("PRODUCT", "STREAM", "FOLDS", "COLUMNS"):
        assert getattr(tile_kernel, name) == getattr(tile_forms, name)
    assert (schedule_kernel.REPEAT, schedule_kernel.END, schedule_kernel.TIMES) == (
        loopnest.REPEAT, loopnest.END, loopnest.TIMES
    )  # fmt: skip
    begins = (schedule_kernel.TILE, schedule_kernel.RUN, schedule_kernel.NUMBER)
    assert begins == (loopnest.TILE.start, loopnest.RUN.start, loopnest.NUMBER.start)
    assert loopnest.NUMBER.stop == schedule_kernel.COLUMNS


@given(bits=st.integers(0, 2**50), numerator=st.integers(1, 2**59), denominator=st.integers(1, 2**59))
@example(bits=2**50, numerator=2**59, denominator=2**59 - 1)
@settings(max_examples=300, deadline=None)
def test_cycles_on_the_bus_are_exact_whatever_the_rate(bits, numerator, denominator):
    assume(bits * denominator // numerator < 2**60)
    assert nest_kernel.on_bus_cycles(bits, numerator, denominator) == -(-bits * denominator // numerator)


def test_a_sweep_over_columns_exports_the_same_bytes(tmp_path, monkeypatch):
    tables = []
    threads = {"workers": 3, "make_executor": partial(ThreadPoolExecutor, 3)}
    for name, limit, more in (("columns", 1, {}), ("threads", 1, threads), ("plain", 10**9, {})):
        monkeypatch.setattr(sweep, "COLUMNAR_FROM", limit)
        sweep.run(write(tmp_path, LONG), tmp_path / f"{name}.db", **{"workers": 0, **more})
        with store.open_reader(tmp_path / f"{name}.db") as opened:
            tables.append(export.to_csv(export.rows(opened)))
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].count("\n") > 50


def test_layers_are_kept_by_the_plain_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "COLUMNAR_FROM", 1)
    sweep.run(write(tmp_path), tmp_path / "s.db", workers=0, keep_layers=True)
    with store.open_reader(tmp_path / "s.db") as opened:
        assert {row["layer"] for row in opened.layer_rows()} == {"a", "b", "c"}


def test_what_decides_about_support_is_all_that_is_looked_at():
    """Deals of layers are shared by machines that agree in `support_params`."""
    rng = np.random.default_rng(3)
    for name in registry.modules():
        engine = registry.get(name)
        if engine.support_params is None:
            continue
        for _ in range(30):
            one, two = (engine.params_schema.model_validate(engine.sample(rng).params) for _ in range(2))
            two = two.model_copy(update={field: getattr(one, field) for field in engine.support_params})
            view = draw_network(rng)
            for layer in view.layers:
                assert engine.refuses(view.view(layer), one) == engine.refuses(view.view(layer), two)


def test_skipped_rounds_leave_the_clock_where_walked_ones_do():
    rng = np.random.default_rng(5)
    skipped_any = 0
    for _ in range(3000):
        body = [[int(n) for n in rng.integers(0, 4, 5)] for _ in range(rng.integers(1, 3))]
        for tile in body:
            tile[1] *= int(rng.integers(0, 2))  # what is moved before and after is seldom
            tile[4] *= int(rng.integers(0, 2))
        latency, repeat = int(rng.integers(0, 3)), int(rng.integers(1, 40))

        def walk(clock, rounds, body=body, latency=latency):
            for _ in range(rounds):
                for tile in body:
                    clock_kernel.tick(clock, *tile, latency)

        clock = np.sort(rng.integers(0, 9, clock_kernel.CLOCK)).astype(np.int64)
        clock[clock_kernel.DONE] = clock.max()
        clock[[clock_kernel.PENDING, clock_kernel.PENDING_AFTER]] = rng.integers(0, 4, 2)
        walked, loop, rounds, left = clock.copy(), np.zeros(clock_kernel.LOOP, dtype=np.int64), 0, True
        clock_kernel.enter(clock, loop)
        while left:
            walk(clock, 1)
            rounds, left = rounds + 1, clock_kernel.again(clock, loop, repeat)
        walk(walked, repeat)
        assert clock_kernel.standing(clock) == clock_kernel.standing(walked)
        assert clock_kernel.finish(clock) == clock_kernel.finish(walked)
        assert clock[clock_kernel.COMPUTE] == walked[clock_kernel.COMPUTE]
        skipped_any += rounds < repeat
    assert skipped_any > 1000
