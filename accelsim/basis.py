"""On what basis results are compared: which layers they share, who ranks, and what must be said beside the figures.

Everything that puts results side by side asks here (``compare``, sweeps, pictures, pages, searches), so that no two of
them can disagree. See ``docs/decisions/0072-comparison.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from math import isfinite
from statistics import geometric_mean
from typing import Literal, NamedTuple, TypeAlias, TypeVar, get_args

Incomplete: TypeAlias = Literal["common", "show", "drop"]
"""What happens to results that cover less of a network than others: see `rank`."""
INCOMPLETE: tuple[Incomplete, ...] = get_args(Incomplete)

Name = TypeVar("Name", bound=Hashable)


class Ranking(NamedTuple):
    """What the results of one network are compared over.

    Attributes
    ----------
    layers : frozenset of str, or None
        The layers that figures are taken over; None: each result's own.
    ranks : tuple of bool
        Whether each result may be best, on a front, or in a ratio. The others are hatched and labelled with `ran_of`.
    shown : tuple of bool
        Whether each result is shown at all.
    """

    layers: frozenset[str] | None
    ranks: tuple[bool, ...]
    shown: tuple[bool, ...]


def rank(
    covered: Sequence[Collection[str]], incomplete: Incomplete = "common", known: Collection[str] | None = None
) -> Ranking:
    """Return how results of one network that simulated the layers ``covered`` are compared.

    ``common``: over the layers that all of them simulated; results without any layer take no part. Where nothing is
    common to those that have layers, as ``show``. ``show``: each over its own layers, and only results that cover the
    largest set that any has rank. ``drop``: the same, and the others are not shown.

    A store cannot add up any layers: ``known`` are those that it has sums over. Where results differ, these are taken
    if all share them, else as ``show``. None: all sums can be had.
    """
    sets = [frozenset(names) for names in covered]
    layers = shared(sets)
    if known is not None and len({one for one in sets if one}) > 1:
        layers = frozenset(known) if layers.issuperset(known) else frozenset()
    if incomplete == "common" and layers:
        ran = tuple(map(bool, sets))
        return Ranking(layers, ran, (True,) * len(sets))
    widest = max(sets, key=len, default=frozenset())
    full = tuple(bool(one) and one == widest for one in sets)
    return Ranking(None, full, full if incomplete == "drop" else (True,) * len(sets))


class Works(NamedTuple):
    """The work of a network as its results compare it, each layer by one name.

    Attributes
    ----------
    needed : int
        How many layers the network has.
    ran : list of mapping
        What each result simulated: the name of a layer -> the names of the layers that make it up there.
    """

    needed: int
    ran: list[dict[str, tuple[str, ...]]]


def works(results: Sequence[Sequence[tuple[str, str | None, bool]]]) -> Works:
    """Return what each result simulated, under names that all results share.

    A name is a layer itself, unless another result has a layer whole (an attention) of which this one has the parts: it
    then stands for all of them, and only where all were simulated.

    Parameters
    ----------
    results : sequence
        Of each result its layers: name, parent, and whether it was simulated.
    """
    names = {name for layers in results for name, _, _ in layers}
    found: list[dict[str, tuple[str, ...]]] = []
    needed: set[str] = set()
    for layers in results:
        parts: dict[str, list[tuple[str, bool]]] = {}
        for name, parent, simulated in layers:
            parts.setdefault(parent if parent in names and parent else name, []).append((name, simulated))
        needed |= parts.keys()
        found.append({work: tuple(n for n, _ in own) for work, own in parts.items() if all(done for _, done in own)})
    return Works(len(needed), found)


def shared(covered: Iterable[Collection[str]], whole: Iterable[Collection[str]] = ()) -> frozenset[str]:
    """Return the layers that all results share which simulated any.

    Of each group in ``whole``, which some result has as one layer (an attention), all are shared or none.
    """
    some = {frozenset(names) for names in covered if names}
    found = frozenset.intersection(*some) if some else frozenset()
    return found.difference(*(group for group in whole if not found.issuperset(group)))


def as_one(layers: Collection[str], whole: Iterable[Sequence[str]]) -> frozenset[str]:
    """Return layers, those of each group in ``whole`` by the first alone: to count them as who has them as one does."""
    return frozenset(layers).difference(*(group[1:] for group in whole))


def whole(parts: Iterable[int | None]) -> int | None:
    """Return a sum of what a network needs, None where one part of it is unknown."""
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def covers(ran: int | None, needed: Iterable[int | None]) -> float | None:
    """Return the share of what a network needs that ran: 1 where it needs none, None where somebody's is unknown."""
    total = whole(needed)
    if ran is None or total is None:
        return None
    return ran / total if total else 1.0


def ran_of(ran: int, needed: int) -> str:
    """Return how a label says what part of a network was simulated: ``7 of 22 layers``."""
    return f"{ran:,} of {needed:,} layers"


def timed(objectives: Sequence[str], clocks_mhz: Collection[Hashable]) -> list[str]:
    """Return objectives with time in place of cycles where the clocks differ."""
    if len(set(clocks_mhz)) < 2:
        return list(objectives)
    return list(dict.fromkeys("time_s" if name == "cycles" else name for name in objectives))


def prices_differ(tables: Collection[str]) -> str | None:
    """Return what must stand beside energies that several tables priced, or None where one did."""
    named = sorted(set(tables))
    if len(named) < 2:
        return None
    return f"the energy tables differ ({', '.join(named)}): energies do not compare; --energy-table prices all alike"


def mean(figures: Sequence[float | None]) -> float | None:
    """Return the geometric mean of figures of one design over networks; None where one is missing or not positive."""
    given = [float(figure) for figure in figures if figure is not None and _positive(figure)]
    if not given or len(given) < len(figures):
        return None
    return given[0] if len(given) == 1 else geometric_mean(given)


def over_networks(
    figures: Mapping[Name, Mapping[str, float | None]], networks: Collection[str], base: Name | None = None
) -> dict[Name, float]:
    """Return the geometric mean over networks of each design's ratio to the best one, or to ``base``.

    Parameters
    ----------
    figures : mapping
        Design -> network -> a figure of which less is better; only of networks on which the design ranks.
    networks : collection of str
        The networks that count.
    base : optional
        The design whose ratios are 1.

    Returns
    -------
    dict
        Design -> mean ratio, 1 at best where no base is named, in ascending order (ties in the order given). Designs
        that lack a network, or whose figures are not positive, are left out; with a base that lacks one, all are.
    """
    whole = {
        name: {network: float(mine[network] or 0) for network in networks}
        for name, mine in figures.items()
        if mean([mine.get(network) for network in networks]) is not None
    }
    if not whole or (base is not None and base not in whole):
        return {}
    unit = whole[base] if base is not None else {n: min(mine[n] for mine in whole.values()) for n in networks}
    means = {name: mean([mine[n] / unit[n] for n in networks]) or 0.0 for name, mine in whole.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def _positive(figure: float | None) -> bool:
    return figure is not None and isfinite(figure) and figure > 0
