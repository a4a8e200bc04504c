"""Putting the stores of shards together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelsim.errors import ConfigError
from accelsim.explore.store import open_reader, open_writer
from accelsim.outputs import partial

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
    with partial(target) as aside:
        _merge(sources, aside)
        with open_reader(aside) as merged:
            return merged.counts()


def _merge(sources: Sequence[Path], aside: Path) -> None:
    said: dict[str, str] = {}
    with open_reader(sources[0]) as first:
        said = first.meta()
    with open_writer(aside, said["layers"] == "yes", model=said["model"]) as merged:
        for path in sources:
            with open_reader(path) as source:
                theirs = source.meta()
                for key in _SAME:
                    if theirs.get(key) != said.get(key):
                        problem = f"differs from '{sources[0]}' in its {_WORDS[key]}"
                        raise ConfigError(problem, "merge stores that one sweep file made", file=str(path))
                merged.copy_from(source)


_WORDS = {"model": "version of accelsim", "sweep": "sweep file", "layers": "layer rows", "plan": "points"}
