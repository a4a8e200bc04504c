"""Sweep columns of every engine that has them: the totals of `simulate` to the last digit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from contract import random_case
from test_columnar import SPEEDS, context_of, draw_network, draw_shape, plain_row

import accelsim
from accelsim import simulation
from accelsim.activity import Event
from accelsim.charges import energy_table, events
from accelsim.components import Dram
from accelsim.config.schema import MappingSpec
from accelsim.engine import Machine
from accelsim.engines import registry
from accelsim.engines.vector.program import BINARY, UNARY
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.layer import machine_view, mapping_of
from accelsim.mapping import bound_kernel, search, search_kernel
from accelsim.mapping.choose import choose
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.workload.layers import Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Elementwise, Linear, Normalization, Pool, Softmax

CASES = 90

KIB = {"params.input_kib": (2, 3, 16, 64), "params.weight_kib": (2, 5, 16, 64), "params.output_kib": (1, 2, 7, 64)}
SIDES = (1, 2, 3, 5, 8, 13, 16, 32)
MACHINES = {
    "diannao": {
        "params.outputs": SIDES, "params.inputs": SIDES, "params.accumulator_bits": (8, 16, 33),
        "params.operand_bits": (8, 16), **KIB,
    },
    "unpu": {
        "params.units": SIDES, "params.outputs": SIDES, "params.table_inputs": (1, 2, 3),
        "params.binary_inputs": (1, 4), **KIB,
    },
    "bitfusion": {
        "params.rows": (1, 2, 4, 8), "params.cols": (1, 2, 4, 8), "params.im2col_channels": (0, 3),
        "params.input_kib": (8, 16, 64), "params.weight_kib": (32, 64), "params.output_kib": (8, 64),
    },
    "dadiannao": {"params.lanes": SIDES, "params.columns": (1, 4), "params.rows": SIDES, **KIB},
    "stripes": {
        "params.lanes": SIDES, "params.columns": (1, 3, 8), "params.rows": SIDES, "params.tiles": (1, 2),
        "params.fc_columns": ("windows", "steps"), "params.space_to_depth": (True, False), "params.word_bits": (1, 16),
        **KIB,
    },
    "loom": {
        "params.lanes": SIDES, "params.columns": (1, 3, 8), "params.rows": SIDES,
        "params.fc_columns": ("windows", "filters"), "params.activation_bits_per_cycle": (1, 2), **KIB,
    },
    "bismo": {
        "params.dm": SIDES, "params.dk": (32, 64, 256), "params.dn": SIDES, "params.lhs_entries": (64, 1024, 8192),
        "params.rhs_entries": (64, 1024, 8192), "params.instruction_cycles": (0, 1, 7),
    },
    "shidiannao": {
        "params.pe_rows": SIDES, "params.pe_cols": SIDES, "params.fifo_words": (0, 1, 2, 4),
        "params.input_kib": (64, 1 << 14), "params.weight_kib": (1 << 14, 1 << 15), "params.output_kib": (1 << 14,),
    },
    "mvtu": {
        "params.pe": SIDES, "params.simd": SIDES, "params.pad_matrix": (True, True, False),
        "params.order": ("matrix", "window"), "params.filters": (1, 2, 5), "params.threshold_bits": (0, 1, 4),
        "params.weight_kib": (64, 4096), "params.output_kib": (64, 4096),
    },
    "edge_npu": {
        "units.array.params.rows": SIDES, "units.array.params.cols": SIDES, "units.vector.params.lanes": SIDES,
        "units.vector.params.lane_bits": (16, 32), "units.vector.params.buffer_kib": (1, 4, 64),
        "units.vector.params.special_cycles": (1, 4), "units.vector.params.latency_cycles": (0, 8),
    },
    "nvdla_small": {
        "params.channels": (1, 4, 8, 32), "params.kernels": (1, 3, 8, 16), "params.banks": (4, 16, 32),
        "params.bank_kib": (1, 4), "params.outstanding_beats": (20, 256), "params.post_elements": (1, 3),
        "clock_gating": ("none", "unit", "word"),
    },
    "nvdla_full": {
        "params.channels": (16, 64), "params.kernels": (32, 48), "params.bank_kib": (2, 32),
        "params.credits": (64, 256), "params.post_elements": (3, 16),
    },
}  # fmt: skip
"""Packaged machine -> keys and the values that are drawn for them."""


def draw_network_for(rng, name):
    """Return a network of products, on a machine with a vector unit with layers of all its kinds among them."""
    return draw_mixed(rng) if name in ("edge_npu", "nvdla_small", "nvdla_full") else draw_network(rng)


def draw_mixed(rng):
    """Return a product and layers without multiply-accumulates, with constants, broadcast operands and odd widths."""

    def draw(low, high):
        return int(rng.integers(low, high + 1))

    def draw_vector():
        image = (draw(1, 3), draw(1, 40), draw(2, 20), draw(2, 20))
        kind = draw(0, 5)
        if kind <= 1:
            r, s = draw(1, 4), draw(1, 4)
            pad = (draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1))
            shape = Pool(
                str(rng.choice(["max", "average"])), *image[:2], draw(5, 30), draw(5, 30), r, s,
                (draw(1, 3), draw(1, 3)), pad, bool(draw(0, 1)),
            )  # fmt: skip
            return shape, ()
        if kind <= 3:
            op = str(rng.choice([*UNARY, *BINARY]))
            count = draw(1, 3) if op in BINARY else 1
            others = [tuple(draw(0, 1) or size for size in image) for _ in range(count - 1)]
            constants = [(image[1], 1, 1)] if op in BINARY and draw(0, 1) else []
            return Elementwise(op, image, (image, *others)), constants
        if kind == 4:
            op = str(rng.choice(["batch", "affine", "lrn"]))
            return Normalization(op, image, draw(1, 7)), [(image[1],)] * {"batch": 4, "affine": 2, "lrn": 0}[op]
        dims = (draw(1, 60), draw(1, 300))
        if draw(0, 1):
            return Softmax(dims, dims[1]), ()
        return Normalization("layer", dims), [(dims[1],)] * draw(0, 2)

    layers, tensors = [], {}
    for i in range(4):
        shape, constants = draw_vector() if i else (draw_shape(rng), ())
        layer, own = make_layer(f"l{i}", shape)
        for j, dims in enumerate(constants):
            constant = Tensor(f"l{i}.w{j}", dims, weight=True)
            own[constant.name] = constant
            layer = replace(layer, weights=(*layer.weights, constant.name))
        layers.append(layer)
        tensors |= {name: replace(tensor, bits=draw(1, 9)) for name, tensor in own.items()}
    return Network("drawn", tuple(layers), tensors, isolated=True)


def draw_machine(rng, name, objectives):
    """Return keys of a machine of any size, with any DRAM."""
    choices = {
        **MACHINES[name], "memory.dram.gb_per_s": SPEEDS, "memory.dram.latency_ns": (0.0, 7.5, 100.0),
        "memory.dram.burst_bits": (1, 24, 64, 512), "mapping.objective": objectives,
    }  # fmt: skip
    return {key: values[int(rng.integers(len(values)))] for key, values in choices.items()}


@pytest.mark.parametrize("name", MACHINES)
def test_rows_are_those_of_simulate_to_the_last_digit(name):
    rng = np.random.default_rng(len(name))
    base = accelsim.load_arch(name)
    ran = 0
    for case in range(CASES):
        if case % 3 == 0:  # what machines share must not depend on which came first
            context = context_of(base, draw_network_for(rng, name), columnar=True)
        sets = tuple(draw_machine(rng, name, ("cycles", "cycles", "dram", "energy")).items())
        job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec(seed=case // 3))
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job), sets
        ran += row.status == "ok"
    assert ran > CASES // 3


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_is_left_to_the_plain_path_without_a_reason(name):
    rng = np.random.default_rng(8)
    base = accelsim.load_arch(name)
    in_columns = 0
    for case in range(30):
        context = context_of(base, draw_network_for(rng, name), columnar=True)
        job = evaluate.Job(
            f"{case}", "m", "n", tuple(draw_machine(rng, name, ("cycles", "dram")).items()), OptionsSpec()
        )
        machine = evaluate._machine(context, job)
        found = evaluate._columnar(machine, evaluate._ready(context, job, machine.arch), job, None)
        status, _, totals = plain_row(context, job)
        assert found is not None or status == "illegal" or totals["coverage_layers"] < 1 or _pressed(machine, context)
        in_columns += found is not None
    assert in_columns > 5


def _pressed(machine, context):
    """Whether a layer exceeds the scratchpad of the vector unit, so that its rows or constants pass it again."""
    layers = accelsim.simulate(machine.arch, context.networks["n"]).layers
    return any({"passes", "refetched"} & layer.details.keys() for layer in layers)


@pytest.mark.parametrize("name", ["unpu", "stripes"])
def test_variants_searched_together_are_chosen_as_from_one_search_each(name):
    rng, base, ties = np.random.default_rng(5), accelsim.load_arch(name), 0
    for case in range(150):
        context = context_of(base, draw_network_for(rng, name))
        sets = tuple(draw_machine(rng, name, ("cycles", "dram")).items())
        job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec())
        arch = evaluate._machine(context, job).arch
        network = evaluate._ready(context, job, arch).network
        for layer in network.layers:
            task = simulation.task_for(arch, network, layer, None, {}, "skip")
            if task.unit is None:
                continue
            nest = registry.get(task.unit.engine).tiled_nest(task.view, task.unit.params)
            limits, units = search.machine_rows(nest)
            forms = np.array([search.form_row(variant.form) for variant in nest.variants])
            objective = ("cycles", "dram").index(arch.mapping.objective)
            rest = (nest.widths.psum, units, nest.c_unit, search.bus_row(machine_view(arch).dram), objective)
            row, tiling, figures, found = search.row_of(nest), np.zeros(7, dtype=np.int64), np.zeros(5), []
            for at, form in enumerate(forms):
                if search_kernel.search(row, form, limits, *rest, tiling, figures):
                    found.append((*figures[:2], at, *tiling))
            # room for more variants than there are, and what another layer left in it
            room = search_kernel.scratch(bound_kernel.run_rows(row), len(forms) + 1)
            room.exact[:] = 0.0
            at = search_kernel.search_with(room, row, forms, limits, *rest, tiling, figures)
            assert (min(found) if found else -1) == ((*figures[:2], at, *tiling) if found else at)
            ties += sum(each[:2] == min(found)[:2] for each in found) > 1
    assert ties > 5


HUGE = [
    Linear(n=1 << 20, c=1 << 16, k=1 << 10), Linear(n=3, c=1 << 29, k=2), Pool("max", 1 << 16, 1 << 16, 64, 64, 2, 2),
    Elementwise("relu", (1 << 30, 1 << 25)), Softmax((1 << 10, 1 << 20), 1 << 20),
]  # fmt: skip


@pytest.mark.parametrize("shape", HUGE, ids=repr)
@pytest.mark.parametrize(
    "sets",
    [
        {}, {"mapping.fixed": {"rows": 1}}, {"mapping.objective": "engine"}, {"mapping.objective": "edp"},
        {"memory.dram.gb_per_s": 1.23456789012345e-06}, {"memory.dram.latency_ns": 1e6},
        {"memory.dram.burst_bits": 1 << 20}, {"energy.table": "eyeriss_normalized"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", ["bismo", "edge_npu", "nvdla_small"])
def test_what_columns_cannot_do_falls_to_the_plain_path(name, sets, shape):
    """Counts near 64 bits, what the memories do not hold, objectives that want the list."""
    layers, tensors = zip(*(make_layer(f"l{i}", s) for i, s in enumerate((shape, Linear(n=3, c=20, k=7)))), strict=True)
    network = Network("n", layers, tensors[0] | tensors[1], isolated=True)
    context = context_of(accelsim.load_arch(name), network, columnar=True)
    job = evaluate.Job("k", "m", "n", tuple(sets.items()), OptionsSpec())
    row = evaluate.run_point(context, job)
    assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)


ONE = {"params.dm": 1, "params.dk": 32, "params.dn": 1}


@pytest.mark.parametrize(
    ("shape", "sets"),
    [
        (Linear(n=1 << 22, c=1, k=1 << 22), {"memory.dram.gb_per_s": 1.23456789012345e-06}),
        (Linear(n=1 << 22, c=1, k=1 << 22), {"memory.dram.burst_bits": 1 << 20, "memory.dram.gb_per_s": 1e6, **ONE}),
        (Linear(n=1 << 30, c=1, k=1 << 30), {}),
        (Linear(n=(1 << 31) - 1, c=3, k=(1 << 31) - 1), {}),
        (Linear(n=3, c=8192, k=2), {"params.dm": 64, "params.dk": 512, "params.lhs_entries": 1 << 16}),
    ],
    ids=["cycles", "bits", "gates", "macs", "block"],
)
def test_what_the_overlay_cannot_count_or_hold_is_for_the_plain_path(shape, sets):
    layers, tensors = zip(*(make_layer(f"l{i}", s) for i, s in enumerate((shape, Linear(n=3, c=20, k=7)))), strict=True)
    narrow = {name: replace(tensor, bits=1) for name, tensor in (tensors[0] | tensors[1]).items()}
    network = Network("n", layers, narrow, isolated=True)
    context = context_of(accelsim.load_arch("bismo"), network, columnar=True)
    job = evaluate.Job("k", "m", "n", tuple(sets.items()), OptionsSpec())
    row = evaluate.run_point(context, job)
    assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)


def test_energies_of_three_and_more_kinds_of_operation_are_rounded_once():
    for rows in range(1, 41):
        layer, tensors = make_layer("l", Normalization("layer", (rows, 3 * rows + 2)))
        context = context_of(accelsim.load_arch("edge_npu"), Network("n", (layer,), tensors, isolated=True))
        job = evaluate.Job(f"{rows}", "m", "n", (), OptionsSpec())
        row = evaluate.run_point(replace(context, columnar=True), job)
        assert dict(row.totals) == plain_row(context, job)[2]


def test_any_vector_layer_is_cut_and_counted_as_by_the_plain_path():
    """Under each objective: tiny lanes and scratchpads, DRAM of any speed."""
    speeds = ((Fraction(1, 3), 0, 8), (Fraction(96, 5), 7, 64), (Fraction(7), 40, 24), (Fraction(333, 100), 1, 1))
    fits = 0
    for seed in range(300):
        case = random_case("vector", seed)
        engine, view, params = case.engine, case.view, case.params
        machine = Machine(case.machine.clocks_mhz, DramModel(*speeds[seed % 4]))
        spec = MappingSpec(objective=("cycles", "dram", "energy", "edp")[seed // 4 % 4])
        prices, leak = np.random.default_rng(seed).choice([0.0, 0.011, 0.3, 1.7, 41.0], 20), 1.7

        def priced(name, action, prices=prices):
            return float(prices[sum((name + action).encode()) % len(prices)])

        rows = np.array([engine.encode(view, 0)], dtype=np.int64)
        many = engine.closed_form_many(rows, params, machine, spec, priced, leak)
        found = dict(
            zip(
                ("known", "cycles", "read", "write", "macs", *many.causes, *many.events),
                *many.table.tolist(),
                strict=True,
            )
        )
        try:
            columns = engine.candidates(view, params, machine)
        except accelsim.errors.MappingError:
            assert not found["known"]
            continue
        choice = choose(columns, engine.bounds(view, params, machine, columns), spec, priced, leak)
        plan = engine.plan(view, case.operands, params, engine.mapping_schema(**choice.row), machine)
        activity = engine.closed_form(plan)
        if {"passes", "refetched"} & activity.details.keys():
            assert not found["known"]
            continue
        fits += 1
        ran = timeline.run(activity.schedule, machine.dram)
        counted = events((*engine.components(params), Dram("dram", standard="lpddr4")), activity)
        moved = [counted.pop(Event("dram", way), 0) for way in ("read", "write")]
        causes = activity.accounts["lanes"] | {"memory": ran.stall_cycles * params.lanes}
        assert [found.pop(key) for key in ("known", "cycles", "read", "write", "macs")] == [1, ran.cycles, *moved, 0]
        assert {key: n for key, n in found.items() if n} == {key: n for key, n in (causes | counted).items() if n}
    assert fits > 250


def test_a_declined_layer_is_declined_in_every_network_that_has_it():
    small, large = (make_layer(n, Linear(n=1, c=c, k=8)) for n, c in (("small", 8), ("large", 1 << 14)))
    networks = {
        "n": Network("n", (large[0],), large[1], isolated=True),
        "m": Network("m", (large[0], small[0]), large[1] | small[1], isolated=True),
    }
    arch = accelsim.load_arch("stripes")  # a dot product of 2^14 inputs does not fit 1 KiB
    sets = (("params.input_kib", 1), ("params.weight_kib", 1))
    context = evaluate.Context({"m": arch.document}, networks, None, columnar=True)
    rows = [evaluate.run_point(context, evaluate.Job(name, "m", name, sets, OptionsSpec())) for name in ("n", "m", "n")]
    assert [row.status for row in rows] == ["illegal", "ok", "illegal"]
    assert rows[1].totals["layers_simulated"] == 1


@pytest.mark.parametrize("name", ["stripes", "loom"])
def test_mappings_of_many_layers_are_those_that_each_is_given_alone(name):
    rng, base, variants = np.random.default_rng(3), accelsim.load_arch(name), set()
    for case in range(60):
        context, mappings = context_of(base, draw_network_for(rng, name)), {}
        machine = draw_machine(rng, name, ("cycles", "dram"))
        for speed in (0.3, 25.6):
            sets = tuple((machine | {"memory.dram.gb_per_s": speed}).items())
            job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec())
            arch = evaluate._machine(context, job).arch
            network = evaluate._ready(context, job, arch).network
            for layer in network.layers:
                task = simulation.task_for(arch, network, layer, None, {}, "skip")
                if task.unit is None:
                    continue
                engine, params = registry.get(task.unit.engine), task.unit.params
                row = np.array([engine.encode(task.view, 0)], dtype=np.int64)
                chosen = engine.mappings_of_many(row, params, machine_view(arch), arch.mapping)
                if chosen is None:
                    continue
                alone = mapping_of(arch, task.unit, task.view, None, energy_table(arch.energy))[0]
                assert chosen.mapping(0) == alone
                assert mappings.setdefault((layer.name, chosen.keys), alone) == alone
                variants.add(alone.columns)
    assert len(variants) > 1
