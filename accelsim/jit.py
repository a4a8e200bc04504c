"""numba, configured once: every option, the cache folder and its key; how it compiles is in `compiling`.

numba's own cache does not notice an edited callee or constant in another file. So each kernel file has a cache folder
of its own, keyed by the numba version, the bounds-check mode and a hash of that file and all that it imports: an edit
has just those files compiled again that see it.
"""

from __future__ import annotations

import builtins
import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
from numba.core import config

from accelsim import compiling

F = TypeVar("F", bound=Callable[..., Any])

KEPT_CACHES = 4
"""How many cache folders (one per version) of a kernel file stay on disk."""

ROOT = Path(__file__).parent
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(accelsim[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)|import[ \t]+(accelsim[\w.]*))",
    re.MULTILINE,
)


def kernel(function: F) -> F:
    """Compile ``function`` with numba, as all kernels of accelsim are: exact, nogil, cached, indices unsigned."""
    return _jitted(function)


def lean(function: F) -> F:
    """Compile a kernel that allocates no array and returns none, without counting references to arrays.

    numba counts them wherever an array is taken or cut, by atomic additions: a quarter of the time of a search in many
    small functions. One that does allocate does not compile.
    """
    return _jitted(function, _nrt=False)


def part(function: F) -> F:
    """Compile a part of a `lean` kernel into its callers: handing over a dozen arrays may take longer than the part."""
    return _jitted(function, _nrt=False, inline="always")


def _jitted(function: F, **options: Any) -> F:
    if config.DISABLE_JIT:
        return function
    return cast(F, compiling.Kernel(function, options, _folder(function)))


def plain(function: F, **others: Any) -> F:
    """Return a kernel as Python runs it, with all that it calls: for arrays, and integers of any size.

    ``others`` are values of its module's constants.
    """
    source: Any = getattr(function, "py_func", function)
    named = {name: source.__globals__[name] for name in source.__code__.co_names if name in source.__globals__}
    called = {name: plain(value, **others) if hasattr(value, "py_func") else value for name, value in named.items()}
    found: Any = FunctionType(source.__code__, {"__builtins__": builtins, **called, **others}, source.__name__)
    return found


def sources(path: Path) -> list[Path]:
    """Return the files that decide what a kernel file compiles to: itself and all that it imports of this package.

    Imports of other kernel files are followed; of files without kernels only their constants count, and so they do.
    """
    found, open_ = {path}, [path]
    while open_:
        for module, names, whole in _IMPORT.findall(open_.pop().read_text("utf-8")):
            parts = [part.split(" as ")[0] for part in re.findall(r"\w+(?: as \w+)?", names)]
            for name in [module or whole, *(f"{module}.{part}" for part in parts)]:
                file = ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")
                if file not in found and file.is_file():
                    found.add(file)
                    if file.stem == "kernel" or file.stem.endswith("_kernel"):
                        open_.append(file)
    return sorted(found)


def _folder(function: Callable[..., Any]) -> Path | None:
    """Return where the machine code of a function's file is kept, None if nowhere."""
    return None if _BASE is None else _folder_of(_BASE, Path(function.__code__.co_filename))


@cache
def _folder_of(base: Path, path: Path) -> Path | None:
    inside = path.is_relative_to(ROOT)
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts) if inside else "others"
    digest = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]} {config.BOUNDSCHECK}".encode())
    kernels = sources(path) if inside else sorted(ROOT.rglob("*kernel.py"))
    for file in [Path(__file__), Path(compiling.__file__), *kernels]:
        digest.update(file.name.encode() + file.read_bytes())
    folder = base / f"{name}-{digest.hexdigest()[:20]}"
    fresh = not folder.is_dir()
    if not _writable(folder):
        return None
    if fresh:
        _prune(base, folder)
        _say_once()
    return folder


@cache
def _say_once() -> None:
    logging.getLogger("accelsim").info("compiling machine code once; later runs start with it")


def _base() -> Path | None:
    if config.DISABLE_JIT:
        return None
    if chosen := os.environ.get("ACCELSIM_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "accelsim" / "kernels"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _prune(base: Path, keep: Path) -> None:
    """Remove all but the youngest folders of a file; another process may be pruning too, so nothing is an error."""
    try:
        mine = keep.name.rpartition("-")[0]
        others = [p for p in base.iterdir() if p.is_dir() and p != keep and p.name.rpartition("-")[0] in (mine, "")]
        others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    except OSError:
        return
    for old in others[KEPT_CACHES - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


_BASE = _base()
