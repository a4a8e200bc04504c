"""SpAtten's released models: layers of BERT by hand, quick-select by recursion and by lists, traces row by row."""

import gzip
import json
import random
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from accelsim.cli import app, main
from accelsim.errors import ConfigError
from accelsim.replicas.spatten import bert, topk, trace
from accelsim.workload.matrix_names import data_file

HEADER = (
    "iteration_id,layer_id,head_id,embedding_length_D,sentence_length_L,key_fetch_num,quant_key_bit,quant_query_bit,"
    "auto_requant_thres,if_requant,auto_requant_incre,value_fetch_num,quant_value_bit,if_accumulate_importance,"
    "if_rescale_previous_importance,if_topk,topk\n"
)


def row(keys=100, key_bits=6, again="False", values=20, value_bits=6, dim="64.0", low=4):
    """Return a line of a trace, as the repository's are."""
    return f"0,3,5,{dim},1000,{keys},{key_bits},16,0.05,{again},{low},{values},{value_bits},True,False,False,-1\n"


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a trace and returns its path."""

    def write(*rows, header=HEADER, name="t.csv"):
        path = tmp_path / name
        text = (header + "".join(rows)).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


@pytest.fixture
def small():
    """Return the repository's small trace of GPT-2."""
    path = data_file("spatten_gpt2_small_trace.csv.gz")
    if path is None:
        pytest.skip("ACCELSIM_DATA has no spatten_gpt2_small_trace.csv.gz")
    return path


def run(*args):
    done = CliRunner().invoke(app, ["replica", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(capsys, *args):
    """Return the one line that is printed for a mistake."""
    with pytest.raises(SystemExit) as stop:
        main(["replica", *map(str, args)])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    return line


# ---- BERT


def test_a_dense_layer_by_hand():
    """12 heads: 2 x 16 cycles of DRAM for 16 lines each, 128 queries x 16 lines; drained once."""
    cycles = bert.layer_cycles(bert.Layer(12, 64, 128, 128, 8, 8))
    assert cycles == 384 + 24576 + 119 == 25079
    assert 119 == 11 + (87 + 16) + 1 + 1 + 3


def by_steps(layer, machine):
    """Count a layer transaction by transaction and line by line."""
    per_line = machine.multipliers // layer.dim
    lines = [range(start, min(start + per_line, layer.keys)) for start in range(0, layer.keys, per_line)]
    dram = fill = 0
    for _ in range(layer.heads):
        for bits in (layer.key_bits, layer.value_bits):
            bits = 8 if bits == 6 or bits > 8 else bits
            bytes_left = len(lines) * per_line * layer.dim * bits // 8
            while bytes_left >= 32:
                dram += 1
                bytes_left -= min(bytes_left // 32, machine.channels) * 32
        for _ in range(layer.length):
            fill += sum(1 for _ in lines)
    return dram + fill + (1 + 1 + 9) + (7 + 21 + 23 + 29 + 7) + len(lines) + 1 + 1 + 3


@pytest.mark.parametrize("seed", range(60))
def test_layers_are_their_transactions_and_lines(seed):
    draw = random.Random(seed)
    length = draw.randint(1, 90)
    layer = bert.Layer(
        draw.randint(1, 4), draw.choice([16, 48, 64, 80]), length, draw.randint(1, length),
        draw.choice([4, 6, 8, 10, 12]), draw.choice([4, 6, 8, 10, 12]),
    )  # fmt: skip
    machine = bert.Machine(draw.choice([1, 2, 16]), draw.choice([80, 128, 512]))
    assert bert.layer_cycles(layer, machine) == by_steps(layer, machine)


def test_widths_of_6_and_above_8_run_as_8_and_4_as_4():
    cycles = [bert.layer_cycles(bert.Layer(12, 64, 128, 128, bits, bits)) for bits in (4, 6, 8, 12)]
    assert cycles == [25079 - 192, 25079, 25079, 25079]


def test_pruned_tokens_are_keys_that_are_not_fetched_and_do_not_return():
    shape = bert.Layer(12, 64, 128, 128, 8, 8)
    dense, pruned = map(bert.layer_cycles, bert.pruned(shape, [128, 60]))
    assert dense == 25079
    # 8 lines: 16 + 16 transactions of a channel, 128 queries
    assert pruned == 12 * (8 + 8 + 128 * 8) + 11 + 87 + 8 + 5
    with pytest.raises(ConfigError, match="--keep: layer 2 keeps 61 tokens; keep from 1 to 60"):
        bert.pruned(shape, [60, 61])


@pytest.mark.parametrize(("length", "tops"), [(16, 1.46), (32, 1.81), (128, 2.01)])
def test_berts_rate_rises_with_its_length(length, tops):
    text = run("spatten_bert", "--length", length)
    assert text.splitlines()[-1].endswith(f"{tops:.2f} TOPS at 1 GHz")


def test_the_command_of_bert_prints_layers_and_their_sum():
    document = json.loads(run("spatten_bert", "--layers", 2, "--keep", "128,60", "--format", "json"))
    assert document == {"cycles": 25079 + 12591, "layers": [25079, 12591]}
    dense = run(
        "spatten_bert", "--layers", 12, "--heads", 12, "--dim", 64, "--length", 128, "--key-bits", 8, "--value-bits",
        8, "--channels", 16, "--multipliers", 512, "--format", "json",
    )  # fmt: skip
    assert json.loads(dense) == {"cycles": 12 * 25079, "layers": [25079] * 12}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--keep", "128,x"], "--keep: '128,x' is no list of tokens"),
        (["--keep", "128,-1"], "is no list of tokens"),
        (["--keep", "128,64"], "--keep: 2 numbers for 12 layers; give one per layer"),
        (["--layers", "1", "--keep", "129"], "--keep: layer 1 keeps 129 tokens; keep from 1 to 128"),
        (["--layers", "1", "--keep", "0"], "--keep: layer 1 keeps 0 tokens"),
        (["--dim", "513"], "--multipliers: 512 multipliers do not take a vector of 513; use 513 at least"),
        (["--heads", "0"], "0 is not in the range"),
    ],
)
def test_mistakes_in_berts_options_are_one_line(capsys, args, words):
    assert words in refused(capsys, "spatten_bert", *args)


# ---- quick-select


@cache
def by_recursion(n, rank, parallel):
    """Return the exact expectation, pivot by pivot."""
    cycles = Fraction(-(-n // parallel) + 3)
    for pivot in range(n):
        if rank < pivot:
            cycles += by_recursion(pivot, rank, parallel) / n
        elif rank > pivot:
            cycles += by_recursion(n - pivot - 1, rank - pivot - 1, parallel) / n
    return cycles


def by_lists(values, rank, parallel, draw):
    """Run the algorithm on a list of values; return the value found and the cycles."""
    cycles = 0
    while True:
        cycles += -(-len(values) // parallel) + 3
        pivot = draw.choice(values)
        smaller, greater = [v for v in values if v < pivot], [v for v in values if v > pivot]
        equal = len(values) - len(smaller) - len(greater)
        if rank < len(greater):
            values = greater
        elif rank < len(greater) + equal:
            return pivot, cycles
        else:
            values, rank = smaller, rank - len(greater) - equal


def test_the_expectation_is_that_of_the_recursion():
    for n in range(1, 26):
        for rank in range(n):
            for parallel in (1, 4, 16):
                exact = by_recursion(n, rank, parallel)
                assert topk.expected_cycles(n, rank, parallel) == pytest.approx(float(exact), rel=1e-12), (n, rank)


@pytest.mark.parametrize(("rank", "cycles"), [(128, "215.2"), (16, "171.4")])
def test_the_expectation_among_1024(rank, cycles):
    assert f"{topk.expected_cycles(1024, rank):.1f}" == cycles


def test_a_seeded_run_on_lists_finds_the_value_in_the_expected_cycles():
    draw = random.Random(11)
    values = draw.sample(range(10**6), 300)
    ordered = sorted(values, reverse=True)
    runs = [by_lists(values, 40, 16, draw) for _ in range(4000)]
    assert {found for found, _ in runs} == {ordered[40]}
    assert sum(cycles for _, cycles in runs) / 4000 == pytest.approx(topk.expected_cycles(300, 40), rel=0.01)


def test_drawn_cycles_are_those_of_the_pivots_drawn():
    pivots = iter([6, 1, 3])
    # 10 values; 6 left; of those the 4 above the second; its last is the one sought
    assert topk.drawn_cycles(10, 5, 4, lambda n: next(pivots)) == (3 + 3) + (2 + 3) + (1 + 3)


def test_the_command_of_top_k_prints_the_expectation():
    document = json.loads(run("spatten_topk", "--n", 1024, "--rank", 128, "--parallel", 16, "--format", "json"))
    assert document == {"expected_cycles": topk.expected_cycles(1024, 128, 16)}
    assert run("spatten_topk", "--n", 1, "--rank", 0) == ("4.0000 cycles expected: rank 0 of 1 values, 16 at a time\n")


def test_a_rank_that_is_none_is_one_line(capsys):
    assert "--rank: no rank 8 among 8 values; use 0 to 7" in refused(capsys, "spatten_topk", "--n", 8, "--rank", 8)


# ---- traces


def test_a_row_by_hand(written):
    """100 keys and 20 values fill 13 and 3 lines; the keys' low bits come too, and Q x K runs again."""
    (found,) = trace.read(written(row(again="True")))
    assert found.dram_cycles == Fraction(104 * (6 + 4) * 64 + 24 * 6 * 64, 256 * 16)
    assert (found.qk_cycles, found.pv_cycles) == (26, 3)
    assert found.topk_cycles == topk.expected_cycles(100, 20) + 13 + 1
    totals = trace.Totals.of([found, found])
    assert (totals.rows, totals.keys_read, totals.values_read, totals.macs) == (2, 200, 40, 2 * 120 * 64)
    assert totals.cycles == pytest.approx(2 * found.topk_cycles)


@pytest.mark.parametrize(("bits", "stored", "again"), [(-1, 8, 4), (10, 8, 4), (12, 8, 4), (8, 8, 0), (4, 4, 0)])
def test_wide_keys_run_as_8_bits_and_come_again(written, bits, stored, again):
    (found,) = trace.read(written(row(key_bits=bits, value_bits=bits, low=-1)))
    assert (found.key_bits, found.again_bits, found.value_bits) == (stored, again, stored)


def test_nothing_is_selected_where_all_values_are_kept(written):
    (found,) = trace.read(written(row(keys=64, values=64)))
    assert found.topk_cycles == 0
    assert found.cycles == max(Fraction(2 * 64 * 6 * 64, 256 * 16), 8)


def test_the_last_line_may_name_the_traced_model(written):
    assert len(trace.read(written(row(), "configs/gpt2.yml" + "," * 16 + "\n", name="t.csv.gz"))) == 1


def test_the_small_trace_is_counted_as_published(small):
    totals = trace.Totals.of(trace.read(small))
    assert (totals.rows, totals.dram_cycles, totals.qk_cycles, totals.pv_cycles) == (4608, 163484.5, 196103, 33132)
    assert totals.topk_cycles == pytest.approx(544355, rel=1e-6)
    assert round(2 * totals.macs / 1e9, 3) == 0.197


def test_seeded_selections_of_the_small_trace_are_within_a_hundredth_of_the_expectation(small):
    rows = trace.read(small)
    assert trace.drawn_topk_cycles(rows, 1) == pytest.approx(trace.Totals.of(rows).topk_cycles, rel=0.01)


def test_the_command_of_traces_prints_the_sums(written):
    path = written(row(), row(again="True"))
    document = json.loads(run("spatten_trace", path, "--format", "json"))
    assert list(document) == [
        "rows", "keys_read", "values_read", "macs", "dram_cycles", "qk_cycles", "pv_cycles", "topk_cycles", "cycles",
    ]  # fmt: skip
    assert document == trace.Totals.of(trace.read(path)).to_dict()
    lines = run("spatten_trace", path, "--seed", 3).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("top-k, drawn, seed 3") for line in lines)
    assert lines[-1].startswith("the same without top-k")
    assert json.loads(run("spatten_trace", path, "--seed", 3, "--format", "json"))["topk_drawn_cycles"] > 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(dim=32)], ":2: embedding_length_D: the released design has heads of 64"),
        ([row(), row(key_bits=5)], ":3: quant_key_bit: 5 bits are not stored; use 4, 6, 8, 10, 12 or -1 for all"),
        ([row(values="many")], ":2: value_fetch_num: 'many' is no whole number from 1 to"),
        ([row(keys=0)], ":2: key_fetch_num: '0' is no whole number from 1 to"),
        ([row(keys=10**8)], ":2: key_fetch_num: '100000000' is no whole number from 1 to 1048576"),
        ([row(again="maybe")], ":2: if_requant: 'maybe' is no flag; write True or False"),
        (["1,2,3\n"], ":2: 3 values for 17 columns; give one per column"),
        ([], "the table has no lines"),
    ],
)
def test_mistakes_in_a_trace_are_one_line(capsys, written, rows, words):
    assert words in refused(capsys, "spatten_trace", written(*rows))


def test_a_trace_with_other_columns_is_one_line(capsys, written):
    line = refused(capsys, "spatten_trace", written(row(), header=HEADER.replace("key_fetch_num", "keys")))
    assert "t.csv:1: the table lacks 'key_fetch_num', or has it twice; columns: layer_id,embedding_length_D" in line


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x1f\x8b broken", b""])
def test_a_file_that_is_no_table_is_one_line(capsys, tmp_path, content):
    for name in ("t.csv", "t.csv.gz"):
        (tmp_path / name).write_bytes(content)
        assert f"{name}:" in refused(capsys, "spatten_trace", tmp_path / name)
    assert "cannot be read (No such file or directory)" in refused(capsys, "spatten_trace", Path("none.csv"))
