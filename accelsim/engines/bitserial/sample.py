"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.mapping.loopnest import ORDERS
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind on a small grid of any machine."""
    draw = drawing(rng)
    machine = ("dadiannao", "stripes", "loom", "pragmatic", "laconic")[draw(0, 4)]
    serial, chases = machine in ("stripes", "loom"), machine in ("pragmatic", "laconic")
    trim = ("layer", "activations", "both")[draw(0, 2 if machine == "loom" else 1)] if serial else "layer"
    joins = serial and trim == "layer" and draw(0, 1) == 1
    params: dict[str, Any] = {
        "machine": machine,
        "lanes": draw(1, 4),
        "columns": draw(2 if joins else 1, 4),
        "rows": draw(2 if joins else 1, 3),
        "tiles": draw(1, 2),
        "pe_bits": 4 if joins else 8,
        "activation_bits_per_cycle": draw(1, 3) if serial else 1,
        "trim": trim,
        "shift_bits": draw(0, 2),
        "column_registers": draw(0, 2) if machine == "pragmatic" else 0,
        "recoding": ("none", "naf", "booth")[draw(0, 2)] if chases else "none",
        "fc_columns": "windows",
        "space_to_depth": bool(draw(0, 1)),
        "word_bits": (1, 16)[draw(0, 1)],
        "input_kib": 4,
        "weight_kib": 4,
        "output_kib": 2,
    }
    shape = _shape(draw)
    spread = ("windows", "steps", "filters")[draw(0, 2 if machine == "loom" else 1)]
    depthwise = isinstance(shape, Conv2d) and 1 < shape.groups == shape.c == shape.k
    if isinstance(shape, Matmul) and shape.n == shape.k == 1:
        depthwise = True
    mapping = _tiling(shape.as_conv(), draw) | {"columns": "windows" if depthwise else spread}
    return Sample(shape, params, mapping)


def _shape(draw: Any) -> Conv2d | Linear | Matmul:
    kind = draw(0, 5)
    if kind == 0:
        return Linear(n=draw(1, 4), c=draw(1, 12), k=draw(1, 12))
    if kind == 1:
        return Matmul(batch=draw(1, 3), m=draw(1, 4), n=draw(1, 5), k=draw(1, 6))
    r, s = draw(1, 3), draw(1, 3)
    depthwise, image = kind == 2, kind == 3
    groups = draw(2, 5) if depthwise else 1 if image else draw(1, 2)
    channels, filters = (1, 1) if depthwise else (3 if image else draw(1, 4), draw(1, 4))
    stride = draw(2, 3)
    return Conv2d(
        n=draw(1, 2),
        c=groups * channels,
        k=groups * filters,
        h=draw(5, 7),
        w=draw(5, 7),
        r=r,
        s=s,
        groups=groups,
        stride=(stride, stride) if image else (draw(1, 3), draw(1, 2)),
        pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        dilation=(1, 1) if image else (draw(1, 2), draw(1, 2)),
    )


def _tiling(conv: Conv2d, draw: Any) -> dict[str, Any]:
    """Return a random cut, all input channels together, small enough for half of 4 KiB, at 16 bits a word."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    cut = {"groups": 1, "n": draw(1, conv.n), "e": draw(1, conv.e), "f": draw(1, conv.f), "k": draw(1, kg), "c": cg}
    if cut["n"] * cg * conv.h * conv.w * 16 > 16384:
        cut["n"] = 1
    if cut["k"] == kg:
        room = 16384 // (16 * cut["n"] * cg * conv.h * conv.w)
        outputs = 8192 // (16 * cut["n"] * cut["e"] * cut["f"] * kg)
        cut["groups"] = max(1, min(draw(1, conv.groups), room, outputs))
    return cut | {"order": ORDERS[draw(0, len(ORDERS) - 1)]}
