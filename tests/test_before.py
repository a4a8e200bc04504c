"""This build against an earlier one: where the history has none, and which way a ratio reads."""

import json

from benchmarks import __main__ as bench
from benchmarks import before


def test_without_the_history_the_section_is_one_line(monkeypatch, tmp_path):
    assert before.archive("0" * 40) is None
    assert before.archive(root=tmp_path) is None
    monkeypatch.setattr(before, "archive", lambda: None)
    head, _, said, _ = bench.earlier()
    assert before.BUILD in head
    assert said.startswith("Not measured")


def test_ratios_say_how_many_times_better_this_build_is(monkeypatch):
    assert before.Figure("columns of `unpu`, layers per CPU s", now=300.0, before=100.0).better == 3
    assert before.Figure("one dense layer, CPU ms", now=2.0, before=1.0).better == 0.5
    rates = [{"layers per CPU s": 10.0, "peak MiB": 5.0}, {"layers per CPU s": 40.0, "peak MiB": 20.0}]
    monkeypatch.setattr(before, "archive", lambda: _tar())
    monkeypatch.setattr(before, "measured", lambda *_: rates.pop(0))
    assert [figure.better for figure in before.figures()] == [4, 0.25]


def test_a_build_is_measured_by_a_process_that_finds_it_first(monkeypatch, tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("import json, sys, accelsim\nprint(json.dumps({'at' + ''.join(sys.argv[1:]): accelsim.WHO}))\n")
    (tmp_path / "tree" / "accelsim").mkdir(parents=True)
    (tmp_path / "tree" / "accelsim" / "__init__.py").write_text("WHO = 7\n")
    monkeypatch.setattr(before, "PROBE", probe)
    assert json.dumps(before.measured(tmp_path / "tree", tmp_path)) == '{"at": 7, "at--peak": 7}'


def _tar():
    import io
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w"):
        pass
    return packed.getvalue()
