"""Small random cases for the contract tests."""

from __future__ import annotations

import numpy as np

from accelsim.compressed.sample import convolution
from accelsim.engine import Sample, drawing


def sample(rng: np.random.Generator) -> Sample:
    """Return a small convolution on a small array, accumulators and queues tight."""
    draw = drawing(rng)
    large = draw(0, 7) == 0  # one image too large for one PE: bands
    c, k, plane = ((4, 4), (1, 3), (8, 11)) if large else ((1, 3), (1, 5), (5, 9))
    shape = convolution(draw, n=(1, 2), c=c, k=k, plane=plane, stride=(1, 3))
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
