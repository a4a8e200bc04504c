"""Sparse matrix times vector: every format against SciPy and its twin, codes written out and read back, mistakes."""

import io
import runpy
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.engines import registry
from accelsim.engines.spmv.engine import Params
from accelsim.engines.spmv.kernel import stripes
from accelsim.engines.spmv.reference import reference
from accelsim.errors import ConfigError, MappingError, UserError
from accelsim.layer import machine_view
from accelsim.operands.handle import of
from accelsim.workload.csr_matrix import CsrMatrix, from_dense
from accelsim.workload.load import load_network
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_network import network_of

ENGINE = registry.get("spmv")
MACHINES = ["spmv_tree", "spmv_stripes", "spmv_bvcsr", "spmv_blocks"]
FORMATS = ["csr", "bitmap", "runs", "stripes", "blocks"]


def diagonal_blocks():
    array = np.zeros((13, 12), np.int64)
    rng = np.random.default_rng(3)
    for first in range(0, 12, 4):
        array[first : first + 4, first : first + 4] = rng.integers(-3, 4, (4, 4))
    return from_dense(array)


BAND, RMAT, BLOCKS = make_matrix("banded:n=30,width=2"), make_matrix("rmat:n=30,nnz=150,seed=2"), diagonal_blocks()
EMPTY_ROWS = from_dense(np.diag([1, 0, 0, 2, 0]))


def case_of(matrix, machine="spmv_tree", vector=None, **given):
    arch = accelsim.load_arch(machine, [(f"params.{key}", value) for key, value in given.items()])
    x = np.arange(1, matrix.shape[1] + 1)[:, None] if vector is None else np.array(vector)[:, None]
    net = network_of("case", matrix, from_dense(x))
    view = net.view(net.layers[0])
    return view, of(view, 0, net.values), arch.units[0].params, ENGINE.mapping_schema(), machine_view(arch)


def walked(*args, **given):
    view, operands, *rest = case_of(*args, **given)
    return ENGINE.run(ENGINE.plan(view, operands, *rest), operands)


@pytest.mark.parametrize("way", FORMATS)
@pytest.mark.parametrize("name", ["band", "rmat", "blocks", "empty rows", "nothing", "reals"])
@pytest.mark.parametrize("columns", [1 << 16, 7])
def test_y_equals_scipy_and_the_twin_on_awkward_matrices(way, name, columns):
    reals = CsrMatrix(BLOCKS.shape, BLOCKS.pointers, BLOCKS.columns, np.sin(BLOCKS.values + BLOCKS.columns))
    matrix = {
        "band": BAND, "rmat": RMAT, "blocks": BLOCKS, "empty rows": EMPTY_ROWS, "nothing": from_dense(np.zeros((3, 4))),
        "reals": reals,
    }[name]  # fmt: skip
    if way == "blocks" and name in ("band", "rmat"):
        return  # not representable, see below
    x = np.arange(matrix.shape[1]) % 5  # with zeros
    given = {"format": way, "vector_elements": columns, "block": 4, "lanes": 3, "run_bits": 1}
    view, operands, *rest = case_of(matrix, vector=x, **given)
    one, twin = ENGINE.run(ENGINE.plan(view, operands, *rest), operands), reference(view, operands, *rest)
    assert one.same_integers(twin) == []
    one.check({"lanes": 3})
    truth = scipy.sparse.csr_array((matrix.values, matrix.columns, matrix.pointers), matrix.shape) @ x
    np.testing.assert_allclose(one.values.to_dense()[:, 0], truth, rtol=1e-12)
    np.testing.assert_array_equal(one.values.values, twin.values.values)


def coded(matrix, way, block=4, run_bits=1):
    """Write a matrix in a format, as a list of codes and bits, and read it back; both plainly."""
    entries = set(zip(matrix.rows.tolist(), matrix.columns.tolist(), strict=True))
    bits, read = 0, set()
    for row in range(matrix.shape[0]):
        mine = sorted(c for r, c in entries if r == row)
        if way == "csr":
            bits += 32 * len(mine)
            read |= {(row, c) for c in mine}
        elif way == "bitmap":
            for number in sorted({c // block for c in mine}):
                mask = sum(1 << c % block for c in mine if c // block == number)
                bits += 32 + block
                read |= {(row, number * block + i) for i in range(block) if mask >> i & 1}
        else:
            while mine:
                length = 1
                while length < len(mine) and length < 1 << run_bits and mine[length] == mine[0] + length:
                    length += 1
                bits += 32 + run_bits
                read |= {(row, mine[0] + i) for i in range(length)}
                mine = mine[length:]
    return bits + 32 * (matrix.shape[0] + 1), read == entries


@pytest.mark.parametrize("way", ["csr", "bitmap", "runs"])
@pytest.mark.parametrize("matrix", [BAND, RMAT, BLOCKS, EMPTY_ROWS])
def test_codes_read_back_are_the_matrix_and_take_the_counted_bits(way, matrix):
    bits, whole = coded(matrix, way)
    assert whole
    assert walked(matrix, format=way, block=4, run_bits=1).details["index_bits"] == bits


@pytest.mark.parametrize("matrix", [BAND, RMAT, BLOCKS, EMPTY_ROWS])
def test_stripes_go_down_and_right_hold_every_entry_once_and_are_read_back_from_their_steps(matrix):
    of_entry = np.full(matrix.nnz, -1, np.int64)
    sizes, longest = stripes(matrix.pointers, matrix.columns, of_entry)
    assert sorted(set(of_entry.tolist())) == list(range(sizes.size))
    np.testing.assert_array_equal(np.bincount(of_entry, minlength=sizes.size), sizes)
    read, widest = set(), 0
    for stripe in range(sizes.size):
        rows, columns = matrix.rows[of_entry == stripe], matrix.columns[of_entry == stripe]
        steps = np.diff(rows), np.diff(columns)
        assert all((step > 0).all() for step in steps)
        widest = max(widest, *(int(step.max(initial=0)) for step in steps))
        read |= set(zip(rows[0] + np.append(0, steps[0].cumsum()), columns[0] + np.append(0, steps[1].cumsum()),
                        strict=True))  # fmt: skip
    assert read == set(zip(matrix.rows, matrix.columns, strict=True))
    assert widest == longest


def test_a_band_has_a_stripe_for_each_diagonal():
    details = walked(BAND, format="stripes", lanes=2).details
    assert (details["codes"], details["rounds"]) == (5, 3)


def test_a_row_longer_than_the_lanes_takes_groups_and_an_empty_one_none():
    tree = walked(from_dense(np.array([[1] * 7, [0] * 7, [1] + [0] * 6])), lanes=4, adder_latency=0)
    assert tree.details["groups"] == 2 + 0 + 1
    assert tree.accounts["lanes"]["padding"] == 1 + 3


def test_zeros_of_a_diagonal_block_and_of_x_are_multiplied_and_called_zero():
    blocks = walked(EMPTY_ROWS, vector=[1, 1, 1, 0, 1], format="blocks", block=5, lanes=5)
    assert blocks.performed_macs == 25
    assert (blocks.accounts["lanes"]["busy"], blocks.accounts["lanes"]["zero"]) == (1, 24)


def test_sums_are_read_and_written_between_blocks_of_columns():
    whole, parts = walked(RMAT), walked(RMAT, vector_elements=8)
    moved = {
        flow.direction: bits
        for flow, bits in parts.traffic.items()
        if flow.tensor == "psum" and flow.boundary == "dram"
    }
    assert moved == {"read": 3 * 30 * 64, "write": 3 * 30 * 64}
    assert (whole.details["rounds"], parts.details["rounds"]) == (1, 4)


def test_x_is_copied_for_each_lane_but_not_for_stripes_and_blocks():
    held = {way: walked(BLOCKS, format=way, lanes=8, block=4).buffers["glb.vector"][0] for way in FORMATS}
    assert held["csr"] == held["bitmap"] == 8 * held["blocks"] == 8 * held["stripes"]


@pytest.mark.parametrize("machine", MACHINES)
def test_packaged_machines_run_a_matrix_at_a_vector_from_the_command(machine, tmp_path):
    path = tmp_path / "m.mtx"
    path.write_text("%%MatrixMarket matrix coordinate real general\n3 3 3\n1 1 2\n2 2 1\n3 1 -4\n")
    for call in ([f"{path}@vector"], [str(path), "--matrix-b", "vector"]):
        ran = CliRunner().invoke(app, ["run", machine, *call, "--check"], catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        assert "equal to the reference in 1 of 1 layers" in ran.output


@pytest.mark.parametrize(
    ("given", "matrix", "says"),
    [
        ({"format": "blocks", "block": 4}, BAND, "entries lie outside diagonal blocks of 4, the first at"),
        ({"format": "blocks", "block": 64, "vector_elements": 8}, BAND, "blocks of 64 exceed vector_elements"),
        ({"index_bits": 4}, BAND, "indices of 4 bits do not reach 29"),
        ({"format": "stripes", "index_bits": 4}, RMAT, "steps of half an index of 2 bits do not reach"),
        ({"format": "stripes", "pointer_bits": 4}, EMPTY_ROWS, None),
        ({"pointer_bits": 4}, BAND, "pointers of 4 bits do not reach"),
    ],
)
def test_what_a_format_cannot_hold_is_one_line(given, matrix, says):
    view, operands, *rest = case_of(matrix, **given)
    if says is None:
        ENGINE.plan(view, operands, *rest)
        return
    with pytest.raises(MappingError, match=says) as caught:
        ENGINE.plan(view, operands, *rest)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", list(Params.model_fields))
def test_a_parameter_that_is_none_is_one_line_that_names_it(key):
    with pytest.raises(ConfigError, match=key) as caught:
        accelsim.load_arch("spmv_tree", [(f"params.{key}", "ell" if key == "format" else -1)])
    assert "\n" not in str(caught.value)


def refused(capsys, *words):
    """Return what a command says that exits with 2."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == 2
    return capsys.readouterr().err


def test_a_product_of_two_matrices_is_refused_and_the_line_says_what_to_write(capsys):
    assert ENGINE.supports(case_of(BAND)[0], Params()) is None
    said = refused(capsys, "run", "spmv_tree", "banded:n=30,width=2")
    assert "it multiplies by one vector, not by 30 columns; write MATRIX@vector" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "second", "says"),
    [("banded:n=9,width=1@vector", "vector", "has its vector"), ("alexnet", "vector", "is no matrix"),
     ("nothing.mtx@vector", None, "no such matrix file"), ("alexnet@vector", None, "alexnet@vector")],
)  # fmt: skip
def test_a_vector_in_the_wrong_place_is_one_line(name, second, says):
    with pytest.raises(UserError, match=says) as caught:
        load_network(name, matrix_b=second)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("%%MatrixMarket matrix array real general\n2 2\n", "no sparse matrix"),
     ("%%MatrixMarket\n2 2 1\n1 1 1\n", "no sparse matrix"),
     ("%%MatrixMarket matrix coordinate real general\n2 x 1\n1 1 1\n", "no size line"),
     ("%%MatrixMarket matrix coordinate real general\n2 2 3\n1 1 1\n", "1 entries where the header says 3")],
)  # fmt: skip
def test_a_matrix_with_a_wrong_header_is_one_line_before_its_vector(tmp_path, capsys, text, says):
    path = tmp_path / "m.mtx"
    path.write_text(text)
    said = refused(capsys, "run", "spmv_tree", f"{path}@vector")
    assert says in said
    assert said.startswith(f"error: {path}:")
    assert said.count("\n") == 1


def test_rates_grow_with_bandwidth_up_to_what_the_format_allows_and_are_drawn(tmp_path):
    study = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "spmv_bandwidth" / "draw.py"))
    study["table"].__globals__["WIDTHS"] = (4,)
    printed = io.StringIO()
    study["table"](printed)
    for line in printed.getvalue().splitlines()[1:]:
        *rates, peak = map(float, line.split()[2:])
        assert rates == sorted(rates)
        assert rates[-1] <= peak
    study["draw"](tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").stat().st_size > 10_000
