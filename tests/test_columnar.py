"""Points evaluated over columns of layers: the same rows, to the last digit, as one layer after the other."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import yaml

import accelsim
from accelsim.engines import registry
from accelsim.engines.systolic import candidates, columnar_kernel
from accelsim.explore import columnar, evaluate
from accelsim.explore.schema import OptionsSpec
from accelsim.mapping import loopnest, nest_kernel, tilings
from accelsim.memory import timeline
from accelsim.spec.arch import build
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Pool

CASES = 120


def draw_shape(rng):
    def draw(low, high):
        return int(rng.integers(low, high + 1))

    kind = draw(0, 5)
    if kind == 0:
        return Linear(n=draw(1, 40), c=draw(1, 300), k=draw(1, 300))
    if kind == 1:
        return Matmul(batch=draw(1, 8), m=draw(1, 40), n=draw(1, 40), k=draw(1, 40))
    groups = draw(1, 6) if kind == 2 else 1
    c, k = (draw(1, 3), draw(1, 3)) if kind == 2 else (draw(1, 40), draw(1, 60))
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
    return {
        "params.rows": pick(*side), "params.cols": pick(*side), "params.dataflow": pick("ws", "os", "is"),
        "params.overlap_folds": pick(True, False), "params.accumulator_bits": pick(16, 24, 32, 48),
        "params.input_kib": pick(1, 2, 3, 16, 64), "params.weight_kib": pick(1, 2, 5, 16, 64),
        "params.output_kib": pick(1, 2, 7, 64), "memory.dram.gb_per_s": pick(0.05, 0.333, 1.7, 12.8, 25.6, 400.0),
        "memory.dram.latency_ns": pick(0.0, 7.5, 100.0), "memory.dram.burst_bits": pick(1, 24, 64, 512),
        "clocks_mhz": {"core": pick(33.3, 200.0, 1000.0)}, "mapping.objective": pick("cycles", "dram", "energy", "edp"),
    }  # fmt: skip


def context_of(arch, network, **more):
    return evaluate.Context({"m": arch.document}, {"n": network}, None, **more)


def plain_row(context, job):
    """Return the row that follows from `accelsim.simulate`."""
    arch = build(evaluate.override(context.machines["m"], job.sets, "sweep"), registry.find_params)
    try:
        result = accelsim.simulate(arch, context.networks["n"], layers=job.options.layers, seed=job.options.seed)
    except accelsim.errors.UserError as error:
        return "illegal", str(error), {}
    return "ok", None, evaluate._totals(result)


def test_rows_are_those_of_simulate_to_the_last_digit():
    rng = np.random.default_rng(7)
    base = accelsim.load_arch("systolic_ws")
    statuses = {"ok": 0, "illegal": 0}
    for case in range(CASES):
        context = context_of(base, draw_network(rng), columnar=True)
        sets = tuple(draw_machine(rng).items())
        job = evaluate.Job(f"{case}", "m", "n", sets, OptionsSpec(seed=case))
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job), sets
        statuses[row.status] += 1
    assert min(statuses.values()) > CASES // 10
