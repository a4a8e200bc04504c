"""The machine of the documentation is what `accelsim new` writes, and works as a third-party package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import accelsim
from accelsim.starters.write import new

ROOT = Path(accelsim.__file__).parents[1]
DOCUMENT = ROOT / "docs" / "adding-a-machine.md"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Write the machine into a folder that looks like an installed package."""
    if not DOCUMENT.is_file():
        pytest.skip("not a source tree")
    folder = tmp_path_factory.mktemp("toy") / "dot"
    new("dot", "plain", folder)
    group, entry = re.search(
        r'\[project\.entry-points\."(.*?)"\]\n(.*?)\n', (folder / "pyproject.toml").read_text()
    ).groups()
    info = folder / "dot_machine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dot-machine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    return folder


def python(toy, *args):
    env = {**os.environ, "PYTHONPATH": f"{toy}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *args], cwd=toy, env=env, capture_output=True, text=True, timeout=600)


def test_the_document_shows_what_is_written(toy):
    blocks = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
    assert len(blocks) == 6
    assert blocks == {name: (toy / name).read_text() for name in blocks}


def test_the_commands_of_the_document_work(toy):
    text = DOCUMENT.read_text()
    commands = re.findall(r"^accelsim (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert len(commands) == 4
    for command in commands[1:]:
        done = python(toy, "-m", "accelsim", *command.split())
        assert done.returncode == 0, (command, done.stderr)
    assert "2 ok" in done.stdout


def test_its_own_test_knows_of_the_installation(toy):
    done = python(toy, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"\b41 passed", done.stdout), done.stdout + done.stderr


def test_the_toy_passes_the_contract(toy):
    done = python(toy, "-m", "pytest", str(ROOT / "tests" / "test_contract.py"), "-k", "dot", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 7


def test_a_broken_toy_fails_the_contract(toy):
    kernel = toy / "dot_machine" / "kernel.py"
    honest = kernel.read_text()
    kernel.write_text(
        honest.replace("range(first, min(first + lanes, channels * r * s))", "range(first, first + lanes)")
    )
    try:
        done = python(
            toy, "-m", "pytest", str(ROOT / "tests" / "test_contract.py"), "-k", "dot", "-p", "no:cacheprovider"
        )
    finally:
        kernel.write_text(honest)
    assert done.returncode == 1
