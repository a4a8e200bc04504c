"""DNNsim's walk: every step of every PE, one barrier per (channel group, channel)."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def towards_zero(a, b):  # type: ignore[no-untyped-def]
    """Divide as C++ does."""
    return a // b if a >= 0 else -(-a // b)


@kernel
def walk(act, wgt, numbers):  # type: ignore[no-untyped-def]
    """Return the sums over all (channel group, channel) of one image.

    Parameters
    ----------
    act : ndarray of bool, shape (c, x, y)
        Padded to whole tiles.
    wgt : ndarray of bool, shape (k, c / groups, r, s)
    numbers : ndarray of int64, shape (14,)
        stride, padding, w, h, kc, tw, th, PE columns and rows, i, f, accumulators, banks, depthwise.

    Returns
    -------
    ndarray of int64, shape (12,)
        cycles, dense cycles, mults, idle bricks, idle conflicts, idle PEs, weight and activation buffer reads,
        accumulator updates, i loop, f loop, off-chip weight reads.
    """
    stride, padding, w_out, h_out, kc, tw, th, pe_x, pe_y, lanes_i, lanes_f = numbers[:11]
    banks, depthwise = numbers[12], numbers[13]
    kernels, ck, r_size, s_size = wgt.shape
    half = kernels // (act.shape[0] // ck)
    sums = np.zeros(12, np.int64)
    acts = np.empty((tw * th, 2), np.int64)
    wgts = np.empty((min(kc, kernels) * r_size * s_size, 3), np.int64)
    bank = np.zeros(max(banks, 32), np.int64)
    for k0 in range(0, kernels, kc):
        k1 = min(k0 + kc, kernels)
        first = k0 if depthwise else (ck if k0 >= half else 0)
        for c in range(ck):
            slowest = slowest_dense = most_i = size = np.int64(0)
            total = np.int64(0)
            for pe in range(pe_x * pe_y):
                x0, y0 = (pe // pe_y) * tw, (pe % pe_y) * th
                x1, y1 = min(x0 + tw, act.shape[1]), min(y0 + th, act.shape[2])
                cycles = dense = steps = products = i_loop = size = np.int64(0)
                for phase in range(stride * stride):
                    px, py = phase // stride, phase % stride
                    n_act = all_act = n_wgt = all_wgt = np.int64(0)
                    for x in range(x0, x1):
                        for y in range(y0, y1):
                            if x % stride == px and y % stride == py:
                                all_act += 1
                                if act[first + c, x, y]:
                                    acts[n_act, 0], acts[n_act, 1] = x, y
                                    n_act += 1
                    for r in range(r_size):
                        for s in range(s_size):
                            if (r + padding) % stride == px and (s + padding) % stride == py:
                                for k in range(k0, k1):
                                    all_wgt += 1
                                    if wgt[k, c, r, s]:
                                        wgts[n_wgt, 0], wgts[n_wgt, 1], wgts[n_wgt, 2] = k, r, s
                                        n_wgt += 1
                    dense += -(-all_act // lanes_i) * -(-all_wgt // lanes_f)
                    for a in range(0, n_act, lanes_i):
                        i_loop += 1
                        for b in range(0, n_wgt, lanes_f):
                            steps += 1
                            bank[:] = 0
                            fullest = np.int64(1)
                            for i in range(a, min(a + lanes_i, n_act)):
                                for f in range(b, min(b + lanes_f, n_wgt)):
                                    w = towards_zero(acts[i, 0] - wgts[f, 1], stride)
                                    h = towards_zero(acts[i, 1] - wgts[f, 2], stride)
                                    if w < 0 or w >= w_out or h < 0 or h >= h_out:
                                        continue
                                    k = wgts[f, 0]
                                    high = ((k & 4) << 2) ^ ((w & 2) << 3) ^ ((h & 2) << 3)
                                    at = (high + ((w & 1) << 3) + ((h & 1) << 2) + (k & 3)) % banks
                                    bank[at] += 1
                                    products += 1
                                    fullest = max(fullest, bank[at])
                            cycles += fullest
                            sums[4] += (fullest - 1) * lanes_i * lanes_f
                    size += -(-n_wgt // lanes_f) * lanes_f
                    sums[7] += -(-n_act // lanes_i) * lanes_i
                slowest, slowest_dense = max(slowest, cycles), max(slowest_dense, dense)
                most_i = max(most_i, i_loop)
                total += cycles
                sums[2] += products
                sums[3] += steps * lanes_i * lanes_f - products
                sums[6] += size
                sums[8] += products
                sums[9] += i_loop
                sums[10] += steps
            sums[0] += slowest
            sums[1] += slowest_dense
            sums[5] += (slowest * pe_x * pe_y - total) * lanes_i * lanes_f
            sums[11] += most_i * size
    return sums
