"""A sparse matrix as a network of one product: A x A, or A x B."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from accelsim.errors import ConfigError, WorkloadError
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.matrix_file import read_matrix
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_names import GENERATORS, PREFIX, SUFFIXES, VECTOR, find_data, suffix_of
from accelsim.workload.network import Network
from accelsim.workload.shapes import SpGemm


def load_matrix(name: str) -> CsrMatrix:
    """Return the matrix of a path, a generator's name or ``matrix:<name>``.

    Raises
    ------
    ConfigError, WorkloadError
        A matrix that is not there, or whatever is wrong with it.
    """
    if name.startswith(PREFIX):
        path = find_data(name.removeprefix(PREFIX))
        if path is None:
            raise ConfigError(f"'{name}' is not at hand", "point ACCELSIM_DATA at the folder that has matrices/")
        return read_matrix(path, path.name)
    if name.partition(":")[0] in GENERATORS:
        return make_matrix(name)
    if suffix_of(name) not in SUFFIXES:
        raise ConfigError(f"'{name}' is no matrix", f"give one of {', '.join(SUFFIXES)}, or a generator")
    if not Path(name).is_file():
        raise ConfigError(f"no such matrix file: '{name}'", "check the path")
    return read_matrix(Path(name), name)


def matrix_network(name: str, matrix_b: str | None = None) -> Network:
    """Return the network of one product, A x A without ``matrix_b``, A times a vector of ``A@vector``.

    Elements of the vector are 1 to 9, over and over.
    """
    if name.endswith(f"@{VECTOR}"):
        if matrix_b is not None:
            raise ConfigError(f"'{name}' has its vector", "drop --matrix-b or '@vector'", file="--matrix-b")
        name, matrix_b = name.removesuffix(f"@{VECTOR}"), VECTOR
    a = load_matrix(name)
    if matrix_b == VECTOR:
        places = np.arange(a.shape[1], dtype=np.int64)
        b = from_entries((a.shape[1], 1), places, 0 * places, places % 9 + 1)
    else:
        b = a if matrix_b is None else load_matrix(matrix_b)
    if a.shape[1] != b.shape[0]:
        remedy = "give B with --matrix-b" if matrix_b is None else "give matrices that can be multiplied"
        shown = f"{a.shape[0]} x {a.shape[1]} times {b.shape[0]} x {b.shape[1]}"
        raise WorkloadError(f"cannot multiply {shown}", remedy, file=name)
    parts = [Path(part.removeprefix(PREFIX)).name for part in (name, matrix_b) if part is not None]
    short = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-x-".join(parts)).strip("-")
    return network_of(short, a, b, source=f"{name}, {'squared' if matrix_b is None else 'times ' + matrix_b}")


def network_of(name: str, a: CsrMatrix, b: CsrMatrix | None = None, source: str = "") -> Network:
    """Return the product of matrices at hand as a network; A x A without ``b``.

    Zeros that a matrix stores are left out, and a note says how many.
    """
    right = "A" if b is None or b is a else "B"
    given = {"A": a, right: a if b is None else b}
    values = {key: matrix.without_zeros() for key, matrix in given.items()}
    shape = SpGemm(a.shape[0], values[right].shape[1], a.shape[1])
    notes = tuple(
        f"{key}: {matrix.nnz - values[key].nnz:,} of its {matrix.nnz:,} stored entries are zeros and left out."
        for key, matrix in given.items()
        if matrix is not values[key]
    )
    # a matrix is a list of numbers without a width: the machine's words hold them
    tensors = {key: Tensor(key, m.shape, None, True, m.density) for key, m in values.items()}
    tensors["C"] = Tensor("C", shape.output_shape)
    layer = Layer("product", shape, ("A", right), (), ("C",))
    return Network(name, (layer,), tensors, source, notes=notes, values=values)  # type: ignore[arg-type]
