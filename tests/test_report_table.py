"""The terminal table: what a person reads first, at any width and without colour."""

import io
import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from report_samples import (
    ALEXNET,
    DRAM_BITS_PER_CYCLE,
    alexnet,
    conv,
    densenet,
    every_cause,
    network,
    partial_alexnet,
    resnet50,
    skipped,
)
from rich.console import Console

from accelsim.cli import app
from accelsim.report import bar, facts, words
from accelsim.report.columns import shorten
from accelsim.report.table import ResultView
from accelsim.results import UnitAccount

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def show(result, width=100, encoding="utf-8", **options):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    Console(file=out, width=width, **options).print(ResultView(result))
    out.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("sample", [alexnet, partial_alexnet, resnet50, densenet, every_cause])
def test_no_line_is_wider_than_the_terminal_and_every_layer_has_a_row(sample, width):
    result = sample()
    text = show(result, width)
    assert max(map(len, text.splitlines())) <= width
    rules = [i for i, line in enumerate(text.splitlines()) if line.startswith("───")]
    assert rules[1] - rules[0] - 1 == len(result.simulated)
    for layer, line in zip(result.simulated, text.splitlines()[rules[0] + 1 :], strict=False):
        assert line.endswith(words.of_cause(layer.bound_by)), "a column was cut"
        assert f" {layer.cycles:,} " in line


def test_a_complete_network_does_not_say_partial():
    assert "PARTIAL" not in show(resnet50())
    assert "isolated" not in show(resnet50())


@pytest.mark.parametrize("width", [80, 100, 140])
def test_partial_stands_in_the_title_the_total_and_the_totals(width):
    lines = show(partial_alexnet(), width).splitlines()
    assert "PARTIAL" in lines[0]
    assert any(line.startswith("PARTIAL total ") for line in lines)
    assert "totals (PARTIAL)" in lines
    assert "not simulated: 10 of 18 layers" in lines


def test_networks_from_layer_tables_say_isolated_instead_of_partial():
    text = show(alexnet())
    assert "products only" in text.splitlines()[0]
    assert "totals (products only)" in text
    assert "PARTIAL" not in text
    both = show(network([*alexnet().layers, skipped("pool1")], isolated=True))
    assert "PARTIAL, isolated layers" in both.splitlines()[0]


def test_layers_that_were_not_simulated_are_grouped_by_reason():
    text = " ".join(show(partial_alexnet(), 140).split())
    assert "relu_conv1, relu_conv2, relu_conv3 and 5 more: no unit of systolic_ws runs elementwise layers" in text
    assert "pool1: no unit of systolic_ws runs pool layers" in text


def test_many_reasons_do_not_flood_the_terminal():
    odd = [replace(skipped(f"odd{i}"), reason=f"reason {i}") for i in range(20)]
    text = show(network([conv(*ALEXNET[0]), *odd]))
    assert "reason 7" in text
    assert "reason 8" not in text
    assert "12 more layers for 12 other reasons" in text


@pytest.mark.parametrize("width", [1, 8, 11, 32])
def test_bars_are_as_long_as_their_column_and_follow_the_account(width):
    for layer in (*resnet50().layers, *every_cause().layers):
        cells = bar.cells(layer, width)
        assert sum(n for _, n in cells) == width
        assert len(bar.text(layer, width)) == width
        for cause, n in cells:
            exact = layer.account[cause] * width / (layer.units * layer.cycles)
            assert abs(n - exact) < 1


def test_a_bar_of_half_work_and_half_stalls_is_half_and_half():
    account = UnitAccount(4, {"memory": 20, "busy": 20})
    layer = replace(conv(*ALEXNET[0]), cycles=10, accounts={"pes": account})
    assert bar.text(layer, 8) == "████mmmm"


def test_the_legend_explains_every_character_of_the_bars():
    text = show(every_cause(), 140)
    legend = " ".join(text[text.index("bar: ") : text.index("layer names")].splitlines())
    for mark in "█▒pufixscm":
        assert f" {mark} " in legend


def test_without_colour_the_text_is_the_same():
    plain = show(partial_alexnet(), color_system=None)
    colour = show(partial_alexnet(), force_terminal=True, color_system="standard")
    assert "\x1b" not in plain
    assert "\x1b[32m" in colour
    assert ESCAPE.sub("", colour) == plain


def test_no_color_and_dumb_terminals_get_no_colour(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in show(alexnet(), force_terminal=True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", show(alexnet(), force_terminal=True))


def test_a_console_without_block_characters_gets_ascii():
    text = show(partial_alexnet(), 80, encoding="ascii")
    assert "#" in text
    assert text.isascii()
    assert "?" not in text


def test_columns_that_do_not_fit_are_named():
    narrow, wide = show(alexnet(), 80), show(alexnet(), 140)
    assert "too narrow for: kind" in narrow
    assert "conv2d" not in narrow
    assert "too narrow" not in wide
    assert "conv2d" in wide


def test_the_three_layers_that_lose_most_cycles_are_explained():
    text = " ".join(show(alexnet(), 80).split())
    worst = re.findall(r"\d\. (\w+) \(", text)
    assert worst == ["fc6", "fc7", "fc8"]
    assert f"the machine has {DRAM_BITS_PER_CYCLE:.1f}" in text


def test_a_network_that_loses_nothing_says_so():
    layer = conv(*ALEXNET[0])
    account = UnitAccount(10, {"busy": 10 * layer.cycles})
    assert "no layer loses more than" in show(network([replace(layer, accounts={"pes": account})]))


def test_totals_name_what_they_count_and_who_priced_it():
    text = " ".join(show(resnet50(), 140).split())
    for part in ("cycles = ", "TOPS/W", "EDP", "J s", "(priced by 45nm)", "occupancy", "read", "all 116 layers"):
        assert part in text
    assert "dram 92 %" in text
    assert "not modelled: refresh and bank conflicts of the DRAM; leakage; the host and its bus" in text


def test_wrong_values_are_shouted():
    result = network([replace(conv(*ALEXNET[0]), checked=True), replace(conv(*ALEXNET[1]), checked=False)])
    assert "WRONG in 1 of 2 checked layers: conv2" in show(result)
    fine = network([replace(conv(*ALEXNET[0]), checked=True)])
    assert "equal to the reference in 1 of 1 layers" in show(fine)


def test_renamings_take_no_row():
    view = replace(skipped("flatten", "view"), simulated=True, reason=None)
    text = show(network([conv(*ALEXNET[0]), view]))
    assert "flatten" not in text
    assert "without work: 1 layers (renamings)" in text


def test_a_network_without_a_simulated_layer_still_reports():
    text = show(network([skipped("pool1"), skipped("pool2")]))
    assert "not simulated: 2 of 2 layers" in text
    assert "totals (PARTIAL)" in text


REFUSED = (
    "a: an attention array has no conv2d unit; b: 16-bit input, and words have 8; c: a vector unit has no conv2d unit"
)
ELSEWHERE = "the machine file gives it other layers"


@pytest.mark.parametrize(("reason", "said"), [
    (REFUSED, "b: 16-bit input, and words have 8; 2 other units refuse too"),
    (f"layer 'x': {REFUSED}", "layer 'x': b: 16-bit input, and words have 8; 2 other units refuse too"),
    (f"a: {ELSEWHERE}; b: a b has no pool unit; c: {ELSEWHERE}", "b: a b has no pool unit; 2 other units refuse too"),
    (f"a: {ELSEWHERE}; b: {ELSEWHERE}; c: {ELSEWHERE}", "the machine file gives it to none of 3 units"),
    ("does not fit b: 3; c: 4", "does not fit b: 3; c: 4"),
])  # fmt: skip
def test_the_nearest_of_many_units_says_why_and_the_others_are_counted(reason, said):
    assert facts.nearest_refusal(reason, ["a", "b", "c"]) == said


def test_two_units_say_both_why():
    text = "a: a systolic array has no pool unit; b: 16-bit input, and words have 8"
    assert facts.nearest_refusal(text, ["a", "b"]) == text


def test_a_layer_that_no_unit_of_many_takes_is_a_short_line_and_a_full_reason_in_the_report(tmp_path):
    layers = "- {name: fc1, kind: linear, c: 832, k: 1024}\n- {name: fc9, kind: linear, c: 1024, k: 1024}\n"
    (tmp_path / "n.yaml").write_text(f"name: n\nisolated: true\nlayers:\n{layers}")
    done = CliRunner().invoke(app, ["run", "finn_lfc", str(tmp_path / "n.yaml"), "-o", str(tmp_path / "out")])
    assert "  fc9: the machine file gives it to none of 4 units\n" in done.output
    written = json.loads((tmp_path / "out" / "report.json").read_text())["layers"][1]["reason"]
    assert written == "; ".join(f"fc{i}: {ELSEWHERE}" for i in (1, 2, 3, 4))
    alone = CliRunner().invoke(app, ["run", "finn_lfc", "vgg16", "-o", str(tmp_path / "none")])
    assert "layer 'conv1_1': the machine file gives it to none of 4 units; choose" in str(alone.exception)


def test_long_names_keep_the_numbers_that_tell_them_apart():
    names = [f"stage{s}_block{b}_conv{c}_fwd" for s in range(1, 5) for b in range(6) for c in range(3)]
    for width in (13, 18, 20):
        short = [shorten(name, width) for name in names]
        assert all(len(name) <= width for name in short)
        assert len(set(short)) == len(names)
    assert shorten("1234567890123456", 9) == "1234…3456"
    assert shorten("fc6", 3) == "fc6"


def test_a_common_beginning_of_long_names_is_left_out_and_said():
    text = show(resnet50(), 140)
    assert "layer names are without 'resnetv17_'" in text
    assert "stage4_block2_conv1_fwd" in text
    assert "layer names are without" not in show(alexnet(), 140)


def test_wide_characters_do_not_break_the_columns():
    result = network([replace(conv(*ALEXNET[0]), name="卷积层一" * 8), conv(*ALEXNET[1])])
    lines = show(result, 100).splitlines()
    assert any("卷积" in line and "compute" in line for line in lines)
