"""DNNsim's SCNN: its own loops written out again in plain Python, and counts made by hand."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from accelsim.cli.replica_dnnsim_scnn import command
from accelsim.errors import MappingError
from accelsim.replicas.dnnsim_scnn import ScnnMachine, count


def plain(act, wgt, stride, padding, m):
    """Return (cycles, dense cycles, mults) with lists and dicts alone."""
    c, x, y = act.shape
    k, ck, r, s = wgt.shape
    padded = {(a, b + padding, d + padding) for a, b, d in zip(*np.nonzero(act), strict=True)}
    x, y = x + 2 * padding, y + 2 * padding
    w, h = (x - r) // stride + 1, (y - s) // stride + 1
    kc = m.out_acc_size // (-(-w // m.wt) * -(-h // m.ht))
    kc = 1 if ck == 1 and c != 1 else kc
    tw, th = -(-x // m.wt), -(-y // m.ht)
    cycles = dense_cycles = mults = 0
    for k0 in range(0, k, kc):
        ct = k0 if ck == 1 and c != 1 else (ck if k0 >= k // (c // ck) else 0)
        kernels = range(k0, min(k0 + kc, k))
        for channel in range(ck):
            worst, worst_dense = [], []
            for px in range(m.wt):
                for py in range(m.ht):
                    pe = dense = 0
                    for phase in [(a, b) for a in range(stride) for b in range(stride)]:
                        pixels = [
                            (i, j)
                            for i in range(px * tw, px * tw + tw)
                            for j in range(py * th, py * th + th)
                            if (i % stride, j % stride) == phase
                        ]
                        acts = [p for p in pixels if (ct + channel, *p) in padded]
                        taps = [
                            (q, i, j)
                            for i in range(r)
                            for j in range(s)
                            if ((i + padding) % stride, (j + padding) % stride) == phase
                            for q in kernels
                        ]
                        wgts = [t for t in taps if wgt[t[0], channel, t[1], t[2]]]
                        dense += -(-len(pixels) // m.i) * -(-len(taps) // m.f)
                        for a in range(0, len(acts), m.i):
                            for b in range(0, len(wgts), m.f):
                                banks = {}
                                for i, j in acts[a : a + m.i]:
                                    for q, ri, sj in wgts[b : b + m.f]:
                                        o = (int((i - ri) / stride), int((j - sj) / stride))
                                        if 0 <= o[0] < w and 0 <= o[1] < h:
                                            high = ((q >> 2) ^ (o[0] >> 1) ^ (o[1] >> 1)) & 1
                                            at = (16 * high + 8 * (o[0] & 1) + 4 * (o[1] & 1) + q % 4) % m.banks
                                            banks[at] = banks.get(at, 0) + 1
                                            mults += 1
                                pe += max([1, *banks.values()])
                    worst.append(pe)
                    worst_dense.append(dense)
            cycles += max(worst)
            dense_cycles += max(worst_dense)
        xs, ys = (r - 1 - padding, tw, padding), (s - 1 - padding, th, padding)
        halo = max(0, *(xs[i] * ys[j] for i in range(3) for j in range(3) if (i, j) != (1, 1))) * len(kernels)
        cycles, dense_cycles = cycles + halo, dense_cycles + halo
    return cycles, dense_cycles, mults


@pytest.mark.parametrize("seed", range(25))
def test_the_replica_counts_what_its_loops_say(seed):
    rng = np.random.default_rng(seed)
    groups, r, stride = rng.choice([1, 1, 2]), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    c, k, padding = int(rng.integers(2, 4)), int(rng.integers(1, 6)), int(rng.integers(0, r))
    if seed % 5 == 0:
        groups, c, k = 3, 1, 1
    machine = ScnnMachine(2, 2, int(rng.integers(1, 5)), int(rng.integers(1, 5)), 60, int(rng.choice([4, 32])))
    act = rng.random((groups * c, 7, 7)) < rng.choice([0.3, 1.0])
    wgt = rng.random((groups * k, c, r, r)) < rng.choice([0.3, 1.0])
    ours = count(act, wgt, stride, padding, machine)
    assert (ours["cycles"], ours["dense_cycles"], ours["mults"]) == plain(act, wgt, stride, padding, machine)


def test_groups_of_one_channel_with_two_filters_are_refused():
    with pytest.raises(MappingError, match="beyond DNNsim's activations"):
        count(np.ones((2, 8, 8), bool), np.ones((4, 1, 1, 1), bool), 1, 0)


def test_one_pixel_per_pe_takes_one_step_without_halo():
    found = count(np.ones((1, 8, 8), bool), np.ones((4, 1, 1, 1), bool), 1, 0)
    assert (found["cycles"], found["mults"], found["idle_bricks"]) == (1, 256, 64 * 12)


def test_a_quotient_cut_towards_zero_lets_a_product_land_that_a_convolution_has_not():
    # stride 2: activation 0 and tap 1 give -1 / 2, which is 0 and not -1; the phases are equal with padding 1
    act = np.zeros((1, 4, 4), bool)
    act[0, 0, 0] = True
    wgt = np.ones((1, 1, 3, 3), bool)
    machine = ScnnMachine(1, 1, 1, 1)
    assert count(act, wgt, 2, 1, machine)["mults"] == plain(act, wgt, 2, 1, machine)[2]
    assert count(act, wgt, 2, 1, machine)["mults"] == 4


def test_the_slots_of_all_multipliers_are_accounted_for():
    rng = np.random.default_rng(0)
    found = count(rng.random((6, 13, 13)) < 0.4, rng.random((20, 6, 3, 3)) < 0.4, 1, 1)
    assert found["total_mult_cycles"] == found["cycles"] * 8 * 8 * 16


def test_the_command_prints_its_columns():
    result = CliRunner().invoke(command, ["alexnet", "--layers", "conv5", "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["layers"][0]["layer"] == "conv5"
