"""Sweep files: axes, constraints, sampling, and the points that they give."""

import numpy as np
import pytest
from sweep_files import SWEEP, write

from accelsim.errors import ConfigError
from accelsim.explore.sweep import conditions, export, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.schema import RangeSpec, read_sweep
from accelsim.explore.sweep.space import expand


def space(folder, text=SWEEP):
    return expand(read_sweep(write(folder, text)))


def points(folder, text=SWEEP):
    return list(space(folder, text).points())


def fails(folder, text):
    with pytest.raises(ConfigError) as error:
        points(folder, text)
    return str(error.value).removeprefix(str(folder) + "/")


def holds(text, **columns):
    """Evaluate a condition over columns given as lists; '__' in a name is a dot."""
    table = {key.replace("__", "."): np.array(values, dtype=object) for key, values in columns.items()}
    return conditions.parse(text).holds(table).tolist()


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"from": 8, "to": 64, "factor": 2}, [8, 16, 32, 64]),
        ({"from": 8, "to": 63, "factor": 2}, [8, 16, 32]),
        ({"from": 0.1, "to": 0.5, "step": 0.1}, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"from": 1, "to": 3, "step": 0.5}, [1, 1.5, 2, 2.5, 3]),
        ({"from": 0, "to": 1, "count": 3}, [0, 0.5, 1]),
        ({"from": 1, "to": 100, "count": 3, "log": True}, [1, 10, 100]),
    ],
)
def test_a_range_holds_the_decimal_numbers_that_were_meant(given, values):
    found = RangeSpec.model_validate(given).values()
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


def test_points_are_all_combinations_with_what_breaks_a_constraint_named(tmp_path):
    found = points(tmp_path)
    assert len(found) == 16
    ruled_out = [dict(p.sets) for p in found if p.reason == "constraint: params.rows * params.cols <= 128"]
    assert ruled_out == [{"params.rows": 16, "params.cols": 16}]
    assert [p.position for p in found] == list(range(16))
    assert len({p.key for p in found}) == 16


def test_networks_are_innermost_so_that_neighbours_share_their_machine(tmp_path):
    text = SWEEP.replace("[./tiny.yaml]", "[./tiny.yaml, alexnet]")
    found = points(tmp_path, text)
    assert [p.network for p in found[:4]] == ["./tiny.yaml", "alexnet"] * 2
    assert [p.group for p in found[:4]] == [0, 0, 1, 1]


def test_zipped_keys_change_together(tmp_path):
    text = SWEEP + "  - params.output_kib < 1000\n"
    text = text.replace("axes:\n", "axes:\n  kib: {zip: {params.input_kib: [1, 2], params.weight_kib: [8, 9]}}\n")
    pairs = {(dict(p.sets)["params.input_kib"], dict(p.sets)["params.weight_kib"]) for p in points(tmp_path, text)}
    assert pairs == {(1, 8), (2, 9)}


def test_the_key_of_a_point_is_its_content_not_the_way_it_was_written(tmp_path):
    by_axis = {p.key for p in points(tmp_path)}
    fixed = SWEEP.replace("params.rows: [2, 4, 8, 16]", "params.rows: [4]")
    by_set = SWEEP.replace("  params.rows: [2, 4, 8, 16]\n", "").replace("axes:", "set: {params.rows: 4}\naxes:")
    keys = {p.key for p in points(tmp_path, fixed)}
    assert keys == {p.key for p in points(tmp_path, by_set)}
    assert keys < by_axis
    seeded = {p.key for p in points(tmp_path, SWEEP + "options: {seed: 1}\n")}
    assert not seeded & by_axis


def test_an_edited_network_gives_other_keys(tmp_path):
    before = {p.key for p in points(tmp_path)}
    path = write(tmp_path)
    (tmp_path / "tiny.yaml").write_text((tmp_path / "tiny.yaml").read_text().replace("k: 32", "k: 33"))
    assert not before & {p.key for p in expand(read_sweep(path)).points()}


def test_a_value_that_its_key_does_not_allow_is_a_row_with_the_reason(tmp_path):
    found = points(tmp_path, SWEEP.replace("[2, 4, 8, 16]", "[2, 0, wide]"))
    reasons = [p.reason for p in found if p.reason]
    assert len(reasons) == 8
    assert reasons[0] == "sweep: params.rows: 0 is too small; must be at least 1"
    assert reasons[-1] == "sweep: params.rows: 'wide' is of the wrong type; must be a whole number"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("params.rows:", "params.row:", "sweep.yaml:5: axes.params.row: params.row: unknown key; did you mean 'rows'?"),
        ("[systolic_ws]", "[systolic_w]", "no machine is called 'systolic_w'"),
        ("[2, 4, 8, 16]", "[]", "sweep.yaml:5: axes.params.rows: the axis has no values; list at least one"),
        ("[2, 4, 8, 16]", "[2, 2]", "sweep.yaml:5: axes.params.rows: 2 comes twice; keep one"),
        ("[2, 4, 8, 16]", "4", "axes.params.rows: an axis is a list, a range or a zip"),
        ("factor: 2", "factor: 2, step: 1", "axes.params.cols: a range has one of 'step', 'factor' and 'count'"),
        ("factor: 2", "step: 0.00001", "the range has 1,400,000 values; use at most 100,000"),
        ("from: 2", "from: 0", "'from' 0 has no logarithm; start above 0"),
        ("* params.cols", "* params.colz", "sweep.yaml:8: constraints.0: no key 'params.colz'; known here: rows, cols"),
        ("<= 128", "<= 'x'", "constraints.0: condition 'params.rows * params.cols <= 'x'' mixes kinds of values"),
        ("params.rows:", "options.sed:", "axes.options.sed: no option 'sed' to vary; known: batch, layers, seed"),
        ("axes:", "set: {params.rows: 3}\naxes:", "axes.params.rows: 'params.rows' is already set by 'set'"),
        ("axes:", "options: {weight_pattern: 'nm'}\naxes:", "4: options.weight_pattern: pattern 'nm' needs a number"),
        ("axes:", "sampling: {points: 3}\naxes:", "sampling: 'points' goes with random and lhs"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(tmp_path, old, new, message):
    assert message in fails(tmp_path, SWEEP.replace(old, new))


def test_random_sampling_draws_without_repetition_and_by_the_seed(tmp_path):
    def drawn(seed):
        return [p.sets for p in points(tmp_path, SWEEP + f"sampling: {{method: random, points: 6, seed: {seed}}}\n")]

    assert len(set(drawn(0))) == 6
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_a_latin_hypercube_takes_every_value_of_every_axis(tmp_path):
    found = space(tmp_path, SWEEP + "sampling: {method: lhs, points: 4}\n")
    assert [sorted(column) for column in found.steps.T.tolist()] == [[0, 1, 2, 3]] * 2


def test_sampling_reaches_into_a_grid_too_large_to_list(tmp_path):
    axis = "{from: 1, to: 220, step: 1}"
    text = SWEEP.replace("[2, 4, 8, 16]", axis).replace("{from: 2, to: 16, factor: 2}", axis)
    text = text.replace("axes:", f"axes:\n  memory.dram.gb_per_s: {axis}")
    assert "10,648,000 combinations" in fails(tmp_path, text)
    assert len(points(tmp_path, text + "sampling: {method: random, points: 5}\n")) == 5


def test_conditions_follow_python_where_they_overlap():
    rows, cols = [1, 4, 16, 7], [8, 8, 2, 7]
    for text in ("a * b <= 32", "a == b or not a < 8", "2 < a <= b", "a % 2 == 0 and b // 3 == 2", "-a + 20 > b / 2"):
        expected = [bool(eval(text, {"a": a, "b": b})) for a, b in zip(rows, cols, strict=True)]
        assert holds(text, a=rows, b=cols) == expected, text
    assert holds("min(a, b) > 1 and max(a, 3) < 10 and abs(a - b) < 5", a=rows, b=cols) == [False, True, False, True]
    assert holds("name in ['x', 'y'] and units[1].lanes >= 2", name=["x", "z"], units__1__lanes=[2, 2]) == [True, False]
    assert holds("name not in ['x']", name=["x", "z"]) == [False, True]


def test_conditions_are_exact_beyond_64_bits():
    assert holds("a * a == 340282366920938463463374607431768211456", a=[2**64, 2**64 - 1]) == [True, False]


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true')", "a.b()", "a ** 9 < 3", "[x for x in a]", "lambda: 1", "a if b else c", "a <",
     "f'{a}' == a", "open == a()", "min() < a", "a[b] < 1", "3 < 4", "a @ b", "(a := 3) < b", "a is b", "x" * 600],
)  # fmt: skip
def test_conditions_outside_the_grammar_are_refused(text):
    with pytest.raises(ConfigError, match="condition"):
        conditions.parse(text)


def test_words_are_not_repeated_and_zero_does_not_divide():
    for text in ("a * 1000000000000 == 'x'", "1 / (b - 1) > 0", "b < 'x'"):
        with pytest.raises(ConfigError, match="condition"):
            holds(text, a=["x"], b=[1])


def test_a_sparse_product_is_swept_like_any_network(tmp_path):
    axes = "axes: {memory.dram.gb_per_s: [64, 128]}"
    network = "networks: ['rmat:n=64,nnz=200,seed=1', 'rmat:n=64,nnz=200,seed=2']"
    path = tmp_path / "s.yaml"
    path.write_text(f"name: s\nmachines: [sparch]\n{network}\n{axes}\n")
    sweep.run(path, tmp_path / "s.db", workers=0)
    with store.open_reader(str(tmp_path / "s.db")) as opened:
        rows = list(opened.rows())
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert len({row["effective_macs"] for row in rows}) == 2
    assert len({row["cycles"] for row in rows}) > 2


def test_an_empty_store_is_no_table(tmp_path):
    with store.open_writer(tmp_path / "s.db"):
        pass
    with store.open_reader(tmp_path / "s.db") as opened, pytest.raises(ConfigError, match="no rows to write"):
        export.write(opened, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()
