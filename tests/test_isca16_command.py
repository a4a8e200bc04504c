"""`accelsim replica isca16` and the example that draws the comparison."""

import csv
import io
import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from accelsim.cli.replica_isca16 import command
from accelsim.replicas.isca16 import FLOWS, study, totals

ROOT = Path(__file__).parents[1]


def run(*arguments):
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_carries_every_row_and_the_totals():
    document = json.loads(run("--pes", "512", "--batch", "16", "--layers", "fc", "--format", "json"))
    rows = study(512, 16, "fc")
    assert document["rows"] == [row.to_dict() for row in rows]
    assert document["totals"] == [row.to_dict() for row in totals(rows, "fc")]
    assert [row["flow"] for row in document["totals"]] == list(FLOWS)


def test_csv_has_one_line_per_row_and_total():
    lines = list(csv.DictReader(io.StringIO(run("--batch", "1", "--layers", "all", "--format", "csv"))))
    assert len(lines) == 6 * 8 + 6
    assert lines[0]["flow"] == "RS"
    assert lines[0]["mapping"].startswith("m=96 n=1 ")
    assert float(lines[0]["energy_per_op"]) == study(256, 1, "conv", ["RS"])[0].energy_per_op


def test_the_table_names_the_flow_without_a_mapping_and_the_ratios_to_row_stationary():
    text = run("--batch", "64")
    assert text.count("no legal mapping") == 2  # CONV1 and the total
    assert "1.00 x RS" in text
    assert "nan" not in text


def test_an_array_too_small_for_a_layer_prints_dashes():
    text = run("--pes", "1", "--batch", "1")
    assert "no legal mapping" in text
    assert "nan" not in text


@pytest.mark.parametrize("arguments", [("--pes", "0"), ("--layers", "pool"), ("--batch", "many")])
def test_a_wrong_option_is_refused(arguments):
    assert CliRunner().invoke(command, list(arguments)).exit_code == 2


def test_help_shows_an_example():
    assert "Example: accelsim replica isca16" in run("--help")


def test_the_example_draws_the_picture(tmp_path):
    example = runpy.run_path(str(ROOT / "examples" / "isca16_dataflows" / "draw.py"))
    path = example["draw"](tmp_path / "new")
    assert path == tmp_path / "new" / "isca16.png"
    assert path.read_bytes().startswith(b"\x89PNG")
