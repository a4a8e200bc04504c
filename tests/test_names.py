"""Names of a user's files: a terminal, a table and a page show them, and nothing obeys them."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from report_samples import alexnet

from accelsim import terminal
from accelsim.cli import main
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.report.rows import to_csv
from accelsim.text import csv_cell, json_text, visible, visible_all

TITLE, CSI, C1, BIDI, BELL = "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\u202egnp.exe\u2066", "ding\x07"
HOSTILE = (TITLE, CSI, C1, BIDI, BELL, "two\nlines", "tab\there", "\rback")
FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "'=quoted", "''@twice")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def network_of(path, names):
    layers = "".join(f"- {{name: {json.dumps(n)}, kind: linear, c: {64 + i}, k: 32}}\n" for i, n in enumerate(names))
    path.write_text(f"name: n\nsource: {json.dumps('s' + TITLE)}\nisolated: true\nlayers:\n{layers}")
    return str(path)


def said(capsys, *args, code=0):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in args])
    out, err = capsys.readouterr()
    assert stopped.value.code == code, err
    return out, err


@pytest.mark.parametrize("style", ["table", "csv", "markdown", "json"])
def test_hostile_names_of_layers_are_spelt_out_by_every_format_of_run(style, tmp_path, capsys):
    net = network_of(tmp_path / "n.yaml", (*HOSTILE, *FORMULAS))
    out, err = said(capsys, "run", "systolic_ws_8", net, "--format", style, "-o", tmp_path / "o")
    for text in (
        out,
        err,
        *((tmp_path / "o" / name).read_text() for name in ("layers.csv", "report.md", "report.json")),
    ):
        assert not OBEYED.search(text), OBEYED.search(text)
    if style == "table":
        assert "\\x1b]0;owned" in out


def test_a_report_keeps_the_names_themselves(tmp_path, capsys):
    net = network_of(tmp_path / "n.yaml", (*HOSTILE, *FORMULAS))
    said(capsys, "run", "systolic_ws_8", net, "--format", "json", "-o", tmp_path / "o")
    assert tuple(layer.name for layer in read_report(tmp_path / "o" / "report.json").layers) == (*HOSTILE, *FORMULAS)


@pytest.mark.parametrize("command", [("show",), ("compare", "systolic_ws_8", "systolic_os_8", "-n")])
def test_other_commands_spell_them_out_too(command, tmp_path, capsys):
    out, err = said(capsys, *command, network_of(tmp_path / "n.yaml", HOSTILE))
    assert not OBEYED.search(out + err)


def test_a_layers_table_has_a_line_per_layer_and_no_formula(tmp_path, capsys):
    net = network_of(tmp_path / "n.yaml", (*HOSTILE, *FORMULAS))
    out, _ = said(capsys, "run", "systolic_ws_8", net, "--format", "csv")
    assert len(out.splitlines()) == 1 + len(HOSTILE) + len(FORMULAS)
    rows = list(csv.DictReader(io.StringIO(out)))
    found = [row["layer"] for row in rows]
    assert not any(re.match(r"[=+\-@\t\r\uff1d]", name) for name in found)
    back = [name[1:] if re.match(r"'+[=+\-@\uff1d]", name) else name for name in found]
    assert back == [visible(name) for name in (*HOSTILE, *FORMULAS)], "an apostrophe taken away gives the name again"
    assert all(float(row["cycles"]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-1, -1), (-0.5, -0.5), (1e-9, 1e-9), (None, ""), (True, "true"), (False, "false"), ("conv1", "conv1"), ("", ""),
     ("a=b", "a=b"), ("'tis", "'tis"), ("=1", "'=1"), ("'=1", "''=1"), ("-", "'-"), ("a\x1bb", "a\\x1bb"),
     ("\t=1", "\\t=1"), ("\uff0b1", "'\uff0b1")],
)  # fmt: skip
def test_numbers_stay_numbers_and_plain_texts_stay_themselves(value, cell):
    found = csv_cell(value)
    assert (found, type(found)) == (cell, type(cell))


def test_the_labels_of_a_sweep_are_cells_like_others(tmp_path, capsys):
    machine = tmp_path / "m.yaml"
    machine.write_text(f"base: systolic_ws_8\nname: m\ndescription: {json.dumps(TITLE)}\n")
    network_of(tmp_path / "n.yaml", ["a"])
    sweep = tmp_path / "s.yaml"
    sweep.write_text(f"name: s\nquestion: {json.dumps('=1' + BIDI)}\nmachines: [./m.yaml]\n"
                     "networks: [./n.yaml]\naxes: {options.layers: ['=a*', '@b', '*']}\n")  # fmt: skip
    out, err = said(capsys, "sweep", sweep, "--store", tmp_path / "s.db", "--workers", "0")
    assert not OBEYED.search((out + err).replace("\n", ""))
    said(capsys, "export", tmp_path / "s.db", "-o", tmp_path / "s.csv")
    rows = list(csv.reader((tmp_path / "s.csv").open()))
    place = rows[0].index("options.layers")
    assert [row[place] for row in rows[1:]] == ["'=a*", "'@b", "*"]
    for command in (("report", "-o", tmp_path / "s.html"), ("plot", "edp", "-o", tmp_path / "s.png")):
        out, err = said(capsys, command[0], tmp_path / "s.db", *command[1:])
        assert not OBEYED.search(out + err)


def test_a_machine_and_a_reason_are_names_too():
    result = alexnet()
    bad = visible_all(result)
    assert bad == result, "what can be shown is left alone"
    text = to_csv(result)
    assert text == to_csv(bad)


def test_a_tables_markup_is_text_on_a_terminal(tmp_path, capsys):
    net = network_of(tmp_path / "n.yaml", ["[link=http://x]a[/link]", ":smile:"])
    out, _ = said(capsys, "compress", net)
    assert "[link=http://x]a[/link]" in out
    assert ":smile:" in out


def test_markdown_of_a_comparison_escapes_its_names(tmp_path, capsys):
    (tmp_path / "n.yaml").write_text("name: a__b_\nisolated: true\nlayers:\n- {name: a, kind: linear, c: 64, k: 32}\n")
    out, _ = said(
        capsys, "compare", "systolic_ws_8", "systolic_os_8", "-n", tmp_path / "n.yaml", "--format", "markdown"
    )
    assert "a\\_\\_b\\_" in out
    assert "| systolic\\_ws\\_8 |" in out
    assert "a__b_" not in out


def test_a_fence_is_longer_than_any_in_what_it_holds():
    result = alexnet()
    text = to_markdown(replace(result, arch={**result.arch, "description": "```\n# not a heading"}))
    assert text.endswith("````\n")
    assert "\n````yaml\n" in text


def test_escapes_of_json_mean_the_same():
    value = {"a": "".join(HOSTILE) + "\U000e0001\ud7ff é 漢"}
    text = json_text(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert not OBEYED.search(text)
    assert "é 漢" in text
    plain = to_json(alexnet())
    assert json_text(plain) == plain


def test_the_guard_lets_no_bytes_past_and_is_taken_away(capsys):
    before = sys.stdout
    with terminal.shown():
        sys.stdout.write(f"{TITLE}\n")
        assert not hasattr(sys.stdout, "buffer")
        assert terminal.raw(sys.stdout) is before
    assert sys.stdout is before
    assert capsys.readouterr().out == "\\x1b]0;owned\\x07\n"


def test_a_real_terminal_gets_colours_and_no_other_escape(tmp_path):
    net = network_of(tmp_path / "n.yaml", (TITLE, CSI, C1, "[red]x"))
    read, write = pty.openpty()
    command = [sys.executable, "-m", "accelsim", "run", "systolic_ws_8", net, "-o", str(tmp_path / "o")]
    done = subprocess.Popen(command, stdout=write, stderr=write, env={**os.environ, "TERM": "xterm-256color"})
    os.close(write)
    out = b""
    while True:
        try:
            chunk = os.read(read, 65536)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    os.close(read)
    assert done.wait() == 0
    text = out.decode()
    assert "\x1b]0;" not in text
    assert "\\x1b]0;owned" in text
    allowed = re.sub(r"\x1b\[[\d;?]*[mKhlA]|\r", "", text)
    assert not OBEYED.search(allowed.replace("\n", ""))
    assert "\x1b[2J" not in text
    assert "\x1b[1m" in text, "the title is bold"
