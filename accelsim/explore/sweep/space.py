"""From a sweep file to points: counted, constrained and identified before anything is simulated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from pydantic import ValidationError

from accelsim.config import packaged
from accelsim.config.arch import Arch, build, key_path, override
from accelsim.config.yamlfile import KeyPath, dotted
from accelsim.energy.tables import digest
from accelsim.errors import ConfigError, UserError
from accelsim.explore.sweep import conditions, identity
from accelsim.explore.sweep.schema import Axis, OptionsSpec, Sweep
from accelsim.simulation import load_arch, load_network
from accelsim.workload.network import Network

MAX_POINTS = 10_000_000
"""A larger grid is refused; sample it."""

OPTION = "options."
"""Beginning of the keys of axes that vary an option instead of the machine."""


DIM = f"{OPTION}dim."
"""Beginning of the keys of axes that vary the size of an open dimension."""

_NOT_VARIED = ("density", "precision", "dim")
"""Options that are the same for all points."""

MAX_VARIANTS = 1000
"""A network is loaded for each combination of sizes; more of them are refused."""

Dims: TypeAlias = tuple[tuple[str, int], ...]
"""Sizes of open dimensions, in order of name."""
Pairs: TypeAlias = tuple[tuple[str, Any], ...]


class Point(NamedTuple):
    """One simulation to be.

    ``group`` numbers the combinations of machine and machine axes: points of one group share their machine.
    ``reason`` says why the point cannot be run, None where nothing speaks against it yet.
    """

    position: int
    group: int
    machine: str
    network: str
    sets: tuple[tuple[str, Any], ...]
    options: tuple[tuple[str, Any], ...]
    key: str
    reason: str | None


@dataclass(frozen=True)
class Space:
    """All points of a sweep.

    Attributes
    ----------
    archs : dict
        Name -> loaded base machine.
    networks : dict
        Name -> network, of several sizes the one of the first combination.
    variants : dict
        Name, and sizes of its open dimensions in order of name -> network.
    axes : tuple of Axis
        Machine axes first, option axes last.
    steps : array, shape (combinations, axes), int64
        Which step of each axis a combination takes.
    """

    sweep: Sweep
    archs: dict[str, Arch]
    networks: dict[str, Network]
    variants: dict[tuple[str, Dims], Network]
    axes: tuple[Axis, ...]
    steps: np.ndarray
    _texts: dict[str, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.archs) * len(self.steps) * len(self.networks)

    @property
    def clocks(self) -> set[Any]:
        """The core clocks of all machines, in MHz as they are written."""
        for axis in self.axes:
            for k, key in enumerate(axis.keys):
                if key in ("clocks_mhz", "clocks_mhz.core"):
                    values = [step[k] for step in axis.steps]
                    return {str(v.get("core")) if isinstance(v, dict) else str(v) for v in values}
        return {str(float(arch.clocks_mhz["core"])) for arch in self.archs.values()}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that the axes vary, in the order of the file."""
        order = [axis.name for axis in self.sweep.axes]
        return tuple(k for a in sorted(self.axes, key=lambda a: order.index(a.name)) for k in a.keys)

    def at(self, steps: np.ndarray) -> Space:
        """Return the space of some combinations, given like ``steps``, which need not be among this one's."""
        other = Space(self.sweep, self.archs, self.networks, self.variants, self.axes, steps)
        vars(other)["_illegal"] = self._illegal
        return other

    def points(self) -> Iterator[Point]:
        """Yield the points: machine by machine, combination by combination, networks innermost."""
        digests = {variant: identity.network_digest(network) for variant, network in self.variants.items()}
        position, group = 0, -1
        for m, (machine, arch) in enumerate(self.archs.items()):
            last: Any = None
            texts = identity.MachineText(arch.config)
            reasons = self._reasons[m].tolist()
            for combination, row in zip(self.steps.tolist(), reasons, strict=True):
                sets, options = self._split(combination)
                if (shown := repr(sets)) != last:  # as text: 1, 1.0 and true are equal, but not the same
                    prices = digest(str(dict(sets).get("energy.table", arch.energy.table)))
                    group, last, text = group + 1, shown, texts.of(sets) + prices
                said, dims = self._said(options), self._options(options).dim
                if (next(iter(self.networks)), dims) not in self.variants:  # a size that is not allowed: not loaded
                    dims = next(iter(self.variants))[1]
                for network, reason in zip(self.networks, row, strict=True):
                    key = identity.point_key(text, digests[network, dims], said)
                    yield Point(position, group, machine, network, sets, options, key, reason)
                    position += 1

    def options_of(self, point: Point) -> OptionsSpec:
        """Return the options of a point."""
        return self._options(point.options)

    def _options(self, changed: Pairs) -> OptionsSpec:
        if not changed:
            return self.sweep.spec.options
        return with_options(self.sweep.spec.options, changed)

    def _said(self, changed: Pairs) -> str:
        """Return the options as text, with digests of the files that they name."""
        known = repr(changed)
        if known not in self._texts:
            self._texts[known] = identity.canonical({**self._options(changed).model_dump(), **self._file_digests})
        return self._texts[known]

    def _split(self, combination: list[int]) -> tuple[Pairs, Pairs]:
        """Return key and value of what a combination sets of the machine, and of the options."""
        steps = [pairs[step] for pairs, step in zip(self._pairs, combination, strict=True)]
        sets, options = zip(*steps, strict=True) if steps else ((), ())
        return tuple(chain.from_iterable(sets)), tuple(chain.from_iterable(options))

    @cached_property
    def _pairs(self) -> list[list[tuple[Pairs, Pairs]]]:
        """Axis -> step -> what it sets of the machine, and of the options."""
        found = []
        for axis in self.axes:
            steps = [tuple(zip(axis.keys, step, strict=True)) for step in axis.steps]
            found.append(
                [
                    (tuple(p for p in s if not p[0].startswith(OPTION)), tuple(p for p in s if p[0].startswith(OPTION)))
                    for s in steps
                ]
            )
        return found

    @cached_property
    def _file_digests(self) -> dict[str, str]:
        options = self.sweep.spec.options
        named = {"density": options.density, "precision": options.precision}
        return {key: identity.file_digest(self.sweep.folder / name) for key, name in named.items() if name is not None}

    @cached_property
    def _illegal(self) -> list[list[list[str | None]]]:
        """Machine, axis, step -> why a value is not allowed whatever the other axes say, or None."""
        found = [[_illegal_steps(self.sweep, arch, axis) for axis in self.axes] for arch in self.archs.values()]
        for arch in self.archs.values():
            _check_twice(self.sweep, arch, self.axes)
        return found

    @property
    def reasons(self) -> np.ndarray:
        """Shape (machines, combinations, networks): why a point is illegal, or None."""
        return self._reasons

    @cached_property
    def _reasons(self) -> np.ndarray:
        """Shape (machines, combinations, networks): why a point is illegal, or None."""
        found = np.full((len(self.archs), len(self.steps), len(self.networks)), None, dtype=object)
        for m, by_axis in enumerate(self._illegal):
            for a, by_step in enumerate(by_axis):
                for s, reason in enumerate(by_step):
                    if reason is not None:
                        found[m, self.steps[:, a] == s] = reason
        for i, text in enumerate(self.sweep.spec.constraints):
            self._constrain(found, i, text)
        return found

    def _constrain(self, found: np.ndarray, number: int, text: str) -> None:
        try:
            condition = conditions.parse(text)
            for m, machine in enumerate(self.archs):
                for n, network in enumerate(self.networks):
                    todo = np.array([reason is None for reason in found[m, :, n]])
                    if not todo.any():
                        continue
                    columns = {key: self._column(key, machine, network)[todo] for key in condition.keys}
                    kept = condition.holds(columns)
                    found[m, np.flatnonzero(todo)[~kept], n] = f"constraint: {text}"
        except ConfigError as error:
            raise self.sweep.document.error(("constraints", number), error.problem, error.remedy) from None

    def _column(self, key: str, machine: str, network: str) -> np.ndarray:
        """Return the values of a key over all combinations, of dtype object."""
        column = np.empty(len(self.steps), dtype=object)
        config = self.archs[machine].config
        path = key_path(config, key)
        for a, axis in enumerate(self.axes):
            for k, name in enumerate(axis.keys):
                set_here = key_path(config, name)
                if path[: len(set_here)] == set_here:
                    values = [_inside(step[k], dotted(path[len(set_here) :]), key) for step in axis.steps]
                    table = np.empty(len(values), dtype=object)
                    table[:] = values
                    column[:] = table[self.steps[:, a]]
                    return column
        base: dict[str, Any] = {"machine": machine, "network": network}
        options = self.sweep.spec.options.model_dump()
        column[:] = _inside({**config, **base, "options": options}, key, key)
        return column


def expand(sweep: Sweep, steps: np.ndarray | None = None) -> Space:
    """Load machines and networks of a sweep and lay out its points, or those of ``steps``; nothing is simulated.

    Raises
    ------
    UserError
        Machines, networks, axes or constraints that cannot be used. A value that its key does not allow is no error:
        its points become rows with the reason.
    """
    spec, document = sweep.spec, sweep.document
    _check_options(sweep)
    machine_axes = [axis for axis in sweep.axes if not all(k.startswith(OPTION) for k in axis.keys)]
    axes = (*machine_axes, *(axis for axis in sweep.axes if axis not in machine_axes))
    archs = {}
    for i, name in enumerate(spec.machines):
        if name in archs:
            raise document.error(("machines", i), f"'{name}' comes twice", "keep one")
        archs[name] = load_arch(_beside(sweep, name), tuple(spec.set.items()))
    sizes = _sizes(sweep, axes)
    networks: dict[str, Network] = {}
    variants: dict[tuple[str, Dims], Network] = {}
    for i, name in enumerate(spec.networks):
        if name in networks:
            raise document.error(("networks", i), f"'{name}' comes twice", "keep one")
        variants |= {(name, dims): load_network(_beside(sweep, name), dims=dict(dims)) for dims in sizes}
        networks[name] = variants[name, sizes[0]]
    for i, objective in enumerate(spec.objectives):
        if objective in spec.objectives[:i]:
            raise document.error(("objectives", i), f"'{objective}' comes twice", "keep one")
    for option in ("density", "precision"):
        named = getattr(spec.options, option)
        if named is not None and not (sweep.folder / named).is_file():
            raise document.error(("options", option), f"no such file: '{named}'", "paths start at the sweep file")
    chosen = _sampled(sweep, [len(axis.steps) for axis in axes]) if steps is None else steps
    space = Space(sweep, archs, networks, variants, axes, chosen)
    if len(space) > MAX_POINTS:
        raise document.error(("axes",), f"{len(space):,} points", f"use at most {MAX_POINTS:,}, or 'sampling:'")
    _ = space._reasons
    return space


def with_options(options: OptionsSpec, changed: Pairs) -> OptionsSpec:
    """Return options with those of ``changed`` in place, ``options.dim.<name>`` among them."""
    sizes = tuple((key.removeprefix(DIM), value) for key, value in changed if key.startswith(DIM))
    update = {key.removeprefix(OPTION): value for key, value in changed if not key.startswith(DIM)}
    if sizes:
        update["dim"] = tuple(sorted({**dict(options.dim), **dict(sizes)}.items()))
    return options.model_copy(update=update)


def _check_options(sweep: Sweep) -> None:
    """Raise if an axis varies an option that there is not, before networks are loaded with it."""
    for axis in sweep.axes:
        for key in axis.keys:
            name = key.removeprefix(OPTION)
            known = [f for f in OptionsSpec.model_fields if f not in _NOT_VARIED]
            if key.startswith(OPTION) and name not in known and (not key.startswith(DIM) or key == DIM):
                remedy = f"known: {', '.join((*known, 'dim.<name>'))}"
                raise sweep.document.error(("axes", axis.name), f"no option '{name}' to vary", remedy)


def _sizes(sweep: Sweep, axes: Sequence[Axis]) -> list[Dims]:
    """Return the sizes of open dimensions that points have, those of illegal values left out."""
    choices: list[list[Pairs]] = []
    for axis in axes:
        named = [(k, key) for k, key in enumerate(axis.keys) if key.startswith(DIM)]
        if named:
            steps = [tuple((key, step[k]) for k, key in named) for step in axis.steps]
            legal = [step for step in steps if all(_illegal_size(key, value) is None for key, value in step)]
            choices.append(list(dict.fromkeys(legal)))
    many = prod(map(len, choices))
    if many > MAX_VARIANTS:
        raise sweep.document.error(("axes",), f"{many:,} combinations of sizes", f"use at most {MAX_VARIANTS:,}")
    found = [with_options(sweep.spec.options, tuple(chain.from_iterable(picked))).dim for picked in product(*choices)]
    return list(dict.fromkeys(found)) or [sweep.spec.options.dim]


def _illegal_size(key: str, value: Any) -> str | None:
    try:
        OptionsSpec.model_validate({"dim": {key.removeprefix(DIM): value}})
    except ValidationError as error:
        return f"{key}: {value}: {error.errors()[0]['msg']}"
    return None


def resolve(arch: Arch, sets: tuple[tuple[str, Any], ...]) -> Arch:
    """Return a machine with keys set; messages call the axes ``sweep``."""
    return build(override(arch.document, sets, "sweep"), arch.find_params) if sets else arch


def _beside(sweep: Sweep, name: str) -> str:
    is_file = packaged.is_path(name) and not name.startswith("onnx:")
    return str(sweep.folder / name) if is_file and not Path(name).is_absolute() else name


def _sampled(sweep: Sweep, sizes: list[int]) -> np.ndarray:
    """Return the steps of every combination, shape (combinations, axes), in ascending order of the grid."""
    sampling, total = sweep.spec.sampling, prod(sizes)
    wanted = sampling.points
    if sampling.method == "grid" or wanted is None or wanted >= total:
        if total > MAX_POINTS:
            problem, remedy = f"the grid has {total:,} combinations", f"use at most {MAX_POINTS:,}, or 'sampling:'"
            raise sweep.document.error(("axes",), problem, remedy)
        chosen: Any = range(total)
    elif sampling.method == "random":
        chosen = sorted(random.Random(sampling.seed).sample(range(total), wanted))
    else:
        return _hypercube(sizes, wanted, random.Random(sampling.seed))
    steps = np.empty((len(chosen), len(sizes)), dtype=np.int64)
    rest = np.array(chosen, dtype=object if total > 2**62 else np.int64)
    for a in range(len(sizes) - 1, -1, -1):
        steps[:, a] = rest % sizes[a]
        rest = rest // sizes[a]
    return steps


def _hypercube(sizes: list[int], wanted: int, rng: random.Random) -> np.ndarray:
    """Return a Latin hypercube: along every axis, each of ``wanted`` equal slices holds one point.

    On axes with fewer values than points every value comes equally often, give or take one. Combinations that come
    twice are kept once, so short axes may give fewer than ``wanted``.
    """
    columns = []
    for size in sizes:
        slices = list(range(wanted))
        rng.shuffle(slices)
        columns.append([min(size - 1, int((s + rng.random()) * size / wanted)) for s in slices])
    rows = sorted(set(zip(*columns, strict=True)))
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(sizes))


def _illegal_steps(sweep: Sweep, arch: Arch, axis: Axis) -> list[str | None]:
    """Return for each step why one of its values is not allowed whatever the other axes say, or None.

    Raises
    ------
    ConfigError
        A key that the machine does not have.
    """
    reasons: list[str | None] = []
    for step in axis.steps:
        reason = None
        for key, value in zip(axis.keys, step, strict=True):
            reason = reason or _illegal(sweep, arch, axis, key, value)
        reasons.append(reason)
    return reasons


def _illegal(sweep: Sweep, arch: Arch, axis: Axis, key: str, value: Any) -> str | None:
    if key.startswith(OPTION):
        return _illegal_option(key, value)
    try:
        resolve(arch, ((key, value),))
    except UserError as error:
        wrong = ("unknown key", "no such entry", "is a value, not a mapping")
        if error.problem.endswith(wrong) or error.file == "--set":
            remedy = f"{error.remedy} (machine '{arch.name}')"
            raise sweep.document.error(("axes", axis.name), f"{key}: {error.problem}", remedy) from None
        # an error elsewhere may be mended by another axis: the point itself decides
        return str(error) if error.key == dotted(key_path(arch.config, key)) else None
    return None


def _check_twice(sweep: Sweep, arch: Arch, axes: Sequence[Axis]) -> None:
    """Raise if two axes set one value of a machine, or one a part of the other: a unit has a number and a name."""
    taken: dict[KeyPath, str] = {}
    for axis in axes:
        for key in axis.keys:
            path = key_path(arch.config, key)
            for other, name in taken.items():
                if path[: len(other)] == other[: len(path)]:
                    problem = f"'{key}' sets what '{name}' sets too (machine '{arch.name}')"
                    raise sweep.document.error(("axes", axis.name), problem, "keep one")
            taken[path] = key


def _illegal_option(key: str, value: Any) -> str | None:
    if key.startswith(DIM):
        return _illegal_size(key, value)
    try:
        OptionsSpec.model_validate({key.removeprefix(OPTION): value})
    except ValidationError as error:
        return f"{key}: {value}: {error.errors()[0]['msg']}"
    return None


def _inside(data: Any, path: str, key: str) -> Any:
    """Return what stands at a dotted path."""
    for part in key_path(data, path) if path else ():
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError, ValueError):
            known = ", ".join(map(str, data)) if isinstance(data, dict) else "none"
            raise ConfigError(f"no key '{key}'", f"known here: {known}") from None
    if isinstance(data, dict | list):
        raise ConfigError(f"'{key}' is not a single value", "name a key below it")
    return data
