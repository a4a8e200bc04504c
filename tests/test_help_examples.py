"""Every example of every help text runs as it is printed, in a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from accelsim.cli import app
from accelsim.cli.import_ import FORMATS

ROOT = Path(__file__).parent.parent
GIVEN = ("examples", "reports", "tests")
"""Folders of the repository that examples read."""
NEEDS = {"profile": "onnxruntime"}


def commands(command=app, words=()):
    """Yield the words of every command, groups and formats of ``import`` included."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*words, name))
    elif words == ("import",):
        yield from ((*words, name) for name in FORMATS)


def shown(words):
    """Return the end of a help text at 80 columns, from its example on."""
    text = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*words, "--help"], catch_exceptions=False).output
    (_, found) = re.split(r"^ *Example: ", text, flags=re.MULTILINE)
    return found.rstrip()


def steps(words):
    """Return the commands of a help text's example, as a person would copy them."""
    return re.sub(r" \\\n *", " ", shown(words)).split("\n")


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_example_runs_as_printed_in_a_fresh_clone(words, tmp_path):
    if library := NEEDS.get(" ".join(words)):
        pytest.importorskip(library)
    for name in GIVEN:
        (tmp_path / name).symlink_to(ROOT / name)
    shell = f'accelsim() {{ "{sys.executable}" -m accelsim "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; set -e\n'
    lines = [line.strip() for line in steps(words)]
    assert " ".join(["accelsim", *words]) in lines[-1]
    done = subprocess.run(
        ["bash", "-c", shell + "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, (lines, done.stderr[-2000:])


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_no_line_of_an_example_is_wrapped_at_80_columns(words):
    for line in shown(words).split("\n")[1:]:
        assert len(line) <= 80
    for line in steps(words):
        assert line.lstrip().startswith(("accelsim ", "python ", "printf ")), line
