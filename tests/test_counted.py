"""Engines whose layers are looked up once and then counted together: the totals of `simulate` to the last digit."""

import numpy as np
import pytest
from test_columnar import SPEEDS, context_of, draw_network, plain_row

import accelsim
from accelsim.engines import registry
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
    "nullhop": {"params.macs": (1, 3, 16, 128, 1000), "params.accumulator_bits": (24, 32), "params.kernel_kib": (9,)},
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
    monkeypatch.setattr(retimed, "walked", fail)
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
