"""Lines on a terminal: none is wider than it, and what is said stays the same."""

import re

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim import terminal
from accelsim.cli import app
from accelsim.text import folded


def test_a_line_folds_at_blanks_and_hangs():
    assert folded("a short line", 80, 4) == ["a short line"]
    assert folded("- one two three four", 10, 2) == ["- one two", "  three", "  four"]
    assert folded("# one two three", 10, "# ") == ["# one two", "# three"]
    assert folded("    deep one", 6, 2) == ["    deep", "  one"]
    assert folded("a/long/path/alone and", 8, 2) == ["a/long/path/alone", "  and"]
    assert folded("table:  10   20", 80, 2) == ["table:  10   20"]


WIDE_LINES = [
    "show energy --arch edge_npu", "show edge_npu --energy", "show systolic", "show edge_npu_128", "show net:resnet50",
    "price sram --kib 32 --width-bits 64 --node 65", "dram ddr4-2400 --pattern tile_rows --requests 64",
]  # fmt: skip


@pytest.mark.parametrize("command", WIDE_LINES)
def test_lines_fit_a_terminal_of_80_columns_and_say_the_same(command, monkeypatch):
    piped = CliRunner().invoke(app, command.split()).output
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    told = CliRunner().invoke(app, command.split()).output
    assert max(map(len, told.splitlines())) <= 80
    words = [sorted(re.findall(r"[^\s#;]+", text)) for text in (piped, told)]
    assert words[0] == words[1]


def test_a_machine_that_a_terminal_shows_is_the_machine_still(monkeypatch):
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    told = yaml.safe_load(CliRunner().invoke(app, ["show", "edge_npu_128"]).output)
    config = dict(accelsim.load_arch("edge_npu_128").config)
    config.pop("sources")
    assert told == config
