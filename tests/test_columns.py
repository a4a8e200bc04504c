"""Sweep columns of every engine that has them: the totals of `simulate` to the last digit."""

from __future__ import annotations

import numpy as np
import pytest
from test_columnar import SPEEDS, context_of, draw_network, plain_row

import accelsim
from accelsim.explore import evaluate
from accelsim.explore.schema import OptionsSpec

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
}  # fmt: skip
"""Packaged machine -> keys and the values that are drawn for them."""


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
            context = context_of(base, draw_network(rng), columnar=True)
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
        context = context_of(base, draw_network(rng), columnar=True)
        job = evaluate.Job(
            f"{case}", "m", "n", tuple(draw_machine(rng, name, ("cycles", "dram")).items()), OptionsSpec()
        )
        machine = evaluate._machine(context, job)
        found = evaluate._columnar(machine, evaluate._ready(context, job, machine.arch), job, None)
        status, _, totals = plain_row(context, job)
        assert found is not None or status == "illegal" or totals["coverage_layers"] < 1
        in_columns += found is not None
    assert in_columns > 5
