"""The files of a report: all of one run, or none that looks whole."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_samples import alexnet, resnet50

from accelsim import outputs
from accelsim.errors import ModelError, UserError
from accelsim.report import plots, write
from accelsim.report.write import write_report

NAMES = {"report.json", "layers.csv", "report.md", "breakdown.png", "roofline.png"}


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_report_is_five_files_and_nothing_else(tmp_path):
    paths = write_report(alexnet(), tmp_path / "a" / "b")
    assert set(snapshot(tmp_path / "a" / "b")) == NAMES
    assert {path.name for path in paths} == NAMES
    assert json.loads((tmp_path / "a" / "b" / "report.json").read_text())["network"]["name"] == "alexnet"


def test_the_same_result_gives_the_same_files(tmp_path):
    write_report(alexnet(), tmp_path / "a")
    write_report(alexnet(), tmp_path / "b")
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_a_second_report_replaces_the_first_and_leaves_other_files_alone(tmp_path):
    write_report(alexnet(), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    write_report(resnet50(), tmp_path)
    assert set(snapshot(tmp_path)) == NAMES | {"notes.txt"}
    assert "resnet50" in (tmp_path / "report.md").read_text()
    assert "resnet50" in (tmp_path / "layers.csv").read_text()


@pytest.mark.parametrize("step", ["breakdown_figure", "roofline_figure"])
def test_a_run_that_fails_while_drawing_leaves_no_file_at_all(step, tmp_path, monkeypatch):
    def broken(result):
        raise ModelError("boom")

    monkeypatch.setattr(plots, step, broken)
    with pytest.raises(ModelError):
        write_report(alexnet(), tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_an_earlier_report_as_it_was(tmp_path, monkeypatch):
    write_report(alexnet(), tmp_path)
    before = snapshot(tmp_path)
    monkeypatch.setattr(plots, "roofline_figure", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(resnet50(), tmp_path)
    assert snapshot(tmp_path) == before


def test_an_interrupt_leaves_no_file_at_all(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "_fill", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(alexnet(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from report_samples import resnet50
from accelsim import outputs
from accelsim.report import plots, write
left = {renames}
def replace(source, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    os.rename(source, target)
if {renames} < 0:
    plots.roofline_figure = lambda *_: os._exit(9)
class Killed:
    replace = staticmethod(replace)
outputs.os = Killed
write.write_report(resnet50(), {folder!r})
"""


@pytest.mark.parametrize("renames", [-1, 0, 1, 4])
def test_a_killed_run_never_leaves_what_looks_whole_or_mixes_two_runs(renames, tmp_path):
    write_report(alexnet(), tmp_path)
    code = KILLED.format(tests=str(Path(__file__).parent), renames=renames, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[1])
    assert killed.returncode == 9
    left = {name for name in snapshot(tmp_path) if "/" not in name}
    if renames < 0:
        assert left == NAMES
        assert "alexnet" in (tmp_path / "report.md").read_text()
    else:
        assert "report.json" not in left
        assert len(left) == renames
        assert all(b"alexnet" not in (tmp_path / name).read_bytes() for name in left)
    assert not any(Path(name).name in NAMES for name in snapshot(tmp_path) if "/" in name)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_full_or_forbidden_disk_is_one_line_to_the_user(code, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(outputs, "_fill", full)
    with pytest.raises(UserError) as caught:
        write_report(alexnet(), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'out'}: cannot write the report: {os.strerror(code).lower()};")
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_the_users_mistake(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="cannot write the report: file exists"):
        write_report(alexnet(), tmp_path / "out")
    with pytest.raises(UserError, match="cannot write the report: not a directory"):
        write_report(alexnet(), tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "a file"


def test_report_json_appears_last_since_it_marks_a_whole_report():
    assert write.FILES[-1] == "report.json"
    assert set(write.FILES) == NAMES


def test_without_pictures_an_earlier_reports_pictures_go_and_the_rest_stays_the_same(tmp_path, monkeypatch):
    write_report(alexnet(), tmp_path)
    whole = snapshot(tmp_path)
    monkeypatch.setattr("accelsim.report.plots.png", lambda figure: pytest.fail("drawn"))
    paths = write_report(alexnet(), tmp_path, pictures=False)
    texts = {name: whole[name] for name in NAMES if not name.endswith(".png")}
    assert snapshot(tmp_path) == texts
    assert {path.name for path in paths} == set(texts)
