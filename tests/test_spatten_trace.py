"""Traces of SpAtten as networks: rows that fetch alike, what is pinned, mistakes, and the command."""

import shlex

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.simulation import load_arch
from accelsim.workload.shapes import Attention
from accelsim.workload.spatten_trace import COLUMNS, load

HEADER = ",".join(("iteration_id", *COLUMNS))


def row(keys=100, key_bits=6, again="False", values=20, value_bits=6, dim="64.0", low=4):
    return f"0,3,{dim},{keys},{key_bits},{again},{low},{values},{value_bits}"


@pytest.fixture
def written(tmp_path):
    def write(*rows, header=HEADER):
        path = tmp_path / "t.csv"
        path.write_text("\n".join((header, *rows, "")))
        return path

    return write


def test_rows_that_fetch_alike_are_one_layer(written):
    found = load(written(row(), row(again="True"), row(keys=8, values=8), row(), row(again="True")))
    assert [layer.shape for layer in found.network.layers] == [
        Attention(4, 1, 1, 1, 100, 64), Attention(1, 1, 1, 1, 8, 64),
    ]  # fmt: skip
    first, second = found.network.layers
    assert [found.network.tensors[name].bits for name in first.inputs] == [12, 10, 6]
    assert found.mapping == {first.name: {"values": 20, "refetched": 2}, second.name: {"values": 8, "refetched": 0}}
    assert found.low_bits == 4


def test_a_row_by_hand_on_the_machine(written):
    """100 keys are 13 lines, 20 values 3; 104 x 64 x 6 bits of keys, 24 x 64 x 6 of values, 104 x 64 x 4 again."""
    found = load(written(row(again="True")))
    result = accelsim.simulate(load_arch("spatten", [("params.low_bits", 4)]), found.network, mapping=found.mapping)
    (layer,) = result.layers
    assert layer.details["qk_cycles"] == 26
    assert layer.details["pv_cycles"] == 3
    assert layer.details["refetched_rows"] == 1
    moved = {(r.tensor, r.direction): r.bits for r in layer.traffic if r.boundary == "dram"}
    assert moved["weight", "read"] == 104 * 64 * 10 + 24 * 64 * 6


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((row(dim="32"),), "t.csv:2: embedding_length_D: the released design has heads of 64; trace such a model"),
        ((row(), row(key_bits=5)), "t.csv:3: quant_key_bit: 5 bits are not stored"),
        ((row(again="maybe"),), "t.csv:2: if_requant: 'maybe' is no flag; write True or False"),
        ((row(keys=0),), "t.csv:2: key_fetch_num: '0' is no whole number from 1"),
        ((row(again="True"), row(again="True", low=2)), "auto_requant_incre: second fetches of 2, 4 bits"),
        (("1,2",), "t.csv:2: 2 values for 9 columns"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(lines, said, written, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        main(["import", "spatten_trace", str(written(*lines)), "-o", str(tmp_path / "out")])
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.count("\n") == 1
    assert said in printed
    assert not (tmp_path / "out").exists()


def test_wrong_columns_are_one_line(written, capsys, tmp_path):
    path = written(row(), header=HEADER.replace("value_fetch_num", "values"))
    with pytest.raises(SystemExit) as stop:
        main(["import", "spatten_trace", str(path), "-o", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert "t.csv:1: the table lacks 'value_fetch_num', or has it twice; columns: layer_id," in capsys.readouterr().err


def test_the_command_that_is_printed_runs(written, tmp_path):
    trace = written(*[row(again="True"), row()] * 4)
    done = CliRunner().invoke(app, ["import", "spatten_trace", str(trace), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    line = done.output.splitlines()[-1]
    ran = CliRunner().invoke(app, [*shlex.split(line)[1:], "--format", "csv"])
    assert ran.exit_code == 0, ran.output
    found = load(trace)
    whole = accelsim.simulate(load_arch("spatten", [("params.low_bits", 4)]), found.network, mapping=found.mapping)
    assert f"{whole.cycles}" in ran.output
