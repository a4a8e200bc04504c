"""Layers that a sweep walks once and then only times anew: the same rows as when each point walks them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sweep_files
from click.testing import CliRunner
from contract import random_case

import accelsim
from accelsim.activity import CAUSES, Loop, Step, Transfer
from accelsim.cli import app
from accelsim.engines import registry
from accelsim.explore.sweep import evaluate, retimed
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.workload.load import load_network
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear

WALKED = [
    "scnn", "scnn_queued", "cambricon_x", "cnvlutin", "dcnn", "dcnn_opt", "nullhop", "snapea", "eie", "ese",
    "pragmatic", "laconic", "stripes_trimmed", "eyeriss",
]  # fmt: skip
MAPPED = ["pragmatic", "laconic", "stripes_trimmed", "eyeriss"]
"""Machines on which another DRAM may lead to another mapping."""
SPARSE = ["gamma", "sigma", "outerspace", "sparch", "extensor"]
SPEEDS = (0.05, 0.333, 1.7, 12.8, 25.600999999999999, 400.0)


def small():
    """Return two convolutions and two linear layers, one of the latter twice but for its name."""
    shapes = {
        "a": Conv2d(n=1, c=4, k=8, h=9, w=9, r=3, s=3, pad=(1, 1, 1, 1)),
        "b": Conv2d(n=1, c=8, k=6, h=9, w=9, r=1, s=1),
        "c": Linear(n=1, c=70, k=20),
        "d": Linear(n=1, c=70, k=20),
    }
    made = [make_layer(name, shape) for name, shape in shapes.items()]
    return Network(
        "small", tuple(layer for layer, _ in made), {n: t for _, ts in made for n, t in ts.items()}, isolated=True
    )


def products():
    """Return two products of sparse matrices."""
    layers, tensors, values = [], {}, {}
    for name, size in (("a", 40), ("b", 60)):
        one = load_network(f"uniform:n={size},nnz=200")
        (layer,) = one.layers
        inputs, weights, outputs = (
            tuple(name + t for t in part) for part in (layer.inputs, layer.weights, layer.outputs)
        )
        layers.append(replace(layer, name=name, inputs=inputs, weights=weights, outputs=outputs))
        tensors |= {name + t: replace(tensor, name=name + t) for t, tensor in one.tensors.items()}
        values |= {name + t: value for t, value in one.values.items()}
    return Network("products", tuple(layers), tensors, isolated=True, values=values)


def contexts(name):
    arch = accelsim.load_arch(name)
    net = products() if name in SPARSE else small()
    return [evaluate.Context({"m": arch.document}, {"n": net}, Path(), columnar=each) for each in (True, False)]


def job(options=None, **sets):
    keys = {"gb_per_s": "memory.dram.gb_per_s", "latency_ns": "memory.dram.latency_ns"}
    keys |= {"burst_bits": "memory.dram.burst_bits", "standard": "memory.dram.standard", "clock": "clocks_mhz.core"}
    options = options or OptionsSpec(weight_density=0.4, input_density=0.6)
    return evaluate.Job("", "m", "n", tuple((keys.get(key, key), value) for key, value in sets.items()), options)


def steps_down(monkeypatch):
    """Let the plain path and walks fail from now on."""

    def fail(*args, **kwargs):
        raise AssertionError("walked")

    monkeypatch.setattr(evaluate, "_simulate", fail)
    monkeypatch.setattr(retimed, "front_of", fail)


@pytest.mark.parametrize("name", [*WALKED, *SPARSE])
def test_a_layer_that_was_kept_gives_the_row_of_one_that_is_walked(name):
    fast, plain = contexts(name)
    rng = np.random.default_rng(3)
    for i in range(12):
        sets = {"gb_per_s": float(rng.choice(SPEEDS)), "latency_ns": float(rng.integers(0, 200))}
        if i % 3 == 1:
            sets["burst_bits"] = int(rng.choice([64, 512]))
        if i % 4 == 3:
            sets["energy.table"] = "65nm"
        if i % 5 == 4:
            sets["clock"] = float(rng.choice([200, 700]))
        found, expected = evaluate.run_point(fast, job(**sets)), evaluate.run_point(plain, job(**sets))
        assert expected.status in ("ok", "illegal"), expected.reason
        assert found == expected


@pytest.mark.parametrize("name", [name for name in WALKED if name not in MAPPED])
def test_where_only_memory_or_prices_changed_nothing_is_walked(name, monkeypatch):
    fast, _ = contexts(name)
    first = evaluate.run_point(fast, job(gb_per_s=0.05))
    assert first.status == "ok", first.reason
    steps_down(monkeypatch)
    second = evaluate.run_point(fast, job(gb_per_s=400.0, latency_ns=9.0, standard="DDR3"))
    assert second.status == "ok", second.reason
    assert second.totals["cycles"] <= first.totals["cycles"]
    assert second.totals["dram_bits"] == first.totals["dram_bits"]


@pytest.mark.parametrize("sets", [{"burst_bits": 4096}, {"params.pes": 3}, {"clock": 77.0}])
def test_other_bursts_parameters_and_clocks_are_walked_again(sets, monkeypatch):
    fast, _ = contexts("cambricon_x")
    assert evaluate.run_point(fast, job(gb_per_s=1.0)).status == "ok"
    steps_down(monkeypatch)
    assert evaluate.run_point(fast, job(gb_per_s=1.0, **sets)).status == "failed"


def test_another_seed_is_walked_again(monkeypatch):
    fast, _ = contexts("cambricon_x")
    assert evaluate.run_point(fast, job()).status == "ok"
    steps_down(monkeypatch)
    other = OptionsSpec(weight_density=0.4, input_density=0.6, seed=1)
    assert evaluate.run_point(fast, job(other)).status == "failed"


@pytest.mark.parametrize("name", list(registry.modules()))
def test_an_activity_says_nothing_of_the_dram_that_is_not_inside(name):
    for seed in range(12):
        case = random_case(name, seed)
        activity = case.engine.run(case.plan())
        dram, inside = case.machine.dram, case.engine.dram_inside
        assert (activity.schedule is None) == (bool(activity.phases) or "bits_per_cycle" in inside)
        other = DramModel(Fraction(7, 3), 1234, dram.burst_bits)
        other = other._replace(**{name: getattr(dram, name) for name in inside})
        again = case._replace(machine=case.machine._replace(dram=other))
        walked = case.engine.run(again.plan())
        if activity.phases:
            assert at_rest(walked, case.engine, other) == at_rest(activity, case.engine, dram)
        else:
            assert walked.same_integers(activity) == []


def at_rest(activity, engine, dram):
    """Return what an activity says but for the stalls of its phases."""
    stalls = [phase.stall_cycles(dram.bits_per_cycle) for phase in activity.phases]
    account = dict(activity.accounts[engine.primary])
    for phase, stall in zip(activity.phases, stalls, strict=True):
        for cause, units in phase.waits.items():
            account[cause] -= stall * units
    assert activity.stall_cycles == sum(stalls)
    assert activity.compute_cycles - sum(stalls) == sum(phase.compute_cycles for phase in activity.phases)
    return account, activity.traffic, activity.events, activity.performed_macs, activity.phases


def test_a_network_of_one_context_is_not_forgotten_for_those_of_others(monkeypatch):
    """One in use stays, however many others were used before and since."""
    monkeypatch.setattr(evaluate, "MOST_READY", 2)
    fast, plain = contexts("cambricon_x")
    for i in range(4):
        assert evaluate.run_point(fast, job(gb_per_s=1.0 + i)).status == "ok"
        assert evaluate.run_point(plain, job(OptionsSpec(seed=i))).status == "ok"
        if not i:
            monkeypatch.setattr(retimed, "front_of", lambda *_: 1 / 0)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("gamma", {"latency_ns": 9.0, "gb_per_s": 0.3}), ("sigma", {"latency_ns": 9.0, "gb_per_s": 0.3}),
     ("outerspace", {"gb_per_s": 0.3}), ("extensor", {"latency_ns": 9.0, "gb_per_s": 0.3}),
     ("sparch", {"standard": "DDR3", "energy.table": "65nm"})],
)  # fmt: skip
def test_a_sparse_product_is_walked_again_only_for_the_dram_inside_its_walk(name, kept, monkeypatch):
    fast, plain = contexts(name)
    first = evaluate.run_point(fast, job())
    assert first.status == "ok", first.reason
    expected = evaluate.run_point(plain, job(**kept))
    steps_down(monkeypatch)
    assert evaluate.run_point(fast, job(**kept)) == expected
    inside = {"outerspace": {"latency_ns": 9.0}, "sparch": {"gb_per_s": 0.3}}.get(name)
    if inside:
        assert evaluate.run_point(fast, job(**inside)).status == "failed"


@pytest.mark.parametrize("name", ["gamma", "sigma", "outerspace", "extensor"])
def test_rates_of_many_digits_give_the_row_of_one_that_is_walked(name):
    fast, plain = contexts(name)
    for speed in (1e-9, 3.3333333333333335e-7, 25.600999999999999):
        found = evaluate.run_point(fast, job(gb_per_s=speed))
        assert found == evaluate.run_point(plain, job(gb_per_s=speed))


@pytest.mark.parametrize(("bits", "timely"), [(2**50 - 1, True), (2**50, False)])
def test_phases_that_leave_exact_floats_are_for_the_plain_path(bits, timely):
    counts, waits = np.zeros((1, 5 + len(CAUSES)), np.int64), np.full((1, len(CAUSES)), 8)
    phases = np.concatenate([np.array([[0, bits]]), waits], axis=1)
    long = part(0)._replace(phases=phases, owner=np.zeros(1, np.int64), primary=8)
    assert retimed._beside(counts, long, DramModel(Fraction(1), 0, 64)) == timely
    assert bool(counts.any()) == timely


def part(rows):
    none = np.zeros(0, np.int64)
    return retimed.Walked(
        np.zeros((1, 9), np.int64), np.zeros((rows, 7), np.int64), np.array([0, rows]), none, none, 1, ()
    )


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(retimed, "MOST_BYTES", 3 * retimed._nbytes(part(10)))
    kept = retimed.Kept()
    for key in "abc":
        kept.put(key, part(10))
    assert kept.get("a") is not None
    kept.put("d", part(10))
    assert list(kept.parts) == ["c", "a", "d"]
    kept.put("e", part(1000))
    assert list(kept.parts) == ["e"]
    assert kept.nbytes == retimed._nbytes(part(1000))
    kept.put("e", part(10))
    assert kept.nbytes == retimed._nbytes(part(10))


@pytest.mark.parametrize("huge", [False, True])
def test_schedules_that_are_timed_together_end_as_each_alone(huge):
    rng = np.random.default_rng(5)
    dram = DramModel(Fraction(7, 3), 11, 64)

    def tile():
        def load(way):
            return Transfer("input", way, int(rng.integers(1, 900)))

        return Step(
            (load("read"),), int(rng.integers(1, 500)), (load("write"),), *((load("read"),),) * int(rng.integers(2))
        )

    schedules = [(tile(), Loop(int(rng.integers(1, 40)), (tile(), Loop(3, (tile(),)))), tile()) for _ in range(6)]
    if huge:
        schedules[2] = (*schedules[2], replace_cycles(tile(), 2**61))
    rows = [timeline.rows_of(one, dram) for one in schedules] + [np.empty((0, 7), np.int64)]
    first = np.cumsum([0, *map(len, rows)])
    expected = [timeline.run(one, dram).cycles for one in schedules] + [0]
    assert timeline.run_each(np.concatenate(rows), first, dram) == expected


def replace_cycles(step, cycles):
    return step._replace(compute_cycles=cycles)


def test_a_layer_that_does_not_fit_is_for_the_plain_path():
    fast, plain = contexts("eie")
    sets = {"params.activation_bytes": 1, "params.registers": 1}
    found, expected = evaluate.run_point(fast, job(**sets)), evaluate.run_point(plain, job(**sets))
    assert found == expected


def sweep_of(name):
    return (
        sweep_files.SWEEP.replace("systolic_ws", name).split("axes:")[0]
        + """\
axes:
  memory.dram.gb_per_s: [1, 2, 4, 8]
  energy.table: [45nm, 65nm]
"""
    )


def test_a_sweep_says_how_many_points_walk(tmp_path, monkeypatch):
    path = sweep_files.write(tmp_path, sweep_of("cambricon_x"))
    words = ["sweep", str(path), "--store", str(tmp_path / "s.db"), "--workers", "0"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "1 of 8 points walk: engine cambricon_x" in done.output
    monkeypatch.setattr(sweep, "_walks", lambda arch: False)
    sweep.run(path, tmp_path / "plain.db", workers=0)
    assert sweep_files.table(tmp_path / "plain.db") == sweep_files.table(tmp_path / "s.db")


def test_a_sweep_of_engines_that_count_in_columns_says_nothing_of_walks(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "COLUMNAR_FROM", 1)
    end = sweep.run(sweep_files.write(tmp_path, sweep_of("systolic_ws")), tmp_path / "s.db", workers=0)
    assert (end.pace.done, end.pace.walked) == (8, {})


def test_other_units_wait_for_memory_in_the_time_that_their_account_leaves():
    # 3 units that were busy in 10 unit-cycles, in a layer that now takes 7 cycles: 21 in all
    counts = np.zeros((1, 5 + 2 * len(CAUSES)), np.int64)
    own = counts[:, 5 + len(CAUSES) :]
    counts[0, retimed.CYCLES], own[0, CAUSES.index("busy")] = 7, 10
    assert retimed._closed(counts, part(0)._replace(others=(("spare", 3),)))
    assert (own.sum(), own[0, CAUSES.index("memory")]) == (21, 11)
    counts[0, retimed.CYCLES] = 2**52
    assert not retimed._closed(counts, part(0)._replace(others=(("spare", 3),)))
