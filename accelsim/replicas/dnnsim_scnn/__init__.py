"""SCNN as the public simulator DNNsim counts it, quirks included.

Source: isakedo/DNNsim on GitHub, core/src/SCNN.cpp, read at commit 0283caa. Kept as they are there: the phase of a
weight is (tap + padding) mod stride although activations are padded already; the output coordinate is a quotient cut
towards zero, so that a tap just outside the plane may land on row or column 0; groups beyond the second read the
second group's activations; every (channel group, channel) ends in a barrier; the halo of a group is added in full.

Fully connected layers, which DNNsim folds into 16 x 16 planes, are not part of this replica.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.errors import MappingError
from accelsim.units import ceil_div

COLUMNS = (
    "cycles",
    "dense_cycles",
    "mults",
    "idle_bricks",
    "idle_conflicts",
    "idle_pe",
    "idle_halo",
    "total_mult_cycles",
    "halo_transfers",
    "weight_buff_reads",
    "act_buff_reads",
    "accumulator_updates",
    "i_loop",
    "f_loop",
    "offchip_weight_reads",
)
"""DNNsim's own columns, in its order."""


class ScnnMachine(NamedTuple):
    """DNNsim's parameters: PE columns and rows, activations and weights of a vector, accumulators, banks."""

    wt: int = 8
    ht: int = 8
    i: int = 4
    f: int = 4
    out_acc_size: int = 1024
    banks: int = 32


DEFAULT = ScnnMachine()


def count(
    act: np.ndarray, wgt: np.ndarray, stride: int, padding: int, machine: ScnnMachine = DEFAULT
) -> dict[str, int]:
    """Return DNNsim's columns for one image of one layer.

    Parameters
    ----------
    act : ndarray of bool, shape (c, x, y)
        Which activations are not zero, without padding.
    wgt : ndarray of bool, shape (k, c / groups, r, s)
    stride, padding : int

    Raises
    ------
    MappingError
        A tile of outputs larger than the accumulators, for which DNNsim never ends; groups of one channel with
        several filters, where it reads beyond the activations.
    """
    from accelsim.replicas.dnnsim_scnn.kernel import walk

    m = machine
    act = np.pad(act, ((0, 0), (padding, padding), (padding, padding)))
    c, x, y = act.shape
    k, ck, r, s = wgt.shape
    w, h = (x - r) // stride + 1, (y - s) // stride + 1
    kc = m.out_acc_size // (ceil_div(w, m.wt) * ceil_div(h, m.ht))
    if kc == 0:
        raise MappingError("a tile of outputs exceeds the accumulators", "raise --accumulators")
    depthwise = ck == 1 and c != 1
    if depthwise:
        kc = 1
    if depthwise and k != c:
        raise MappingError(
            "groups of one channel with several filters read beyond DNNsim's activations", "leave it out"
        )
    wide, high = ceil_div(x, m.wt) * m.wt, ceil_div(y, m.ht) * m.ht
    act = np.pad(act, ((0, 0), (0, wide - x), (0, high - y)))
    tw, th = wide // m.wt, high // m.wt
    sums = walk(act, wgt, np.array([stride, padding, w, h, kc, tw, th, *m, int(depthwise)], dtype=np.int64))
    found = dict(zip(("cycles", "dense_cycles", "mults", "idle_bricks", "idle_conflicts", "idle_pe",
                      "weight_buff_reads", "act_buff_reads", "accumulator_updates", "i_loop", "f_loop",
                      "offchip_weight_reads"), sums.tolist(), strict=True))  # fmt: skip
    halo, transfers = _halo(k, kc, (r - 1 - padding, tw, padding), (s - 1 - padding, th, padding))
    found["cycles"] += halo
    found["dense_cycles"] += halo
    found["idle_halo"] = halo * m.wt * m.ht * m.i * m.f
    found["halo_transfers"] = transfers
    parts = ("mults", "idle_bricks", "idle_conflicts", "idle_pe", "idle_halo")
    found["total_mult_cycles"] = sum(found[part] for part in parts)
    return {column: found[column] for column in COLUMNS}


def _halo(k: int, kc: int, xs: tuple[int, ...], ys: tuple[int, ...]) -> tuple[int, int]:
    """Return the cycles and transfers of all groups' halos: the largest of the 8 directions, one psum per cycle."""
    areas = [x * y for i, x in enumerate(xs) for j, y in enumerate(ys) if (i, j) != (1, 1)]
    groups = ceil_div(k, kc)
    return max(0, *areas) * k, sum(areas) * groups
