"""Stores that were edited: sound SQLite with unsound cells, stores that disagree, and what is no file at all."""

import os
import shutil
import sqlite3

import pytest
from sweep_files import write

from accelsim.cli import main
from accelsim.errors import ConfigError
from accelsim.explore.sweep import export
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.merge import merge
from accelsim.explore.sweep.store import open_reader

COMMANDS = (
    ("export", "{}", "-o", "e.csv"),
    ("report", "{}", "-o", "e.html"),
    ("plot", "{}", "pareto", "-o", "e.png"),
    ("merge", "{}", "-o", "m.db"),
    ("sweep", "sweep.yaml", "--store", "{}", "--workers", "0"),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a sweep of four points and its store, layers included."""
    folder = tmp_path_factory.mktemp("good")
    text = "axes:\n  params.rows: [4, 8]\n  params.cols: [4, 8]\n"
    write(folder, f"name: s\nmachines: [systolic_ws]\nnetworks: [./tiny.yaml]\n{text}")
    sweep.run(folder / "sweep.yaml", folder / "s.db", workers=0, keep_layers=True)
    return folder


@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(path, *statements):
    with sqlite3.connect(path) as db:
        for sql in statements:
            db.execute(sql)
    db.close()


def refusal(capsys, *args):
    """Run a command, expect one line on standard error, and return it."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert stopped.value.code == 2, said
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


PLAN = "where position = 2"
TOTALS = f"where key = (select key from plan {PLAN})"
EDITS = [
    (f"update plan set axes = '{{' {PLAN}", "point 2, column axes"),
    (f"update plan set axes = '1.0' {PLAN}", "point 2, column axes"),
    (f"update plan set axes = '{{\"params.rows\": NaN}}' {PLAN}", "point 2, column axes"),
    (f"update plan set axes = '{{}}' {PLAN}", "point 2, column axes"),
    (f"update plan set machine = x'00' {PLAN}", "point 2, column machine"),
    (f"update plan set network = x'03' {PLAN}", "point 2, column network"),
    (f"update plan set network = 'other' {PLAN}", "point 2, column network"),
    (f"update plan set reason = x'03' {PLAN}", "point 2, column reason"),
    (f"update totals set ran = 'none' {TOTALS}", "point 2, column ran"),
    (f"update totals set clock_mhz = -1 {TOTALS}", "point 2, column clock_mhz"),
    (f"update totals set energy_table = 7 {TOTALS}", "point 2, column energy_table"),
    (f"update totals set energy_pj = '[1]' {TOTALS}", "point 2, column energy_pj"),
    (f"update totals set energy_pj = '{{\"a\": -1}}' {TOTALS}", "point 2, column energy_pj"),
    (f"update totals set energy_pj = '{{\"a\": 1e999}}' {TOTALS}", "point 2, column energy_pj"),
    (f"update totals set energy_pj = cast(x'80' as text) {TOTALS}", "point 2, column energy_pj"),
    (f"update totals set energy_pj = null {TOTALS}", "point 2, column energy_pj"),
    (f"update totals set cycles_by_cause = '{'[' * 5000}' {TOTALS}", "point 2, column cycles_by_cause"),
    (f"update totals set cycles = 'x' {TOTALS}", "point 2, column cycles"),
    (f"update totals set cycles = -1 {TOTALS}", "point 2, column cycles"),
    (f"update totals set cycles = 1.5 {TOTALS}", "point 2, column cycles"),
    (f"update totals set dram_bits = null {TOTALS}", "point 2, column dram_bits"),
    (f"update totals set total_energy_pj = 9e999 {TOTALS}", "point 2, column total_energy_pj"),
    (f"update totals set time_s = x'31' {TOTALS}", "point 2, column time_s"),
    (f"update totals set occupancy = 1.5 {TOTALS}", "point 2, column occupancy"),
    (f"update totals set complete = 2 {TOTALS}", "point 2, column complete"),
    (f"update totals set status = 'fine' {TOTALS}", "column status"),
    (f"update totals set status = 'illegal' {TOTALS}", "point 2, column reason"),
]


@pytest.mark.parametrize(("sql", "where"), EDITS, ids=[sql[7:60] for sql, _ in EDITS])
def test_an_unsound_cell_is_named_by_point_and_column(sql, where, folder, capsys):
    edit("s.db", sql)
    before = (folder / "s.db").read_bytes()
    for command in COMMANDS:
        if command[0] == "sweep" and "plan" in sql.split()[1]:
            continue  # a sweep writes its plan anew
        line = refusal(capsys, *(word.format("s.db") for word in command))
        assert line.startswith("error: s.db: "), line
        assert where in line
        if command[0] != "sweep":
            assert (folder / "s.db").read_bytes() == before
    assert not {"e.csv", "e.html", "e.png", "m.db"} & set(os.listdir())


LAYER_EDITS = ["'{'", "'[1]'", "3", "'{\"cycles\": Infinity}'", "x'00'"]


@pytest.mark.parametrize("value", LAYER_EDITS)
def test_an_unsound_row_of_a_layer_is_named(value, folder, capsys):
    edit("s.db", f"update layers set row = {value} {TOTALS} and number = 1")
    for command in (("export", "s.db", "--layers", "-o", "e.csv"), ("merge", "s.db", "-o", "m.db")):
        assert "point 2, layer 1, column row" in refusal(capsys, *command)


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("update meta set value = '[' where key = 'axes'", "table meta, 'axes'"),
        ("update meta set value = '[{}]' where key = 'axes'", "table meta, 'axes'"),
        ("update meta set value = '[\"beauty\"]' where key = 'objectives'", "table meta, 'objectives'"),
        ("update meta set value = '7' where key = 'sweep'", "table meta, 'sweep'"),
        ("update meta set value = x'00' where key = 'question'", "table meta, 'question'"),
        ("update meta set value = 'perhaps' where key = 'layers'", "table meta, 'layers'"),
        ("delete from meta where key = 'objectives'", "'objectives' is missing"),
        ("delete from meta where key = 'model'", "'model' is missing"),
        ("alter table totals rename column tops to tips", "table totals, column tops"),
        ("alter table plan drop column reason", "table plan, column reason"),
    ],
)
def test_what_a_store_says_of_itself_is_checked(sql, where, folder, capsys):
    edit("s.db", sql)
    for command in COMMANDS:
        assert where in refusal(capsys, *(word.format("s.db") for word in command))


def test_two_rows_of_one_position_are_named(folder, capsys):
    names = "position, key, machine, network, axes, reason"
    copy = f"insert into plan select {names} from old"
    edit("s.db", "alter table plan rename to old", f"create table plan ({names})", copy, f"{copy} {PLAN}")
    for command in COMMANDS[:4]:
        assert "point 2, column position: the store is damaged: two rows have it" in refusal(
            capsys, *(word.format("s.db") for word in command)
        )


def test_a_result_without_a_point_is_checked_when_it_is_merged(folder, capsys):
    edit("s.db", f"delete from plan {PLAN}", "update totals set cycles = 'x' where key not in (select key from plan)")
    assert "column cycles" in refusal(capsys, "merge", "s.db", "-o", "m.db")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_no_store(make, folder, capsys):
    make("odd.db")
    for command in COMMANDS:
        words = [word.format("odd.db") for word in command]
        if command[0] == "sweep" and make is os.mkdir:
            continue  # click says it
        assert "odd.db: a store is a file, this is" in refusal(capsys, *words)
    assert "/dev/null: a store is a file, this is no regular file" in refusal(
        capsys, "sweep", "sweep.yaml", "--store", "/dev/null"
    )


# --- merges


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        (f"update totals set cycles = cycles + 1 {TOTALS}", "point 2, column cycles"),
        (f"update totals set energy_pj = '{{}}' {TOTALS}", "point 2, column energy_pj"),
        (f"update totals set dram_bits = dram_bits + 8 {TOTALS}", "point 2, column dram_bits"),
        (f"update plan set machine = 'other' {PLAN}", "point 2, column machine"),
        (f"update plan set axes = '{{}}' {PLAN}", "point 2, column axes"),
        (f"delete from layers {TOTALS} and number = 2", "point 2, column layers"),
        (f"update layers set row = json_set(row, '$.cycles', 1) {TOTALS} and number = 1",
         "point 2, layer 1, column cycles"),
        ("update meta set value = '[\"time_s\"]' where key = 'objectives'", "differs from 'a.db' in its objectives"),
    ],
)  # fmt: skip
def test_a_merge_never_chooses_between_two_results(sql, where, folder):
    shutil.copy("s.db", "a.db")
    shutil.copy("s.db", "b.db")
    edit("b.db", sql)
    with pytest.raises(ConfigError, match=r"b\.db") as caught:
        merge([folder / "a.db", folder / "b.db"], folder / "m.db")
    assert where.replace("'a.db'", f"'{folder / 'a.db'}'") in str(caught.value)
    with pytest.raises(ConfigError):
        merge([folder / "b.db", folder / "a.db"], folder / "m.db")
    assert not [name for name in os.listdir() if "m.db" in name]


def rows(path):
    with open_reader(path) as opened:
        return export.to_csv(export.rows(opened)), export.to_csv(export.rows(opened, layers=True))


def test_equal_stores_and_halves_merge_in_any_order(folder):
    for name, drop in (("a.db", "<"), ("b.db", ">")):
        shutil.copy("s.db", name)
        some = f"where key in (select key from plan where position {drop} 2)"
        edit(name, f"delete from totals {some}", f"delete from layers {some}")
    for i, sources in enumerate((["a.db", "b.db"], ["b.db", "a.db", "s.db"])):
        assert merge([folder / name for name in sources], folder / f"m{i}.db") == (4, 0)
        assert rows(folder / f"m{i}.db") == rows(folder / "s.db")


def test_a_result_stands_against_a_worker_that_died(folder):
    for name, why in (("a.db", "'one'"), ("b.db", "'two'")):
        shutil.copy("s.db", name)
        figures = ", ".join(f"{row[1]} = null" for row in sqlite3.connect("s.db").execute("pragma table_info(totals)")
                            if row[1] not in ("key", "status", "reason"))  # fmt: skip
        edit(name, f"update totals set status = 'failed', reason = {why}, {figures} {TOTALS}",
             f"delete from layers {TOTALS}")  # fmt: skip
    for order in (["a.db", "b.db", "s.db"], ["s.db", "b.db", "a.db"]):
        (folder / "m.db").unlink(missing_ok=True)
        merge([folder / name for name in order], folder / "m.db")
        assert rows(folder / "m.db") == rows(folder / "s.db")
    found = []
    for order in (["a.db", "b.db"], ["b.db", "a.db"]):
        (folder / "m.db").unlink(missing_ok=True)
        merge([folder / name for name in order], folder / "m.db")
        found.append(rows(folder / "m.db"))
    assert found[0] == found[1]
