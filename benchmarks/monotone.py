"""``python -m benchmarks.monotone [PAIRS]``: does a better machine, or half the work, ever take longer?

Machines are drawn inside the bounds of each engine's parameters, layers, DRAM and clocks at random. Each pair runs with
more bandwidth and with twice the batch under ``cycles``, and with a larger buffer under every objective: no more
cycles under ``cycles``, no more DRAM bits under ``dram``, and under ``energy`` and ``edp`` the smaller machine's
mapping, priced in the larger one, is not better than what is chosen there.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args, get_origin

import numpy as np

import accelsim
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.layer import Options, Task, simulate_layer
from accelsim.results import LayerResult
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Elementwise, Linear, Matmul, Pool, Shape, Softmax

MACHINES = {
    "systolic": "systolic_ws", "diannao": "diannao", "unpu": "unpu", "bitfusion": "bitfusion", "bitserial": "stripes",
    "row_stationary": "eyeriss", "vector": "edge_npu",
}  # fmt: skip
"""A packaged machine of each engine that has candidates: its other sections are the base of what is drawn."""
BUFFERS = ("input_kib", "weight_kib", "output_kib", "buffer_kib", "fmap_banks", "filter_banks")
CAPS = {"rows": 64, "cols": 64, "units": 32, "outputs": 64, "lanes": 128, "columns": 32, "tiles": 16, "bank_kib": 16}
RULES = {
    "row_stationary": "walks the 16 best estimates, not what bounds leave: no proof; its buffers are whole banks",
    "bitserial": "machines whose steps operands decide (pragmatic, laconic, trim) are searched at full widths",
}


PROMISES = (
    "more bandwidth: more cycles",
    "twice the batch: fewer cycles",
    "a larger buffer, under cycles: more cycles",
    "a larger buffer, under dram: more DRAM bits",
    "a larger buffer, under energy: the old mapping is better",
    "a larger buffer, under edp: the old mapping is better",
)
"""What must never happen."""


class Broken(NamedTuple):
    """A promise that did not hold: of which engine, which one, and the case."""

    engine: str
    promise: str
    before: float
    after: float
    case: str


class Pair(NamedTuple):
    """A machine and a layer."""

    engine: str
    sets: dict[str, Any]
    shape: Shape
    bits: dict[str, int]


def draw(rng: np.random.Generator, engine: str) -> Pair:
    """Return a random machine and layer; the machine may turn out illegal."""
    prefix = "units.vector.params." if engine == "vector" else "params."
    sets: dict[str, Any] = {}
    for name, field in registry.get(engine).params_schema.model_fields.items():
        kind = field.annotation
        if kind is bool:
            sets[prefix + name] = bool(rng.integers(2))
        elif get_origin(kind) is Literal:
            sets[prefix + name] = str(rng.choice(get_args(kind)))
        else:
            low = next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), 1)
            high = next((rule.le for rule in field.metadata if hasattr(rule, "le")), 64)
            high = min(high, CAPS.get(name, 256 if "kib" in name or "words" in name or "banks" in name else high))
            sets[prefix + name] = round(np.exp(rng.uniform(np.log(low + 0.51), np.log(high + 0.49))))
            sets[prefix + name] = min(high, max(low, sets[prefix + name]))
    if engine == "bitserial":
        for name in ("recoding", "trim", "fc_columns", "column_registers", "activation_bits_per_cycle"):
            if rng.random() < 0.7:
                del sets[prefix + name]
    sets["memory.dram.gb_per_s"] = float(np.round(np.exp(rng.uniform(np.log(0.2), np.log(300))), 4))
    sets["memory.dram.latency_ns"] = float(rng.choice([0, 20, 100, 1000]))
    sets["memory.dram.burst_bits"] = int(rng.choice([8, 64, 256, 512]))
    bits = {name: int(rng.integers(1, 9)) for name in ("input", "weight", "output")}
    return Pair(engine, sets, _shape(rng, engine), bits)


def _shape(rng: np.random.Generator, engine: str) -> Shape:
    def r(low: int, high: int) -> int:
        return round(np.exp(rng.uniform(np.log(low), np.log(high + 0.49))))

    n = r(1, 4)
    if engine == "vector":
        kind = rng.integers(3)
        if kind == 0:
            return Pool("max", n, r(1, 64), r(4, 40), r(4, 40), 3, 3, (2, 2))
        if kind == 1:
            return Softmax((n, r(1, 64), length := r(2, 200)), length)
        shape = (n, r(1, 64), r(1, 30), 7)
        return Elementwise("add", shape, (shape, shape))
    kind = rng.integers(4)
    if kind == 0:
        return Linear(n=n, c=r(1, 1000), k=r(1, 1000))
    if kind == 1:
        return Matmul(r(1, 4), n, r(1, 200), r(1, 200))
    groups, size = (r(1, 8) if kind == 2 else 1), int(rng.choice([1, 3, 5]))
    pad, stride = size // 2, r(1, 2)
    sides = {"h": r(size, 40), "w": r(size, 40), "r": size, "s": size}
    return Conv2d(n, r(1, 64) * groups, r(1, 64) * groups, **sides, groups=groups, stride=(stride, stride),
                  pad=(pad,) * 4)  # fmt: skip


def simulate(pair: Pair, objective: str, pinned: Any = None, **changes: Any) -> LayerResult:
    """Run a pair under an objective; ``changes`` are the bandwidth (``gb``), the batch or a parameter."""
    sets = {**pair.sets, **{key: value for key, value in changes.items() if "." in key}, "mapping.objective": objective}
    arch = accelsim.load_arch(MACHINES[pair.engine], list(sets.items()))
    shape = changes.get("shape", pair.shape)
    layer, tensors = make_layer("a", shape)
    bits = {name: replace(t, bits=pair.bits.get(name.split(".")[1], 8)) for name, t in tensors.items()}
    view = Network("n", (layer,), bits, isolated=True).view(layer)
    for unit in arch.units:
        if unit.engine == pair.engine and registry.get(unit.engine).supports(view, unit.params) is None:
            return simulate_layer(arch, Task(view, unit, pinned=pinned), Options())
    raise UserError("no unit runs it")


def doubled(shape: Shape) -> Shape:
    """Return a layer of twice the batch."""
    if isinstance(shape, Softmax):
        return replace(shape, shape=(2 * shape.shape[0], *shape.shape[1:]))
    if isinstance(shape, Elementwise):
        twice = (2 * shape.shape[0], *shape.shape[1:])
        return replace(shape, shape=twice, inputs=(twice, twice))
    if isinstance(shape, Matmul):
        return replace(shape, m=2 * shape.m)
    return replace(shape, n=2 * shape.n)  # type: ignore[union-attr]


def broken(pair: Pair, rng: np.random.Generator) -> Iterator[Broken]:
    """Yield the promises that a pair breaks; UserError if it is illegal."""
    case = f"{pair}"
    base = simulate(pair, "cycles")
    more = {"memory.dram.gb_per_s": pair.sets["memory.dram.gb_per_s"] * float(rng.choice([1.1, 1.5, 2.0, 4.0]))}
    checks = [(PROMISES[0], simulate(pair, "cycles", **more).cycles, base.cycles)]
    with contextlib.suppress(UserError):
        checks.append((PROMISES[1], base.cycles, simulate(pair, "cycles", shape=doubled(pair.shape)).cycles))
    buffers = [key for key in pair.sets if key.split(".")[-1] in BUFFERS]
    key = str(rng.choice(buffers))
    larger = {key: pair.sets[key] * int(rng.choice([2, 3])) + int(rng.integers(2))}
    try:
        checks.append((PROMISES[2], simulate(pair, "cycles", **larger).cycles, base.cycles))
        less = simulate(pair, "dram").dram_bits
        checks.append((PROMISES[3], simulate(pair, "dram", **larger).dram_bits, less))
        for objective in ("energy", "edp"):
            old, new = simulate(pair, objective), simulate(pair, objective, **larger)
            schema = registry.get(pair.engine).mapping_schema
            again = simulate(pair, objective, schema.model_validate(dict(old.mapping)), **larger)
            figures = [sum(r.energy_pj.values()) * (r.cycles if objective == "edp" else 1) for r in (new, again)]
            checks.append((PROMISES[4 if objective == "energy" else 5], figures[0], figures[1] * (1 + 1e-9)))
    except UserError:
        pass
    yield from (Broken(pair.engine, what, after, before, case) for what, before, after in checks if before > after)


def measure(pairs: int, seed: int = 0, engines: tuple[str, ...] = tuple(MACHINES)) -> tuple[Counter[str], list[Broken]]:
    """Return how many legal pairs of each engine ran, and what broke."""
    rng = np.random.default_rng(seed)
    ran: Counter[str] = Counter()
    found: list[Broken] = []
    while sum(ran.values()) < pairs:
        engine = engines[sum(ran.values()) % len(engines)]
        pair = draw(rng, engine)
        try:
            found += broken(pair, rng)
        except (UserError, ValueError):
            continue
        ran[engine] += 1
    return ran, found


def main() -> None:
    """Measure and print."""
    each_engine = (int(sys.argv[1]) if len(sys.argv) > 1 else 2000) // len(MACHINES)
    ran, found = Counter[str](), list[Broken]()
    for engine in MACHINES:
        more, broke = measure(each_engine, engines=(engine,))
        ran.update(more)
        found += broke
        print(dict(more), Counter(each.promise for each in broke), flush=True)
    print(dict(ran))
    for (engine, promise), count in sorted(Counter((b.engine, b.promise) for b in found).items()):
        print(f"{engine}: {promise}: {count} of {ran[engine]}; {RULES.get(engine, 'no rule')}")
    for each in found[:20]:
        print(each)


if __name__ == "__main__":
    main()
