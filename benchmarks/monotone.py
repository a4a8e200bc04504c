"""``python -m benchmarks.monotone [PAIRS]``: does a better machine, or half the work, ever take longer?

Each pair is a machine and a layer, drawn evenly on a logarithmic scale. Machines: each parameter of the engine from its
schema, up to `CAPS` (buffers up to 4 MiB, arrays to 256 rows and columns, spads to 512 words: lists stay below a few
million mappings); DRAM of 0.2 to 300 GB/s, 0 to 1,000 ns and bursts of 8 to 512 bits; energies and the clock of a
packaged machine of that engine. Layers: convolutions, also grouped and strided, products of matrices and fully
connected layers of up to 1,000 channels, 40 rows and columns and batches of 4; for the vector unit, pooling, softmax
and sums. All tensors are dense, of 1 to 8 bits. Draws that a schema or the engine
refuses are drawn again.

A pair runs with more bandwidth and with twice the batch under ``cycles``, and with a larger buffer under every
objective: no more cycles under ``cycles``, no more DRAM bits under ``dram``, and under ``energy`` and ``edp`` the
smaller machine's mapping, priced in the larger one, is not better than what is chosen there. Writes
``benchmarks/monotone.md``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from math import gcd
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import numpy as np

import accelsim
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.layer import Options, Task, simulate_layer
from accelsim.results import LayerResult
from accelsim.units import KIB_BITS
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Elementwise, Linear, Matmul, Pool, Shape, Softmax

FILE = Path(__file__).with_suffix(".md")
MACHINES = {
    "systolic": "systolic_ws", "diannao": "diannao", "unpu": "unpu", "bitfusion": "bitfusion", "bitserial": "stripes",
    "row_stationary": "eyeriss", "vector": "edge_npu",
}  # fmt: skip
"""A packaged machine of each engine that has candidates: its other sections are the base of what is drawn."""
BUFFERS = ("input_kib", "weight_kib", "output_kib", "buffer_kib", "fmap_banks", "filter_banks")
CAPS = {"rows": 256, "cols": 256, "kib": 4096, "words": 512, "banks": 512}
"""By the last word of a parameter's name; others reach as far as their schema."""
OPERANDS = "bitserial: operands decide how long a step lasts (pragmatic, laconic, trim); the mapper knows widths alone"
UNPROVEN = "row_stationary: bounds leave more candidates than are walked at most; the choice's `mapping_why` says so"


PROMISES = (
    "more bandwidth: more cycles",
    "twice the batch: fewer cycles",
    "a larger buffer, under cycles: more cycles",
    "a larger buffer, under dram: more DRAM bits",
    "a larger buffer, under energy: the old mapping is better",
    "a larger buffer, under edp: the old mapping is better",
)
"""What must never happen."""


class Check(NamedTuple):
    """A promise asked of a pair: ``less`` must be at most ``more``, unless a ``rule`` forbids to promise it."""

    engine: str
    promise: str
    less: float
    more: float
    rule: str
    case: str

    @property
    def broken(self) -> bool:
        """Whether it did not hold."""
        return self.less > self.more


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
            high = next(rule.le for rule in field.metadata if hasattr(rule, "le"))
            high = min(high, CAPS.get(name.rsplit("_", 1)[-1], high))
            drawn = round(np.exp(rng.uniform(np.log(low + 0.51), np.log(high + 0.49))))
            sets[prefix + name] = min(high, max(low, drawn))
    if engine == "bitserial":
        for name in ("recoding", "trim", "fc_columns", "column_registers", "activation_bits_per_cycle"):
            if rng.random() < 0.7:
                del sets[prefix + name]
    if engine == "bitfusion":
        _whole_words(rng, sets)
    sets["memory.dram.gb_per_s"] = float(np.round(np.exp(rng.uniform(np.log(0.2), np.log(300))), 4))
    sets["memory.dram.latency_ns"] = float(rng.choice([0, 20, 100, 1000]))
    sets["memory.dram.burst_bits"] = int(rng.choice([8, 64, 256, 512]))
    bits = {name: int(rng.integers(1, 9)) for name in ("input", "weight", "output")}
    return Pair(engine, sets, _shape(rng, engine), bits)


def _whole_words(rng: np.random.Generator, sets: dict[str, Any]) -> None:
    """Make widths powers of two, and buffers as many whole words over all banks as hold what was drawn."""
    widths = [1 << int(each) for each in sorted(rng.integers(0, 5, 3))]
    widths[0] = min(widths[0], 8)
    sets |= {f"params.{name}_bits": bits for name, bits in zip(("brick", "spatial", "max"), widths, strict=True)}
    rows, cols, word = sets["params.rows"], sets["params.cols"], widths[1] ** 2 // widths[0]
    words = {"input": rows * word, "weight": rows * cols * word, "output": cols * sets["params.accumulator_bits"]}
    for name, bits in words.items():
        step = bits // gcd(bits, KIB_BITS)
        sets[f"params.{name}_kib"] = -(-sets[f"params.{name}_kib"] // step) * step


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


def checks(pair: Pair, rng: np.random.Generator) -> Iterator[Check]:
    """Yield what is asked of a pair, as far as its other machines are legal; UserError if it is not itself."""
    base = simulate(pair, "cycles")
    rate = pair.sets["memory.dram.gb_per_s"] * float(rng.choice([1.1, 1.5, 2.0, 4.0]))
    faster = simulate(pair, "cycles", **{"memory.dram.gb_per_s": rate})
    yield _check(pair, 0, faster.cycles, base.cycles, base, faster)
    twice = _legal(pair, "cycles", shape=doubled(pair.shape))
    if twice is not None:
        yield _check(pair, 1, base.cycles, twice.cycles, base, twice)
    key = str(rng.choice([key for key in pair.sets if key.split(".")[-1] in BUFFERS]))
    more = 0 if pair.engine == "bitfusion" else int(rng.integers(2))  # its buffers are whole words
    larger = {key: pair.sets[key] * int(rng.choice([2, 3])) + more}
    new = _legal(pair, "cycles", **larger)
    if new is None:
        return
    yield _check(pair, 2, new.cycles, base.cycles, base, new)
    old, new = simulate(pair, "dram"), simulate(pair, "dram", **larger)
    yield _check(pair, 3, new.dram_bits, old.dram_bits, old, new)
    for at, objective in ((4, "energy"), (5, "edp")):
        old, new = simulate(pair, objective), simulate(pair, objective, **larger)
        mapping = registry.get(pair.engine).mapping_schema.model_validate(dict(old.mapping))
        again = simulate(pair, objective, mapping, **larger)
        figures = [sum(r.energy_pj.values()) * (r.cycles if objective == "edp" else 1) for r in (new, again)]
        yield _check(pair, at, figures[0], figures[1] * (1 + 1e-9), old, new, again)


def _check(pair: Pair, promise: int, less: float, more: float, *ran: LayerResult) -> Check:
    """Return a check of results that ``ran``, with the rule that excuses them if there is one."""
    rule = ""
    if pair.engine == "bitserial" and any(each.fidelity == "cycle" for each in ran):
        rule = OPERANDS
    elif pair.engine == "row_stationary" and any(
        "most promising" in str(each.details.get("mapping_why")) for each in ran
    ):
        rule = UNPROVEN
    return Check(pair.engine, PROMISES[promise], less, more, rule, f"{pair}")


def _legal(pair: Pair, objective: str, **changes: Any) -> LayerResult | None:
    """Return a run, or None if its machine or layer is refused."""
    try:
        result = simulate(pair, objective, **changes)
    except (UserError, ValueError):
        return None
    return result if result.simulated else None


def measure(pairs: int, seed: int = 0, engines: tuple[str, ...] = tuple(MACHINES)) -> list[Check]:
    """Return what was asked of so many legal pairs, the engines taking turns."""
    rng = np.random.default_rng(seed)
    found: list[Check] = []
    for at in range(pairs):
        while True:
            pair = draw(rng, engines[at % len(engines)])
            if _legal(pair, "cycles") is not None:
                break
        found += checks(pair, rng)
    return found


def table(found: list[Check]) -> str:
    """Return the table of engines and promises as markdown: how many were asked, what broke, what is excused."""
    lines = ["| engine | promise | asked | broken | excused | of which broke |", "|---|---|---|---|---|---|"]
    for engine in dict.fromkeys(each.engine for each in found):
        for promise in PROMISES:
            mine = [each for each in found if (each.engine, each.promise) == (engine, promise)]
            excused = [each for each in mine if each.rule]
            broken = [sum(each.broken for each in some) for some in (mine, excused)]
            lines.append(
                f"| {engine} | {promise} | {len(mine) - len(excused)} | {broken[0] - broken[1]} | {len(excused)} | "
                f"{broken[1]} |"
            )
    rules = sorted({each.rule for each in found if each.rule})
    return "\n".join([*lines, "", *(f"- Excused: {rule}." for rule in rules)])


def main() -> None:
    """Measure, print and write the page."""
    each_engine = -(-(int(sys.argv[1]) if len(sys.argv) > 1 else 2000) // len(MACHINES))
    engines = tuple(sys.argv[2:]) or tuple(MACHINES)
    found: list[Check] = []
    for engine in engines:
        begin = time.process_time()
        mine = measure(each_engine, engines=(engine,))
        print(table(mine), f"{time.process_time() - begin:.0f} s of CPU", sep="\n", flush=True)
        print(*(each for each in mine if each.broken and not each.rule), sep="\n", flush=True)
        found += mine
    if engines == tuple(MACHINES):
        FILE.write_text(HEAD.format(pairs=each_engine) + table(found) + "\n")


HEAD = """# What a better machine never does

`python -m benchmarks.monotone`: {pairs} random machine and layer pairs of each engine that searches mappings (seed 0;
what is drawn: the docstring of `benchmarks/monotone.py`). *Asked*: pairs whose other machine, or whose layer of twice
the batch, is legal too. *Excused*: pairs for which nothing can be promised because of a rule below the table, and how
many of them did break; all others must be 0.

"""

if __name__ == "__main__":
    main()
