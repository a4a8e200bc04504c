"""Small random cases for the contract tests."""

from __future__ import annotations

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.workload.shapes import Conv2d, Linear, Matmul


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any product kind on a small array, with inputs that do not fill its words."""
    draw = drawing(rng)
    shape: Conv2d | Linear | Matmul
    kind = draw(0, 3)
    if kind == 0:
        shape = Linear(n=draw(1, 5), c=draw(1, 70), k=draw(1, 6))
    elif kind == 1:
        shape = Matmul(batch=draw(1, 2), m=draw(1, 5), n=draw(1, 5), k=draw(1, 40))
    else:
        groups, r, s = draw(1, 2), draw(1, 3), draw(1, 3)
        shape = Conv2d(
            n=draw(1, 2),
            c=groups * draw(1, 5),
            k=groups * draw(1, 3),
            h=draw(3, 4),
            w=draw(3, 4),
            r=r,
            s=s,
            groups=groups,
            stride=(draw(1, 2), draw(1, 2)),
            pad=(draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1)),
        )
    params = {
        "dm": draw(1, 3),
        "dk": (32, 64)[draw(0, 1)],
        "dn": draw(1, 3),
        "lhs_entries": 128,
        "rhs_entries": 128,
        "instruction_cycles": draw(0, 2),
    }
    return Sample(shape, params, None, widest_bits=4)
