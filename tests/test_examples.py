"""Folders of examples: each says its question, a command and the answer, and draws as the house does."""

import re
from pathlib import Path

import pytest

from accelsim.report import classes, palette

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__")
SCRIPTS = sorted(path for path in EXAMPLES.rglob("*.py") if "matplotlib" in path.read_text())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_asks_a_question_shows_its_commands_and_answers_with_figures(folder):
    text = (folder / "README.md").read_text()
    head, commands, answer = re.fullmatch(r"# ([^\n]+)\n.*?```sh\n(.*?)```\n(.*)", text, re.DOTALL).groups()
    assert head.endswith("?")
    assert f"examples/{folder.name}/" in commands
    for name in re.findall(rf"examples/{folder.name}/(\S+\.\w+)", commands):
        assert (folder / name).is_file(), name
    assert len(re.findall(r"\d", answer)) > 3
    for place in re.findall(r"!\[[^]]+\]\(([^)]+)\)", answer):
        assert (folder / place).is_file(), place


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_pictures_have_the_fonts_of_the_house(script):
    text = script.read_text()
    drawn = "STYLE" in text or "plots." in text or script.parent.name == "eyeriss_chip"  # there, draw.py sets it
    assert drawn
    assert "bold" not in text
    assert not [size for size in re.findall(r"fontsize=(\d+)", text) if int(size) > 11]


def test_a_machine_has_one_colour_in_every_picture():
    assert palette.machine("dcnn_opt") != palette.machine("dcnn")
    assert palette.machine("scnn_queued") == palette.machine("scnn")
    assert palette.machine("bitfusion_8") == palette.MACHINES["bitfusion"]
    for name in ("lines.py", "scnn_density/draw.py", "precision_widths/draw.py", "spgemm_pictures/draw.py"):
        assert "palette.machine(" in (EXAMPLES / name).read_text()


def test_dram_has_its_colour_in_the_dataflow_study_too():
    text = (EXAMPLES / "isca16_dataflows" / "draw.py").read_text()
    for group in ("DRAM", "buffers", "links", "registers", "arithmetic"):
        assert f'LOOKS["{group}"]' in text
    assert classes.LOOKS["DRAM"] == palette.DRAM
