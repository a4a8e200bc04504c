"""Try real ONNX files on `edge_npu`, and write `benchmarks/models.md`.

    python -m benchmarks.models [--folder FOLDER] [--python PYTHON] [--only PATTERN] [--keep]

Packages go into FOLDER, a cache outside the repository; PYTHON has torch and torchvision (a fresh environment in FOLDER
by default, made with pip). Each file is tried in a process of its own, with limits on memory and time, and its row is
kept in FOLDER: a run that was stopped goes on where it was. Rows of other sources than the present ones are made anew,
unless ``--keep``; ``--only`` prints rows instead of writing the table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import warnings
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.models import table, wheels
from benchmarks.models.check import check

HERE = Path(__file__).parent
TABLE = HERE.parent / "models.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "accelsim-models"
NEEDS = ("torch", "torchvision", "onnx", "onnxscript")
MEMORY_BYTES = 12 << 30
SECONDS = 600
"""CPU time of one file."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--folder", type=Path, default=CACHE)
    parser.add_argument("--python", type=Path, help="an interpreter that has torch, torchvision, onnx and onnxscript")
    parser.add_argument("--only", default="*", help="pattern over the names of files; no table is written")
    parser.add_argument("--keep", action="store_true", help="keep rows that other sources of accelsim gave")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = list(wheels.files(folder / "wheels", Path(sys.executable)))
    files += exported(folder, options.python)
    stamp, rows = sources(), []
    for i, file in enumerate(files, 1):
        if fnmatchcase(file.name, options.only):
            row = tried(file, folder / "rows", stamp, options.keep)
            rows.append({**row, "name": file.name, "source": file.source, "dims": file.dims})
            print(f"{i}/{len(files)} {file.name}: {table.verdict(row)}, {row['seconds']} s", flush=True)
    if options.only != "*":
        print("\n".join(table.lines(rows)))
    else:
        TABLE.write_text(table.page(rows))
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"{TABLE}: {sum(row['seconds'] for row in rows):.0f} s of CPU time, the largest process {megabytes:,} MB")
    print("\n".join(table.totals(rows)))
    return 1 if any(table.faulty(row) for row in rows) else 0


def exported(folder: Path, python: Path | None) -> list[wheels.File]:
    """Export what is not there yet, and return the files with their sizes."""
    home = folder / "exports"
    python = python or environment(folder / "environment")
    subprocess.run([str(python), str(HERE / "exports.py"), str(home)], check=True, env={**os.environ, "PYTHONPATH": ""})
    found = []
    for entry in sorted(home.glob("*.json")):
        said = json.loads(entry.read_text())
        name = entry.with_suffix(".onnx")
        found.append(
            wheels.File(name.name, said["source"], None if said["reason"] else name, said["dims"], said["reason"])
        )
    return found


def environment(folder: Path) -> Path:
    """Make the environment of the exporters, once."""
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *NEEDS], check=True)
        (folder / ".ready").touch()
    return python


def tried(file: wheels.File, rows: Path, stamp: str, keep: bool) -> dict[str, Any]:
    """Return what there is to say of a file, from the last run or from a process of its own."""
    if file.path is None:
        return {"missing": file.reason, "seconds": 0.0}
    rows.mkdir(exist_ok=True)
    key = hashlib.sha256(f"{file.path}{sorted(file.dims.items())}".encode()).hexdigest()[:16]
    kept = rows / f"{key}.json"
    if kept.exists():
        row: dict[str, Any] = json.loads(kept.read_text())
        if keep or row["stamp"] == stamp:
            return row
    kept.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(file, kept, stamp))
    started = time.monotonic()
    process.start()
    process.join()
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    seconds = round(time.monotonic() - started, 1)
    return {"problem": f"its process ended with {process.exitcode}", "seconds": seconds}


def _alone(file: wheels.File, kept: Path, stamp: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    warnings.simplefilter("ignore")
    assert file.path is not None
    kept.write_text(json.dumps({**check(file.path, file.dims), "stamp": stamp}))


def sources() -> str:
    """Return a hash of all sources on which a row depends."""
    import accelsim

    found = hashlib.sha256()
    root = Path(accelsim.__file__).parent
    machines = sorted((root.parent / "arch_configs").rglob("*.yaml"))
    for path in (*sorted(root.rglob("*.py")), *machines, HERE / "check.py", HERE / "independent.py"):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
