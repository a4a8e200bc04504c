"""Files are whole or not there: every command that writes, with a disk that fills up."""

import ast
import errno
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
from sweep_files import write as write_sweep

import accelsim
from accelsim import outputs
from accelsim.cli import COMMANDS, main
from accelsim.errors import ConfigError
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep import store
from accelsim.report.document import to_json
from accelsim.workload import yaml_network

ROOT = Path(accelsim.__file__).parent
SCALESIM = ROOT.parent / "tests/data/scalesim"


SWEEP = "name: s\nmachines: [systolic_ws]\nnetworks: [./tiny.yaml]\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with something of every kind that commands read."""
    folder = tmp_path_factory.mktemp("good")
    path = write_sweep(
        folder, "name: s\nmachines: [systolic_ws]\nnetworks: [./tiny.yaml]\naxes: {params.rows: [4, 8]}\n"
    )
    sweep.run(path, folder / "s.db", workers=0)
    result = accelsim.simulate("systolic_ws_8", yaml_network.load(folder / "tiny.yaml"))
    (folder / "report.json").write_text(to_json(result))
    for name in ("small.csv", "configs/os_32.cfg"):
        shutil.copy(SCALESIM / name, folder)
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 3, 3], np.ones(54, np.float32))
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [image],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [weight])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    np.save(folder / "x.npy", np.ones((1, 3, 8, 8), np.float32))
    return folder


SEARCH = ("search", "precision", "systolic_ws", "tiny.yaml", "--widths", "4,8", "--budget", "cycles=100%")
WRITES = {
    "export": [("export", "s.db", "-o", "out.csv"), ("export", "s.db", "-o", "out.parquet")],
    "report": [("report", "s.db", "-o", "out.html"), ("report", "report.json", "-o", "out.html")],
    "plot": [("plot", "s.db", "pareto", "-o", "out.png"), ("plot", "report.json", "roofline", "-o", "out.png")],
    "import": [("import", "m.onnx", "--force", "-o", "out.yaml"), ("import", "os_32.cfg", "--force", "-o", "out.yaml")],
    "compress": [("compress", "tiny.yaml", "-o", "out.npz")],
    "prune": [("prune", "net:bert_base", "--dim", "seq=4", "--force", "-o", "out.yaml")],
    "quantize": [("quantize", "tiny.yaml", "-o", "out.npz"), ("quantize", "tiny.yaml", "--profile", "out.yaml")],
    "profile": [("profile", "m.onnx", "--input", "x=x.npy", "-o", "out.npz"),
                ("profile", "m.onnx", "--input", "x=x.npy", "--density", "out.yaml")],
    "validate": [("validate", "vector", "-o", "out.md")],
    "search": [(*SEARCH, "-o", "out.yaml"), (*SEARCH, "--plot", "out.png")],
    "dram": [("dram", "ddr4-2400", "--pattern", "stride", "--requests", "100", "--save-trace", "out.trace")],
    "plan": [("plan", "onnx:squeezenet", "--capacity-kib", "64", "--plot", "out.png")],
    "merge": [("merge", "s.db", "-o", "out.db")],
    "replica": [("replica", "scalesim", "os_32.cfg", "small.csv", "-o", "out")],
    "compare": [("compare", "systolic_ws", "systolic_ws_8", "-n", "tiny.yaml", "-o", "out")],
    "run": [("run", "systolic_ws", "tiny.yaml", "-o", "out", "--trace")],
    "new": [("new", "mine", "--like", "plain", "-o", "out")],
}  # fmt: skip
"""Command -> how it is called so that it writes ``out``."""
NEW_ONLY = {"merge", "new"}
"""What replaces nothing."""
READ_ONLY = {"list", "price", "show", "schema"}
IN_PLACE = {"sweep"}
"""What writes a store, whose transactions are SQLite's; so does a search of designs."""


def test_every_command_is_known_to_write_or_not():
    assert set(WRITES) | READ_ONLY | IN_PLACE == set(COMMANDS)


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def end_of(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code, capsys.readouterr().err


@pytest.mark.parametrize("words", [w for all_ in WRITES.values() for w in all_], ids=lambda w: " ".join(w))
def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(words, good, tmp_path, monkeypatch, capsys):
    if words[0] == "profile":
        pytest.importorskip("onnxruntime")
    if "out.parquet" in words:
        pytest.importorskip("pyarrow")
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if words[0] not in NEW_ONLY:
        code, said = end_of(capsys, words)
        assert code == 0, said
    before = snapshot(tmp_path)
    assert words[0] in NEW_ONLY or any(name.startswith("out") for name in before)
    real, filled = outputs._fill, []

    def full(path, content):
        filled.append(path)
        real(path, content)
        path.write_bytes(path.read_bytes()[:7])  # what fitted
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unsettled(path):
        filled.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(outputs, "_fill", full)
    monkeypatch.setattr(outputs, "_settle", unsettled)
    code, said = end_of(capsys, words)
    assert filled, "it did not write by way of accelsim.outputs"
    assert code == 2, said
    assert "no space left on device" in said
    assert "Traceback" not in said
    assert snapshot(tmp_path) == before
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


WRITING_CALLS = {"write_text", "write_bytes", "savefig", "savez", "savez_compressed", "tofile", "rename", "replace",
                 "touch", "mkstemp", "mkdtemp", "NamedTemporaryFile", "write_table", "save_npz"}  # fmt: skip
ALLOWED = {
    # into files that are handed to them
    ("operands/files.py", "savez_compressed"), ("explore/sweep/export.py", "write_table"),
    ("report/plots.py", "savefig"), ("cli/compress.py", "save_npz"), ("cli/quantize.py", "save_npz"),
    ("cli/profile.py", "save_npz"),
}  # fmt: skip


def writing(tree):
    """Yield the calls in a file that write, or may: by method name, by mode, or with the flags of `os.open`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        if name == "replace":
            if owner == "os" or "path" in owner.lower():
                yield name
        elif name in WRITING_CALLS:
            yield name
        elif name == "open":
            modes = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
            if any(isinstance(mode, str) and set(mode) & set("wax+") and len(mode) <= 3 for mode in modes):
                yield "open"


def test_nothing_but_outputs_opens_a_file_for_writing():
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if place != "outputs.py":
            found |= {(place, name) for name in writing(ast.parse(path.read_text()))}
    assert found == ALLOWED


@pytest.mark.parametrize(
    "code", ["path.write_text('x')", "open(p, 'w')", "p.open('wb')", "os.replace(a, b)", "part.open(mode='a')"]
)
def test_the_search_for_writers_finds_them(code):
    assert list(writing(ast.parse(code)))


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    outputs.write(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.csv", "real.csv"]


def test_a_device_is_written_and_not_replaced():
    before = os.stat("/dev/null").st_rdev
    outputs.write(Path("/dev/null"), "gone")
    assert os.stat("/dev/null").st_rdev == before
    assert not [name for name in os.listdir("/dev") if "partial" in name]


@pytest.mark.parametrize(
    ("place", "words"),
    [("folder", "is a folder"), ("no/file", "no such file or directory"), ("x" * 300, "name too long")],
)
def test_what_cannot_be_a_file_is_one_line(place, words, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=words):
        outputs.write(tmp_path / place, b"")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_an_interrupt_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def stopped(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outputs.write(path, stopped)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_store_on_a_full_disk_is_one_line(good, tmp_path, monkeypatch, capsys):
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path, f"{SWEEP}axes: {{memory.dram.gb_per_s: {{from: 1, to: 100, count: 100}}}}\n")
    real = store._connect

    def small(path, mode):
        connection = real(path, mode)
        if mode == "rw":
            connection.execute("PRAGMA max_page_count = 12")
        return connection

    monkeypatch.setattr(store, "_connect", small)
    code, said = end_of(capsys, ("sweep", "sweep.yaml", "--store", "new.db", "--workers", "0"))
    assert code == 2, said
    assert "new.db: cannot be written (database or disk is full)" in said
    assert "Traceback" not in said
    with sqlite3.connect("new.db") as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
