"""Points of a store, each beside the others of its network: over which layers, and which of them rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from accelsim import basis
from accelsim.basis import Incomplete, Ranking

STAND_INS = 10_000
"""How finely a share of layers is told apart where a store of the first format does not name them."""
PointRow = Mapping[str, Any]


class Ranked(NamedTuple):
    """A point that ran, the figures that compare, whether it ranks, and whether it is shown."""

    row: PointRow
    figures: PointRow
    ranks: bool
    shown: bool


def covered(row: PointRow) -> frozenset[str]:
    """Return the layers that a point simulated; where only their share is known, as many names as stand for it."""
    return _stand_ins(row["coverage_layers"] or 0.0) if row["ran"] is None else _set(row["ran"])


@lru_cache
def _set(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


@lru_cache
def _stand_ins(share: float) -> frozenset[str]:
    return frozenset(map(str, range(round(STAND_INS * share))))


def ranked(rows: Iterable[PointRow], incomplete: Incomplete = "common") -> tuple[list[Ranked], dict[str, Ranking]]:
    """Return the points that ran, in their order, and how those of each network compare."""
    ran = [row for row in rows if row["status"] == "ok"]
    places: dict[str, list[int]] = {}
    for i, row in enumerate(ran):
        places.setdefault(row["network"], []).append(i)
    found: dict[int, Ranked] = {}
    rankings = {}
    for network, mine in places.items():
        some = [ran[i] for i in mine]
        known = _known(some)
        sets = [covered(row) for row in some]
        if incomplete == "common" and known:
            # a point that should have run them all, but has no room for one, takes no part
            sets = [one if one >= known else frozenset() for one in sets]
        ranking = rankings[network] = basis.rank(sets, incomplete, known)
        # where all that rank are alike, their own sums are those over the layers that they share
        taken = ranking.layers is not None and any(one and one != ranking.layers for one in sets)
        for i, row, ranks, shown in zip(mine, some, ranking.ranks, ranking.shown, strict=True):
            common = row["common"] if taken else None
            found[i] = Ranked(row, {**row, **common} if common else row, ranks, shown)
    return [found[i] for i in range(len(ran))], rankings


def _known(rows: Sequence[PointRow]) -> frozenset[str]:
    """Return the layers that points have sums over: those that the plan's points share; none where all are alike."""
    shared = {row["shared"] for row in rows}
    layers = shared.pop() if len(shared) == 1 else None
    return frozenset(layers or ())
