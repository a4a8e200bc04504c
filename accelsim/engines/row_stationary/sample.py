"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.engines.row_stationary.cut import Cut
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer on a small array, with a random mapping that fits."""
    draw = drawing(rng)
    params: dict[str, Any] = {
        "rows": draw(2, 7),
        "cols": draw(1, 5),
        "word_bits": (16, 16, 11)[draw(0, 2)],
        "filter_spad_words": draw(6, 24),
        "ifmap_spad_words": draw(3, 8),
        "psum_spad_words": draw(1, 4),
        "fmap_banks": draw(3, 12),
        "filter_banks": 1,
        "bank_kib": 1,
        "filter_words_per_cycle": draw(1, 4),
        "ifmap_words_per_cycle": draw(1, 2),
        "psum_words_per_cycle": draw(1, 4),
        "zero_gating": bool(draw(0, 1)),
        "rlc": bool(draw(0, 1)),
        "psum_counting": ("every_pass", "between_passes")[draw(0, 1)],
    }
    shape: Conv2d | Linear | Matmul
    kind = draw(0, 5)
    if kind == 0:
        shape = Linear(n=draw(1, 4), c=draw(1, 9), k=draw(1, 9))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 2), m=draw(1, 4), n=draw(1, 4), k=draw(1, 4))
    else:
        shape = _conv(draw, params["rows"])
    conv = shape.as_conv()
    mapping = _mapping(conv, params, draw)
    if draw(0, 1):
        # a FIFO of one window, where a PE that is late holds up the others
        params["ifmap_spad_words"] = mapping["q"] * conv.s
    return Sample(shape, params, mapping, widest_bits=params["word_bits"])


def _conv(draw: Any, rows: int) -> Conv2d:
    depthwise, r, s = draw(0, 3) == 0, draw(1, min(4, rows)), draw(1, 3)
    groups = draw(1, 3)
    return Conv2d(
        n=draw(1, 3),
        c=groups * (1 if depthwise else draw(1, 4)),
        k=groups * (1 if depthwise else draw(1, 4)),
        h=draw(4, 7),
        w=draw(3, 6),
        r=r,
        s=s,
        groups=groups,
        stride=(draw(1, 3), draw(1, 3)),
        pad=(draw(0, 1), draw(0, 1), draw(0, 1), draw(0, 1)),
    )


def _mapping(conv: Conv2d, params: dict[str, Any], draw: Any) -> dict[str, int]:
    """Return a random mapping that fits, as large as luck has it."""
    machine = Params.model_validate(params)
    fits = {"m": 1, "n": 1, "e": 1, "p": 1, "q": 1, "r": 1, "t": 1}
    for _ in range(40):
        p, t = draw(1, 4), draw(1, 4)
        tried = {
            "m": p * t * draw(1, 3), "n": draw(1, 3), "e": draw(1, conv.e), "p": p, "q": draw(1, 3), "r": draw(1, 3),
            "t": t,
        }  # fmt: skip
        larger = np.prod(list(tried.values())) > np.prod(list(fits.values()))
        if larger and not Cut(conv, machine, Mapping.model_validate(tried)).misfits():
            fits = tried
    return fits
