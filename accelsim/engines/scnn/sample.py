"""Small random cases for the contract tests."""

from __future__ import annotations

import numpy as np

from accelsim.engine import Sample
from accelsim.workload.shapes import Conv2d


def sample(rng: np.random.Generator) -> Sample:
    """Return a small convolution on a small array, accumulators and queues tight."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    groups, r, s = draw(1, 2), draw(1, 3), draw(1, 3)
    large = draw(0, 7) == 0  # one image too large for one PE: bands
    shape = Conv2d(
        n=draw(1, 2),
        c=groups * (4 if large else draw(1, 3)),
        k=groups * draw(1, 3 if large else 5),
        h=draw(8, 11) if large else draw(5, 9),
        w=draw(8, 11) if large else draw(5, 9),
        r=r,
        s=s,
        groups=groups,
        stride=(draw(1, 3), draw(1, 2)),
        pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        dilation=(draw(1, 2), draw(1, 2)),
    )
    params = {
        "pe_rows": 1 if large else draw(1, 4),
        "pe_cols": 1 if large else draw(1, 4),
        "f": draw(1, 4),
        "i": draw(1, 4),
        "banks": draw(1, 32),
        "accumulator_entries": draw(81, 200),
        "queue_depth": (0, 1, 3, "unlimited")[draw(0, 3)],
        "barrier": ("group", "channel")[draw(0, 1)],
        "kc": (draw(1, 6), "own_tile", "capacity", "capacity")[draw(0, 3)],
        "empty_costs_a_cycle": bool(draw(0, 1)),
        "run_bits": draw(1, 4),
        "iaram_kib": 1,
        "oaram_kib": 1,
        "activations_stay": bool(draw(0, 3)),
        "drain_entries_per_cycle": draw(1, 32),
        "halo_entries_per_cycle": draw(1, 8),
    }
    return Sample(shape, params, widest_bits=16)
