"""Sweeps that run, are killed, resume and are merged: the rows are the same."""

import os
import random
import signal
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sweep_files import LONG, SLOWLY, SWEEP, children, deadly_chunk, listens, rows_in, table, wait_for, write

import accelsim
from accelsim.errors import ConfigError
from accelsim.explore.sweep import evaluate, execute, identity, pool, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.merge import merge

Key = namedtuple("Key", "key machine sets", defaults=("m", ()))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The rows of the long sweep, run in one process without a pool."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweep.run(write(folder, LONG), folder / "s.db", workers=0)
    return table(folder / "s.db")


def start(folder):
    """Start the sweep of a folder in a process of its own, slow enough to be caught."""
    command = [sys.executable, "-c", SLOWLY, "sweep", "sweep.yaml", "--store", "s.db", "--workers", "2"]
    ours = os.pathsep.join((os.path.dirname(os.path.dirname(accelsim.__file__)), os.path.dirname(__file__)))
    environment = {**os.environ, "PYTHONPATH": ours}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=listens)


def test_a_point_is_what_simulate_says(tmp_path):
    sweep.run(write(tmp_path), tmp_path / "s.db", workers=0, keep_layers=True)
    with store.open_reader(tmp_path / "s.db") as opened:
        rows, layers = list(opened.rows()), list(opened.layer_rows())
    row = next(r for r in rows if (r["params.rows"], r["params.cols"]) == (4, 8))
    arch = accelsim.load_arch("systolic_ws").replace("params.rows", 4).replace("params.cols", 8)
    result = accelsim.simulate(arch, accelsim.load_network(str(tmp_path / "tiny.yaml")))
    for name in (
        "cycles",
        "time_s",
        "macs",
        "total_energy_pj",
        "edp_pj_s",
        "dram_bits",
        "occupancy",
        "tops",
        "complete",
    ):
        assert row[name] == getattr(result, name), name
    assert row["energy_pj"] == result.energy_pj
    assert sum(row["cycles_by_cause"].values()) == pytest.approx(result.cycles)
    assert row["area_mm2"] == sum(result.area_mm2.values())
    mine = [layer for layer in layers if layer["point"] == row["point"]]
    assert [(layer["layer"], layer["cycles"]) for layer in mine] == [
        (layer.name, layer.cycles) for layer in result.layers
    ]


def test_options_reach_the_simulation(tmp_path):
    text = SWEEP.replace("axes:", "axes:\n  options.batch: [1, 2]\n  options.weight_density: [0.5, 1.0]")
    text = text.replace("[2, 4, 8, 16]", "[4]").replace("{from: 2, to: 16, factor: 2}", "[4]")
    sweep.run(write(tmp_path, text), tmp_path / "s.db", workers=0)
    with store.open_reader(tmp_path / "s.db") as opened:
        rows = {(r["options.batch"], r["options.weight_density"]): r for r in opened.rows()}
    assert rows[2, 1.0]["macs"] == 2 * rows[1, 1.0]["macs"]
    assert rows[1, 0.5]["effective_macs"] / rows[1, 1.0]["effective_macs"] == pytest.approx(0.5, abs=0.05)


def test_a_pattern_of_filters_can_be_an_axis_and_is_what_a_density_profile_says(tmp_path):
    axes = "axes:\n  options.weight_pattern: [bernoulli, 'follows:3']\n  options.input_density: [0.4]"
    text = SWEEP.replace("axes:", axes).replace("[2, 4, 8, 16]", "[4]").replace("{from: 2, to: 16, factor: 2}", "[4]")
    path = write(tmp_path, text + "options: {weight_density: 0.25}\n")
    sweep.run(path, tmp_path / "s.db", workers=0)
    with store.open_reader(tmp_path / "s.db") as opened:
        rows = {r["options.weight_pattern"]: r["effective_macs"] for r in opened.rows()}
    assert rows["follows:3"] > rows["bernoulli"]
    arch = accelsim.load_arch("systolic_ws").replace("params.rows", 4).replace("params.cols", 4)
    profile = {"*": {"weight": "0.25 follows:3", "input": 0.4}}
    alone = accelsim.simulate(arch, tmp_path / "tiny.yaml", density=profile)
    assert sum(layer.effective_macs for layer in alone.layers) == rows["follows:3"]


def test_layers_that_are_alike_are_simulated_once(tmp_path, monkeypatch):
    seen = []
    once = evaluate.simulate_layer
    monkeypatch.setattr(
        evaluate, "simulate_layer", lambda arch, task, options: seen.append(1) or once(arch, task, options)
    )
    (tmp_path / "again.yaml").write_text("")
    path = write(tmp_path, SWEEP.replace("[./tiny.yaml]", "[./tiny.yaml, ./again.yaml]"))
    (tmp_path / "again.yaml").write_text((tmp_path / "tiny.yaml").read_text().replace("name: a", "name: other"))
    sweep.run(path, tmp_path / "s.db", workers=0)
    assert len(seen) == 15 * 3


def test_workers_threads_and_shards_give_the_same_bytes(tmp_path, undisturbed):
    path = write(tmp_path, LONG)
    sweep.run(path, tmp_path / "two.db", workers=2)
    assert table(tmp_path / "two.db") == undisturbed
    sweep.run(path, tmp_path / "threads.db", workers=1, make_executor=partial(ThreadPoolExecutor, 1))
    assert table(tmp_path / "threads.db") == undisturbed
    parts = [tmp_path / f"part{i}.db" for i in (1, 2, 3)]
    for i, part in enumerate(parts, start=1):
        sweep.run(path, part, workers=0, shard=(i, 3))
    assert all(0 < rows_in(part) < rows_in(tmp_path / "two.db") for part in parts)
    assert merge(parts, tmp_path / "whole.db")[1] == 0
    assert table(tmp_path / "whole.db") == undisturbed


def underway(folder, wanted):
    """Return a sweep that has stored so many rows and still runs, its descendants and that number.

    A sweep that was over before a busy machine let us look is taken back to where it began, and started again.
    """
    before = {path: path.read_bytes() for path in folder.glob("s.db*")}
    for _ in range(20):
        process = start(folder)
        family = wait_for(lambda pid=process.pid: len(found := children(pid)) >= 4 and found, process)
        wait_for(lambda: rows_in(folder / "s.db") >= wanted, process)
        if family and process.poll() is None:
            return process, family, wanted
        assert process.wait() == 0, process.stderr.read()
        process.stderr.close()
        for path in folder.glob("s.db*"):
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)
    raise AssertionError("it was over before it was killed, twenty times")


def test_killed_parents_and_workers_lose_nothing_that_was_stored(tmp_path, undisturbed):
    write(tmp_path, LONG)
    rng = random.Random(5)
    for victim in ("parent", "parent", "worker"):
        process, family, wanted = underway(tmp_path, rows_in(tmp_path / "s.db") + rng.randint(1, 12))
        if victim == "worker":
            os.kill(max(family), signal.SIGKILL)
            assert process.wait() == 0, process.stderr.read()
        else:
            process.kill()
            process.wait()
            wait_for(lambda pids=family: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
            assert rows_in(tmp_path / "s.db") >= wanted
        process.stderr.close()
    assert table(tmp_path / "s.db") == undisturbed


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path, undisturbed):
    write(tmp_path, LONG)
    process, _, _ = underway(tmp_path, 1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    stored = rows_in(tmp_path / "s.db")
    assert f"stopped: {stored:,} of 90 points" in said
    assert sweep.run(tmp_path / "sweep.yaml", tmp_path / "s.db", workers=0).counts.reused == stored
    assert table(tmp_path / "s.db") == undisturbed


def test_the_point_that_kills_its_worker_is_found_and_the_others_are_done(monkeypatch):
    monkeypatch.setattr(execute, "run_chunk", deadly_chunk)
    rows = []
    jobs = [Key(f"k{i}") for i in range(100)]
    execute.Runner(b"k37", jobs, partial(pool.processes, 2), 2, rows.extend, lambda pace: None).run()
    assert sorted(row.key for row in rows) == sorted(job.key for job in jobs)
    assert [row.key for row in rows if row.status == "failed"] == ["k37"]
    assert "its worker died 2 times" in next(row.reason for row in rows if row.status == "failed")


def test_no_more_than_twice_the_width_is_in_flight():
    class Counting(pool.Here):
        most = 0

        def submit(self, fn, /, *args, **kwargs):
            Counting.most = max(Counting.most, len(runner._flying))
            return super().submit(fn, *args, **kwargs)

    def chunk(packed, jobs):
        return [store.Row(job.key, "ok", None) for job in jobs], 0.1, {}

    runner = execute.Runner(b"", [Key(f"k{i}") for i in range(300)], Counting, 3, lambda rows: None, lambda pace: None)
    original, execute.run_chunk = execute.run_chunk, chunk
    try:
        runner.run()
    finally:
        execute.run_chunk = original
    assert Counting.most == 5


def test_a_point_that_breaks_is_a_row_and_is_tried_again(tmp_path, monkeypatch):
    once = evaluate._simulate

    def broken(arch, *rest):
        if arch.config["params"]["rows"] == 4:
            raise ZeroDivisionError("of ours")
        return once(arch, *rest)

    monkeypatch.setattr(evaluate, "_simulate", broken)
    end = sweep.run(write(tmp_path), tmp_path / "s.db", workers=0)
    assert (end.failed, end.pace.done) == (4, 15)
    assert "ZeroDivisionError: of ours" in table(tmp_path / "s.db")
    monkeypatch.undo()
    assert sweep.run(tmp_path / "sweep.yaml", tmp_path / "s.db", workers=0).pace.done == 4
    assert "ZeroDivisionError" not in table(tmp_path / "s.db")


def test_what_a_machine_cannot_map_is_a_row_with_the_reason(tmp_path):
    text = SWEEP.replace("params.rows: [2, 4, 8, 16]", "mapping.fixed: [{}, {order: none}]")
    text = text.replace("params.rows * params.cols", "params.cols")
    end = sweep.run(write(tmp_path, text), tmp_path / "s.db", workers=0)
    assert end.illegal == 4
    assert "layer 'a': no candidate has" in table(tmp_path / "s.db")


def test_an_edited_sweep_runs_only_what_is_new(tmp_path):
    sweep.run(write(tmp_path), tmp_path / "s.db", workers=0)
    wider = sweep.run(write(tmp_path, SWEEP.replace("[2, 4, 8, 16]", "[2, 3, 4, 8, 16]")), tmp_path / "s.db", workers=0)
    assert (wider.counts.reused, wider.counts.to_run) == (15, 4)
    with store.open_reader(tmp_path / "s.db") as opened:
        assert [r["params.rows"] for r in opened.rows()] == [n for n in (2, 3, 4, 8, 16) for _ in range(4)]


def test_the_store_of_another_model_is_refused_and_still_exported(tmp_path, monkeypatch):
    path = write(tmp_path)
    sweep.run(path, tmp_path / "s.db", workers=0)
    before = table(tmp_path / "s.db")
    monkeypatch.setattr(identity, "model_version", lambda: "9.9+other")
    with pytest.raises(ConfigError, match=r"holds results of accelsim .*, this is 9.9\+other: .* must not be mixed"):
        sweep.run(path, tmp_path / "s.db", workers=0)
    assert table(tmp_path / "s.db") == before


@pytest.mark.parametrize("damage", ["text", "cut", "scribbled"])
def test_a_damaged_store_is_left_as_it_is(tmp_path, damage):
    path, db = write(tmp_path), tmp_path / "s.db"
    sweep.run(path, db, workers=0)
    content = db.read_bytes()
    db.write_bytes(
        {"text": b"point,cycles\n", "cut": content[:5000], "scribbled": content[:4096] + b"\xff" * 9000}[damage]
    )
    before = db.read_bytes()
    with pytest.raises(ConfigError, match="store"):
        sweep.run(path, db, workers=0)
    assert db.read_bytes() == before


def test_two_sweeps_do_not_write_to_one_store(tmp_path):
    path = write(tmp_path)
    with (
        store.open_writer(tmp_path / "s.db"),
        pytest.raises(ConfigError, match="another sweep is writing to this store"),
    ):
        sweep.run(path, tmp_path / "s.db", workers=0)


def test_stores_of_different_sweeps_are_not_merged(tmp_path):
    sweep.run(write(tmp_path), tmp_path / "a.db", workers=0)
    sweep.run(write(tmp_path, SWEEP.replace("[2, 4, 8, 16]", "[2]")), tmp_path / "b.db", workers=0)
    with pytest.raises(ConfigError, match=r"differs from .* in its sweep file"):
        merge([tmp_path / "a.db", tmp_path / "b.db"], tmp_path / "c.db")
    assert not (tmp_path / "c.db").exists()
    with pytest.raises(ConfigError, match="exists already"):
        merge([tmp_path / "a.db"], tmp_path / "b.db")


def test_layer_rows_are_refused_of_a_store_without_them(tmp_path):
    path = write(tmp_path)
    sweep.run(path, tmp_path / "s.db", workers=0)
    with pytest.raises(ConfigError, match="made without layer rows"):
        sweep.run(path, tmp_path / "s.db", workers=0, keep_layers=True)
    with pytest.raises(ConfigError, match="no layer rows"):
        table(tmp_path / "s.db", layers=True)
