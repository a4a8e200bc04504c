"""A chain of matrix-vector units at work on many images, and the folding of a machine within a number of multipliers.

Cycles are those of the machine's layers as they run alone; the search is that of `accelsim.replicas.finn`. What happens
in which cycle stands in docs/decisions/0105-matrix-vector-units.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from accelsim.config.arch import Arch, Unit
from accelsim.engines import registry
from accelsim.errors import ConfigError, ModelError, WorkloadError
from accelsim.replicas import finn
from accelsim.simulation import simulate
from accelsim.units import KIB_BITS, ceil_div
from accelsim.whole.engine import pooling, windows
from accelsim.workload.layers import LayerView
from accelsim.workload.network import Network
from accelsim.workload.shapes import Conv2d

ENGINE = "mvtu"
MOST_IMAGES = 1000
"""Times of a stage only grow from image to image, and not beyond its interval: a chain settles after a few."""


class Stage(NamedTuple):
    """A layer on its unit: its windows, what an image takes, and the bits of an input pixel over all channels."""

    name: str
    conv: Conv2d
    cycles: int
    pixel_bits: int
    multipliers: int = 0
    pe: int = 0
    simd: int = 0


class Chain(NamedTuple):
    """Images that follow each other through all stages.

    Attributes
    ----------
    interval : int
        Cycles from one image to the next: the longest stage.
    latency, settled : int
        Cycles from the start of an image to its last output: of the first image, and of all that come later.
    buffer_bits : tuple of int
        Most bits that wait in front of each stage, its own lines included; of the first one none are counted.
    """

    stages: tuple[Stage, ...]
    interval: int
    latency: int
    settled: int
    buffer_bits: tuple[int, ...]

    @property
    def one_by_one(self) -> int:
        """Cycles of an image where nothing overlaps."""
        return sum(stage.cycles for stage in self.stages)

    @property
    def multipliers(self) -> int:
        """Products a cycle, of all units."""
        return sum(stage.multipliers for stage in self.stages)


def views_of(network: Network) -> tuple[LayerView, ...]:
    """Return the layers of a network that is a chain of one image.

    Raises
    ------
    WorkloadError
        A table of layers, a layer that does not read the one before it alone, more than one image.
    """
    views = tuple(network.view(layer) for layer in network.layers)
    if network.isolated:
        raise WorkloadError(f"network '{network.name}': its layers are a table", "give one whose layers are connected")
    for before, after in pairwise(views):
        if [tensor.name for tensor in after.inputs] != [before.output.name]:
            raise WorkloadError(f"layer '{after.name}' does not read '{before.name}' alone", "give a chain of layers")
    for view in views:
        if not (pooling(view) or view.macs) or windows(view).n != 1:
            raise WorkloadError(
                f"layer '{view.name}': a chain has products and pooling of one image", "give such layers"
            )
    return views


def chain_of(arch: Arch, network: Network) -> Chain:
    """Return what a machine with a unit for each layer does with images that follow each other.

    Raises
    ------
    UserError
        A network that is no chain, a layer that cannot run, two layers on one unit.
    """
    views, units = views_of(network), units_of(arch, network)
    shared = [name for name in units if sum(unit == units[name] for unit in units.values()) > 1]
    if shared:
        problem = f"machine '{arch.name}': layer '{shared[0]}' shares unit '{units[shared[0]].name}' with another"
        raise ConfigError(problem, "give each layer a unit of its own, or --multipliers")
    for view in views:
        if (reason := registry.get(ENGINE).refuses(view, units[view.name].params)) is not None:
            raise WorkloadError(f"layer '{view.name}': {reason}")
    ran = {layer.name: layer for layer in simulate(arch, network, unsupported="error", schedule="isolated").layers}
    stages = []
    for view in views:
        conv, params = windows(view), units[view.name].params
        folded = {key: getattr(params, key) for key in ("pe", "simd")}
        found = 0 if pooling(view) else folded["pe"] * folded["simd"]
        stages.append(Stage(view.name, conv, ran[view.name].compute_cycles, conv.c * view.input.width, found, **folded))
    return follow(stages)


def units_of(arch: Arch, network: Network) -> dict[str, Unit]:
    """Return layer -> the unit that takes it, a matrix-vector unit."""
    found = {}
    for layer in network.layers:
        takers = [unit for unit in arch.units if unit.takes(layer.name, layer.kind)]
        if not takers or takers[0].engine != ENGINE or getattr(takers[0].params, "order", "") != "matrix":
            problem = f"machine '{arch.name}' has no unit that folds layer '{layer.name}'"
            raise ConfigError(problem, f"give it one with engine: {ENGINE} and order: matrix, such as 'mvtu'")
        found[layer.name] = takers[0]
    return found


def folded(arch: Arch, network: Network, multipliers: int, base: str) -> dict[str, Any]:
    """Return the machine file with the least interval that so many multipliers allow, a unit for each layer.

    Units have the parameters of those that take the layers now, and memories for what the layers keep there.

    Parameters
    ----------
    base : str
        Name or path of the machine, on which the file stands.
    """
    views, units = views_of(network), units_of(arch, network)
    products = [view for view in views if not pooling(view)]
    best = {unit.layer: unit for unit in finn.best([_unit(view) for view in products], multipliers)}
    listed = []
    for view in views:
        params = units[view.name].params.model_dump()
        for key, tensors in (("input_kib", view.inputs), ("weight_kib", view.weights), ("output_kib", view.outputs)):
            params[key] = max(1, ceil_div(sum(tensor.elements * tensor.width for tensor in tensors), KIB_BITS))
        if view.name in best:
            params |= {"pe": best[view.name].pe, "simd": best[view.name].simd}
        listed.append({"name": view.name, "engine": ENGINE, "layers": [view.name], "params": params})
    description = f"{network.name} folded for {multipliers:,} multipliers by accelsim search folding"
    return {"name": f"{arch.name}_{multipliers}", "description": description, "base": base, "units": listed}


def follow(stages: Sequence[Stage]) -> Chain:
    """Send images through stages, one each interval, until they go through alike and all that overlap are there."""
    interval = max(stage.cycles for stage in stages)
    for before, after in pairwise(stages):
        made, read = before.conv.e * before.conv.f, after.conv.h * after.conv.w
        if made != read and read != 1:
            raise WorkloadError(f"layer '{after.name}' reads {read:,} pixels of {made:,}", "give a chain of layers")
    free = [0] * len(stages)
    ends: list[list[np.ndarray]] = []
    while len(ends) < MOST_IMAGES:
        start, images = interval * len(ends), len(ends)
        ends.append([])
        made_at = np.array([start])
        for i, stage in enumerate(stages):
            ready = made_at[_last(stage.conv, made_at.size)]
            ready[0] = max(ready[0], free[i])
            cost = stage.cycles // ready.size
            order = np.arange(ready.size)
            made_at = np.maximum.accumulate(ready - order * cost) + (order + 1) * cost
            free[i] = int(made_at[-1])
            ends[-1].append(made_at)
        alike = images and all(np.array_equal(a + interval, b) for a, b in zip(ends[-2], ends[-1], strict=True))
        if alike and images * interval > free[-1] - start:
            break
    else:
        raise ModelError(f"images have not settled after {MOST_IMAGES}")
    settled = free[-1] - interval * (len(ends) - 1)
    held = (0, *(_held(ends, i, stages[i]) for i in range(1, len(stages))))
    return Chain(tuple(stages), interval, int(ends[0][-1][-1]), settled, held)


def _last(conv: Conv2d, made: int) -> np.ndarray:
    """Return of each output pixel the last input pixel of its window, of so many in raster order."""
    if made != conv.h * conv.w:  # an image that is there as a whole, or a layer that reads all of it
        return np.full(conv.e * conv.f, made - 1)
    axes = (conv.e, conv.h, conv.r, 0), (conv.f, conv.w, conv.s, 1)
    rows, cols = (
        np.clip(np.arange(out) * conv.stride[i] + (taps - 1) * conv.dilation[i] - conv.pad[i], 0, size - 1)
        for out, size, taps, i in axes
    )
    return (rows[:, None] * conv.w + cols).reshape(-1)


def _held(ends: Sequence[Sequence[np.ndarray]], at: int, stage: Stage) -> int:
    """Return the most bits that are made in front of a stage and not yet used for the last time."""
    conv, whole = stage.conv, ends[0][at - 1].size != stage.conv.h * stage.conv.w
    rows = np.minimum((np.arange(conv.h) + conv.pad[0]) // conv.stride[0], conv.e - 1)
    cols = np.minimum((np.arange(conv.w) + conv.pad[1]) // conv.stride[1], conv.f - 1)
    user = (rows[:, None] * conv.f + cols).reshape(-1)
    born = np.concatenate([image[at - 1] for image in ends])
    used = [image[at][[-1] * image[at - 1].size if whole else user] for image in ends]
    gone = np.maximum(np.concatenate(used), born)  # a stride may skip what has come
    times = np.concatenate([gone, born])
    change = np.repeat([-1, 1], born.size)
    most = int(np.cumsum(change[np.lexsort((change, times))]).max())
    return most * (stage.pixel_bits // ends[0][at - 1].size if whole else stage.pixel_bits)


def _unit(view: LayerView) -> finn.Unit:
    conv = windows(view)
    columns = conv.c // conv.groups * conv.r * conv.s
    return finn.Unit(view.name, conv.e * conv.f * conv.groups, conv.k // conv.groups, columns, 1, 1)
