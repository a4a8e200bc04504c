"""Engines whose layers are looked up once and then counted together: the totals of `simulate` to the last digit."""

import numpy as np
import pytest
from contract import random_case
from test_columnar import SPEEDS, context_of, draw_network, draw_shape, plain_row

import accelsim
from accelsim.engines import registry
from accelsim.engines.row_stationary import candidates
from accelsim.engines.row_stationary.params import Params
from accelsim.errors import MappingError
from accelsim.explore.sweep import evaluate, retimed
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d

CASES = 60
SIDES = (1, 2, 3, 5, 8, 13)
DCNN = {
    "params.pe_rows": SIDES, "params.pe_cols": SIDES, "params.lanes": (1, 4, 16, 33),
    "params.accumulator_entries": (64, 1024, 4096), "params.activation_kib": (1, 2, 32),
    "params.activations_stay": (True, False), "params.gating": (True, False),
    "params.compressed_dram": (True, False), "params.run_bits": (1, 4),
}  # fmt: skip
MACHINES = {
    "dcnn": DCNN,
    "dcnn_opt": DCNN,
    "cnvlutin": {
        "params.units": SIDES, "params.filters": SIDES, "params.lanes": (1, 3, 16), "params.brick": (1, 4, 16),
        "params.skip_zeros": (True, False), "params.neuron_kib": (16, 64, 4096), "params.synapse_kib": (16, 32768),
        "params.stay": (True, False),
    },
    "nullhop": {
        "params.macs": (1, 3, 16, 128, 1000), "params.accumulator_bits": (24, 32), "params.split_rows": (True, False),
    },
}  # fmt: skip
"""Packaged machine -> keys and the values that are drawn for them."""
OTHERS = {
    "dcnn": ("lanes", "activation_kib", "pe_rows"),
    "cnvlutin": ("units", "filters", "neuron_kib"),
    "nullhop": ("macs", "pixel_kib"),
}
"""Engine -> parameters that nothing of what it looks up depends on."""


def draw_machine(rng, name):
    """Return keys of a machine of any size, with any DRAM."""
    choices = {
        **MACHINES[name], "memory.dram.gb_per_s": SPEEDS, "memory.dram.latency_ns": (0.0, 7.5, 100.0),
        "memory.dram.burst_bits": (1, 24, 64, 512),
    }  # fmt: skip
    return {key: values[int(rng.integers(len(values)))] for key, values in choices.items()}


def convolutions():
    """Return two convolutions of two images."""
    shapes = {
        "a": Conv2d(n=2, c=20, k=36, h=13, w=9, r=3, s=3, pad=(1, 1, 1, 1), stride=(2, 1)),
        "b": Conv2d(n=2, c=32, k=6, h=9, w=9, r=1, s=1, groups=2),
    }
    made = [make_layer(name, shape) for name, shape in shapes.items()]
    tensors = {name: tensor for _, own in made for name, tensor in own.items()}
    return Network("two", tuple(layer for layer, _ in made), tensors, isolated=True)


def job(options=None, **sets):
    options = options or OptionsSpec(weight_density=0.4, input_density=0.6)
    return evaluate.Job("", "m", "n", tuple((f"params.{key}", value) for key, value in sets.items()), options)


@pytest.mark.parametrize("name", MACHINES)
def test_rows_are_those_of_simulate_to_the_last_digit(name):
    rng = np.random.default_rng(len(name))
    base = accelsim.load_arch(name)
    ran = 0
    for case in range(CASES):
        if case % 3 == 0:  # what machines share must not depend on which came first
            context = context_of(base, draw_network(rng), columnar=True)
        sets = tuple(draw_machine(rng, name).items())
        point = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec(seed=case // 3))
        row = evaluate.run_point(context, point)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, point), sets
        ran += row.status == "ok"
    assert ran > CASES // 3


@pytest.mark.parametrize("name", OTHERS)
def test_no_layer_is_walked_alone_and_nothing_is_looked_up_twice(name, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("walked")

    monkeypatch.setattr(evaluate, "_simulate", fail)
    monkeypatch.setattr(retimed, "front_of", fail)
    context, params = context_of(accelsim.load_arch(name), convolutions(), columnar=True), OTHERS[name]
    retimed.take_walks()
    first = evaluate.run_point(context, job())
    assert first.status == "ok", first.reason
    assert retimed.take_walks() == {name}
    monkeypatch.setattr(registry.get(name), "looked_up", fail)
    for value in (5, 12):
        again = evaluate.run_point(context, job(**dict.fromkeys(params, value)))
        assert again.status == "ok", again.reason
    assert retimed.take_walks() == set()


@pytest.mark.parametrize(
    ("name", "sets"), [("dcnn", {"compressed_dram": True}), ("dcnn_opt", {"run_bits": 2}), ("cnvlutin", {"brick": 8}),
                       ("cnvlutin", {"lanes": 8}), ("cnvlutin", {"skip_zeros": False})],
)  # fmt: skip
def test_what_is_looked_up_otherwise_is_looked_up_again(name, sets, monkeypatch):
    context = context_of(accelsim.load_arch(name), convolutions(), columnar=True)
    assert evaluate.run_point(context, job()).status == "ok"
    monkeypatch.setattr(registry.get(accelsim.load_arch(name).units[0].engine), "looked_up", lambda *_: 1 / 0)
    assert evaluate.run_point(context, job(**sets)).status == "failed"


@pytest.mark.parametrize("name", OTHERS)
def test_a_burst_of_a_mebibit_is_counted_as_by_the_plain_path(name):
    context = context_of(accelsim.load_arch(name), convolutions(), columnar=True)
    point = evaluate.Job("", "m", "n", (("memory.dram.burst_bits", 1 << 20),), OptionsSpec())
    row = evaluate.run_point(context, point)
    assert (row.status, row.reason, dict(row.totals)) == plain_row(context, point)


def draw_array(rng):
    """Return parameters of a row-stationary array of any size."""

    def draw(low, high):
        return int(rng.integers(low, high + 1))

    return Params(
        rows=draw(3, 20), cols=draw(1, 20), filter_spad_words=draw(5, 300), ifmap_spad_words=draw(3, 20),
        psum_spad_words=draw(1, 32), fmap_banks=draw(2, 30), filter_banks=draw(1, 3), bank_kib=draw(1, 4),
        filter_words_per_cycle=draw(1, 4), ifmap_words_per_cycle=draw(1, 2), psum_words_per_cycle=draw(1, 4),
        max_images=draw(1, 4), psum_counting=("every_pass", "between_passes")[draw(0, 1)],
    )  # fmt: skip


def test_the_best_of_many_layers_is_the_best_of_the_whole_list_of_each():
    rng, chosen = np.random.default_rng(5), 0
    for _ in range(40):
        params = draw_array(rng)
        shapes = [draw_shape(rng).as_conv() for _ in range(4)]
        convs = [c for c in shapes if c.r <= params.rows and c.s <= min(params.ifmap_spad_words, 5)]
        rows = [candidates.layer_row(conv) for conv in convs]
        found = candidates.best_of_own(np.array(rows, dtype=np.int64).tobytes(), params)
        for conv, best in zip(convs, found, strict=True):
            try:
                expected = tuple(candidates.best(conv, params, None, "engine").row.values())
            except MappingError:
                expected = (0,) * 7
            assert best == expected, (conv, params)
            chosen += any(best)
    assert chosen > 50


@pytest.mark.parametrize("name", [name for name in registry.modules() if registry.get(name).spread])
def test_parameters_that_only_add_units_change_nothing_else(name):
    for seed in range(20):
        case = random_case(name, seed)
        activity, engine = case.engine.run(case.plan()), case.engine
        more = {key: getattr(case.params, key) + 3 for key in engine.spread}
        other = case._replace(params=case.params.model_copy(update=more))
        walked = engine.run(other.plan())
        units, before = (engine.units(each.params)[engine.primary] for each in (other, case))
        account = walked.accounts[engine.primary]
        account["unmapped"] = account.get("unmapped", 0) - (units - before) * walked.compute_cycles
        assert walked.same_integers(activity) == []


@pytest.mark.parametrize("name", ["eyeriss", "eyeriss_1024"])
def test_a_layer_walked_on_one_array_has_the_row_of_simulate_on_another(name, monkeypatch):
    context = context_of(accelsim.load_arch(name), convolutions(), columnar=True)
    plain = context_of(accelsim.load_arch(name), convolutions(), columnar=False)
    keys = set()
    for rows, cols in ((12, 14), (12, 15), (13, 14), (24, 28), (12, 14), (6, 4)):
        point = job(rows=rows, cols=cols)
        found, expected = evaluate.run_point(context, point), evaluate.run_point(plain, point)
        assert found.status == "ok", found.reason
        assert found == expected
        keys.add(bool(retimed.take_walks()))
    assert keys == {True, False}
