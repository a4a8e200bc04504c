"""Points of a sweep on one clock: the rows of the plain path, and no layer walked, plan made or tile laid out again
where nothing that they depend on has changed."""

from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim import rooms
from accelsim.explore.sweep import clocked, evaluate, retimed
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.memory import network_rows

MACHINES = {
    "edge_npu": ("onnx:squeezenet", "net:resnet18"),
    "edge_npu_l2": ("onnx:squeezenet", "net:mobilenet_v3_small"),
    "systolic_ws": ("net:resnet18",),
    "scnn": ("onnx:bvlc_alexnet",),
    "eyeriss": ("onnx:bvlc_alexnet",),
}
"""Machine -> connected networks: of two units, with a buffer, with layers that no unit runs, of engines that walk."""
AXES = {
    "memory.dram.gb_per_s": (0.7, 3.3, 12.8, 25.600999999999999, 400.0),
    "memory.dram.latency_ns": (0.0, 90.0),
    "memory.dram.burst_bits": (64, 512),
    "clocks_mhz.core": (200.0, 700.0),
    "energy.table": ("65nm",),
    "schedule.fold": ("none", "weights"),
    "schedule.residency": ("none", "greedy"),
    "schedule.prefetch": ("none", 64),
    "schedule.overlap": (False,),
    "mapping.objective": ("dram", "energy"),
    "units.array.params.rows": (5, 24),
    "units.vector.params.lanes": (3, 48),
    "units.vector.params.buffer_kib": (4, 96),
}


def contexts(machine, network, given=None):
    arch, net = accelsim.load_arch(given or machine), accelsim.load_network(network)
    return [evaluate.Context({"m": arch.document}, {"n": net}, Path(), columnar=each) for each in (True, False)]


def job(options=None, **sets):
    given = (("schedule.mode", "network"), *((key.replace("__", "."), value) for key, value in sets.items()))
    return evaluate.Job("", "m", "n", given, options or OptionsSpec())


@pytest.mark.parametrize(("machine", "network"), [(m, n) for m, names in MACHINES.items() for n in names])
def test_a_point_on_one_clock_has_the_row_of_the_plain_path(machine, network, monkeypatch):
    fast, plain = contexts(machine, network)
    rng, taken = np.random.default_rng(7), []
    monkeypatch.setattr(clocked, "results", lambda *a, known=clocked.results: taken.append(r := known(*a)) or r)
    keys = [key for key in AXES if not key.startswith("units.") or machine.startswith("edge")]
    keys = [key for key in keys if key != "mapping.objective" or machine != "eyeriss"]
    for i in range(9):
        some = rng.choice(keys, size=min(i, 3), replace=False)
        one = job(**{key: AXES[key][rng.integers(len(AXES[key]))] for key in map(str, some)})
        found, expected = evaluate.run_point(fast, one), evaluate.run_point(plain, one)
        assert expected.status in ("ok", "illegal"), expected.reason
        assert found == expected, one
    assert any(each is not None for each in taken), "no point went by the kept layers"
