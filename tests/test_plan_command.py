"""``accelsim plan`` and ``accelsim.plan``: what is printed, tables of storages, the picture, what is refused."""

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.cli import plan as command
from accelsim.passes.fold import FOLDS
from accelsim.passes.residency import PLANNERS
from accelsim.report import memory_map, plots
from accelsim.validate import cases, compare
from accelsim.workload.lifetimes import lifetime_names
from accelsim.workload.storage import INPLACE

KEYS = {"layers", "storages", "peak_bytes", "all_dram_bytes", "moved_bytes", "proof", "places"}
SQUEEZENET = ("net:squeezenet1_1", "--capacity-kib", "512", "--fold", "unary")


def run(*args):
    done = CliRunner().invoke(app, ["plan", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(["plan", *map(str, args)])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_the_lists_of_the_command_are_those_of_the_library():
    assert (command.PLANNERS, command.FOLDS, command.INPLACE) == (PLANNERS, FOLDS, INPLACE)


def test_the_json_holds_the_keys_of_the_interface_and_closes():
    found = json.loads(run(*SQUEEZENET, "--format", "json"))
    assert set(found) >= KEYS
    assert (found["layers"], found["storages"], found["proof"]) == (30, 23, "optimal")
    kept, spilled = found["places"], found["spilled"]
    assert len(kept) + len(spilled) == found["storages"]
    assert found["moved_bytes"] == found["bound_bytes"] == sum(row["moved_bytes"] for row in spilled)
    assert found["all_dram_bytes"] == found["moved_bytes"] + sum(row["moved_bytes"] for row in kept)
    assert found["used_bytes"] == max(row["address_bytes"] + row["bytes"] for row in kept) <= found["capacity_bytes"]
    assert found["folded"]["conv1.relu"] == "conv1"
    joined = next(row for row in kept if row["storage"] == "fire2.concat.output")
    assert joined["tensors"] == ["fire2.expand1x1.relu.output", "fire2.expand3x3.relu.output", "fire2.concat.output"]


def test_the_same_plan_comes_from_python():
    found = accelsim.plan("net:squeezenet1_1", capacity_kib=512, fold="unary")
    assert isinstance(found, accelsim.Plan)
    assert found.moved_bits == 8 * json.loads(run(*SQUEEZENET, "--format", "json"))["moved_bytes"]
    assert found.live_bits["conv1"] == 8 * (224 * 224 * 3 + 64 * 111 * 111)
    same = accelsim.plan(accelsim.load_network("net:squeezenet1_1"), capacity_kib=512, fold="unary")
    assert same.residency == found.residency
    assert repr(found) == "<Plan net_squeezenet1_1 on 512 KiB: 1,728,616 of 6,171,896 B through DRAM, optimal>"
    assert "fire2.concat.output" in found._repr_html_()
    assert len(found.to_pandas()) == 23
    assert found.plot()._repr_png_().startswith(b"\x89PNG")


def test_the_table_is_80_columns_wide_and_says_first_what_moves():
    lines = run(*SQUEEZENET).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "net_squeezenet1_1: what stays on a chip of 512 KiB"
    assert lines[1].startswith("1,728,616 B move through DRAM, of 6,171,896 B if nothing stays (28.0 %)")
    text = "\n".join(lines)
    assert "20 of the 21 between layers stay" in text
    assert "conv1.relu.output             788,544    0-1  1,577,088  DRAM" in text


def test_csv_and_markdown_hold_every_storage():
    rows = list(csv.DictReader(io.StringIO(run(*SQUEEZENET, "--format", "csv"))))
    assert len(rows) == 23
    assert {row["home"] for row in rows} == {"dram", "chip"}
    assert rows[1] == {
        "storage": "conv1.relu.output", "home": "dram", "address_bytes": "", "bytes": "788544", "first": "0",
        "last": "1", "first_layer": "conv1", "last_layer": "pool1", "moved_bytes": "1577088", "role": "inner",
    }  # fmt: skip
    text = run(*SQUEEZENET, "--format", "markdown")
    assert text.startswith("# net\\_squeezenet1\\_1: what stays")
    assert text.count("\n| ") == 23 + 2


def test_copies_batches_and_sizes_are_told():
    text = run("net:vit_b_16", "--capacity-kib", "256", "--fold", "unary")
    assert "parts copied into concatenations: 1; 768 B are read and written again" in " ".join(text.split())
    one, two = (json.loads(run(*SQUEEZENET, "--batch", n, "--format", "json")) for n in (1, 2))
    assert two["all_dram_bytes"] == 2 * one["all_dram_bytes"]
    short = json.loads(run("net:bert_base", "--capacity-kib", "64", "--dim", "seq=16", "--format", "json"))
    assert short["peak_bytes"] == 16 * (2 * 3072 + 768)  # gelu from one to the other, the sum ahead of it waits


def test_a_chip_as_large_as_the_peak_holds_everything_between_layers():
    whole = accelsim.plan("net:mobilenet_v2", capacity_kib=1470, fold="unary")
    assert whole.peak_bits == whole.capacity_bits == 1_505_280 * 8
    assert not whole.spilled
    less = accelsim.plan("net:mobilenet_v2", capacity_kib=1469.999, fold="unary")
    assert less.spilled


def test_every_packaged_table_of_storages_is_planned_and_says_what_it_assumes():
    for name in lifetime_names():
        found = json.loads(run(name, "--capacity-kib", "256", "--planner", "tflm", "--format", "json"))
        assert found["proof"] == "tflm"
        assert not found["spilled"]
        assert found["used_bytes"] == found["peak_bytes"]
        assert "written once and read once" in found["notes"][0]


def test_a_table_of_storages_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("# by hand\nstorage,bytes,first,last,moved_bytes,is_network_input_or_output\n"
                    "x,100,0,0,100,1\na,100,0,2,300,0\nd,200,1,3,400,0\ny,100,3,3,100,1\n")  # fmt: skip
    found = {kib: json.loads(run(path, "--capacity-kib", kib, "--format", "json")) for kib in ("0.2", "0.3")}
    assert [(f["network"], f["layers"], f["moved_bytes"]) for f in found.values()] == [
        ("mine", 4, 500),
        ("mine", 4, 200),
    ]
    assert found["0.2"]["notes"] == []
    assert accelsim.plan(path, capacity_kib=0.2).moved_bits == 8 * 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("storage,bytes,first,last\n", "lists no storages; give rows under storage, bytes, first, last"),
        ("storage,bytes,first,last\na,1,0\n", "mine.csv:2: 3 values for 4 columns; give one per column"),
        ("storage,bytes,first,last\na,x,0,1\n", "mine.csv:2: bytes: 'x' is no number from 0 to 2^40; correct it"),
        ("storage,bytes,first,last\na,1,-1,1\n", "mine.csv:2: first: '-1' is no number from 0 to 2^40; correct it"),
        ("storage,bytes,first,last\na,1,2,1\n", "mine.csv:2: last: 1 is ahead of first, 2; both ends belong"),
        ("storage,bytes,first,last\na,1,0,1\na,1,0,1\n", "mine.csv:3: storage 'a' comes twice; keep one"),
        ("storage,bytes,first,last,moved\na,1,0,1,1\n", "mine.csv:1: unknown column 'moved'; did you mean 'moved_b"),
        ("network,storage,bytes,first,last\na,s,1,0,1\nb,s,1,0,1\n", "holds 2 networks; choose with --only: a, b"),
        ("storage,bytes,first,last\na,1,0,900000\n", "900,001 positions are too many; at most 100,000"),
    ],
)
def test_a_table_of_storages_with_a_mistake_is_one_line(tmp_path, capsys, text, said):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    assert said in refused(capsys, path, "--capacity-kib", "1")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("resnet50", "--capacity-kib", "64"), "resnet50: isolated: no edges; use onnx:... or net:..."),
        (("net:resnet50", "--capacity-kib", "0"), "--capacity-kib: a capacity of 0.0 KiB is none; give a positive"),
        (("net:resnet50", "--capacity-kib", "-1"), "--capacity-kib: a capacity of -1.0 KiB is none; give a positive"),
        (("net:resnet50", "--capacity-kib", "nan"), "--capacity-kib: a capacity of nan KiB is none"),
        (("net:resnet50", "--capacity-kib", "inf"), "--capacity-kib: a capacity of inf KiB is none"),
        (("net:resnet50", "--capacity-kib", "1e-9"), "--capacity-kib: a capacity of 1e-09 KiB is none"),
        (("net:resnet50",), "Missing option '--capacity-kib'"),
        (("net:resnet50", "--capacity-kib", "1", "--planner", "exat"), "--planner: 'exat' is not known; did you mean"),
        (("net:resnet50", "--capacity-kib", "1", "--fold", "all"), "--fold: 'all' is not known; one of none, unary"),
        (("net:resnet50", "--capacity-kib", "1", "--inplace", "x"), "--inplace: 'x' is not known; one of none, depth"),
        (("net:resnet50", "--capacity-kib", "1", "--only", "x"), "--only: the network is no table of storages; drop"),
        (("net:resnet50", "--capacity-kib", "1", "--state", "x"), "state 'x' is no tensor; correct its name"),
        (("net:resnet", "--capacity-kib", "1"), "no network is called 'net:resnet'; did you mean 'net:resnet50'?"),
        (("lifetimes:vww", "--capacity-kib", "1"), "lifetimes: no network 'vww'; one of mlperf_tiny_resnet8, mlperf"),
        (("lifetimes:mlperf_tiny_kws", "--capacity-kib", "1", "--fold", "unary"), "--fold: a table of storages has no"),
        (("nowhere.csv", "--capacity-kib", "1"), "no such network file: 'nowhere.csv'; check the path"),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(capsys, args, said):
    assert said in refused(capsys, *args)


def test_the_picture_shows_rectangles_the_capacity_and_what_does_not_stay(tmp_path):
    path = tmp_path / "map.png"
    run(*SQUEEZENET, "--plot", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    found = accelsim.plan("net:squeezenet1_1", capacity_kib=512, fold="unary")
    figure = plots.memory_map_figure(found)
    top, low = figure.axes
    assert len(top.patches) == len(found.kept) == 20
    drawn = {(p.get_x(), p.get_y() * 8192, p.get_width(), p.get_height() * 8192) for p in top.patches}
    places = found.residency.places
    assert drawn == {
        (s.first, places[s.name].address_bits, s.last - s.first + 1, s.bits) for s in found.kept
    }  # fmt: skip
    assert [line.get_ydata()[0] for line in (*top.lines, *low.lines)] == [512, 512]
    assert "1,577,088  conv1.relu" in figure.texts[-1].get_text()


def test_a_picture_of_many_that_do_not_stay_counts_them():
    found = accelsim.plan("net:resnet50", capacity_kib=64)
    lines = memory_map._spilled(found)
    assert any(line.endswith(f"{len(found.spilled) - memory_map.MOST_SPILLED} more") for line in lines)
    plots.memory_map_figure(found)
    plots.memory_map_figure(accelsim.plan("net:resnet50", capacity_kib=0.01))


def test_help_loads_no_numpy():
    code = "import sys; from accelsim.cli import plan; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_case_of_residency_holds():
    rows = compare.validate([compare.RESIDENCY])
    assert len(rows) == len(cases.plan_cases()) == 84
    assert {row.verdict for row in rows} == {"ok"}
