"""Advice that was tried: each remedy against what a run loses, run on the same network by closed forms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.remedy import Advice, Tried, said
from accelsim.results import LayerResult, NetworkResult
from accelsim.simulation import simulate
from accelsim.workload.network import Network

MOST_LAYERS = 1000
"""Layers that all trials together may take by closed forms: about as much work as the run and its report."""
WORTH = 0.01
"""A cause with a smaller share of the time is not addressed, and a smaller gain is not told."""
IMAGES = 4
"""How many times as many images the trial of a larger batch has."""


def advice(arch: Arch, network: Network, result: NetworkResult, *, walk: bool = False, **options: Any) -> Advice:
    """Return what the remedies for a run gain, each run on the same layers.

    A larger batch is tried, twice the DRAM bandwidth where layers wait for it, and what engines suggest against causes
    that take a share of the time, by that share. A trial that is refused, or leaves a layer out, is dropped. The
    choice of trials depends on counts alone, never on the clock.

    Parameters
    ----------
    walk : bool
        Also try what costs as much as the run: layers that are walked cycle by cycle, mappings that are stepped.
    options : keyword arguments
        As `simulate` was given them.
    """
    if options.get("operands") is not None:
        return Advice(left_out="remedies, since operands are given")
    if not walk and (why := _dear(arch, result)):
        return Advice(left_out=f"remedies, since {why}; --advice tries them")
    most = MOST_LAYERS // len(result.simulated)
    found = _remedies(arch, network, result)
    options = {key: value for key, value in options.items() if key not in ("check", "trace", "progress", "workers")}
    ran = [tried for sets in found[:most] if (tried := _trial(arch, network, result, sets, options)) is not None]
    gained = [tried for tried in ran if gain(result, tried) >= WORTH]
    rest = [", ".join(f"{key}={said(value)}" for key, value in sets.items()) for sets in found[most:]]
    left_out = f"{', '.join(rest)}, since trials take at most {MOST_LAYERS:,} layers" if rest else ""
    return Advice(tuple(sorted(gained, key=lambda tried: -gain(result, tried))), len(ran), left_out)


def gain(result: NetworkResult, tried: Tried) -> float:
    """Return the share of the cycles per image that a remedy saves."""
    return 1 - tried.cycles * result.batch / (tried.batch * result.cycles)


def _dear(arch: Arch, result: NetworkResult) -> str:
    """Return why each trial would cost about as much as the run, or nothing."""
    for unit in arch.units:
        if why := registry.get(unit.engine).dear(unit.params):
            return why
    walked = sum(layer.fidelity != "closed" for layer in result.simulated)
    return f"{walked} of {len(result.simulated)} layers are walked, not computed in closed form" if walked else ""


def _remedies(arch: Arch, network: Network, result: NetworkResult) -> list[dict[str, Any]]:
    """Return what to set, by key path, most time addressed first.

    The time that layers wait which could join their producer is nobody's: it is mended otherwise.
    """
    layers = [layer for layer in result.simulated if layer.name not in result.joins]
    found: list[tuple[float, dict[str, Any]]] = []
    if not network.batch_doubt:
        found.append((1.0, {"batch": IMAGES * result.batch}))
    rate = arch.config["memory"]["dram"].get("gb_per_s")
    if isinstance(rate, int | float):
        found.append((_share(result, layers, ("memory",)), {"memory.dram.gb_per_s": 2 * rate}))
    for unit in arch.units:
        mine = [layer for layer in layers if layer.unit == unit.name]
        start = "params" if len(arch.units) == 1 and "params" in arch.config else f"units.{unit.name}.params"
        for remedy in registry.get(unit.engine).remedies(unit.params):
            sets = {f"{start}.{key}": value for key, value in remedy.sets.items()}
            found.append((_share(result, mine, remedy.causes), sets))
    return [sets for share, sets in sorted(found, key=lambda entry: -entry[0]) if share >= WORTH]


def _share(result: NetworkResult, layers: list[LayerResult], causes: Iterable[str]) -> float:
    """Return the share of the run's time that some layers lose to some causes."""
    lost = sum(layer.account.get(cause, 0) / layer.units for layer in layers if layer.units for cause in causes)
    return lost / result.cycles if result.cycles else 0.0


def _trial(
    arch: Arch, network: Network, result: NetworkResult, sets: dict[str, Any], options: dict[str, Any]
) -> Tried | None:
    options = dict(options)
    try:
        if "batch" in sets:
            options["batch"] = sets["batch"]
        else:
            arch = arch.replaced(list(sets.items()))
        found = simulate(arch, network, **options)
    except UserError:
        return None
    if [layer.name for layer in found.simulated] != [layer.name for layer in result.simulated]:
        return None
    return Tried(sets, found.batch, found.cycles, float(found.total_energy_pj))
