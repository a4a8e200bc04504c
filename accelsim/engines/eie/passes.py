"""How a layer is cut into passes, and what a compressed pass takes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView


class Pass(NamedTuple):
    """A block of the matrix: ``rows`` x ``columns``; ``last`` of its group of outputs, ``first`` group or not."""

    rows: slice
    columns: slice
    first: bool
    last: bool

    @property
    def outputs(self) -> int:
        """Rows of the pass."""
        return self.rows.stop - self.rows.start

    @property
    def inputs(self) -> int:
        """Columns of the pass."""
        return self.columns.stop - self.columns.start


class Geometry(NamedTuple):
    """The cut layer: n vectors of c inputs and k outputs."""

    n: int
    c: int
    k: int
    input_bits: int
    output_bits: int
    passes: tuple[Pass, ...]

    @property
    def vector_bits(self) -> int:
        """Inputs and outputs of a vector."""
        return self.c * self.input_bits + self.k * self.output_bits

    @property
    def batch_bits(self) -> int:
        """The largest batch of inputs twice, for the next arrives meanwhile, and the largest group of outputs."""
        inputs, outputs = max(p.inputs for p in self.passes), max(p.outputs for p in self.passes)
        return 2 * inputs * self.input_bits + outputs * self.output_bits


class Slices(NamedTuple):
    """A compressed pass, as `kernel.compress` returns it, and its sizes.

    ``entries`` of all PEs; ``longest`` slice of a PE; ``matrix_bits`` and ``pointer_bits`` of the fullest PE;
    ``weight_bits`` and ``index_bits`` as they come from DRAM, pointers among the latter.
    """

    starts: np.ndarray
    values: np.ndarray
    runs: np.ndarray
    entries: int
    longest: int
    matrix_bits: int
    pointer_bits: int
    weight_bits: int
    index_bits: int


def cut(view: LayerView, params: Any) -> Geometry:
    """Cut a linear layer into passes, outputs outside, inputs inside."""
    n, c, k = view.shape.n, view.shape.c, view.shape.k  # type: ignore[union-attr]
    batch = params.pes * params.registers
    group = min(batch, params.pass_rows or batch)
    passes = tuple(
        Pass(slice(row, min(row + group, k)), slice(col, min(col + batch, c)), row == 0, col + batch >= c)
        for row in range(0, k, group)
        for col in range(0, c, batch)
    )
    return Geometry(n, c, k, view.input.width, view.output.width, passes)


def pass_count(view: LayerView, params: Any) -> int:
    """Return how many passes `cut` would make."""
    batch = params.pes * params.registers
    group = min(batch, params.pass_rows or batch)
    return ceil_div(view.shape.k, group) * ceil_div(view.shape.c, batch)  # type: ignore[union-attr]


def sized(starts: np.ndarray, values: np.ndarray, runs: np.ndarray, params: Any) -> Slices:
    """Return a compressed pass with its sizes."""
    entries = int(values.size)
    longest = int((starts[:, -1] - starts[:, 0]).max())
    pointers = starts.shape[1] * params.pointer_bits
    return Slices(
        starts, values, runs, entries, longest,
        matrix_bits=longest * (params.value_bits + params.run_bits),
        pointer_bits=pointers,
        weight_bits=entries * params.value_bits,
        index_bits=entries * params.run_bits + starts.shape[0] * pointers,
    )  # fmt: skip


def tree_links(pes: int) -> tuple[int, int]:
    """Return the links and the levels of the detection tree: four PEs or nodes per node."""
    links = levels = 0
    while pes > 1:
        links, levels, pes = links + pes, levels + 1, -(-pes // 4)
    return links, levels
