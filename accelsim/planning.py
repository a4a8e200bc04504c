"""What stays on the chip between layers, without a machine: ``accelsim.plan``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from accelsim.errors import ConfigError
from accelsim.passes.fold import FOLDS, Fold, fold
from accelsim.passes.residency import PLANNERS, Buffer, Planner, Residency, arena_bits, reside, used_bits
from accelsim.text import nearest
from accelsim.units import KIB_BITS, exact
from accelsim.workload import lifetimes
from accelsim.workload.load import load_network
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network
from accelsim.workload.sizes import Sizes
from accelsim.workload.storage import INPLACE, Copy, InPlace, Storage, layout, live_bits

CHIP = "chip"
"""Name of the only buffer."""
MOST_KIB = 2**40
MOST_POSITIONS = 100_000


@dataclass(frozen=True, repr=False)
class Plan:
    """What stays on a chip, where, and what moves through DRAM.

    Attributes
    ----------
    network : str
    planner, fold, inplace : str
        How it was planned.
    capacity_bits : int
    layers : tuple of str
        Layers that work after folding, by position; of a table of storages ``position 0``, ...
    storages : tuple of Storage
    residency : Residency
    peak_bits : int
        The smallest chip on which the planner holds every storage, inputs and outputs too.
    used_bits : int
        How high what stays reaches.
    folded : mapping
        Layer that left -> its host.
    copies : tuple of Copy
    notes : tuple of str
        What a reader must know.
    """

    network: str
    planner: Planner
    fold: Fold
    inplace: InPlace
    capacity_bits: int
    layers: tuple[str, ...]
    storages: tuple[Storage, ...]
    residency: Residency
    peak_bits: int
    used_bits: int
    folded: Mapping[str, str]
    copies: tuple[Copy, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the traffic in one line."""
        moved = f"{in_bytes(self.moved_bits):,} of {in_bytes(self.all_dram_bits):,} B through DRAM"
        return f"<Plan {self.network} on {self.capacity_bits / KIB_BITS:,.6g} KiB: {moved}, {self.proof}>"

    @property
    def all_dram_bits(self) -> int:
        """What moves through DRAM if nothing stays."""
        return sum(storage.moved_bits for storage in self.storages)

    @property
    def moved_bits(self) -> int:
        """What moves through DRAM."""
        return self.residency.moved_bits

    @property
    def proof(self) -> str:
        """``optimal``, ``bounded``, ``greedy`` or ``tflm``."""
        return self.residency.proof

    @cached_property
    def live_bits(self) -> dict[str, int]:
        """Layer -> bits of all storages alive there."""
        return dict(zip(self.layers, live_bits(self.storages, len(self.layers)), strict=True))

    @property
    def kept(self) -> tuple[Storage, ...]:
        """Storages that stay."""
        return tuple(storage for storage in self.storages if storage.name in self.residency.places)

    @property
    def spilled(self) -> tuple[Storage, ...]:
        """Storages that could stay and do not, the one that moves most first."""
        found = (s for s in self.storages if s.role == "inner" and s.name not in self.residency.places)
        return tuple(sorted(found, key=lambda storage: -storage.moved_bits))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row per storage; ``address_bytes`` is None of one in DRAM."""
        return [self._row(storage) for storage in self.storages]

    def _row(self, storage: Storage) -> dict[str, Any]:
        place = self.residency.places.get(storage.name)
        return {
            "storage": storage.name,
            "home": "dram" if place is None else place.buffer,
            "address_bytes": None if place is None else in_bytes(place.address_bits),
            "bytes": in_bytes(storage.bits),
            "first": storage.first,
            "last": storage.last,
            "first_layer": self.layers[storage.first],
            "last_layer": self.layers[storage.last],
            "moved_bytes": in_bytes(storage.moved_bits),
            "role": storage.role,
        }


def in_bytes(bits: int) -> int | float:
    """Return bytes: whole where they are."""
    return bits // 8 if bits % 8 == 0 else bits / 8


def plan(
    network: str | Network,
    *,
    capacity_kib: float,
    fold: str = "none",
    planner: str = "exact",
    inplace: str = "none",
    state: Collection[str] = (),
    batch: int | None = None,
    dims: Sizes | None = None,
    only: str | None = None,
) -> Plan:
    """Return what stays on a chip between layers, where, and what moves through DRAM.

    Parameters
    ----------
    network : str or Network
        Connected: ``net:...``, ``onnx:...``, a path; or a table of storages, see `accelsim.workload.lifetimes.load`.
    capacity_kib : float
        Room between layers, in KiB.
    fold : str
        ``unary``: batch normalisation and operations on each element join the product ahead of them.
    planner : str
        ``exact``, ``greedy``, or ``tflm`` as TensorFlow Lite Micro does.
    inplace : str
        ``depthwise``: depthwise convolutions write over their input where nobody else needs it.
    state : collection of str
        Tensors that live over the whole run, in DRAM.
    batch, dims
        As in `accelsim.load_network`.
    only : str, optional
        Which network of a table of storages with several.

    Raises
    ------
    ConfigError
        A capacity that is not positive, an unknown planner or rule, options that a table of storages does not take.
    WorkloadError
        A network that is not connected, and what is wrong with it.
    """
    rule: Fold = _one_of(fold, FOLDS, "--fold")
    by: Planner = _one_of(planner, PLANNERS, "--planner")
    over: InPlace = _one_of(inplace, INPLACE, "--inplace")
    capacity = capacity_bits(capacity_kib)
    if isinstance(network, str) and lifetimes.is_lifetimes(network):
        for option, given in (("--fold", rule != "none"), ("--inplace", over != "none"), ("--state", state),
                              ("--batch", batch is not None), ("--dim", dims)):  # fmt: skip
            if given:
                raise ConfigError("a table of storages has no layers", f"drop {option}", file=option)
        table = lifetimes.load(network, only)
        layers = tuple(f"position {i}" for i in range(_few(table.positions, network)))
        return _planned(table.network, by, rule, over, capacity, layers, table.storages, {}, (), table.notes)
    if only is not None:
        raise ConfigError("the network is no table of storages", "drop --only", file="--only")
    net = load_network(network, batch, dims=dims) if isinstance(network, str) else network
    return _of_network(lowered(net), by, rule, over, capacity, state)


def _of_network(
    net: Network, by: Planner, rule: Fold, over: InPlace, capacity: int, state: Collection[str]
) -> Plan:  # fmt: skip
    folded = fold(net, rule)
    found = layout(folded.network, state=state, inplace=over)
    on_chip = {name for name, tensor in net.tensors.items() if tensor.place != "dram"}
    storages = tuple(
        replace(s, role="inner") if s.role == "state" and not on_chip.isdisjoint(s.tensors) else s
        for s in found.storages
    )
    _few(len(found.layers), net.name)
    unknown = [layer.name for layer in net.layers if layer.kind == "unsupported"]
    notes = net.notes
    if unknown:
        notes += (f"{len(unknown)} layers are of unknown kinds; tensors without a shape count 0 bytes",)
    return _planned(
        net.name, by, rule, over, capacity, found.layers, storages, folded.hosts, found.copies, notes
    )  # fmt: skip


def _planned(
    name: str, by: Planner, rule: Fold, over: InPlace, capacity: int, layers: tuple[str, ...],
    storages: tuple[Storage, ...], hosts: Mapping[str, str], copies: tuple[Copy, ...], notes: tuple[str, ...],
) -> Plan:  # fmt: skip
    buffer = Buffer(CHIP, capacity)
    found = reside(storages, [buffer], by, len(layers))
    peak = arena_bits(storages, by, len(layers))
    used = used_bits(storages, found, buffer)
    return Plan(name, by, rule, over, capacity, layers, storages, found, peak, used, hosts, copies, notes)


def capacity_bits(kib: float) -> int:
    """Return a capacity in whole bits; ConfigError if it is not positive."""
    try:
        bits = int(exact(kib) * KIB_BITS)
    except (ValueError, OverflowError, ZeroDivisionError):
        bits = 0
    if not 0 < bits <= MOST_KIB * KIB_BITS:
        raise ConfigError(f"a capacity of {kib} KiB is none", "give a positive number", file="--capacity-kib")
    return bits


def _few(positions: int, name: str) -> int:
    if positions > MOST_POSITIONS:
        raise ConfigError(f"{positions:,} positions are too many", f"at most {MOST_POSITIONS:,}", file=name)
    return positions


def _one_of(given: str, known: tuple[Any, ...], option: str) -> Any:
    if given not in known:
        hint = nearest(given, known, f"one of {', '.join(known)}")
        raise ConfigError(f"'{given}' is not known", hint, file=option)
    return given
