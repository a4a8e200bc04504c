"""What the mapper's objective needs of each tiling, as columns: compute cycles are exact, DRAM is estimated."""

from __future__ import annotations

import numpy as np

from accelsim.engines.systolic.tilecost import TileCost, tile_cost
from accelsim.mapping import tilings
from accelsim.mapping.loopnest import LoopNest, Widths
from accelsim.memory.dram import DramModel
from accelsim.seam import Bounds, Columns


def bounds(layer: LoopNest, array: tuple[int, int, int, bool], dram: DramModel, columns: Columns) -> Bounds:
    """Return what the objective needs; of ``layer``, the tiling does not matter.

    Compute cycles and on-chip words are exact; DRAM bits count whole bursts, edge tiles like the others; of the
    timeline, only the first load and the last store are seen: cycles = max(compute + first load + last store, DRAM).
    """
    conv, taps = layer.conv, layer.conv.r * layer.conv.s

    def costs(g: np.ndarray, n: np.ndarray, e: np.ndarray, f: np.ndarray, k: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.stack(tile_cost(*array, g, n * e * f, k, c * taps))

    cost = TileCost(*tilings.total(conv, columns, costs))
    moved = tilings.traffic(conv, layer.widths, dram, columns, layer.resident)
    traffic = _scratchpad_traffic(layer.widths, array[0], cost, moved)
    traffic |= {("dram", "read"): moved.read, ("dram", "write"): moved.write}
    return Bounds(tilings.estimate(cost.cycles, moved, dram), tilings.whole(moved.read + moved.write), traffic)


def _scratchpad_traffic(
    widths: Widths, flow: int, cost: TileCost, moved: tilings.Traffic
) -> dict[tuple[str, str], np.ndarray]:
    """Return the scratchpads' traffic (that of links and registers hardly differs between candidates)."""
    inputs, weights = ((cost.left, cost.top), (cost.left, cost.held), (cost.held, cost.left))[flow]
    return {
        ("glb.inputs", "read"): inputs * widths.input,
        ("glb.inputs", "write"): moved.input,
        ("glb.weights", "read"): weights * widths.weight,
        ("glb.weights", "write"): moved.weight,
        ("glb.outputs", "read"): cost.results * widths.psum + moved.spill,
        ("glb.outputs", "write"): cost.results * widths.psum + moved.spill,
    }
