"""Points of a store, each beside the others of its network: over which layers, and which of them rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from accelsim import basis
from accelsim.basis import Incomplete, Ranking

STAND_INS = 10_000
"""How finely a share of layers is told apart where a store of the first format does not name them."""
Row = Mapping[str, Any]


class Ranked(NamedTuple):
    """A point that ran, the figures that compare, whether it ranks, and whether it is shown."""

    row: Row
    figures: Row
    ranks: bool
    shown: bool


def covered(row: Row) -> frozenset[str]:
    """Return the layers that a point simulated; where only their share is known, as many names as stand for it."""
    return _stand_ins(row["coverage_layers"] or 0.0) if row["ran"] is None else _set(row["ran"])


@lru_cache
def _set(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


@lru_cache
def _stand_ins(share: float) -> frozenset[str]:
    return frozenset(map(str, range(round(STAND_INS * share))))


def ranked(rows: Iterable[Row], incomplete: Incomplete = "common") -> list[Ranked]:
    """Return the points that ran, in their order, those of one network over the same layers where they can be."""
    ran = [row for row in rows if row["status"] == "ok"]
    found: dict[int, Ranked] = {}
    for network in dict.fromkeys(row["network"] for row in ran):
        mine = [(i, row) for i, row in enumerate(ran) if row["network"] == network]
        ranking = of_network([row for _, row in mine], incomplete)
        for (i, row), ranks, shown in zip(mine, ranking.ranks, ranking.shown, strict=True):
            common = row["common"] if ranking.layers is not None else None
            found[i] = Ranked(row, row | common if common else row, ranks, shown)
    return [found[i] for i in range(len(ran))]


def of_network(rows: Sequence[Row], incomplete: Incomplete = "common") -> Ranking:
    """Return how points of one network that ran compare."""
    return basis.rank([covered(row) for row in rows], incomplete, _known(rows))


def _known(rows: Sequence[Row]) -> frozenset[str]:
    """Return the layers that all points with any have sums over: those that the plan's points share."""
    shared = {row["shared"] for row in rows if row["ran"]}
    if len(shared) != 1 or (layers := shared.pop()) is None:
        return frozenset()
    whole = all(row["common"] is not None or row["ran"] == layers for row in rows if row["ran"])
    return frozenset(layers) if whole else frozenset()


def over_networks(
    points: Sequence[Ranked], figure: str, name: Callable[[Row], str], base: str | None = None
) -> dict[str, float]:
    """Return design -> geometric mean of a figure over the networks: see `accelsim.basis.over_networks`."""
    figures: dict[str, dict[str, float | None]] = {}
    for point in points:
        if point.ranks:
            figures.setdefault(name(point.row), {})[point.row["network"]] = point.figures[figure]
    return basis.over_networks(figures, {point.row["network"] for point in points}, base)
