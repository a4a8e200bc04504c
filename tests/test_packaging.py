"""The wheel carries everything, start-up loads little, and read-only places are no obstacle."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import accelsim

ROOT = Path(accelsim.__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel from a copy of the tree and unpack it far from it."""
    if not (ROOT / "setup.py").is_file():
        pytest.skip("not a source tree")
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source") / "tree"
    keep = shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info", "__pycache__", ".*cache", "out")
    shutil.copytree(ROOT, source, ignore=keep)
    wheels = tmp_path_factory.mktemp("wheels")
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(wheels.glob("accelsim-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


def run(site, *args, **env):
    code = "import sys; from accelsim.cli import main; main(sys.argv[1:])"
    found = {**os.environ, "PYTHONPATH": str(site), **env}
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=site, env=found, capture_output=True, text=True, timeout=600
    )


def test_the_wheel_validates_outside_the_tree(installed):
    done = run(installed, "validate", "systolic")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout
    assert not (installed / "tests").exists()


def test_the_wheel_plans_its_tables_of_storages_and_validates_residency(installed):
    done = run(installed, "plan", "lifetimes:mlperf_tiny_kws", "--capacity-kib", "16")
    assert done.returncode == 0, done.stderr
    done = run(installed, "validate", "residency")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_lists_every_packaged_machine_and_network(installed):
    done = run(installed, "list")
    assert done.returncode == 0, done.stderr
    for folder in ("arch_configs", "workloads"):
        for path in (ROOT / folder).glob("*.yaml"):
            assert f"  {path.stem} " in done.stdout, path.stem


def test_the_wheel_writes_pages(installed, tmp_path):
    done = run(
        installed, "run", "systolic_ws_8", "alexnet", "--layers", "fc8", "-o", str(tmp_path), MPLCONFIGDIR=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    done = run(installed, "report", str(tmp_path / "report.json"), "-o", str(tmp_path / "x.html"))
    assert done.returncode == 0, done.stderr
    assert "<h1>alexnet on systolic_ws_8" in (tmp_path / "x.html").read_text()


def test_a_read_only_install_and_home_work(installed, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    nowhere = str(home / "no" / "cache") if os.geteuid() else "/proc/accelsim"
    done = run(
        installed, "run", "systolic_ws_8", "lstm_neuraltalk_h512_t1", "--layers", "*0*", "--fidelity", "cycle",
        "--format", "csv", HOME=str(home), XDG_CACHE_HOME=nowhere, MPLCONFIGDIR=str(tmp_path),
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("arch,network") or "matches" in done.stderr


def modules_after(*args, forbidden):
    code = f"""
import sys
from accelsim.cli import main
try:
    main({list(args)!r})
except SystemExit:
    pass
print("LOADED:", *(name for name in {forbidden!r} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    return done.stdout.rsplit("LOADED:", 1)[1].split()


@pytest.mark.parametrize(
    ("args", "forbidden"),
    [
        (["--help"], ["numba", "matplotlib", "scipy", "onnx", "numpy", "pydantic", "networkx", "rich.table"]),
        (["show", "systolic_ws"], ["numba", "matplotlib", "scipy", "onnx"]),
        (["show", "nothing"], ["numba", "matplotlib", "onnx"]),
        (["run", "systolic_ws", "alexnet", "--set", "params.row=3"], ["numba", "matplotlib", "onnx"]),
        (["run", "systolic_ws", "alexnet", "--format", "csv"], ["matplotlib", "onnx"]),
        (["schema"], ["numba", "matplotlib", "onnx"]),
        (["list"], ["numba", "matplotlib"]),
        (["report", "nothing.json"], ["numba", "matplotlib", "onnx", "scipy"]),
    ],
)
def test_heavy_libraries_stay_out_until_needed(args, forbidden):
    assert modules_after(*args, forbidden=forbidden) == []


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["list"], ["show"], ["schema"], ["validate"], ["import"], ["replica"], ["plot"], ["report"]],
)
def test_every_help_shows_an_example(command):
    done = subprocess.run(
        [sys.executable, "-m", "accelsim", *command, "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Example: accelsim" in done.stdout
