"""Engines that multiply sparse matrices: every awkward matrix, and the values of each."""

from importlib import import_module

import numpy as np
import pytest

from accelsim.engines import registry
from accelsim.layer import machine_view
from accelsim.operands.golden import agree, golden
from accelsim.operands.handle import of
from accelsim.simulation import load_arch, simulate
from accelsim.workload.csr_matrix import CsrMatrix, from_dense, from_entries
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_network import network_of

ENGINES = [name for name in ("sparch", "outerspace", "gamma", "sigma") if name in registry.modules()]
engines = pytest.mark.parametrize("engine", ENGINES)


def dense_row():
    array = np.eye(40, dtype=np.int64)
    array[7] = 3
    return from_dense(array)


def empty_edges():
    array = np.arange(36).reshape(6, 6) % 4
    array[[0, 3, 5]] = 0
    array[:, [1, 5]] = 0
    return from_dense(array)


def reals():
    made = make_matrix("rmat:n=30,nnz=150,seed=2")
    return CsrMatrix(made.shape, made.pointers, made.columns, np.sin(made.values + made.columns))


def unsorted_entries():
    rng = np.random.default_rng(5)
    places = rng.permutation(144)[:50]
    return from_entries((12, 12), places // 12, places % 12, rng.integers(-9, 10, 50))


nothing = from_dense(np.zeros((5, 5), np.int64))
one = from_dense(np.array([[7]]))
CASES = {
    "empty rows and columns": (empty_edges(), None),
    "one dense row": (dense_row(), None),
    "1 x n": (from_dense(np.array([[1, 0, 2, 3]])), from_dense(np.arange(1, 13).reshape(4, 3))),
    "n x 1": (from_dense(np.array([[1], [0], [2]])), from_dense(np.array([[0, 4, 5]]))),
    "full cancellation": (from_dense(np.array([[1, -1], [2, -2]])), from_dense(np.array([[3, 4], [3, 4]]))),
    "unsorted input": (unsorted_entries(), None),
    "n = 1": (one, None),
    "no entries": (nothing, None),
    "no product": (from_dense(np.array([[0, 1], [0, 0]])), None),
    "stored zeros": (from_entries((2, 2), np.array([0, 1]), np.array([0, 1]), np.array([0, 2])), None),
    "reals": (reals(), None),
    "many leaves": (make_matrix("powerlaw:n=120,nnz=600,longest=100,seed=4"), None),
}


def case_of(engine, a, b):
    arch = load_arch(engine)
    net = network_of("case", a, b)
    view = net.view(net.layers[0])
    return registry.get(engine), arch.units[0].params, machine_view(arch), view, of(view, 0, net.values)


@engines
@pytest.mark.parametrize("name", CASES)
def test_kernel_reference_and_scipy_agree_on_awkward_matrices(engine, name):
    a, b = CASES[name]
    engine, params, machine, view, operands = case_of(engine, a, b)
    walked = engine.run(engine.plan(view, operands, params, engine.mapping_schema(), machine), operands)
    module = import_module(f"accelsim.engines.{engine.name}.reference")
    twin = module.reference(view, operands, params, engine.mapping_schema(), machine)
    truth = golden(operands)
    assert walked.same_integers(twin) == []
    assert agree(walked.values, truth, operands)
    assert agree(twin.values, truth, operands)
    walked.check(engine.units(params))
    if a.values.dtype.kind == "f":
        np.testing.assert_array_equal(walked.values.values, twin.values.values)


@engines
def test_a_matrix_runs_from_its_name_to_the_report(engine):
    net = network_of("m", make_matrix("uniform:n=60,nnz=300,seed=1"))
    (layer,) = simulate(load_arch(engine), net, check=True).layers
    assert layer.checked
    assert layer.details["products"] == layer.effective_macs
    assert sum(layer.account.values()) == layer.units * layer.cycles
    if engine == "sigma":  # its results leave densely
        return
    assert layer.details["outputs"] == layer.details["products"] - layer.details["additions"]
