"""Which layers the points of a plan simulate, and which of them all share: known before anything runs.

They follow from `supports` over the whole plan, so that every shard and every worker knows the same. Points that differ
only in what `supports` does not look at are asked for once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from accelsim import basis
from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.layersets import LayerSet, layer_set
from accelsim.explore.sweep.space import Point, Space
from accelsim.workload.lowering import stands_for

_BLIND = ("memory", "energy", "clocks_mhz", "technology", "mapping", "name", "description", "source", "sources")
"""Sections of a machine that no engine's `supports` sees."""


class Share(NamedTuple):
    """The layers of one network.

    Attributes
    ----------
    needed : LayerSet
        All layers with work.
    shared : LayerSet or None
        Those that every point simulates which simulates any; None where no two points differ, or nothing is shared.
    widest : LayerSet
        The largest set that any point simulates.
    whole : tuple of tuple of str
        Groups of layers that some point simulates as one: the parts of an attention.
    """

    needed: LayerSet
    shared: LayerSet | None
    widest: LayerSet
    whole: tuple[tuple[str, ...], ...]


def needed(space: Space) -> dict[str, LayerSet]:
    """Return network -> its layers with work; of an attention its parts, as in all sets of layers."""
    return {
        name: layer_set(part for parts in stands_for(network).values() for part in parts)
        for name, network in space.networks.items()
    }


def of_plan(space: Space, points: Iterable[Point], context: evaluate.Context) -> dict[str, Share]:
    """Return network -> what the points of a plan simulate of it; points that cannot be run take no part."""
    found: dict[str, dict[LayerSet, None]] = {name: {} for name in space.networks}
    whole: dict[str, dict[tuple[str, ...], None]] = {name: {} for name in space.networks}
    looks = {name: _Looks(arch, space.keys) for name, arch in space.archs.items()}
    known: set[Any] = set()
    for point in points:
        if point.reason is not None:
            continue
        key = (point.machine, point.network, looks[point.machine].of(point.sets), repr(point.options))
        if key in known:
            continue
        job = evaluate.Job(point.key, point.machine, point.network, point.sets, space.options_of(point))
        try:
            ran, groups = evaluate.ran(context, job)
            found[point.network][ran] = None
            whole[point.network] |= dict.fromkeys(groups)
        except UserError:
            continue  # the next point that looks the same may be legal
        known.add(key)
    return {name: _share(layers, list(found[name]), tuple(whole[name])) for name, layers in needed(space).items()}


def _share(layers: LayerSet, sets: list[LayerSet], whole: tuple[tuple[str, ...], ...]) -> Share:
    widest = max(sets, key=lambda one: len(one.names), default=layer_set(()))
    shared = basis.shared((one.names for one in sets), whole)
    if len({one for one in sets if one.names}) < 2 or not shared:
        return Share(layers, None, widest, whole)
    return Share(layers, layer_set(name for name in layers.names if name in shared), widest, whole)


class _Looks:
    """Which of the keys that vary a machine's engines look at when they are asked what they support."""

    def __init__(self, arch: Arch, keys: Iterable[str]) -> None:
        parts = [key.split(".") for key in keys]
        # with another engine, another parameter may count
        self._fixed = not any(part[-1] in ("engine", "units") for part in parts)
        self._units = {unit.name: unit.engine for unit in arch.units}
        self._units |= {str(i): unit.engine for i, unit in enumerate(arch.units)}
        self._first = arch.units[0].engine
        self._seen: dict[str, bool] = {}

    def of(self, sets: tuple[tuple[str, Any], ...]) -> str:
        """Return what of ``sets`` may decide what is refused, as text."""
        return repr([pair for pair in sets if self._sees(pair[0])])

    def _sees(self, key: str) -> bool:
        if key not in self._seen:
            self._seen[key] = self._look(key.split("."))
        return self._seen[key]

    def _look(self, parts: list[str]) -> bool:
        if parts[0] in _BLIND:
            return False
        if not self._fixed:
            return True
        if parts[0] == "params" and len(parts) > 1:
            engine, name = self._first, parts[1]
        elif parts[0] == "units" and len(parts) > 3 and parts[2] == "params" and parts[1] in self._units:
            engine, name = self._units[parts[1]], parts[3]
        else:
            return True
        seen = registry.get(engine).support_params
        return seen is None or name in seen


def shared(shares: Mapping[str, Share]) -> dict[str, LayerSet]:
    """Return network -> shared layers, of networks whose points differ."""
    return {name: share.shared for name, share in shares.items() if share.shared is not None}
