"""Machines side by side: every pair of machine and network simulated, and compared over the layers that all ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from accelsim import basis
from accelsim.basis import Incomplete
from accelsim.config.arch import Arch
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.results import NetworkResult
from accelsim.simulation import NOT_SELECTED, OnProgress, load_arch, load_network, simulate
from accelsim.text import nearest
from accelsim.workload.network import Network
from accelsim.workload.sizes import Sizes

Sets = Sequence[tuple[str, Any]]

COLUMNS = (
    "network", "arch", "batch", "layers", "layers_in_all", "layers_run", "partial", "ranks", "reason",
    "coverage_macs", "macs", "cycles", "clock_mhz", "time_s", "speed_up", "total_energy_pj", "energy_gain", "edp_pj_s",
    "edp_gain", "dram_bits", "occupancy", "tops", "tops_per_w", "area_mm2", "area_missing", "energy_table",
)  # fmt: skip
"""Keys of a flat row; gains are the base's figure over this machine's, so more is better."""

GAINS = {"speed_up": "time_s", "energy_gain": "total_energy_pj", "edp_gain": "edp_pj_s"}
"""Gain -> the figure that it is of."""


class Flip(NamedTuple):
    """Two machines on a network that some energy tables put in one order and others in the other."""

    network: str
    figure: str
    first: str
    second: str
    first_by: tuple[str, ...]
    """Tables by which the first one is better."""
    second_by: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonRow:
    """A machine on a network.

    Attributes
    ----------
    network, arch : str
        What they are called here: their names, or what was typed where two share one.
    whole : NetworkResult or None
        All that was simulated.
    over : NetworkResult or None
        The layers that figures are taken over; None where nothing ran.
    reason : str or None
        Why nothing ran.
    ranks : bool
        Whether it may be best, have gains, and count in means over networks.
    shared : (int, int), optional
        Over how many of the network's layers the rows that rank are, an attention counted as one where any machine has
        it as one; None: each over its own.
    """

    network: str
    arch: str
    whole: NetworkResult | None = field(default=None, repr=False)
    over: NetworkResult | None = field(default=None, repr=False)
    reason: str | None = None
    ranks: bool = False
    shared: tuple[int, int] | None = None

    @property
    def partial(self) -> bool:
        """Whether the figures leave out layers that the network needs."""
        return self.over is None or self.whole is None or len(self.over.layers) < len(self.whole.layers)

    def figure(self, name: str) -> float | None:
        """Return ``time_s``, ``total_energy_pj`` or ``edp_pj_s`` of a row that ranks, else None."""
        return float(getattr(self.over, name)) if self.over is not None and self.ranks else None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Rows of machines by networks, in the order in which they were named.

    Attributes
    ----------
    base : str
        The machine whose gains are 1.
    dropped : tuple of ComparisonRow
        What ``incomplete="drop"`` leaves out.
    flips : tuple of Flip
        Pairs whose order depends on the energy table, where all were asked for; see `accelsim.breadth`.
    """

    rows: tuple[ComparisonRow, ...]
    base: str
    incomplete: Incomplete = "common"
    dropped: tuple[ComparisonRow, ...] = ()
    flips: tuple[Flip, ...] = ()

    def __repr__(self) -> str:
        """Return who is compared on what in a line; `to_rows` has the figures."""
        return f"<{type(self).__name__} of {', '.join(self.archs)} on {', '.join(self.by_network)}; base {self.base}>"

    @cached_property
    def by_network(self) -> dict[str, tuple[ComparisonRow, ...]]:
        """Network -> its rows."""
        groups: dict[str, list[ComparisonRow]] = {}
        for row in self.rows:
            groups.setdefault(row.network, []).append(row)
        return {name: tuple(rows) for name, rows in groups.items()}

    @property
    def archs(self) -> tuple[str, ...]:
        """The machines, in order."""
        return tuple(dict.fromkeys(row.arch for row in self.rows))

    def gain(self, row: ComparisonRow, gain: str) -> float | None:
        """Return the base's figure over this machine's (more is better); None unless both rank on the network."""
        base = next((r for r in self.by_network[row.network] if r.arch == self.base), None)
        theirs, ours = base.figure(GAINS[gain]) if base else None, row.figure(GAINS[gain])
        return theirs / ours if theirs is not None and ours else None

    @cached_property
    def ranked(self) -> tuple[str, ...]:
        """Networks on which any machine ranks."""
        return tuple(name for name, rows in self.by_network.items() if any(row.ranks for row in rows))

    @cached_property
    def means(self) -> dict[str, dict[str, float]]:
        """Gain -> machine -> its geometric mean over the networks; empty with fewer than two of them.

        Only machines that rank on every network have one, and none where the base does not.
        """
        if len(self.ranked) < 2:
            return {}
        found = {}
        for gain, figure in GAINS.items():
            figures = {
                arch: {row.network: row.figure(figure) for row in self.rows if row.arch == arch} for arch in self.archs
            }
            means = basis.over_networks(figures, self.ranked, self.base)
            found[gain] = {arch: 1 / means[arch] for arch in self.archs if arch in means}
        return found if any(found.values()) else {}

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dict per row, with the keys `COLUMNS`: for csv, pandas or polars."""
        return [self.flat(row) for row in self.rows]

    def flat(self, row: ComparisonRow) -> dict[str, Any]:
        """Return a row as a flat dict; figures that it has not are None."""
        found: dict[str, Any] = dict.fromkeys(COLUMNS)
        found |= {"network": row.network, "arch": row.arch, "partial": row.partial, "ranks": row.ranks}
        found["reason"] = row.reason
        if (whole := row.whole) is not None:
            found |= {"batch": whole.batch, "layers_in_all": len(whole.layers), "layers_run": len(whole.simulated)}
            found |= {"layers": 0, "coverage_macs": whole.coverage["macs"], "clock_mhz": whole.clock_mhz}
            area = whole.area_mm2
            found |= {"area_mm2": sum(area.values()) if area else None, "area_missing": ", ".join(whole.area_missing)}
            found["energy_table"] = whole.options["energy_table"]
        if (over := row.over) is not None:
            counted, pj = 2 * over.counted_macs, over.total_energy_pj
            found |= {
                "layers": len(over.layers),
                "macs": over.macs,
                "cycles": over.cycles,
                "time_s": over.time_s,
                "total_energy_pj": pj,
                "edp_pj_s": over.edp_pj_s,
                "dram_bits": over.dram_bits,
                "occupancy": over.occupancy,
                "tops": counted / over.time_s / 1e12 if over.cycles else 0.0,
                "tops_per_w": counted / pj if pj else 0.0,
            }
            found |= {gain: self.gain(row, gain) for gain in GAINS}
        return found


def compare(
    archs: Sequence[Arch | str],
    networks: Sequence[Network | str],
    *,
    base: str | None = None,
    incomplete: Incomplete = "common",
    sets: Sets = (),
    matrix_b: str | None = None,
    dims: Sizes | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Comparison:
    """Simulate every machine on every network and compare them over the layers that all machines ran.

    What is wrong with one pair (a machine or network that cannot be loaded, no layer that runs, no mapping) is the
    reason of its row, and no error unless nothing runs at all.

    Parameters
    ----------
    archs, networks : sequence
        Machines and networks, or what `load_arch` and `load_network` take.
    base : str, optional
        The machine whose gains are 1, the first one by default.
    incomplete : "common", "show" or "drop"
        What happens where machines run different layers; see `accelsim.basis.rank`.
    sets : sequence of (key path, value)
        Keys of all machines to override; ``NAME:key.path`` those of one. Of machines given by name only.
    matrix_b : str, optional
        Second matrix of products whose network is the first.
    dims : mapping, optional
        Sizes of dimensions that the networks leave open, by name; of networks given by name only.
    options
        As of `accelsim.simulate`.

    Raises
    ------
    UserError
        A base or a key of a machine that is not compared; where nothing runs, what is wrong with the first pair.
    """
    if not archs or not networks:
        raise ConfigError("nothing to compare", "give at least one machine and one network")
    if incomplete not in basis.INCOMPLETE:
        raise ConfigError(
            f"'{incomplete}' is no way to compare", f"use {', '.join(basis.INCOMPLETE)}", key="incomplete"
        )
    typed = [arch if isinstance(arch, str) else arch.name for arch in archs]
    per_machine = _sets(sets, typed)
    machines = [_machine(arch, mine) for arch, mine in zip(archs, per_machine, strict=True)]
    nets = [_network(net, matrix_b, dims) for net in networks]
    names = _labels(typed, machines, "machine")
    titles = _labels([n if isinstance(n, str) else n.name for n in networks], nets, "network")
    first = names[0] if base is None else _named(base, names, typed)
    groups: list[list[ComparisonRow]] = []
    errors: list[UserError] = []
    for title, net in zip(titles, nets, strict=True):
        groups.append([])
        for name, machine in zip(names, machines, strict=True):
            found = _run(machine, net, progress, options)
            if isinstance(found, UserError):
                errors.append(found)
                groups[-1].append(ComparisonRow(title, name, reason=str(found)))
            else:
                groups[-1].append(ComparisonRow(title, name, found, reason=_nothing(found)))
    return _ranked(groups, first, incomplete, errors)


def of_results(
    results: Sequence[NetworkResult], *, base: str | None = None, incomplete: Incomplete = "common"
) -> Comparison:
    """Compare results that are there already, as `compare` does.

    Raises
    ------
    UserError
        Two results of one machine on one network, a base that is not among them, no layer that ran.
    """
    names = list(dict.fromkeys(result.arch_name for result in results))
    networks = list(dict.fromkeys(result.network for result in results))
    if not results:
        raise ConfigError("nothing to compare", "give at least one result")
    pairs = Counter((result.network, result.arch_name) for result in results)
    if twice := [f"'{arch}' on '{network}'" for (network, arch), n in pairs.items() if n > 1]:
        raise ConfigError(f"two results of {twice[0]}", "give variants names: arch.replace('name', ...)")
    groups = [
        [ComparisonRow(r.network, r.arch_name, r, reason=_nothing(r)) for r in results if r.network == network]
        for network in networks
    ]  # fmt: skip
    return _ranked(groups, names[0] if base is None else _named(base, names, names), incomplete, [])


def _ranked(
    groups: Sequence[Sequence[ComparisonRow]], first: str, incomplete: Incomplete, errors: Sequence[UserError]
) -> Comparison:
    """Put the rows of each network on one basis; raise the first error where nothing ran at all."""
    rows: list[ComparisonRow] = []
    dropped: list[ComparisonRow] = []
    for group in groups:
        needed, works = works_of([row.whole for row in group])
        ranking = basis.rank(works, incomplete)
        shared = None if ranking.layers is None else (len(ranking.layers), needed)
        for row, work, ranks, shown in zip(group, works, ranking.ranks, ranking.shown, strict=True):
            done = replace(_over(row, ranking.layers, work, ranks), shared=shared)
            (rows if shown or done.over is None else dropped).append(done)
    if not any(row.over for row in (*rows, *dropped)):
        if errors:
            raise errors[0]
        row = rows[0]
        raise WorkloadError(f"no layer of '{row.network}' runs on '{row.arch}': {row.reason}", "compare other machines")
    return Comparison(tuple(rows), first, incomplete, tuple(dropped))


def _sets(sets: Sets, names: Sequence[str]) -> list[list[tuple[str, Any]]]:
    """Return the keys of each machine: those without a machine's name, and its own."""
    found: list[list[tuple[str, Any]]] = [[] for _ in names]
    for key, value in sets:
        who, colon, path = key.rpartition(":")
        if colon and who not in names:
            raise ConfigError(f"'{who}' is not compared", nearest(who, names, "name a machine"), file="--set", key=key)
        for name, mine in zip(names, found, strict=True):
            if not colon or name == who:
                mine.append((path, value))
    return found


def _machine(arch: Arch | str, sets: Sets) -> Arch | UserError:
    try:
        return load_arch(arch, sets) if isinstance(arch, str) else arch
    except UserError as error:
        return error


def _network(network: Network | str, matrix_b: str | None, dims: Sizes | None) -> Network | UserError:
    try:
        return load_network(network, matrix_b=matrix_b, dims=dims) if isinstance(network, str) else network
    except UserError as error:
        return error


def _labels(typed: Sequence[str], loaded: Sequence[Arch | Network | UserError], what: str) -> list[str]:
    """Return what machines or networks are called: their names, or what was typed where two share one."""
    names = [Path(text).name if isinstance(it, UserError) else it.name for text, it in zip(typed, loaded, strict=True)]
    times = Counter(names)
    labels = [text if times[name] > 1 else name for text, name in zip(typed, names, strict=True)]
    twice = [label for label, n in Counter(labels).items() if n > 1]
    if twice:
        raise ConfigError(f"{what} '{twice[0]}' is named twice", "name each once; a file of its own makes a variant")
    return labels


def _named(base: str, names: Sequence[str], typed: Sequence[str]) -> str:
    for name, text in zip(names, typed, strict=True):
        if base in (name, text):
            return name
    raise ConfigError(f"no machine is called '{base}'", nearest(base, names, "name one of them"), file="--base")


def _run(
    machine: Arch | UserError, net: Network | UserError, progress: OnProgress | None, options: Mapping[str, Any]
) -> NetworkResult | UserError:
    if isinstance(machine, UserError):
        return machine
    if isinstance(net, UserError):
        return net
    try:
        return simulate(machine, net, progress=progress, **options)
    except UserError as error:
        return error


def _nothing(result: NetworkResult) -> str | None:
    """Return why a machine ran no layer, None if it ran any."""
    if result.simulated:
        return None
    layer = next((x for x in result.layers if x.reason != NOT_SELECTED), result.layers[0])
    return f"layer '{layer.name}': {layer.reason}"


def works_of(results: Sequence[NetworkResult | None]) -> basis.Works:
    """Return `basis.works` of results of one network; what joined a layer ran with it."""

    def layers(result: NetworkResult) -> list[tuple[str, str | None, bool]]:
        own = [(layer.name, layer.parent, layer.simulated) for layer in result.layers]
        folded = result.schedule.folded if result.schedule is not None else ()
        rows = {layer.name for layer in result.layers}  # older reports have none of those that were folded
        return [*own, *((fold.layer, None, True) for fold in folded if fold.layer not in rows)]

    return basis.works([[] if result is None else layers(result) for result in results])


def _over(
    row: ComparisonRow, layers: frozenset[str] | None, work: Mapping[str, Sequence[str]], ranks: bool
) -> ComparisonRow:
    if row.whole is None or not row.whole.simulated:
        return row
    own = {layer.name for layer in row.whole.simulated}
    over = row.whole.over(own if layers is None else {part for name in layers for part in work.get(name, ())})
    return ComparisonRow(row.network, row.arch, row.whole, over, None, ranks)
