"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.workload.shapes import Attention, Linear


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer on a small machine under any selector."""
    draw = drawing(rng)
    bits = draw(6, 12)
    params: dict[str, Any] = {
        "multipliers": draw(1, 12),
        "operand_bits": bits,
        "buffer_kib": 1,
        "buffer_halves": draw(1, 2),
        "buffer_rows": draw(2, 6),
        "softmax_lanes": draw(1, 4),
        "latency_cycles": draw(0, 9),
        "stages_behind": draw(0, 2),
        "row_cycles": draw(0, 2),
        "score_shift": draw(0, 2 * bits - 6),
        "fetch_skipped": bool(draw(0, 1)),
        "select": ("none", "greedy", "topk", "threshold")[draw(0, 3)],
    }
    if draw(0, 6) == 0:
        return Sample(Linear(draw(1, 3), draw(1, 70), draw(1, 40)), {**params, "linear": True, "select": "none"},
                      widest_bits=bits)  # fmt: skip
    kv_heads, kv = draw(1, 2), draw(1, 40) if draw(0, 2) == 0 else draw(1, 9)
    q = draw(1, min(4, kv))
    shape = Attention(
        draw(1, 2), kv_heads * draw(1, 2), kv_heads, q, kv, draw(1, 14), ("none", "none", "skip")[draw(0, 2)]
    )
    mapping: dict[str, Any] = {}
    if params["select"] == "greedy":
        params |= {"iterations": draw(1, 24) / 8, "post_threshold": draw(0, 3) / 10}
    elif params["select"] == "topk":
        params |= {"keep_values": draw(1, 10) / 10, "topk_parallel": draw(1, 4),
                   "topk": ("serial", "overlapped")[draw(0, 1)],
                   "pivot": ("expected", "seeded", "middle")[draw(0, 2)], "pivot_seed": draw(0, 99)}  # fmt: skip
        if draw(0, 2) == 0:
            mapping["values"] = draw(1, kv)
    else:
        params |= {"softmax": ("row", "lazy", "two_pass")[draw(0, 2)], "chunk_keys": draw(1, 5)}
        params["threshold"] = draw(0, 3) / 10
    if params["select"] != "greedy" and params.get("softmax", "row") == "row" and draw(0, 1):
        params |= {"low_bits": 1, "refetch_threshold": draw(0, 10) / 10}
        if draw(0, 1):
            mapping["refetched"] = draw(0, shape.batch * shape.heads * shape.q)
    if draw(0, 2) == 0:
        params["word_bits"] = (3, 4, 8, 12)
    return Sample(shape, params, mapping, widest_bits=bits)
