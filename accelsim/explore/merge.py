"""Putting the stores of shards together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from accelsim.errors import ConfigError
from accelsim.explore.store import FORMAT, open_reader, open_writer

_SAME = ("model", "sweep", "layers", "plan")


def merge(sources: Sequence[Path], target: Path) -> tuple[int, int]:
    """Put the results of several stores of one sweep into a new store.

    The target appears when it is whole.

    Returns
    -------
    tuple of int
        Points of the sweep, and how many of them still have no result.

    Raises
    ------
    ConfigError
        A target that exists, stores of different sweeps or of different versions of the model.
    """
    if target.exists():
        raise ConfigError("exists already", "choose another file with -o", file=str(target))
    aside = target.with_name(f".{target.name}.partial")
    aside.unlink(missing_ok=True)
    try:
        _merge(sources, aside)
        with open_reader(aside) as merged:
            counts = merged.counts()
        os.replace(aside, target)
    except OSError as error:
        problem = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ConfigError(problem, "choose another file with -o", file=str(target)) from None
    finally:
        aside.unlink(missing_ok=True)
    return counts


def _merge(sources: Sequence[Path], aside: Path) -> None:
    said: dict[str, str] = {}
    with open_reader(sources[0], (FORMAT,)) as first:
        said = first.meta()
    with open_writer(aside, said["layers"] == "yes", model=said["model"]) as merged:
        for path in sources:
            with open_reader(path, (FORMAT,)) as source:
                theirs = source.meta()
                for key in _SAME:
                    if theirs.get(key) != said.get(key):
                        problem = f"differs from '{sources[0]}' in its {_WORDS[key]}"
                        raise ConfigError(problem, "merge stores that one sweep file made", file=str(path))
                merged.copy_from(source)


_WORDS = {"model": "version of accelsim", "sweep": "sweep file", "layers": "layer rows", "plan": "points"}
