"""Loop nests of many levels: random ones against brute force, tilings against two levels, and the rate."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numba
import numpy as np

import accelsim
from accelsim.activity import Flow
from accelsim.mapping import bound_kernel, loopnest, timeline_kernel
from accelsim.mapping.loopnest import LoopNest, Tiling, Widths
from accelsim.memory.dram import DramModel
from accelsim.tiled import brute, encode
from accelsim.tiled.encode import counted
from accelsim.tiled.nest_kernel import count
from accelsim.tiled.two_levels import two_levels
from accelsim.units import ceil_div

from .check import ROOT, Check

sys.path.insert(0, str(ROOT / "tests"))
from nests import random_nest, random_tiling

NESTS, TILINGS, TIMED = 4000, 2000, 2000


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield _as_brute_force()
    yield _as_tilings()
    yield from _rates()


def _as_brute_force() -> Check:
    equal = sum(counted(nest) == brute.counted(nest) for nest in map(random_nest, range(NESTS, 2 * NESTS)))
    return Check("random nests are counted as by brute force", f"{equal:,} of {NESTS:,}", equal == NESTS)


def _as_tilings() -> Check:
    dram, equal = DramModel(Fraction(1), 0, 1), 0
    for nest in map(random_tiling, range(TILINGS, 2 * TILINGS)):
        flows = loopnest.dram_traffic(nest.schedule(lambda tile: 1), dram)
        words = counted(two_levels(nest.conv, nest.tiling)).words

        def bits(tensor: str, way: Any, flows: dict[Flow, int] = flows) -> int:
            return flows.get(Flow("dram", tensor, way), 0)

        outputs = words["DRAM", "O"]
        equal += (
            words["DRAM", "I"].reads == bits("input", "read")
            and words["DRAM", "W"].reads == bits("weight", "read")
            and outputs.updates == bits("output", "write") + bits("psum", "write")
            and outputs.reads == bits("psum", "read")
        )
    return Check("DRAM words of tilings are those of two levels", f"{equal:,} of {TILINGS:,}", equal == TILINGS)


def _rates() -> Iterator[Check]:
    nests = _resnet_tilings()
    sizes, windows, loops, levels = (
        np.stack(part)
        for part in zip(*(encode.arrays(two_levels(nest.conv, nest.tiling)) for nest in nests), strict=True)
    )
    found = np.zeros((TIMED, 2, 3, 3), dtype=np.int64)
    rows, tilings = _rows(nests)
    moved = np.zeros((TIMED, 5), dtype=np.int64)
    ours = _seconds(_count_all, sizes, windows, loops, levels, found)
    today = _seconds(_traffic_all, rows, tilings, moved)
    same = bool((found[:, 0, 1, 1] == moved[:, 2]).all() and (found[:, 0, 0, 1] == moved[:, 3]).all())
    figure = f"{TIMED / ours:,.0f} nests per CPU second, all levels and tensors; DRAM traffic of the same tilings in "
    figure += f"mapping/bound_kernel {TIMED / today:,.0f}; ratio {ours / today:.1f}"
    yield Check("tilings of ResNet-50 as nests of two levels", figure, same)


def _resnet_tilings() -> list[LoopNest]:
    rng = np.random.default_rng(0)
    layers = accelsim.load_network("resnet50").layers
    convs = [shape.as_conv() for layer in layers if hasattr(shape := layer.shape, "as_conv")]

    def cut(size: int) -> int:
        return ceil_div(size, int(rng.choice((1, 1, 2, 3, 4, 6, 8, 12))))

    nests = []
    for _ in range(TIMED):
        conv, kind = convs[rng.integers(len(convs))], rng.integers(3)
        e = conv.e if kind == 0 else cut(conv.e) if kind == 1 else 1
        f = conv.f if kind < 2 else cut(conv.f)
        order = loopnest.ORDERS[rng.integers(6)]
        tiling = Tiling(groups=1, n=1, e=e, f=f, k=cut(conv.k), c=cut(conv.c), order=order)
        nests.append(LoopNest(conv, tiling, Widths(1, 1, 1, 1)))
    return nests


def _rows(nests: list[LoopNest]) -> tuple[np.ndarray, np.ndarray]:
    rows = [loopnest.layer_row(nest.conv, nest.widths[:3], (True,) * 3) for nest in nests]
    tilings = [(*nest.tiling.model_dump(exclude={"order"}).values(), loopnest.ORDERS.index(nest.tiling.order))
               for nest in nests]  # fmt: skip
    return np.array(rows, dtype=np.int64), np.array(tilings, dtype=np.int64)


def _seconds(function: Callable[..., None], *args: np.ndarray) -> float:
    """Return the smallest CPU time of seven calls, after one that compiles."""
    function(*args)
    times = []
    for _ in range(7):
        start = time.process_time()
        function(*args)
        times.append(time.process_time() - start)
    return min(times)


@numba.njit
def _count_all(sizes, windows, loops, levels, found):  # type: ignore[no-untyped-def]
    for i in range(len(sizes)):
        count(sizes[i], windows[i], loops[i], levels[i], found[i])


WORKSPACE, CUT, TRAFFIC = bound_kernel.workspace, timeline_kernel.cut, bound_kernel.traffic


@numba.njit
def _traffic_all(rows, tilings, moved):  # type: ignore[no-untyped-def]
    swept = np.empty(8)
    for i in range(len(rows)):
        state = WORKSPACE(rows[i])
        TRAFFIC(rows[i], state, CUT(rows[i], tilings[i], state)[0], 1, 1, swept, moved[i])
