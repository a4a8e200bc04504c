"""What widths a network's tensors may take, what each choice costs on a machine, and the noise that it adds.

A *knob* is one width for one tensor, or for several that are to share it. The inputs and filters of every layer that
multiplies and that the machine runs are knobs; an activation that only memory-bound layers read follows the tensors
that they make of it. Layers run one after another, so costs add up over layers: each layer is simulated once for each
combination of the widths that it sees, and layers that are alike share their simulations.

Noise is that of the network's output as far as quantisation explains it: relative errors of all inputs and filters,
taken to be independent, add up (D. Lin, S. Talathi, V. S. Annapureddy, "Fixed Point Quantization of Deep
Convolutional Networks", ICML 2016; recalled). It is a proxy: no accuracy, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accelsim import simulation
from accelsim.config.arch import Arch
from accelsim.errors import ConfigError, MappingError, WorkloadError
from accelsim.layer import Options, simulate_layer
from accelsim.operands.quantizers import noise_ratio
from accelsim.passes.precision import Type
from accelsim.passes.quantize import FIXED_BITS, Settings, operands_of, quantize_tensor, real_numbers
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, is_view
from accelsim.workload.shapes import PRODUCTS

MOST_ELEMENTS = 1 << 22
"""The noise of a larger tensor is measured on so many evenly spaced elements."""

Choices = NDArray[np.int64]
"""Index of a width per knob: shape (points, knobs)."""


class Costs(NamedTuple):
    """Costs of several choices; infinite where the machine cannot run one. ``noise`` is relative to the signal."""

    cycles: NDArray[np.float64]
    energy_pj: NDArray[np.float64]
    size_bits: NDArray[np.float64]
    noise: NDArray[np.float64]


QUANTITIES = ("cycles", "energy_pj", "size_bits")
"""Costs that can be limited; the size is that of the filters."""

Budgets: TypeAlias = Mapping[str, float]
"""Quantity -> most that it may be."""


@dataclass(frozen=True)
class Knob:
    """One width for ``tensors``; per width of the space, the noise it adds and the bits of its filters."""

    name: str
    tensors: tuple[str, ...]
    noise: NDArray[np.float64] = field(repr=False)
    size_bits: NDArray[np.int64] = field(repr=False)


@dataclass
class _Work:
    """A layer, the knobs that decide its tensors' widths, and what it costs per combination of them."""

    layer: Layer
    alone: Network
    knobs: tuple[int, ...]
    table: NDArray[np.float64]


class PrecisionSpace:
    """All assignments of ``widths`` to the knobs of a network on a machine.

    Parameters
    ----------
    arch : Arch
    network : Network
    widths : sequence of int
        Widths to choose from, ascending.
    settings : Settings, optional
        How numbers are quantised; its widths are not looked at.
    given : mapping, optional
        Tensor name -> array, in place of the network's own values, as `accelsim.passes.quantize.quantize_network`
        takes them. Machines whose time depends on data see these numbers, quantised.
    together : bool
        Whether the input and the filters of a layer share one width.
    """

    def __init__(
        self, arch: Arch, network: Network, widths: Sequence[int], settings: Settings | None = None,
        given: Mapping[str, NDArray[np.generic]] | None = None, together: bool = False,
    ) -> None:  # fmt: skip
        self.arch, self.widths = arch, tuple(sorted(set(widths)))
        self.network = simulation.prepare(arch, network, None, None, None)
        self.settings, self._given = settings or Settings(), dict(given or {})
        self._known: dict[Any, tuple[float, float]] = {}
        self._codes: dict[tuple[str, int], NDArray[Any]] = {}
        self._types: dict[tuple[str, int], Type] = {}
        self.simulated = 0
        work = [layer for layer in self.network.layers if not is_view(layer)]
        self.scope = tuple(layer for layer in work if layer.kind in PRODUCTS and self._runs(layer))
        if not self.scope:
            raise WorkloadError(
                f"no layer of '{network.name}' that multiplies runs on '{arch.name}' at {_list(self.widths)} bits",
                "choose another machine or other widths",
            )
        self.knobs = self._make_knobs(together)
        self.bound = self._bound()
        made = [self._make_work(layer) for layer in work if self._unit(layer) is not None]
        self._work = [each for each in made if each.layer.kind in PRODUCTS or self._fits(each)]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Layers that the machine does not run."""
        ran = {work.layer.name for work in self._work}
        return tuple(layer.name for layer in self.network.layers if not is_view(layer) and layer.name not in ran)

    def costs(self, choices: Choices) -> Costs:
        """Return what choices cost; layers that have not yet been seen at their widths are simulated."""
        choices = np.atleast_2d(np.asarray(choices, dtype=np.int64))
        sums = np.zeros((len(choices), 2))
        for work in self._work:
            columns = choices[:, work.knobs]
            unseen = np.broadcast_to(np.isnan(work.table[(*columns.T, 0)]), len(choices))
            for missing in set(map(tuple, columns[unseen].tolist())) if unseen.any() else ():
                work.table[missing] = self._simulate(work, missing)
            sums += work.table[tuple(columns.T)]
        picked = [(knob, choices[:, i]) for i, knob in enumerate(self.knobs)]
        noise = np.sum([knob.noise[at] for knob, at in picked], axis=0)
        size = np.sum([knob.size_bits[at] for knob, at in picked], axis=0)
        return Costs(sums[:, 0], sums[:, 1], size.astype(np.float64), noise)

    def tables(self, most: int) -> list[tuple[tuple[int, ...], NDArray[np.float64]]]:
        """Return per layer its knobs, and (cycles, pJ) of every combination of their widths, all simulated.

        Raises
        ------
        ConfigError
            More than ``most`` combinations in all.
        """
        count = sum(work.table[..., 0].size for work in self._work)
        if count > most:
            raise ConfigError(
                f"{count:,} combinations of widths are too many to simulate all", "give fewer widths, or another method"
            )
        for work in self._work:
            for missing in np.argwhere(np.isnan(work.table[..., 0])).tolist():
                work.table[tuple(missing)] = self._simulate(work, tuple(missing))
        return [(work.knobs, work.table) for work in self._work]

    def start(self) -> Choices:
        """Return the widest width that the machine runs in all knobs at once.

        Raises
        ------
        ConfigError
            There is none.
        """
        for index in reversed(range(len(self.widths))):
            choice = np.full(len(self.knobs), index, dtype=np.int64)
            if np.isfinite(self.costs(choice).cycles[0]):
                return choice
        names = f"'{self.arch.name}' runs '{self.network.name}' at none of {_list(self.widths)} bits"
        raise ConfigError(names, "give other widths")

    def widest(self, quantity: str) -> float:
        """Return what the widest widths cost."""
        return float(getattr(self.costs(self.start()), quantity)[0])

    def tensor_noise(self, choice: Sequence[int]) -> dict[str, float]:
        """Return the noise of each quantised tensor, once for a layer that reads it."""
        owner = {name: i for i, knob in enumerate(self.knobs) for name in knob.tensors}
        return {name: float(noise[choice[owner[name]]]) for name, noise in self._once.items()}

    def types(self, choice: Sequence[int]) -> dict[str, Type]:
        """Return the type of every tensor that a choice decides."""
        found = {}
        for name, knobs in self.bound.items():
            bits = max(self.widths[choice[i]] for i in knobs)
            found[name] = self._types.get((name, bits), Type(bits, self.network.tensors[name].signed))
        return found

    def _unit(self, layer: Layer) -> Any:
        return simulation.task_for(self.arch, self.network, layer, None, {}, "skip").unit

    def _runs(self, layer: Layer) -> bool:
        """Whether the machine runs the layer at some width."""
        names = (*layer.inputs[:2], *layer.weights[:1])
        for bits in self.widths:
            changed = {name: replace(self.network.tensors[name], bits=bits) for name in names}
            alone = _alone(self.network, layer).with_tensors(changed)
            if simulation.task_for(self.arch, alone, layer, None, {}, "skip").unit is not None:
                return True
        return False

    def _make_knobs(self, together: bool) -> tuple[Knob, ...]:
        groups: dict[str, list[str]] = {}
        for layer in self.scope:
            names = [tensor.name for tensor in _operands(self.network, layer)]
            merged: list[str] = []
            if together:
                for group in {id(groups[name]): groups[name] for name in names if name in groups}.values():
                    merged += group
            for name in names:
                mine = merged if together else groups.setdefault(name, [])
                if name not in mine:
                    mine.append(name)
            for name in merged:
                groups[name] = merged
        distinct = list({id(group): group for group in groups.values()}.values())
        noise = self._noise()
        knobs = []
        for group in distinct:
            stored = sum(t.elements for t in map(self.network.tensors.__getitem__, group) if t.weight)
            added = np.sum([noise[name] for name in group], axis=0)
            knobs.append(Knob("+".join(group), tuple(group), added, stored * np.array(self.widths, dtype=np.int64)))
        return tuple(knobs)

    def _noise(self) -> dict[str, NDArray[np.float64]]:
        """Return per operand and width the noise, once for each layer in scope that reads it."""
        found: dict[str, NDArray[np.float64]] = {}
        for layer in self.scope:
            for role, operand in operands_of(self.network.view(layer), self.settings.seed):
                tensor = operand.tensor
                if tensor.name not in found:
                    reals, origin = real_numbers(self.network, operand, self._given)
                    reals = reals.reshape(tensor.shape)
                    scheme = self.settings.weights if role == "weight" else self.settings.inputs
                    found[tensor.name] = np.zeros(len(self.widths))
                    self._per_width(tensor, reals, scheme, origin != "seeded", found[tensor.name])
        readers: dict[str, int] = {}
        for layer in self.scope:
            for tensor in _operands(self.network, layer):
                readers[tensor.name] = readers.get(tensor.name, 0) + 1
        self._once = found
        return {name: noise * readers[name] for name, noise in found.items()}

    def _per_width(
        self, tensor: Tensor, reals: NDArray[np.float64], scheme: Any, keep: bool, noise: NDArray[np.float64]
    ) -> None:
        """Fill in the noise of a tensor at each width, its types and, if its numbers are real, its codes."""
        if scheme in FIXED_BITS:
            raise WorkloadError(f"a {scheme} scheme has one width", "search with symmetric or asymmetric")
        sample = reals
        if reals.size > MOST_ELEMENTS:
            sample = reals.reshape(reals.shape[0], -1)[:, :: -(-reals.size // MOST_ELEMENTS)]
        for i, bits in enumerate(self.widths):
            done = quantize_tensor(tensor, sample, bits, scheme, self.settings)
            noise[i] = noise_ratio(sample, done.values)
            self._types[tensor.name, bits] = Type(bits, done.signed)
            if keep:
                whole = done if sample is reals else quantize_tensor(tensor, reals, bits, scheme, self.settings)
                small = np.min_scalar_type(-(1 << (bits - whole.signed)))
                self._codes[tensor.name, bits] = whole.codes.astype(small)

    def _bound(self) -> dict[str, tuple[int, ...]]:
        """Return tensor -> knobs: its width is the largest of theirs."""
        owner: dict[str, tuple[int, ...]] = {name: (i,) for i, knob in enumerate(self.knobs) for name in knob.tensors}
        found = dict(owner)
        for layer in reversed(self.network.layers):
            if layer.kind in PRODUCTS:
                continue
            made = {knob for name in layer.outputs for knob in found.get(name, ())}
            for name in layer.inputs if made else ():
                if name not in owner:
                    found[name] = tuple(sorted(made.union(found.get(name, ()))))
        return found

    def _make_work(self, layer: Layer) -> _Work:
        names = (*layer.inputs, *layer.weights, *layer.outputs)
        knobs = tuple(sorted({knob for name in names for knob in self.bound.get(name, ())}))
        table = np.full((*(len(self.widths),) * len(knobs), 2), np.nan)
        return _Work(layer, _alone(self.network, layer), knobs, table)

    def _fits(self, work: _Work) -> bool:
        """Whether a layer fits its unit at the narrowest widths; one that does not is left out."""
        return self._simulate(work, (0,) * len(work.knobs))[0] < inf

    def _simulate(self, work: _Work, at: tuple[int, ...]) -> tuple[float, float]:
        """Return cycles and energy of a layer with its knobs at some widths."""
        width = dict(zip(work.knobs, (self.widths[i] for i in at), strict=True))
        changed, given = {}, {}
        for name, tensor in work.alone.tensors.items():
            knobs = self.bound.get(name, ())
            if not knobs:
                continue
            bits = max(width[knob] for knob in knobs)
            kind = self._types.get((name, bits), Type(bits, tensor.signed))
            changed[name] = replace(tensor, bits=kind.bits, signed=kind.signed)
            if (name, bits) in self._codes:
                given[name] = self._codes[name, bits]
        alone = work.alone.with_tensors(changed)
        task = simulation.task_for(self.arch, alone, work.layer, None, given, "skip")
        likeness = simulation.likeness(task)
        if likeness is not None and likeness in self._known:
            return self._known[likeness]
        if task.unit is None:
            cost = (inf, inf)
        else:
            try:
                result = simulate_layer(self.arch, task, Options(self.settings.seed, unsupported="error"))
                self.simulated += 1
                cost = (float(result.cycles), float(result.total_energy_pj))
            except MappingError:
                cost = (inf, inf)
        if likeness is not None:
            self._known[likeness] = cost
        return cost


def _operands(network: Network, layer: Layer) -> tuple[Tensor, Tensor]:
    view = network.view(layer)
    return view.input, view.weight


def _alone(network: Network, layer: Layer) -> Network:
    """Return a network of one layer."""
    names = (*layer.inputs, *layer.weights, *layer.outputs)
    tensors = {name: network.tensors[name] for name in names}
    return Network(network.name, (layer,), tensors, batch=network.batch)


def _list(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))
