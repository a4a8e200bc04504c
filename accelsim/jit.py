"""numba, configured once: every option, the cache folder and its key.

numba's own cache does not notice an edited callee in another file. So the cache folder is keyed by the numba
version, the bounds-check mode and a hash of every file of this package that holds jitted code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

F = TypeVar("F", bound=Callable[..., Any])

KEPT_CACHES = 4
"""How many cache folders (one per version of the kernels) stay on disk."""


def kernel(function: F) -> F:
    """Compile ``function`` with numba, as all kernels of accelsim are: exact, nogil, cached."""
    jitted: F = numba.njit(nogil=True, cache=_CACHE is not None)(function)
    return jitted


def _jitted_files() -> list[Path]:
    root = Path(__file__).parent
    return sorted(p for p in root.rglob("*.py") if p.name == "kernel.py" or p.name.endswith("_kernel.py"))


def _cache_key() -> str:
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]} {config.BOUNDSCHECK}".encode())
    for path in [Path(__file__), *_jitted_files()]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _base_folders() -> list[Path]:
    chosen = os.environ.get("ACCELSIM_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [Path(home) / "accelsim" / "kernels"]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _prune(base: Path, keep: Path) -> None:
    """Remove all but the youngest caches; another process may be pruning too, so nothing here is an error."""
    try:
        others = [p for p in base.iterdir() if p.is_dir() and p != keep]
        others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError:
        return
    for old in others[KEPT_CACHES - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def _choose_cache() -> Path | None:
    if config.DISABLE_JIT:
        return None
    key = _cache_key()
    for base in _base_folders():
        fresh = not (base / key).is_dir()
        if _writable(base / key):
            if fresh:
                _prune(base, base / key)
            return base / key
    return None


_CACHE = _choose_cache()
if _CACHE is not None:
    config.CACHE_DIR = str(_CACHE)
