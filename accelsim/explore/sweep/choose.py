"""Which points a picture shows, and which of them are on the front."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from accelsim import basis
from accelsim.basis import Incomplete
from accelsim.errors import ConfigError
from accelsim.explore.sweep import conditions, ranking
from accelsim.explore.sweep.pareto import front
from accelsim.explore.sweep.store import open_reader
from accelsim.report.points import QUANTITIES, Compared, Shown, compared, of_rows, plain_names

_SCALARS = (int, float, str)


class Chosen(NamedTuple):
    """What a picture or a page takes from a store: what it says of itself, its rows, and the points to show."""

    meta: dict[str, str]
    rows: Sequence[Mapping[str, Any]]
    keys: Sequence[str]
    compared: Compared
    total: int
    left: int


def of_store(path: Path, network: str | None, where: str | None, incomplete: Incomplete = "common") -> Chosen:
    """Return the points of a store that ran, of one network or all, and meet a condition.

    Raises
    ------
    ConfigError
        No store, or no such point.
    """
    with open_reader(path) as store:
        meta, found = store.meta(), list(store.rows())
        total, left = store.counts()
    if "axes" not in meta:
        raise ConfigError("no sweep has been written into it", "run one into this store first", file=str(path))
    keys = [key for axis in json.loads(meta["axes"]) for key in axis["keys"]]
    chosen = of_chosen(rows(found, network, where), keys, incomplete, json.loads(meta.get("classes", "{}")))
    if not chosen.points:
        raise ConfigError("no point to show", "run the sweep, or loosen --network and --where", file=str(path))
    return Chosen(meta, found, keys, chosen, total, left)


def leading(path: Path, incomplete: Incomplete = "common") -> tuple[Compared, list[str]]:
    """Return the points of a store, their parts left out, and its objectives: for the last lines of a sweep."""
    with open_reader(path) as store:
        meta = store.meta()
        keys = [key for axis in json.loads(meta["axes"]) for key in axis["keys"]]
        compared = of_chosen(store.rows(parts=False), keys, incomplete)
    return compared, compared.objectives(json.loads(meta["objectives"]))


def of_chosen(
    chosen: Iterable[Mapping[str, Any]], keys: Sequence[str], incomplete: Incomplete = "common",
    machines: Mapping[str, Mapping[str, str]] | None = None,
) -> Compared:  # fmt: skip
    """Return the points of some rows that ran, compared with each other.

    ``machines``: machine -> component -> class.
    """
    ranked, rankings = ranking.ranked(chosen, incomplete)
    shown = of_rows([{**one.figures, "ranks": one.ranks} for one in ranked if one.shown], keys, machines)
    names, needed = plain_names(rankings), {}
    for row in {one.row["network"]: one.row for one in ranked}.values():
        network, whole, layers = row["network"], row["whole"], rankings[row["network"]].layers
        needed[names[network]] = (
            row["layers_needed"] if row["needed"] is None else len(basis.as_one(row["needed"], whole))
        )
        if layers is not None:
            rankings[network] = rankings[network]._replace(layers=basis.as_one(layers, whole))
    return compared(shown, {names[name]: one for name, one in rankings.items()}, needed, incomplete)


def rows(given: Sequence[Mapping[str, Any]], network: str | None, where: str | None) -> list[Mapping[str, Any]]:
    """Return the rows of a network that ran and meet a condition over their axes and figures.

    Raises
    ------
    ConfigError
        An unknown network, a condition that cannot be read or names what a row does not have.
    """
    names = {row["network"] for row in given}
    if network is not None and network not in names:
        raise ConfigError(
            f"no point has the network '{network}'", f"known: {', '.join(sorted(names))}", file="--network"
        )
    kept = [row for row in given if row["status"] == "ok" and network in (None, row["network"])]
    if where is None or not kept:
        return kept
    condition = conditions.parse(where)
    columns = {}
    for key in condition.keys:
        if not all(isinstance(row.get(key), _SCALARS) for row in kept):
            known = ", ".join(k for k, v in kept[0].items() if isinstance(v, _SCALARS))
            raise ConfigError(f"not every point has '{key}'", f"known: {known}", file="--where")
        columns[key] = np.array([row[key] for row in kept], dtype=object)
    return [row for row, holds in zip(kept, condition.holds(columns), strict=True) if holds]


def on_front(shown: Sequence[Shown], objectives: Sequence[str]) -> set[int]:
    """Return the indices of the points on their network's front."""
    found: set[int] = set()
    for network in dict.fromkeys(point.network for point in shown):
        mine = [i for i, point in enumerate(shown) if point.network == network and point.ranks]
        values = [[shown[i].figures.get(name, np.nan) for name in objectives] for i in mine]
        found |= {i for i, on in zip(mine, front(np.array(values, dtype=np.float64)), strict=True) if on}
    return found


def heat_axes(
    shown: Sequence[Shown], keys: Sequence[str], x: str | None, y: str | None, figure: str
) -> tuple[str, str]:
    """Return the two axes of a heat map: those asked for, else the first ones that vary.

    Raises
    ------
    ConfigError
        Fewer than two axes vary, an unknown axis or figure.
    """
    if figure not in QUANTITIES or any(figure not in point.figures for point in shown):
        raise ConfigError(
            f"not every point has the figure '{figure}'", f"known: {', '.join(QUANTITIES)}", file="--value"
        )
    varied = [key for key in ("machine", *keys) if len({repr(point.axes[key]) for point in shown}) > 1]
    for option, key in (("--x", x), ("--y", y)):
        if key is not None and key not in ("machine", *keys):
            raise ConfigError(f"no axis '{key}'", f"axes: {', '.join(keys)}", file=option)
    free = [key for key in varied if key not in (x, y)]
    chosen_x = x or (free.pop(0) if free else None)
    chosen_y = y or (free.pop(0) if free else None)
    if chosen_x is None or chosen_y is None or chosen_x == chosen_y:
        raise ConfigError("a heat map needs two axes that vary", "name them with --x and --y", file="plot")
    return chosen_x, chosen_y
