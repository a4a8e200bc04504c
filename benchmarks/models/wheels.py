"""ONNX files that packages ship: installed by name, one folder each, found by the end of their paths."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

LIST = Path(__file__).with_name("wheels.yaml")
SECONDS = 600
"""A package that takes longer is not had."""


class File(NamedTuple):
    """A file to try; without ``path`` there is a reason why it is missing."""

    name: str
    source: str
    path: Path | None
    dims: dict[str, int]
    reason: str = ""


def files(folder: Path, python: Path) -> Iterator[File]:
    """Install what is listed, and yield its files: each content once."""
    seen: set[str] = set()
    for entry in yaml.safe_load(LIST.read_text()):
        package = entry["package"]
        home = folder / package.partition("==")[0]
        reason = install(package, home, python)
        for name, dims in entry["files"].items():
            found = sorted(home.rglob(name)) if not reason else []
            # the end of a path may stand in the list, and a name may come twice with the same content
            if not found:
                yield File(name, package, None, dims, reason or "the package has no such file")
                continue
            for path in found:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                if content not in seen:
                    seen.add(content)
                    shown = name if len(found) == 1 else str(path.relative_to(home))
                    yield File(shown, package, path, dims)


def install(package: str, home: Path, python: Path) -> str:
    """Install a package alone into its folder; return why not, if so."""
    done = home / ".installed"
    if done.exists():
        return ""
    print(f"installing {package}", flush=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--upgrade", "--target", str(home), package]
    try:
        subprocess.run(command, check=True, timeout=SECONDS, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return f"not installed within {SECONDS} s"
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "ERROR" in line] or error.stderr.splitlines() or ["?"]
        return f"not to be had: {lines[-1].strip()}"[:200]
    done.touch()
    return ""


if __name__ == "__main__":
    for file in files(Path(sys.argv[1]), Path(sys.executable)):
        print(file)
