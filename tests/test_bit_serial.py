"""Bit-serial tile grids by hand: two lanes, two columns, two rows."""

import numpy as np
import pytest
from bit_serial_runs import MACHINES, run

import accelsim

X = [[5, 2], [1, 4]]
W = [[3, 1], [1, 1]]


def busy(activity):
    return activity.accounts["lanes"]["busy"]


def test_dadiannao_takes_one_window_per_cycle():
    activity = run("dadiannao", X, W)
    assert (activity.compute_cycles, busy(activity)) == (2, 8)


def test_stripes_takes_as_many_cycles_as_activations_have_bits():
    activity = run("stripes", X, W, a=(4, True))
    assert (activity.compute_cycles, busy(activity)) == (4, 32)


def test_stripes_trimmed_takes_the_bits_of_the_widest_activation_and_a_sign():
    assert run("stripes, trimmed", X, W).compute_cycles == 4
    assert run("stripes, trimmed", X, W, a=(8, False)).compute_cycles == 3
    assert run("stripes, trimmed", np.negative(X), W).compute_cycles == 4


def test_loom_takes_the_product_of_both_widths():
    activity = run("loom", X, W, a=(4, True), b=(3, True))
    assert (activity.compute_cycles, busy(activity)) == (12, 96)
    assert run("loom, 2 bits", X, W, a=(5, True), b=(3, True)).compute_cycles == 9


def test_pragmatic_without_reach_takes_every_bit_position_in_turn():
    activity = run("pragmatic", X, W, shift_bits=0)
    assert (activity.compute_cycles, busy(activity)) == (3, 10)


def test_pragmatic_with_reach_uses_up_neighbouring_bits_together():
    activity = run("pragmatic", X, W)
    assert (activity.compute_cycles, busy(activity)) == (2, 10)


def test_pragmatic_bits_out_of_reach_take_another_cycle():
    assert run("pragmatic", [[1, 8]], [[1, 1]], a=(8, False)).compute_cycles == 1
    assert run("pragmatic", [[1, 16]], [[1, 1]], a=(8, False)).compute_cycles == 2


def test_pragmatic_takes_a_cycle_even_for_zeros():
    activity = run("pragmatic", [[0, 0], [0, 0]], W)
    assert (activity.compute_cycles, busy(activity)) == (1, 0)


def test_recoding_shortens_runs_of_ones():
    assert run("pragmatic", [[15, 0]], [[1, 1]], shift_bits=0).compute_cycles == 4
    assert run("pragmatic, recoded", [[15, 0]], [[1, 1]], shift_bits=0).compute_cycles == 2


def test_column_registers_let_columns_run_apart():
    x, w = [[7, 0, 0, 0], [0, 0, 7, 0]], [[1, 1, 1, 1]]
    assert run("pragmatic", x, w, shift_bits=0).compute_cycles == 3 + 3
    assert run("pragmatic", x, w, shift_bits=0, column_registers=1).compute_cycles == 4


def test_laconic_takes_the_most_pairs_of_terms():
    activity = run("laconic", X, W, recoding="none")
    assert (activity.compute_cycles, busy(activity)) == (4, 13)


def test_steps_in_turn_stall_when_columns_are_busy():
    x, w = [[1, 2, 3, 4]], np.ones((4, 4))
    activity = run("stripes", x, w, a=(4, True), mapping={"columns": "steps"})
    assert activity.compute_cycles == 9
    starved = 2 * 4 * 9 - 4 * 4 * 4
    assert activity.accounts["lanes"]["starved"] == starved


def test_steps_in_turn_gain_nothing_over_the_parallel_machine():
    x, w = np.ones((1, 64)), np.ones((8, 64))
    parallel = run("dadiannao", x, w).compute_cycles
    serial = run("stripes", x, w, columns=8, mapping={"columns": "steps"}).compute_cycles
    assert parallel <= serial == parallel + 7


def test_loom_filters_in_columns_depend_on_the_weights_bits_alone():
    x, w = np.ones((1, 4)), np.ones((4, 4))
    cycles = [
        run("loom", x, w, a=(a, True), b=(3, True), columns=16, mapping={"columns": "filters"}).compute_cycles
        for a in (2, 8, 16)
    ]
    assert cycles == [2 * 3 * 16 + 15] * 3


def test_wide_activations_join_columns():
    x, w = [[1000, -2000], [3, 4]], [[1, 2]]
    activity = run("stripes, 4-bit lanes", x, w, a=(16, True))
    assert activity.compute_cycles == 2 * 4
    assert run("stripes, 4-bit lanes", x, w, a=(17, True)) is None


@pytest.mark.parametrize("name", [n for n in MACHINES if MACHINES[n][0] == "bitserial" and "4-bit" not in n])
def test_operands_wider_than_the_lanes_are_refused_where_columns_cannot_join(name):
    assert run(name, X, W, a=(17, True), columns=1) is None


def test_rows_of_a_batch_take_a_column_each_where_that_is_faster():
    def columns(rows):
        arch, net = accelsim.load_arch("loom"), accelsim.load_network("lstm_ese_i153_h1024_p512_t1").batched(rows)
        return accelsim.simulate(arch, net, layers="projection").simulated[0].mapping["columns"]

    assert (columns(1), columns(64)) == ("filters", "windows")
