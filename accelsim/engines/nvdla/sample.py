"""Small random layers and machines for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.workload.shapes import Conv2d, Elementwise, Linear, Matmul, Normalization, Pool, Shape


def sample(rng: np.random.Generator) -> Sample:
    """Return a layer of any kind on a machine whose buffer it fits, in bands or whole."""
    draw = drawing(rng)
    stripe = draw(2, 6)
    params: dict[str, Any] = {
        "channels": draw(1, 3) * draw(1, 2), "kernels": draw(1, 5), "banks": draw(3, 6), "bank_kib": 1,
        "atom_bytes": (1, 2, 4)[draw(0, 2)], "port_bytes": (2, 4, 8)[draw(0, 2)],
        "outstanding_beats": draw(1, 40), "outstanding_cycles": draw(0, 5), "weight_beats_first": draw(0, 5),
        "request_cycles": draw(0, 9), "line_buffer": draw(0, 1) == 1, "data_write_cycles": draw(0, 9),
        "wide_line_cycles": draw(0, 3), "data_ready_cycles": draw(1, 12), "weight_ready_cycles": draw(1, 14),
        "stripe": stripe, "image_stripe": draw(1, 6), "package_cycles": draw(1, 8), "result_cycles": draw(0, 9),
        "gap_cycles": draw(0, 2), "credits": 6 + draw(0, 8), "credit_cycles": draw(0, 12), "end_cycles": draw(0, 9),
        "turn_cycles": draw(1, 30), "post_elements": draw(1, 3), "sdp_cycles": draw(0, 9), "pdp_cycles": draw(0, 9),
        "fly_cycles": draw(0, 9),
        "cdp_cycles": draw(0, 9), "cdp_line_cycles": draw(0, 9),
    }  # fmt: skip
    wide = draw(0, 3) == 0
    if wide:
        params["wide_kernels"] = draw(1, max(1, params["kernels"] // 2))
        params["kernels"] = max(params["kernels"], 2 * params["wide_kernels"])
    widest = 16 if wide else 8
    shape: Shape
    kind = draw(0, 9)
    if kind == 0:
        return Sample(Linear(draw(1, 6), draw(1, 20), draw(1, 9)), params, widest_bits=widest)
    if kind == 1:
        return Sample(Matmul(draw(1, 3), draw(1, 6), draw(1, 6), draw(1, 8)), params, widest_bits=widest)
    if kind == 2:
        r, s = draw(1, 3), draw(1, 3)
        shape = Pool(
            ("max", "min", "average")[draw(0, 2)], n=draw(1, 2), c=draw(1, 9), h=draw(3, 6), w=draw(3, 6), r=r, s=s,
            stride=(draw(1, 2), draw(1, 2)), pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        )  # fmt: skip
        return Sample(shape, params, {"strips": (None, draw(1, 3))[draw(0, 1)], "flying": draw(0, 2) == 0})
    if kind == 3:
        dims = (draw(1, 2), draw(1, 9), draw(1, 4), draw(1, 4))
        op = ("add", "mul", "max", "relu", "clip")[draw(0, 4)]
        return Sample(Elementwise(op, dims, (dims,) * (1 if op in ("relu", "clip") else 2)), params)
    if kind == 4:
        dims = (draw(1, 2), draw(1, 12), draw(1, 4), draw(1, 11))
        return Sample(Normalization("lrn", dims, 2 * draw(1, 4) + 1), params)
    groups, r, s = (1, 1, draw(2, 6))[draw(0, 2)], draw(1, 3), draw(1, 3)
    image = groups == 1 and draw(0, 3) == 0
    cg = draw(1, 4) if image else draw(1, 3) if groups > 1 else draw(1, 14)
    span = 1 if image else draw(1, 2)
    shape = Conv2d(
        n=draw(1, 2), c=groups * cg, k=groups * draw(1, 12 if groups == 1 else 3), h=draw(6, 12), w=draw(6, 9), r=r,
        s=s, groups=groups, stride=(draw(1, 2), draw(1, 2)), dilation=(span, span),
        pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
    )  # fmt: skip
    mapping: dict[str, Any] = {"image": image}
    return Sample(shape, params, mapping, widest_bits=widest)
