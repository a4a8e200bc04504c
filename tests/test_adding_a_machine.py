"""The machine of the documentation, built from the document itself, found as a third-party package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import accelsim

ROOT = Path(accelsim.__file__).parents[1]
DOCUMENT = ROOT / "docs" / "adding-a-machine.md"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Write the document's files into a folder that looks like an installed package."""
    if not DOCUMENT.is_file():
        pytest.skip("not a source tree")
    folder = tmp_path_factory.mktemp("toy")
    blocks = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 5
    for name, text in blocks:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    entry = re.search(r'\[project\.entry-points\."(.*?)"\]\n(.*?)\n', DOCUMENT.read_text())
    info = folder / "dot_machine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dot-machine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{entry[1]}]\n{entry[2].replace(chr(34), '')}\n")
    return folder


def python(toy, *args):
    env = {**os.environ, "PYTHONPATH": f"{toy}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *args], cwd=toy, env=env, capture_output=True, text=True, timeout=600)


def test_the_commands_of_the_document_work(toy):
    text = DOCUMENT.read_text()
    commands = re.findall(r"^accelsim (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        done = python(toy, "-m", "accelsim", *command.split())
        assert done.returncode == 0, (command, done.stderr)
    assert "2 ok" in done.stdout


@pytest.mark.parametrize("words", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_the_toy_is_as_clean_as_the_house(toy, words):
    pytest.importorskip(words[0])
    settings = ["--config-file" if words[0] == "mypy" else "--config", str(ROOT / "pyproject.toml")]
    more = ["--explicit-package-bases", "--no-incremental"] if words[0] == "mypy" else ["--no-cache"]
    more += ["--ignore", "I"] if words[1:] == ["check"] else []  # within accelsim its modules are imports of our own
    done = python(toy, "-m", *words, *settings, *more, "dot_machine")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_toy_passes_the_contract(toy):
    done = python(toy, "-m", "pytest", str(ROOT / "tests" / "test_contract.py"), "-k", "dot", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 7


def test_a_broken_toy_fails_the_contract(toy):
    kernel = toy / "dot_machine" / "kernel.py"
    honest = kernel.read_text()
    kernel.write_text(honest.replace("range(first, min(first + lanes, c))", "range(first, first + lanes)"))
    try:
        done = python(
            toy, "-m", "pytest", str(ROOT / "tests" / "test_contract.py"), "-k", "dot", "-p", "no:cacheprovider"
        )
    finally:
        kernel.write_text(honest)
    assert done.returncode == 1
