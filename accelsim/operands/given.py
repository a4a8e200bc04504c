"""Operands that somebody gives: a file, arrays, or values that layers compute from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from accelsim.operands import files
from accelsim.operands.rounding import Chain
from accelsim.workload.layers import Layer
from accelsim.workload.network import Network


def given_operands(
    network: Network, operands: str | Path | Mapping[str, np.ndarray] | None, seed: int, chosen: Sequence[Layer]
) -> Chain:
    """Return the integers from a file, arrays or chaining, for the layers that are to run, and what they stand for."""
    if operands is None:
        return Chain({}, {}, ())
    if not isinstance(operands, Mapping) and str(operands) == "chain":
        from accelsim.operands import chain

        return chain.propagate(network, seed)
    wanted = {name for x in chosen for name in (*x.inputs, *x.weights)}
    return Chain(
        files.load_operands(Path(operands) if isinstance(operands, str) else operands, network, wanted), {}, ()
    )
