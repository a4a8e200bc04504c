"""Fully connected layers, line by line."""

import numpy as np

from accelsim.jit import kernel


@kernel
def walk(vectors, inputs, outputs, in_block, multipliers):  # type: ignore[no-untyped-def]
    """Return in how many cycles each of the two arrays multiplies: blocks of outputs, halves of each in an array."""
    per_line, line_cycles = max(1, multipliers // inputs), (inputs + multipliers - 1) // multipliers
    first = second = 0
    for start in range(0, outputs, in_block):
        rows = min(in_block, outputs - start)
        for _ in range(0, (rows + 1) // 2, per_line):
            first += vectors * line_cycles
        for _ in range(0, rows // 2, per_line):
            second += vectors * line_cycles
    return first, second


@kernel
def multiply(x, w):  # type: ignore[no-untyped-def]
    """Return the products of all rows of int64 arrays (n, c) and (k, c): (n, k)."""
    out = np.zeros((len(x), len(w)), np.int64)
    for i in range(len(x)):
        for j in range(len(w)):
            for c in range(x.shape[1]):
                out[i, j] += x[i, c] * w[j, c]
    return out
