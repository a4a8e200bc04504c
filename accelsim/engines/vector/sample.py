"""Small random cases for the contract tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.engines.vector.program import BINARY, OTHERS, UNARY
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax

HALF_BITS = 4096
"""Half of a scratchpad of 1 KiB."""


def sample(rng: np.random.Generator) -> Sample:
    """Return a small layer of any kind that runs here, cut at random."""
    draw = drawing(rng)
    params = {
        "lanes": draw(1, 9),
        "lane_bits": 16,
        "buffer_kib": 1,
        "special_cycles": draw(1, 4),
        "latency_cycles": draw(0, 5),
    }
    image: tuple[int, ...] = (draw(1, 2), draw(1, 6), draw(1, 4), draw(1, 4))
    shape: Pool | Elementwise | Normalization | Softmax
    kind, rows, bits = draw(0, 5), 0, 0
    if kind <= 1:
        return Sample(_pool(rng), params, {"rows": draw(1, 4), "channels": draw(1, 5)})
    if kind <= 3:
        op = str(rng.choice([*UNARY, *BINARY, *OTHERS]))
        count = 1 if op in UNARY else draw(1, 2 if op == "prelu" else 3)
        # the first operand is never broadcast, so that it has the result's shape
        inputs = (image, *(tuple(draw(0, 1) or size for size in image) for _ in range(count - 1)))
        if op in BINARY and not draw(0, 7):  # what is broadcast is too large for the scratchpad
            image = (2, draw(4200, 4400))
            count, inputs = 2, (image, image[1:])
        shape = Elementwise(op, image, tuple(tuple(dims) for dims in inputs))
        rows, bits = int(np.prod(image)), 8 * (2 * count + 1)
    elif kind == 4 and draw(0, 1):
        op = ("batch", "affine")[draw(0, 1)]
        shape, rows, bits = Normalization(op, image), int(np.prod(image)), 16  # type: ignore[arg-type]
    elif kind == 4:
        shape = Normalization("lrn", image, draw(1, 7))
        rows, bits = image[0] * image[2] * image[3], 16 * image[1]
    else:
        # a few rows are too long for the scratchpad
        length = draw(1, 14) if draw(0, 4) else draw(60, 700)
        dims = (draw(1, 6) if length < 60 else draw(1, 2), length)
        shape = Softmax(dims, length) if draw(0, 1) else Normalization("layer", dims)
        rows, bits = dims[0], 32 * length
    return Sample(shape, params, {"rows": draw(1, max(1, min(rows, HALF_BITS // bits))), "channels": 1})


def _pool(rng: np.random.Generator) -> Pool:
    draw = drawing(rng)
    r, s = draw(1, 3), draw(1, 4)
    op: Any = ("max", "average", "min", "sum")[draw(0, 3)]
    # the padding is smaller than the window, so that every window meets the image
    pad = (draw(0, r - 1), draw(0, s - 1), draw(0, r - 1), draw(0, s - 1))
    return Pool(
        op, draw(1, 2), draw(1, 6), draw(3, 6), draw(4, 6), r, s, (draw(1, 3), draw(1, 2)), pad,
        bool(draw(0, 1)), bool(draw(0, 1)),
    )  # fmt: skip
