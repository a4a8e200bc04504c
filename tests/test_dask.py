"""Sweeps on Dask: a real cluster, a worker killed on the way, the same bytes."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from click.testing import CliRunner
from sweep_files import LONG, SWEEP, children, rows_in, table, wait_for, write

import accelsim
from accelsim.cli import app
from accelsim.errors import ConfigError
from accelsim.explore.sweep import dask, execute, identity
from accelsim.explore.sweep import run as sweep

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'accelsim[dask]'")


def command(*words, code):
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    assert done.exit_code == code, done.output
    return done.output if code == 0 else done.output + str(done.exception)


def test_a_cluster_whose_worker_is_killed_gives_the_same_bytes(tmp_path):
    path = write(tmp_path, LONG)
    sweep.run(path, tmp_path / "here.db", workers=0)
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(accelsim.__file__))}
    process = subprocess.Popen(
        [sys.executable, "-m", "accelsim", "sweep", "sweep.yaml", "--store", "dask.db", "--executor", "dask",
         "--workers", "2"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: rows_in(tmp_path / "dask.db") >= 8)
    workers = [pid for pid in children(process.pid) if "spawn_main" in _words(pid)]
    assert len(workers) == 2
    os.kill(max(workers), signal.SIGKILL)
    assert process.poll() is None
    assert rows_in(tmp_path / "dask.db") < 90, "it was over before a worker was killed"
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert table(tmp_path / "dask.db") == table(tmp_path / "here.db")


def _words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode()
    except OSError:
        return ""


def test_a_scheduler_that_runs_already_is_used_and_left_running(tmp_path):
    path = write(tmp_path)
    sweep.run(path, tmp_path / "here.db", workers=0)
    cluster = distributed.LocalCluster(
        1, processes=False, threads_per_worker=1, protocol="tcp", dashboard_address=None, silence_logs=50
    )
    with cluster:
        address = cluster.scheduler_address
        assert dask.width(address) == 1
        words = ["--executor", "dask", "--scheduler", address]
        command("sweep", path, "--store", tmp_path / "dask.db", *words, code=0)
        assert dask.width(address) == 1
    assert table(tmp_path / "dask.db") == table(tmp_path / "here.db")


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_worker_with_another_model_ends_the_sweep_instead_of_mixing_figures(tmp_path, good):
    class Elsewhere(ThreadPoolExecutor):
        calls = 0

        def submit(self, fn, /, *args):
            Elsewhere.calls += 1
            version = identity.model_version() if Elsewhere.calls <= good else "9.9+other"
            return super().submit(dask._checked, version, fn, *args)

    with pytest.raises(ConfigError, match=r"a Dask worker has accelsim .*, this is 9.9\+other: .* must not be mixed"):
        sweep.run(write(tmp_path), tmp_path / "s.db", workers=1, make_executor=partial(Elsewhere, 1))
    assert rows_in(tmp_path / "s.db") < 15


def test_chunks_that_an_executor_gives_up_are_run_again():
    class Forgetful(ThreadPoolExecutor):
        lost = 0

        def submit(self, fn, /, *args):
            future = super().submit(fn, *args)
            if fn is execute.run_chunk and Forgetful.lost < 2:
                Forgetful.lost += 1
                future.result()
                future._state = "CANCELLED_AND_NOTIFIED"
            return future

    rows = []
    jobs = [execute.Job(f"k{i}", "m", "n", (), None) for i in range(20)]
    original, execute.run_chunk = execute.run_chunk, _fake_chunk
    try:
        execute.Runner(b"", jobs, partial(Forgetful, 2), 2, rows.extend, lambda pace: None).run()
    finally:
        execute.run_chunk = original
    assert sorted(row.key for row in rows) == sorted(job.key for job in jobs)


def _fake_chunk(packed, jobs):
    return [execute.Row(job.key, "ok", None) for job in jobs], 0.1, {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "tcp://localhost:1"], "--scheduler goes with --executor dask"),
        (["--executor", "dask", "--workers", "0"], "--workers 0 runs in this process"),
        (["--executor", "dask", "--scheduler", "head"], "'head' is no address; write for example tcp://head:8786"),
        (
            ["--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"],
            "no Dask scheduler answers at 'tcp://127.0.0.1:1'",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(dask, "CONNECT_S", 1)
    path = write(tmp_path, SWEEP)
    assert message in command("sweep", path, "--store", tmp_path / "s.db", *words, code=2 if "goes" in message or
                              "runs" in message else 1)  # fmt: skip
    assert not (tmp_path / "s.db").exists()


def test_without_dask_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"Dask needs the package 'distributed'; pip install 'accelsim\[dask\]'"):
        dask.OnDask(None, 1)
