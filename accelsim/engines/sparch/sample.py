"""Small random machines and products for the contract tests."""

from __future__ import annotations

import numpy as np

from accelsim.engine import Sample
from accelsim.workload.shapes import SpGemm


def sample(rng: np.random.Generator) -> Sample:
    """Return a product of up to 14 in each dimension, on a machine of two to eight streams."""

    def draw(high: int) -> int:
        return int(rng.integers(1, high + 1))

    params = {
        "layers": draw(3),
        "merger_width": draw(4),
        "multiplier_groups": draw(3),
        "multiplier_lanes": draw(4),
        "lookahead": draw(24),
        "prefetch_lines": draw(8),
        "line_elements": draw(4),
        "tree_fifo": draw(12),
        "writer_fifo": draw(12),
        "layer_latency_cycles": draw(4) - 1,
        "channels": draw(4),
        "output_bits": (96, 128)[draw(2) - 1],
        "condense": draw(3) > 1,
        "huffman": draw(3) > 1,
        "prefetch": draw(3) > 1,
        "pipeline_merge": draw(3) > 1,
        "weights": ("exact", "sum")[draw(2) - 1],
        "plain_schedule": ("fresh", "running")[draw(2) - 1],
    }
    return Sample(SpGemm(draw(14), draw(14), draw(14)), params)
