"""Sparse matrices: files of every kind, files with every mistake, generators, and products."""

import gzip

import numpy as np
import pytest
import scipy.sparse

import accelsim
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.operands.golden import agree, golden, multiply
from accelsim.operands.handle import of
from accelsim.workload.csr_matrix import CsrMatrix, from_dense, from_entries, product_count
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.load import load_network
from accelsim.workload.matrix_file import read_edges, read_matrix
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_names import find_data
from accelsim.workload.matrix_network import matrix_network, network_of
from accelsim.workload.network import Network
from accelsim.workload.shapes import SpGemm

BANNER = "%%MatrixMarket matrix coordinate {} {}\n% a comment\n"


def written(tmp_path, text, name="m.mtx"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        (("real", "general"), "2 3 2\n1 3 1.5\n2 1 -2e1\n", [[0, 0, 1.5], [-20, 0, 0]]),
        (("integer", "general"), "2 2 2\n2 2 7\n1 1 3\n", [[3, 0], [0, 7]]),
        (("pattern", "general"), "1 3 2\n1 3\n1 1\n", [[1, 0, 1]]),
        (("integer", "symmetric"), "2 2 2\n1 1 4\n2 1 5\n", [[4, 5], [5, 0]]),
        (("real", "skew-symmetric"), "2 2 1\n2 1 5\n", [[0, -5], [5, 0]]),
        (("real", "general"), "2 2 0\n", [[0, 0], [0, 0]]),
    ],
)
@pytest.mark.parametrize("name", ["m.mtx", "m.mtx.gz"])
def test_matrix_market_is_read(tmp_path, header, body, expected, name):
    matrix = read_matrix(written(tmp_path, BANNER.format(*header) + body, name))
    np.testing.assert_array_equal(matrix.to_dense(), expected)


def test_matrix_market_without_a_banner_is_a_pattern(tmp_path):
    matrix = read_matrix(written(tmp_path, "2 2 2\n2 1 3\n1 2\n"))
    np.testing.assert_array_equal(matrix.to_dense(), [[0, 1], [1, 0]])


def test_edge_lists_are_relabelled_without_a_node_count_and_not_with_one(tmp_path):
    path = written(tmp_path, "# Nodes: 2\n10 30\n30 10\n", "g.txt")
    np.testing.assert_array_equal(read_matrix(path).to_dense(), [[0, 1], [1, 0]])
    counted = written(tmp_path, "3\n0\t2\n2\t1\n", "h.txt.gz")
    np.testing.assert_array_equal(read_matrix(counted).to_dense(), [[0, 0, 1], [0, 0, 0], [0, 1, 0]])
    based = written(tmp_path, "2\n1 2\n", "i.txt")
    np.testing.assert_array_equal(read_edges(based, base=1, symmetrize=True).to_dense(), [[0, 1], [1, 0]])


def test_scipy_archives_are_read(tmp_path):
    scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.csc_array(np.array([[0, 2], [3, 0], [0, 1]])))
    np.testing.assert_array_equal(read_matrix(tmp_path / "m.npz").to_dense(), [[0, 2], [3, 0], [0, 1]])


REAL = BANNER.format("real", "general")


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("", "m.mtx", "no size line"),
        (REAL + "2 2\n", "m.mtx", "no size line"),
        (REAL + "2 2 2\n1 1 1\n", "m.mtx", "1 entries where the header says 2"),
        (REAL + "2 2 1\n1 x 1\n", "m.mtx", "cannot be read"),
        (REAL + "2 2 1\n3 1 1\n", "m.mtx", "row 2 (from 0)"),
        (REAL + "2 2 1\n0 1 1\n", "m.mtx", "row -1"),
        (REAL + "2 2 1\n1 1 nan\n", "m.mtx", "value at (0, 0) is nan"),
        (REAL + "2 2 1\n1 1 inf\n", "m.mtx", "value at (0, 0) is inf"),
        (REAL + "2 2 2\n1 1 1\n1 1 2\n", "m.mtx", "occur twice"),
        (REAL + "2 2 5\n", "m.mtx", "5 entries in a matrix of 2 x 2"),
        (REAL + "0 2 0\n", "m.mtx", "is no matrix"),
        (REAL + "999999999 999999999 999999999999\n", "m.mtx", "too large"),
        (REAL + "99999999 9 1\n1 1 1\n", "m.mtx", "too large"),
        (REAL + "9 9 1\n" + "1 1 1\n" * 300_000, "m.mtx.gz", "more than the"),
        (BANNER.format("integer", "general") + "2 2 1\n1 1 1.5\n", "m.mtx", "should be whole"),
        (BANNER.format("integer", "symmetric") + "2 2 1\n1 2 1\n", "m.mtx", "above its diagonal"),
        (BANNER.format("complex", "general") + "2 2 1\n1 2 1 1\n", "m.mtx", "values are complex"),
        ("%%MatrixMarket matrix array real general\n2 2\n", "m.mtx", "no sparse matrix"),
        ("0 1\n0 1\n", "g.txt", "occur twice"),
        ("0\n0 1\n", "g.txt", "is no matrix"),
        ("a b\n", "g.txt", "cannot be read"),
        ("", "g.txt", "is no matrix"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, text, name, says):
    with pytest.raises(WorkloadError) as caught:
        read_matrix(written(tmp_path, text, name))
    message = str(caught.value)
    assert says in message
    assert name in message
    assert "\n" not in message


def test_a_truncated_archive_is_an_error(tmp_path):
    path = written(tmp_path, REAL + "2 2 1\n1 1 1\n", "m.mtx.gz")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(WorkloadError, match="cut off"):
        read_matrix(path)
    scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.csr_array(np.eye(3)))
    (tmp_path / "m.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:100])
    with pytest.raises(WorkloadError, match="cut off"):
        read_matrix(tmp_path / "m.npz")


@pytest.mark.parametrize(
    "name", ["rmat:n=99,nnz=600,seed=3", "uniform:n=50,nnz=300", "powerlaw:n=90,nnz=400,longest=60"]
)
def test_generators_give_the_entries_they_are_asked_for(name):
    made, again = make_matrix(name), make_matrix(name)
    assert made.nnz == int(name.split("nnz=")[1].split(",")[0])
    assert made.values.min() >= 1
    np.testing.assert_array_equal(made.columns, again.columns)
    if "longest" in name:
        assert made.row_lengths.max() == 60


def test_a_band_has_its_width():
    np.testing.assert_array_equal(make_matrix("banded:n=4,width=1").row_lengths, [2, 3, 3, 2])


@pytest.mark.parametrize(
    "name",
    ["rmat:n=10", "rmat:n=x,nnz=3", "uniform:n=3,nnz=10", "uniform:n=3,nnz=2,x=1", "powerlaw:n=4,nnz=9,longest=5",
     "banded:n=0,width=1", "banded:n=99999999,width=99999", "uniform:n=999999999999,nnz=3"],
)  # fmt: skip
def test_a_wrong_generator_is_a_user_error(name):
    with pytest.raises(UserError) as caught:
        load_network(name)
    assert "\n" not in str(caught.value)


def test_unsorted_entries_are_sorted():
    made = from_entries((2, 3), np.array([1, 0, 1]), np.array([2, 1, 0]), np.array([3, 1, 2]))
    np.testing.assert_array_equal(made.to_dense(), [[0, 1, 0], [2, 0, 3]])
    np.testing.assert_array_equal(made.transposed().to_dense(), made.to_dense().T)


def test_a_sum_that_cancels_stays_in_the_pattern():
    product = multiply(from_dense(np.array([[1, -1], [2, 0]])), from_dense(np.array([[1, 3], [1, 0]])))
    np.testing.assert_array_equal(product.pointers, [0, 2, 4])
    np.testing.assert_array_equal(product.values, [0, 3, 2, 6])


def test_products_that_differ_do_not_agree():
    net = load_network("uniform:n=9,nnz=30")
    operands = of(net.view(net.layers[0]), 0, net.values)
    truth = golden(operands)
    assert agree(truth, truth, operands)
    wrong = CsrMatrix(truth.shape, truth.pointers, truth.columns, truth.values + 1)
    assert not agree(wrong, truth, operands)
    assert operands.effective_macs == product_count(net.values["A"], net.values["A"])


def test_a_second_matrix_must_fit(tmp_path):
    a = written(tmp_path, REAL + "2 3 1\n1 1 1\n", "a.mtx")
    b = written(tmp_path, REAL + "3 4 1\n1 1 1\n", "b.mtx")
    net = load_network(str(a), matrix_b=str(b))
    assert (net.name, net.layers[0].shape.n) == ("a.mtx-x-b.mtx", 4)
    with pytest.raises(WorkloadError, match="cannot multiply 2 x 3 times 2 x 3"):
        load_network(str(a))
    with pytest.raises(ConfigError, match="is no matrix"):
        load_network("alexnet", matrix_b=str(b))


def test_a_product_has_no_batch():
    with pytest.raises(WorkloadError, match="no batch"):
        network_of("x", make_matrix("banded:n=4,width=1")).batched(2)


def test_a_pruned_layer_is_drawn_from_its_density():
    operands = of(load_view(), 1)
    assert 0 < operands.input.sparse.nnz < 100
    np.testing.assert_array_equal(operands.input.sparse.to_dense(), operands.input.values)


def load_view():
    from accelsim.workload.layers import LayerView, Tensor
    from accelsim.workload.shapes import SpGemm

    tensors = (Tensor("a", (10, 10), 8, True, 0.3), Tensor("b", (10, 5), 8, True, 0.5))
    return LayerView("l", SpGemm(10, 5, 10), tensors, (), (Tensor("c", (10, 5), 8),))


REAL_COUNTS = [("wiki-Vote", 4_542_805, 1_831_112), ("p2p-Gnutella31", 538_318, 537_601)]


@pytest.mark.parametrize(("name", "products", "entries"), REAL_COUNTS)
def test_real_matrices_have_the_published_counts(name, products, entries):
    if find_data(name) is None:
        pytest.skip(f"ACCELSIM_DATA has no {name}")
    net = load_network(f"matrix:{name}")
    operands = of(net.view(net.layers[0]), 0, net.values)
    assert operands.effective_macs == products
    assert golden(operands).nnz == entries


STORED_ZEROS = """%%MatrixMarket matrix coordinate real general
3 3 4
1 1 1
1 2 0
2 2 3
3 3 0.0
"""


@pytest.mark.parametrize("machine", ["sparch", "outerspace", "gamma", "sigma", "extensor"])
def test_zeros_that_a_matrix_file_stores_are_left_out_with_a_note(tmp_path, machine):
    path = tmp_path / "zeros.mtx"
    path.write_text(STORED_ZEROS)
    result = accelsim.simulate(machine, str(path), check=True)
    (layer,) = result.layers
    assert layer.checked
    assert layer.effective_macs == layer.details["products"] == 2
    assert layer.nonzero_input_macs == layer.nonzero_weight_macs == 2 * 3
    assert result.notes == ("A: 2 of its 4 stored entries are zeros and left out.",)


@pytest.mark.parametrize("form", ["bsr", "csr", "csc", "coo"])
def test_zeros_that_scipy_stores_are_left_out_with_a_note(tmp_path, form):
    dense = np.zeros((8, 8), np.int64)
    dense[[0, 1, 5, 7], [1, 1, 4, 2]] = [3, 0, -2, 5]
    made = scipy.sparse.bsr_matrix(dense, blocksize=(2, 2)).asformat(form)
    assert made.nnz == 12, "three blocks of four"
    scipy.sparse.save_npz(tmp_path / "m.npz", made)
    net = load_network(str(tmp_path / "m.npz"))
    assert net.values["A"].nnz == 3
    assert net.notes == ("A: 9 of its 12 stored entries are zeros and left out.",)
    np.testing.assert_array_equal(net.values["A"].to_dense(), dense)
    assert net.tensors["A"].density == 3 / 64


def test_two_matrices_are_noted_apart_and_a_matrix_without_zeros_is_not(tmp_path):
    path = tmp_path / "zeros.mtx"
    path.write_text(STORED_ZEROS)
    full = tmp_path / "full.mtx"
    full.write_text(STORED_ZEROS.replace("0.0", "2").replace("2 0", "2 4"))
    assert matrix_network(str(full), str(path)).notes == ("B: 2 of its 4 stored entries are zeros and left out.",)
    assert matrix_network(str(full)).notes == ()


def test_numbers_at_hand_do_not_count_stored_zeros_as_non_zero():
    stored = from_entries((3, 3), np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), np.array([1, 0, 3, 0]))
    layer = Layer("p", SpGemm(3, 3, 3), ("A", "A"), (), ("C",))
    net = Network("n", (layer,), {k: Tensor(k, (3, 3), 8) for k in "AC"}, values={"A": stored})
    (ran,) = accelsim.simulate("gamma", net).layers
    assert ran.effective_macs == ran.details["products"] == 2
    assert ran.nonzero_input_macs == 6
