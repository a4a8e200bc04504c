"""What the letters of a mapping mean stands wherever they appear."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from accelsim.cli import app
from accelsim.engines import registry
from accelsim.report import letters, run_page
from accelsim.report.markdown import to_markdown
from accelsim.simulation import simulate

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
MAPPED = [name for name in registry.modules() if registry.get(name).mapping_schema.model_fields]


@pytest.fixture(scope="module")
def result():
    return simulate("edge_npu", "onnx:squeezenet")


@pytest.mark.parametrize("engine", MAPPED)
def test_show_says_every_letter_of_an_engines_mapping(engine):
    shown = CliRunner().invoke(app, ["show", engine]).stdout.partition("\nMapping")[2]
    for key, field in registry.get(engine).mapping_schema.model_fields.items():
        assert field.description
        assert any(line.split() == [key, *field.description.split()] for line in shown.splitlines()), key


def test_the_panel_of_a_layer_says_its_letters(result):
    page = run_page.to_html(result)
    assert "e: output rows per tile; f: output columns per tile" in page
    assert "rows: rows per tile: output rows of pooling" in page


def test_a_report_says_the_letters_of_each_unit_once(result):
    lines = [line for line in to_markdown(result).splitlines() if line.startswith("Mapping on ")]
    assert [line.split(":")[0] for line in lines] == ["Mapping on array", "Mapping on vector"]


def test_the_letters_of_an_engine_that_is_not_there_are_nothing(result):
    strange = replace(result, arch={**result.arch, "units": [{"name": "array", "engine": "gone"}]})
    layer = next(layer for layer in result.simulated if layer.unit == "array")
    assert letters.of_layer(result, layer)
    assert letters.of_layer(strange, layer) == {}


@pytest.mark.parametrize("engine", ["systolic", "row_stationary", "vector"])
def test_the_guide_has_the_letters_as_the_engine_says_them(engine):
    table = GUIDE.read_text()
    for key, field in registry.get(engine).mapping_schema.model_fields.items():
        assert f"| `{key}` | {field.description} |" in table
