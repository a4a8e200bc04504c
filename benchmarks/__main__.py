"""``python -m benchmarks [PART...]``: measure everything and write ``benchmarks/results.md``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import axes, before, growth, rates
from .c import measure
from .machine import machine
from .peers import scalesim

RESULTS = Path(__file__).parent / "results.md"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table; every column but the first is right-aligned."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def in_c() -> list[str]:
    rows = []
    for row in measure.rows():
        print(row.engine, row.kernel, f"{row.ratio:.2f}", flush=True)
        rows.append((f"`{row.engine}.{row.kernel}`", f"{1e3 * row.ours_s:.2f}", f"{1e3 * row.c_s:.2f}",
                     f"{row.ratio:.2f}", row.case))  # fmt: skip
    worst = max(row[3] for row in rows)
    return [
        "## Kernels against the same loops in C",
        "",
        "`benchmarks/c/` holds every kernel's loop once more, written by hand in C: same algorithm, same arrays,",
        "64-bit integers. Results and every array written were equal before anything was timed. Both took turns on",
        "copies of the same arguments, those of the longest call in a simulation of the layer; the smaller of seven",
        "CPU times each. gcc compiles for any x86-64 processor (no `-march=native`, no `-ffast-math`), numba for the",
        "one at hand: where a ratio is far below 1, it is the wider vector units. A call takes numba some 20 us,",
        "which shows in the shortest.",
        f"Largest ratio: {worst}.",
        "",
        *table(("kernel", "ours, ms", "C, ms", "ratio", "case"), rows),
    ]


def promised() -> list[str]:
    vgg = [rates.scnn_vgg16(name) for name in ("scnn", "scnn_queued", "scnn_strict")]
    terms = [(name, rates.terms_per_second(name)) for name in ("pragmatic", "laconic")]
    streams = [(name, rates.dram_requests_per_second("ddr4-2400", name)) for name in ("sequential", "stride", "random")]
    return [
        "## Totals and rates",
        "",
        *table(("13 convolutions of VGG-16, dense, values off", "CPU s", "cycles"),
               ((f"`{v.machine}`", f"{v.seconds:.1f}", f"{v.cycles:,}") for v in vgg)),
        *table(("data-dependent bit-serial kernel", "million activation terms per CPU second"),
               ((f"`{name}`", f"{rate / 1e6:.0f}") for name, rate in terms)),
        *table(("stream on `ddr4-2400`", "million requests per CPU second"),
               ((f"`{name}`", f"{rate / 1e6:.1f}") for name, rate in streams)),
    ]  # fmt: skip


def grown() -> list[str]:
    rows = [
        (c.what, c.fidelity, f"{1e3 * c.seconds:.1f}", f"{c.cycles:,}", f"{1e9 * c.seconds / c.cycles:.1f}")
        for c in growth.costs()
    ]
    return [
        "## How the cost grows",
        "",
        "A whole simulation of one layer, the choice of a mapping included. Closed forms cost the same whatever the",
        "layer, the array and the batch; on dense machines the walk (`cycle`) does each distinct tile once, so that it",
        "grows with a tile. Where time depends on the data, the cost goes with the work.",
        "",
        *table(("what grows", "fidelity", "CPU ms", "cycles", "ns per cycle"), rows),
    ]


def first() -> list[str]:
    found = list(growth.first_calls())
    total = [f"{sum(row[i] for row in found):.1f}" for i in (1, 2)]
    return [
        "## First calls",
        "",
        "CPU seconds of a small layer, values included: into an empty cache (kernels are compiled), and in another",
        "process after that (kernels are read from the cache). Imports are done before.",
        "",
        *table(("engine", "empty cache", "cached"),
               [*((f"`{name}`", f"{cold:.1f}", f"{warm:.2f}") for name, cold, warm in found), ("all", *total)]),
    ]  # fmt: skip


def peers() -> list[str]:
    found = scalesim.measure()
    assert found.same, "counts differ from the peer's"
    rows = [
        (what, f"{seconds:.6g}", "" if ratio is None else f"{ratio:,.0f}") for what, seconds, ratio in found.lines()
    ]
    return [
        "## Against SCALE-Sim 3.0.0",
        "",
        f"The {found.layers} layers of its AlexNet on 32 x 32, output-stationary. The replica's three reports equal",
        "the peer's to the byte, the closed forms its SRAM counts, the engine its MACs.",
        "",
        *table(("what", "CPU s", "times less CPU"), rows),
    ]


def _short(value: float) -> str:
    """Return a figure with four digits, and no fewer than it has before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def earlier() -> list[str]:
    head, found = f"## Against build {before.BUILD}", before.figures()
    if found is None:
        return [head, "", f"Not measured: this is no clone with a history that holds {before.BUILD}.", ""]
    rows = [(f.what, _short(f.before), _short(f.now), f"{f.better:.2f}") for f in found]
    return [
        head,
        "",
        "Both builds by one script (`benchmarks/probe.py`) in one run, warm, the least of three. Columns are sweeps",
        "over memories and DRAMs with `columnar`, of ResNet-50 (edge_npu, an array and a vector unit: SqueezeNet from",
        "ONNX); layers that are alike count too. The earlier build has columns for systolic arrays only,",
        "and its mapper was not exact.",
        "",
        *table(("what", before.BUILD, "now", "times better"), rows),
    ]


def on_axes() -> list[str]:
    rows = []
    for found in axes.rates():
        print(found.machine, f"{found.memory:,.0f}", f"{found.other:,.0f}", flush=True)
        figures = (found.first_lap, found.memory, found.other)
        rows.append((f"`{found.machine}`", found.layers, *map(_short, figures), found.walk))
    return [
        "## Layers per second in sweeps",
        "",
        "Layers that a sweep in columns evaluates per CPU second after its first point: bandwidth, latency, standard,",
        "prices, each DRAM met for the first time and in the lap after that, and parameters of the machine, each",
        "point another machine, met for the first time. Energy tables are read before. A network of few layers pays",
        "the fixed part of a point, some 0.3 ms. Machines whose layers are walked walk again where another DRAM leads",
        "to another mapping, and where what is named last is inside their walk. On axes of the machine they walk at",
        "every point, and a sweep says at how many; not so those that look up their operands once (`dcnn`,",
        "`cnvlutin`, `nullhop`), and `eyeriss` walks what has a mapping that no point before had.",
        "",
        *table(("machine", "layers", "memory, first lap", "memory", "machine's own", "DRAM inside the walk"), rows),
    ]  # fmt: skip


PARTS: dict[str, Callable[[], list[str]]] = {
    "c": in_c, "rates": promised, "growth": grown, "first": first, "peers": peers, "before": earlier,
    "axes": on_axes,
}  # fmt: skip


def main() -> None:
    """Measure the parts asked for; the others stay in the file as they were measured before."""
    for name in sys.argv[1:] or list(PARTS):
        print(name, flush=True)
        lines = PARTS[name]()
        before = sections(RESULTS.read_text()) if RESULTS.exists() else {}
        write({**before, lines[0]: lines[1:]})


def sections(text: str) -> dict[str, list[str]]:
    """Split the file at its second-level headings."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("## "):
            found[line] = []
        elif found:
            found[list(found)[-1]].append(line)
    return found


def write(found: dict[str, list[str]]) -> None:
    lines = ["# Speed", "", "Written by `make bench`. CPU time throughout; ratios are of one run.", ""]
    lines += [*(f"- {line}" for line in machine()), ""]
    for heading, body in found.items():
        lines += [heading, *body]
        lines += [] if body and not body[-1] else [""]
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
