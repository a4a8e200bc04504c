"""Engines that multiply sparse matrices: every awkward matrix, and the values of each."""

from importlib import import_module

import numpy as np
import pytest

from accelsim.engine import finished
from accelsim.engines import registry
from accelsim.engines.sparch import stream
from accelsim.layer import machine_view
from accelsim.operands import product
from accelsim.operands.golden import agree, golden
from accelsim.operands.handle import of
from accelsim.report import words
from accelsim.report.series import compute_roofs, points
from accelsim.simulation import load_arch, simulate
from accelsim.workload.csr_matrix import CsrMatrix, from_dense, from_entries
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_network import network_of

ENGINES = [name for name in ("sparch", "outerspace", "gamma", "sigma", "extensor") if name in registry.modules()]
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
@pytest.mark.parametrize("empty", ["A", "B", "both"])
def test_an_empty_operand_still_costs_its_pointers(engine, empty):
    full, none = make_matrix("uniform:n=40,nnz=200,seed=1"), from_dense(np.zeros((40, 40), np.int64))
    a, b = none if empty != "B" else full, none if empty != "A" else full
    engine, params, machine, view, operands = case_of(engine, a, b)
    walked = engine.run(engine.plan(view, operands, params, engine.mapping_schema(), machine), operands)
    index = sum(bits for flow, bits in walked.traffic.items() if (flow.boundary, flow.tensor) == ("dram", "index"))
    # row pointers of A in 32 bits or, of SIGMA, a bit per element of both; ExTensor has lists of what is there
    assert index >= {"sigma": 2 * 1600, "extensor": 0}.get(engine.name, 41 * 32)
    assert walked.compute_cycles > 0
    module = import_module(f"accelsim.engines.{engine.name}.reference")
    assert walked.same_integers(module.reference(view, operands, params, engine.mapping_schema(), machine)) == []


@pytest.mark.parametrize("off", ["condense", "pipeline_merge", "prefetch", "huffman"])
@pytest.mark.parametrize("name", ["no entries", "no product", "empty rows and columns"])
def test_sparch_reads_pointers_with_any_technique_off(name, off):
    engine, params, machine, view, operands = case_of("sparch", *CASES[name])
    params = params.model_copy(update={off: False, "pointer_bits": 13})
    walked = engine.run(engine.plan(view, operands, params, engine.mapping_schema(), machine), operands)
    twin = import_module("accelsim.engines.sparch.reference").reference
    assert walked.same_integers(twin(view, operands, params, engine.mapping_schema(), machine)) == []
    entries, rounds = operands.input.sparse.nnz, walked.details["rounds"]
    of_a = view.shape.m + 1  # square matrices: as many columns
    read = {flow.tensor: bits for flow, bits in walked.traffic.items() if flow.boundary == "dram"}["index"]
    assert of_a * 13 + 2 * entries * 13 <= read <= of_a * 13 * rounds + 2 * entries * 13


def test_one_entry_more_is_never_less_work_on_sparch():
    engine, params, machine, *_ = case_of("sparch", nothing, None)
    cost = []
    for entries in range(4):
        array = np.zeros((5, 5), np.int64)
        array.flat[[0, 6, 12][:entries]] = 1
        *_, view, operands = case_of("sparch", from_dense(array), None)
        walked = engine.run(engine.plan(view, operands, params, engine.mapping_schema(), machine))
        cost.append((walked.compute_cycles, sum(b for f, b in walked.traffic.items() if f.boundary == "dram")))
    assert cost == sorted(cost)
    assert cost[0] == (65, 6 * 32), "six pointers: the latency of 64 cycles, and a part of one to move them"


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


@engines
def test_products_in_blocks_of_rows_are_the_same_product(engine, monkeypatch):
    """Also of a row longer than a block, and with values."""
    shares = []
    found = []
    for block in (1 << 24, 7, 1):
        monkeypatch.setattr(stream, "BLOCK", block)
        monkeypatch.setattr(product, "BLOCK", block)
        heard = []
        for name in ("one dense row", "many leaves", "no product", "empty rows and columns", "reals"):
            engine_of, params, machine, view, operands = case_of(engine, *CASES[name])
            plan = engine_of.plan(view, operands, params, engine_of.mapping_schema(), machine)
            found.append((block, name, finished(engine_of.walk(plan, operands), heard.append)))
        shares.append(heard)
    first = {name: walked for block, name, walked in found if block == 1 << 24}
    for _, name, walked in found:
        assert walked.same_integers(first[name]) == [], name
        np.testing.assert_array_equal(walked.values.columns, first[name].values.columns)
        np.testing.assert_array_equal(walked.values.values, first[name].values.values)
    assert all(0 <= share <= 1 for heard in shares for share in heard)
    if engine != "sigma":
        assert len(shares[2]) > len(shares[1]) > len(shares[0]), "smaller blocks report more often"


def test_a_long_layer_says_how_far_it_is_and_results_do_not_depend_on_who_listens(monkeypatch):
    monkeypatch.setattr(product, "BLOCK", 64)
    net, heard = network_of("m", make_matrix("uniform:n=60,nnz=300,seed=1")), []
    listened = simulate(load_arch("gamma"), net, progress=lambda *args: heard.append(args))
    assert [name for name, _, _ in heard] == ["product"] * len(heard)
    done = [done for _, done, _ in heard]
    assert done == sorted(done)
    assert len({d for d in done if 0 < d < 1}) > 5
    assert heard[-1] == ("product", 1, 1)
    assert listened.layers == simulate(load_arch("gamma"), net).layers


def test_a_time_only_walk_stores_no_product():
    """A product of 53 million multiplications needs a fraction of what its entries would take."""
    from benchmarks.accept.check import peak_mib

    code = (
        "from accelsim.simulation import load_arch, simulate\n"
        "from accelsim.workload.load import load_network\n"
        "simulate(load_arch('{engine}'), load_network('rmat:n=65536,nnz={nnz},seed=1'))"
    )
    small, large = (peak_mib(code.format(engine="sparch", nnz=nnz)) for nnz in (1000, 300_000))
    assert large - small < 250  # 53 M products; C has 33 M entries of 16 B


def test_rates_of_sparse_products_count_their_multiplications():
    """Two operations per multiplication of stored entries; ``tops`` stays two per dense MAC, as everywhere."""
    result = simulate(load_arch("gamma"), network_of("m", make_matrix("uniform:n=60,nnz=300,seed=1")))
    (layer,) = result.layers
    rate = 2 * layer.details["products"] / result.time_s
    assert layer.details["gflop_per_s"] == pytest.approx(rate / 1e9)
    assert result.effective_tops == pytest.approx(rate / 1e12)
    assert result.tops == pytest.approx(2 * 60**3 / result.time_s / 1e12)
    assert dict(words.totals(result))["rate"].startswith(f"{layer.details['products'] / 1000:.4g} k multiplications; ")
    (point,) = points(result)
    assert point.rate <= compute_roofs(result)[-1]


def test_rates_of_other_layers_count_dense_macs():
    result = simulate(load_arch("systolic_ws"), "lstm_neuraltalk_h512_t1")
    assert result.counted_macs == result.macs
    assert "TOPS" in dict(words.totals(result))["rate"]
