"""``python -m benchmarks.regret``: what a search misses, of its own list and of legal mappings outside it.

For each layer the cycles of the searched mapping stand over those of the best of 200 candidates that are simulated
(half the most promising ones, half drawn), and over the best of 200 random legal mappings that are not on the list.
Writes ``benchmarks/regret.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import accelsim
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.layer import Options, machine_view, simulate_layer
from accelsim.mapping.loopnest import ORDERS
from accelsim.mapping.search import FIELDS, TiledNest
from accelsim.operands import handle
from accelsim.simulation import prepare, task_for
from accelsim.tiled.engine import TiledEngine

MACHINES = ("systolic_ws", "systolic_os", "systolic_is", "systolic_ws_128", "tpu_v1", "diannao", "dadiannao", "stripes",
            "loom", "unpu", "bitfusion", "edge_npu", "eyeriss")  # fmt: skip
NETWORKS = ("mobilenet_v1", "resnet50", "bert_base_s128")
OWN_OBJECTIVE = {"eyeriss": (("mapping.objective", "cycles"),)}
"""Eyeriss is packaged with its authors' rule (`objective: engine`); its list is searched for cycles here."""
TRIED = 200
CURVE = (1, 2, 4, 8, 16, 32, 64)
FILE = Path(__file__).with_suffix(".md")


class Row(NamedTuple):
    """One layer: searched cycles over the best tried of the list, of legal mappings outside it; the curve over N."""

    machine: str
    network: str
    layer: str
    listed: int
    own: float
    outside: float | None
    curve: tuple[float, ...]


def rows(
    machines: tuple[str, ...] = MACHINES, networks: tuple[str, ...] = NETWORKS, tried: int = TRIED
) -> Iterator[Row]:
    """Yield the regret of each distinct layer."""
    rng = np.random.default_rng(0)
    for machine in machines:
        arch = accelsim.load_arch(machine, OWN_OBJECTIVE.get(machine, ()))
        for name in networks:
            network = prepare(arch, accelsim.load_network(name), None, None, None)
            seen: set[Any] = set()
            for layer in network.layers:
                task = task_for(arch, network, layer, None, {}, "skip")
                if task.unit is None or layer.shape in seen:
                    continue
                seen.add(layer.shape)
                if (row := _row(arch, name, task, tried, rng)) is not None:
                    yield row


def _row(arch: Any, network: str, task: Any, tried: int, rng: np.random.Generator) -> Row | None:
    engine, view, params = registry.get(task.unit.engine), machine_view(arch), task.unit.params
    columns = engine.candidates(task.view, params, view)
    if not columns:
        return None
    bounds = engine.bounds(task.view, params, view, columns)
    count = len(bounds.cycles)
    order = np.argsort(bounds.cycles, kind="stable")
    places = np.unique(np.concatenate([order[: tried // 2], rng.choice(count, min(count, tried // 2), replace=False)]))
    cycles = bounds.cycles[places] if bounds.timed is None else bounds.timed(places)
    at = dict(zip(places.tolist(), cycles.tolist(), strict=True))
    searched = simulate_layer(arch, task, Options()).cycles
    best = min(searched, *at.values())
    first = [at[place] for place in order[: max(CURVE)].tolist()]
    curve = tuple(min(first[:n]) / best for n in CURVE)
    pins = _outside(engine, task, params, view, columns, tried, rng)
    other = None
    if pins:
        table = {key: np.array([pin[key] for pin in pins]) for key in columns}
        told = engine.bounds(task.view, params, view, table)
        other = searched / int((told.cycles if told.timed is None else told.timed(np.arange(len(pins)))).min())
    return Row(arch.name, network, task.view.name, count, searched / best, other, curve)


def _outside(
    engine: Any, task: Any, params: Any, view: Any, columns: Any, tried: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return random legal mappings that are not on the list, at most ``tried`` of some thousand draws."""
    listed = set(zip(*(column.tolist() for column in columns.values()), strict=True))
    found: list[dict[str, Any]] = []
    operands = None
    for _ in range(20 * tried):
        if len(found) == tried:
            break
        pin = _draw(engine, task.view, params, columns, rng)
        if tuple(pin.values()) in listed:
            continue
        if isinstance(engine, TiledEngine):
            if _fits(engine.tiled_nest(task.view, params), pin):
                found.append(pin)
            continue
        operands = operands or handle.of(task.view, 0)
        try:
            engine.plan(task.view, operands, params, engine.mapping_schema.model_validate(pin), view)
        except (UserError, ValueError):
            continue
        found.append(pin)
    return found


def _fits(nest: TiledNest, pin: dict[str, Any]) -> bool:
    """Whether a tile of one group fits half of each buffer."""
    conv, w = nest.conv, nest.widths
    reach = [
        min(size, (pin[axis] - 1) * conv.stride[d] + (window - 1) * conv.dilation[d] + 1)
        for d, (axis, size, window) in enumerate((("e", conv.h, conv.r), ("f", conv.w, conv.s)))
    ]
    needed = {
        "input": pin["n"] * reach[0] * reach[1] * pin["c"] * w.input,
        "weight": pin["k"] * pin["c"] * conv.r * conv.s * w.weight,
        "output": pin["n"] * pin["e"] * pin["f"] * pin["k"] * w.psum,
    }
    return all(needed[role] <= limit for role, limit in nest.limits.items())


def _draw(engine: Any, view: Any, params: Any, columns: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Return a mapping with every number drawn evenly on a logarithmic scale, fit to the buffers or not."""

    def size(most: int) -> int:
        return min(most, max(1, round(float(np.exp(rng.uniform(0, np.log(most + 0.5)))))))

    if engine.name == "vector":
        return {key: size(2 * int(column.max())) for key, column in columns.items()}
    conv = view.shape.as_conv()
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    if engine.name == "row_stationary":
        most = {"m": kg, "n": min(conv.n, params.max_images), "e": conv.e, "p": kg, "q": cg, "r": cg, "t": kg}
        pin: dict[str, Any] = {key: size(most[key]) for key in columns}
        step = pin["p"] * pin["t"]
        return pin | {"m": kg if rng.random() < 0.5 else max(step, pin["m"] // step * step)}
    most = {"groups": 1, "n": conv.n, "e": conv.e, "f": conv.f, "k": kg, "c": cg}
    pin = {axis: size(most[axis]) for axis in FIELDS}
    if not engine.tiled_nest(view, params).c_unit:
        pin["c"] = cg
    extra = {key: rng.choice(column).item() for key, column in columns.items() if key not in (*FIELDS, "order")}
    return pin | {"order": str(rng.choice(ORDERS))} | extra


def table(found: list[Row]) -> str:
    """Return the table of machines and networks, and the curve, as markdown."""
    lines = ["| machine | network | layers | list | worst of its own list | worst outside it | layer |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for machine, network in dict.fromkeys((row.machine, row.network) for row in found):
        mine = [row for row in found if (row.machine, row.network) == (machine, network)]
        outside = max(mine, key=lambda row: row.outside or 0.0)
        lines.append(
            f"| {machine} | {network} | {len(mine)} | {max(row.listed for row in mine):,} | "
            f"{max(row.own for row in mine):.4f} | {outside.outside or float('nan'):.4f} | {outside.layer} |"
        )
    head = " | ".join(f"N = {n}" for n in CURVE)
    lines += ["", f"| machine | {head} |", "|---|" + "---|" * len(CURVE)]
    for machine in dict.fromkeys(row.machine for row in found):
        worst = [max(row.curve[i] for row in found if row.machine == machine) for i in range(len(CURVE))]
        lines.append(f"| {machine} | {' | '.join(f'{each:.3f}' for each in worst)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write the page."""
    found: list[Row] = []
    for machine in sys.argv[1:] or MACHINES:
        mine = list(rows((machine,)))
        print(table(mine), flush=True)
        found += mine
    if not sys.argv[1:]:
        FILE.write_text(HEAD + table(found) + "\n")


HEAD = """# What the mapper misses

`python -m benchmarks.regret`. Cycles of the searched mapping over the best of 200 candidates of its own list (100 with
the least bounds, 100 drawn), and over the best of 200 random legal mappings outside the list (below 1: none is as
good). The second table is the curve that N stands for: the worst loss over all layers if only the N candidates with the
least bounds were timed. Engines time as many as bounds do not rule out, at most 256 of a plain list (figures of Eyeriss
are for `mapping.objective: cycles`; it is packaged with its authors' rule, which counts no stalls); the vector unit
times all.

"""

if __name__ == "__main__":
    main()
