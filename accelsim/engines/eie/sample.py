"""Small random cases for the contract tests."""

from __future__ import annotations

import numpy as np

from accelsim.engine import Sample, drawing
from accelsim.workload.shapes import Linear


def sample(rng: np.random.Generator) -> Sample:
    """Return a small matrix on a few PEs: shallow queues, short runs, memories with room for all or for one pass."""
    draw = drawing(rng)

    def flip() -> bool:
        return bool(rng.integers(2))

    roomy, coded, value_bits = flip(), flip(), draw(2, 5)
    batch = (pes := draw(1, 4)) * (registers := draw(1, 8))
    shape = Linear(n=draw(1, 4), c=draw(1, 3 * batch), k=draw(1, 3 * batch))
    params = {
        "pes": pes,
        "channels": draw(1, 3),
        "queue_depth": draw(1, 4),
        "value_bits": value_bits,
        "run_bits": draw(1, 2),
        "codebook_bits": 5 if coded else 0,
        "input_bits": 8,
        "registers": registers,
        "pass_rows": draw(1, batch) if flip() else 0,
        "row_entries": draw(1, 4),
        "pointer_banks": draw(1, 2),
        "bypass": flip(),
        "padding_cycle": flip(),
        "empty_cycle": flip(),
        "pipeline_stages": draw(1, 4),
        "weights": "resident" if flip() else "streamed",
        # without room to spare: two passes of 8 rows and 32 columns per PE, entries of 7 bits and pointers of 16;
        # two batches of inputs and one of outputs, 5 bits each
        "matrix_bytes": 1 << 16 if roomy else 448,
        "pointer_bytes": 1 << 14 if roomy else 132,
        "activation_bytes": 1 << 12 if roomy else 2 * registers,
    }
    return Sample(shape, params, widest_bits=value_bits, on_chip=roomy)
