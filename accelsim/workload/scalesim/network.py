"""The network of a SCALE-Sim topology or GEMM table.

By default every layer has the products that SCALE-Sim 3.0.0 counts for its row, so that cycles and scratchpad words
can be compared; what the row most likely stands for is told in the network's notes. With ``real`` the network is made
of the layers that the notes name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from accelsim.errors import WorkloadError
from accelsim.workload.check import illegal
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.pattern import MAX_COUNT
from accelsim.workload.scalesim.readings import Reading, literal, readings
from accelsim.workload.scalesim.topology import Topology, TopologyRow, read_topology
from accelsim.workload.shapes import Conv2d, Linear

MAX_LAYERS = 100_000
"""Longer tables are refused, as longer YAML networks are."""

MAX_ITEMS = 12
"""A note names so many groups of layers, then says how many more there are."""

HEADS = {
    "depthwise": "depthwise layers",
    "unpadded": "missing padding",
    "padded": "padding written into the sizes",
    "unclear": "padding unclear",
    "stride": "strides that do not fit, imported with the padding below and right that makes them fit",
    "sparsity": "N:M weights",
    "name": "names",
}
"""Kind of note -> how it begins."""


def load(path: Path, name: str | None = None) -> Network:
    """Return the network of a table whose header tells whether it holds convolutions or M, N, K; see `load_table`."""
    return load_table(path, name)


def load_table(path: Path, name: str | None = None, *, gemm: bool | None = None, real: bool = False) -> Network:
    """Return the network of a SCALE-Sim table.

    Parameters
    ----------
    path : Path
    name : str, optional
        How messages call the file; the path by default.
    gemm : bool, optional
        Whether the columns are M, N, K; the header decides by default.
    real : bool
        Take the layers that the rows look like instead of those that SCALE-Sim counts.

    Raises
    ------
    WorkloadError
        A file that cannot be read, a row that cannot be understood, dimensions out of range.
    """
    return of_topology(read_topology(path, gemm=gemm, shown=name), real=real)


def of_topology(topology: Topology, *, real: bool = False) -> Network:
    """Return the network of a table that has been read; see `load_table`."""
    if len(topology.rows) > MAX_LAYERS:
        raise WorkloadError(f"more than {MAX_LAYERS:,} layers", "split the table", file=topology.file)
    found: list[tuple[Reading, ...]] = [()] * len(topology.rows)
    if not topology.gemm:
        found = readings(topology.rows)
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}
    told: list[tuple[str, str, str]] = [(n.kind, f"line {n.line}", n.text) for n in topology.notes if n.kind in KEPT]
    counted = meant = 0
    for (name, row), items in zip(_named(topology.rows, told), found, strict=True):
        told += [(item.kind, name, item.text) for item in items]
        shape = _product(row) if topology.gemm else literal(row)
        likely = next((item.real for item in reversed(items) if item.real is not None), shape)
        counted, meant = counted + shape.macs, meant + likely.macs
        layer, own = _layer(topology, name, row, likely if real else shape)
        own |= _pruned(name, row, own[layer.weights[0]], told)
        layers.append(layer)
        tensors |= own
    batches = {row.batch for row in topology.rows}
    return Network(
        name=re.sub(r"[^A-Za-z0-9_.-]", "_", topology.name) or "network",
        layers=tuple(layers),
        tensors=tensors,
        source=f"SCALE-Sim {'GEMM table' if topology.gemm else 'topology'} {Path(topology.file).name}",
        isolated=True,
        batch=batches.pop() if len(batches) == 1 else 1,
        notes=(*_grouped(told), *_totals(topology, counted, meant, real)),
    )


KEPT = frozenset(
    (
        *("header", "header_order", "empty_row", "title", "not_readable", "float"),
        *("dropped_field", "dropped_sparsity", "extra_column", "batch"),
    )
)
"""Notes of the reader that matter here; what it says of depthwise layers and strides is told by the readings."""


def _named(rows: Iterable[TopologyRow], told: list[tuple[str, str, str]]) -> Iterator[tuple[str, TopologyRow]]:
    """Yield each row with a name of its own."""
    seen: set[str] = set()
    copies: dict[str, int] = {}  # where the last search for a free name ended: a table may repeat one name throughout
    for row in rows:
        wanted = row.name or f"line{row.line}"
        name, copy = wanted, copies.get(wanted, 1)
        while name in seen:
            copy += 1
            name = f"{wanted}.{copy}"
        copies[wanted] = copy
        seen.add(name)
        if name != row.name:
            told.append(("name", f"line {row.line}", f"is called '{name}' here, its name is taken or empty"))
        yield name, row


def _product(row: TopologyRow) -> Linear:
    """Return M, N, K as a fully connected layer: SCALE-Sim's B, of K x N, are the weights."""
    return Linear(n=row.batch * row.ifmap_h, c=row.ifmap_w, k=row.filters)


def _layer(topology: Topology, name: str, row: TopologyRow, shape: Conv2d | Linear) -> tuple[Layer, dict[str, Tensor]]:
    fault = illegal(shape)
    if fault is not None:
        raise WorkloadError(*fault, file=topology.file, line=row.line, key=name)
    return make_layer(name, shape)


def _pruned(name: str, row: TopologyRow, weight: Tensor, told: list[tuple[str, str, str]]) -> dict[str, Tensor]:
    """Return the weight with the density of its N:M column, and the pattern where our channels hold whole groups."""
    n, m = row.n_of_m
    if n == m:
        return {}
    if not 1 <= n < m:
        told.append(("sparsity", name, f"{n}:{m} keeps no part of the weights; imported dense"))
        return {}
    channels = weight.shape[1]
    fits = channels % m == 0 and m <= MAX_COUNT
    where = "in every group of channels" if fits else f"spread evenly: {channels} channels are no groups of {m}"
    text = f"{n}:{m} as a density, {where}"
    told.append(("sparsity", name, text))
    pattern = f"nm:{m}" if fits else weight.pattern
    return {weight.name: replace(weight, density=n / m, pattern=pattern)}


def _grouped(told: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield one note per kind; layers of which the same is said share a place in it."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for kind, where, text in told:
        kinds.setdefault(kind, {}).setdefault(text, []).append(where)
    for kind, texts in kinds.items():
        items = [f"{_listed(places)}: {text}" for text, places in texts.items()]
        more = f"; and {len(items) - MAX_ITEMS} more" if len(items) > MAX_ITEMS else ""
        head = f"{HEADS[kind]}: " if kind in HEADS else ""
        yield f"{head}{'; '.join(items[:MAX_ITEMS])}{more}"


def _listed(places: list[str]) -> str:
    more = f" and {len(places) - MAX_ITEMS} more" if len(places) > MAX_ITEMS else ""
    return ", ".join(places[:MAX_ITEMS]) + more


def _totals(topology: Topology, counted: int, meant: int, real: bool) -> Iterator[str]:
    if any(row.n_of_m[0] != row.n_of_m[1] for row in topology.rows):
        yield "SCALE-Sim reads the N:M column only where SparsitySupport is true; a systolic array multiplies zeros too"
    if topology.gemm:
        yield "B of each product is taken as weights; the table does not say which products are of two activations"
    if real:
        yield f"the layers are those that the rows look like: {meant:,} products where SCALE-Sim counts {counted:,}"
    elif meant != counted:
        yield (
            f"the layers are those that SCALE-Sim counts, {counted:,} products; the layers named above have {meant:,} "
            "('accelsim import --real' makes a network of them)"
        )
