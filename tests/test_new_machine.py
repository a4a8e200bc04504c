"""`accelsim new`: what it writes works at once and is clean, inside accelsim too; what it refuses, it leaves alone."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import accelsim
from accelsim import contract, outputs
from accelsim.cli import app, main
from accelsim.engines import names, registry
from accelsim.errors import ConfigError
from accelsim.starters.plain.engine import ENGINE
from accelsim.starters.plain.reference import reference
from accelsim.starters.write import KINDS, new

ROOT = Path(accelsim.__file__).parents[1]

if not (ROOT / "pyproject.toml").is_file():
    pytest.skip("not a source tree", allow_module_level=True)


def python(folder, *args):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run([sys.executable, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=600)


def passes(folder, *args):
    done = python(folder, "-m", *args)
    assert done.returncode == 0, (args, done.stdout + done.stderr)
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_of_each_kind_passes_its_test_and_is_clean(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["new", "my_thing", "--like", kind], catch_exceptions=False)
    folder = tmp_path / "my_thing"
    written = {str(path.relative_to(tmp_path)) for path in folder.rglob("*") if path.is_file()}
    assert set(done.output.splitlines()) == written
    assert len(written) == 8
    text = "".join((tmp_path / name).read_text() for name in written)
    assert not re.search(r"starters|\b(Tiled|Skipping|Plain)\b", text)
    assert "40 passed" in passes(folder, "pytest", "-q", "-p", "no:cacheprovider")
    for words in (
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--no-cache", "--check"],
        ["mypy", "--no-incremental"],
    ):
        pytest.importorskip(words[0])
        passes(folder, *words, *(["."] if words[0] == "ruff" else []))


def test_inside_accelsim_nothing_else_has_to_change(tmp_path):
    for part in ("accelsim", "arch_configs", "workloads"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("contract.py", "test_contract.py", "test_layers.py", "test_sources.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    passes(tmp_path, "accelsim", "new", "abc", "--like", "tiled", "-o", "accelsim/engines/abc")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() and path not in before}
    written = {name for name in written if "__pycache__" not in name}
    files = ("engine.py", "kernel.py", "reference.py", "cases.yaml")
    assert written == {
        *(f"accelsim/engines/abc/{file}" for file in files),
        "arch_configs/abc.yaml",
        "tests/test_abc.py",
    }
    tests = ["tests/test_abc.py", "tests/test_contract.py", "tests/test_layers.py", "tests/test_sources.py"]
    passes(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", "abc")
    passes(tmp_path, "ruff", "check", "--no-cache", "accelsim/engines/abc", "tests/test_abc.py")
    passes(tmp_path, "ruff", "format", "--no-cache", "--check", "accelsim/engines/abc", "tests/test_abc.py")


@pytest.mark.parametrize("name", ["Big", "1st", "a-b", "", "class", "scnn", "accelsim", "x" * 41, "ä"])
def test_a_bad_name_is_one_line_and_writes_nothing(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["new", "--like", "plain", "-o", "out", "--", name])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n"), said[:7]) == (2, 1, "error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_left_alone(there, tmp_path):
    place = tmp_path / "mine"
    {"folder": place.mkdir, "file": place.touch, "link": lambda: place.symlink_to("nowhere")}[there]()
    with pytest.raises(ConfigError, match="mine: is there already; choose another name, or remove it first"):
        new("mine", "plain", place)
    assert list(tmp_path.rglob("*")) == [place]


def test_inside_accelsim_the_folder_bears_the_name_and_no_file_is_replaced(tmp_path):
    for part in ("accelsim/engines", "arch_configs", "tests"):
        (tmp_path / part).mkdir(parents=True)
    engines = tmp_path / "accelsim" / "engines"
    (engines / "names.py").touch()
    with pytest.raises(ConfigError, match="bears its name"):
        new("mine", "plain", engines / "other")
    (tmp_path / "tests" / "test_mine.py").write_text("kept")
    with pytest.raises(ConfigError, match=r"test_mine\.py: is there already"):
        new("mine", "plain", engines / "mine")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"names.py", "test_mine.py"}


def test_a_full_disk_leaves_neither_the_folder_nor_what_stands_beside_it(tmp_path, monkeypatch):
    for part in ("accelsim/engines", "arch_configs", "tests"):
        (tmp_path / part).mkdir(parents=True)
    engines = tmp_path / "accelsim" / "engines"
    (engines / "names.py").touch()
    before = sorted(tmp_path.rglob("*"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "rename", full)
    with pytest.raises(ConfigError, match=r"mine: cannot be written \(no space left on device\)"):
        new("mine", "plain", engines / "mine")
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(ConfigError, match="no space left"):
        new("mine", "plain", tmp_path / "some" / "where" / "mine")
    assert sorted(tmp_path.rglob("*")) == before


def test_help_and_a_new_machine_need_no_numba(tmp_path):
    code = (
        "import sys; from accelsim.cli import app; app(sys.argv[1:], standalone_mode=False);"
        "sys.exit('numba' in sys.modules or 'numpy' in sys.modules)"
    )
    for words in (["new", "--help"], ["new", "mine", "--like", "tiled"]):
        done = python(tmp_path, "-c", code, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "mine" / "pyproject.toml").is_file()


@pytest.mark.parametrize("name", list(registry.modules()))
def test_the_engines_of_the_house_keep_the_contract_of_strangers(name):
    module = import_module(registry.modules()[name].rpartition(".")[0] + ".reference")
    assert [contract.amiss(registry.get(name), module.reference, seed) for seed in range(3)] == [[], [], []]


def broken(monkeypatch, **changes):
    """Return what a changed engine or reference breaks of the contract, over some cases."""
    for name, change in changes.items():
        monkeypatch.setattr(type(ENGINE), name, change)
    return "; ".join(each for seed in range(12) for each in contract.amiss(ENGINE, reference, seed))


def test_the_contract_names_what_is_broken(monkeypatch):
    whole = {name: getattr(type(ENGINE), name) for name in ("run", "rooms", "components", "refuses")}

    def run(self, plan, operands=None):
        made = whole["run"](self, plan, operands)
        values = None if made.values is None else made.values + 1
        return type(made)(**{**made.__dict__, "values": values, "events": {}})

    said = broken(monkeypatch, run=run)
    assert "kernel and NumPy: values differ" in said
    assert "kernel and reference: events: {} != " in said
    assert "inputs as their producer left them: kernel and reference" in said
    monkeypatch.undo()
    homeless = broken(monkeypatch, rooms=lambda self, params: (), refuses=lambda *_: None)
    assert "weight at home on the chip has no room and is not refused" in homeless
    monkeypatch.undo()

    def home(self, plan, operands=None):
        far = plan.layer._replace(input_far=1, weight_far=1, output_far=1)
        return whole["run"](self, plan._replace(layer=far), operands)

    assert "input at home on the chip: crosses the DRAM" in broken(monkeypatch, run=home)
    monkeypatch.undo()
    assert broken(monkeypatch) == ""
    assert ENGINE.name not in names.modules()
