"""The page for users of SCALE-Sim: every command is run, and prints what the page quotes."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app
from accelsim.errors import UserError

PAGE = Path(accelsim.__file__).parents[1] / "docs" / "coming-from-scalesim.md"

if not PAGE.is_file():
    pytest.skip("not a source tree", allow_module_level=True)


def run(line):
    """Run a command line: accelsim in this process, whatever it is piped into or stands alone by the shell."""
    if not line.startswith("accelsim "):
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
        return done.stdout
    command, _, pipe = line.partition(" | ")
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception if isinstance(done.exception, UserError) else AssertionError(line) from done.exception
    assert done.exit_code == 0, done.output
    if not pipe:
        return done.output
    return subprocess.run(pipe, shell=True, input=done.stdout, capture_output=True, text=True, check=True).stdout


def fits(printed, quoted):
    """Whether the lines of ``quoted`` are those of ``printed``, with any number of lines at each '...'."""
    parts = [re.escape(line) + "\n" if line != "..." else "(?:.*\n)*?" for line in quoted]
    return re.fullmatch("".join(parts), "".join(line.rstrip() + "\n" for line in printed.splitlines())) is not None


def test_every_command_of_the_page_prints_what_the_page_quotes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    for name, content in re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    steps = [step for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) for step in block.split("\n$ ")]
    assert len(steps) == 35
    for step in steps:
        line, *quoted = step.removeprefix("$ ").splitlines()
        printed = run(line)
        assert fits(printed, quoted), f"{line}\n{printed}"


def test_a_wrong_figure_on_the_page_would_be_found():
    assert fits("a\nb 1\nc\n", ["a", "...", "c"])
    assert not fits("a\nb 1\nc\n", ["a", "b 2", "c"])
    assert not fits("a\nb 1\nc\n", ["a", "b 1"])
