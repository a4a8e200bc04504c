"""Where packaged machines and networks are: in the source tree or in an installed wheel."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from accelsim.errors import ConfigError
from accelsim.text import nearest

Folder = Literal["arch_configs", "workloads"]

Beside = Literal["mappings", "profiles"]
"""What is packaged beside machines and networks."""

_BESIDE: dict[Beside, tuple[Folder, str]] = {
    "mappings": ("arch_configs", "file of pinned mappings"),
    "profiles": ("workloads", "profile of densities"),
}
_WORDS = {"arch_configs": "machine", "workloads": "network"}


def folder(kind: Folder) -> Path:
    """Return the folder of packaged files: inside the installed package, or beside it in the source tree."""
    package = Path(__file__).resolve().parents[1]
    inside = package / kind
    return inside if inside.is_dir() else package.parent / kind


def names(kind: Folder) -> list[str]:
    """Return the packaged names, sorted."""
    return sorted(p.stem for p in folder(kind).glob("*.yaml"))


def holds(path: Path) -> bool:
    """Whether a machine file is a packaged one."""
    return path.resolve().parent == folder("arch_configs").resolve()


@lru_cache(maxsize=1024)
def is_path(name: str) -> bool:
    """Whether ``name`` is a path and not a packaged name: it has a slash or a suffix."""
    return "/" in name or "\\" in name or bool(Path(name).suffix)


def find(kind: Folder, name: str, *, beside: Path | None = None) -> tuple[Path, str]:
    """Return the file of a packaged name or path, and how messages call it.

    Parameters
    ----------
    kind : str
    name : str
        A packaged name, or a path if it has a slash or a suffix.
    beside : Path, optional
        Folder against which a relative path is resolved, the current one by default.
    """
    word = _WORDS[kind]
    if is_path(name):
        path = (beside or Path()) / name
        if not is_file(path):
            raise ConfigError(f"no such {word} file: '{name}'", "check the path")
        return path, str(path)
    path = folder(kind) / f"{name}.yaml"
    if not is_file(path):
        hint = nearest(name, names(kind), f"'accelsim list {kind.split('_')[0].rstrip('s')}' names all")
        raise ConfigError(f"no {word} is called '{name}'", hint)
    return path, f"{kind}/{name}.yaml"


def beside(kind: Beside, name: str | Path) -> Path:
    """Return the file of a packaged name, or of a path: what has a slash or a suffix, or is a file.

    Raises
    ------
    ConfigError
        No packaged file of that name.
    """
    shown = str(name)
    if is_path(shown) or is_file(Path(shown)):
        return Path(shown)
    if shown not in (known := files_beside(kind)):
        hint = nearest(shown, known, f"'accelsim list {kind.removesuffix('s')}' names all")
        raise ConfigError(f"no {_BESIDE[kind][1]} is called '{shown}'", hint)
    return known[shown]


def files_beside(kind: Beside) -> dict[str, Path]:
    """Return packaged name -> file, sorted."""
    files = sorted((folder(_BESIDE[kind][0]) / kind).iterdir())
    return {path.stem: path for path in files if path.suffix in (".yaml", ".csv")}


def is_file(path: Path) -> bool:
    """Whether a file stands at ``path``, which may come from anywhere and be no possible path at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than any name may be, or with a zero byte
        return False
