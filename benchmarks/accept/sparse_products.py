"""Sparse products: counts and figures, techniques of SpArch, bounds, scale, kernels against C."""

from __future__ import annotations

import time
from collections.abc import Iterator

import accelsim
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.validate import compare, table
from accelsim.workload.matrix_names import find_data
from benchmarks.c.measure import rows
from benchmarks.c.twins import GCC

from .check import Check, peak_mib

ENGINES = ("sparch", "outerspace", "gamma", "extensor", "sigma")
SMALL, LARGE = "rmat:n=65536,nnz=130000,seed=1", "rmat:n=1048576,nnz=3200000,seed=1"
"""10^7 and 10^9 multiplications."""


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _values()
    yield from _figures()
    yield from _bounds()
    yield from _bandwidths()
    yield from _scale()
    yield from _kernels()


def _values() -> Iterator[Check]:
    for name, products, additions in (("wiki-Vote", 4_542_805, 2_711_693), ("p2p-Gnutella31", 538_318, 717)):
        if find_data(name) is None:
            yield Check(f"{name} squared", "skipped: ACCELSIM_DATA does not hold it")
            continue
        net = accelsim.load_network(f"matrix:{name}")
        operands = of(net.view(net.layers[0]), 0, net.values)
        entries = golden(operands).nnz
        figure = f"{operands.effective_macs:,} and {operands.effective_macs - entries:,}"
        yield Check(
            f"{name} squared by scipy: multiplications and additions as the engines'", figure,
            (operands.effective_macs, operands.effective_macs - entries) == (products, additions),
        )  # fmt: skip
        for engine in ENGINES if name == "wiki-Vote" else ENGINES[:4]:
            layer = accelsim.simulate(engine, net, check=True).layers[0]
            yield Check(
                f"{name} squared on {engine} equals scipy's in pattern and value", str(layer.checked), layer.checked
            )
    real = accelsim.load_network("rmat:n=2000,nnz=16000,seed=3")
    layers = [accelsim.simulate(engine, real, check=True).layers[0] for engine in ENGINES]
    yield Check("R-MAT of 2,000 rows on all five equals scipy's", str([x.checked for x in layers]),
                all(x.checked for x in layers))  # fmt: skip


def _figures() -> Iterator[Check]:
    """Techniques of SpArch beside the published factors; the other figures of these engines are in part `figures`."""
    for row in compare.validate(["sparch"]):
        if row.case.baseline:
            figure = f"{table.figure(row.ours)}x, published {table.figure(row.case.expected)}x, an average over others"
            yield Check(row.case.case, figure)


def _bounds() -> Iterator[Check]:
    net = accelsim.load_network("rmat:n=20000,nnz=160000,seed=1")
    for engine in ENGINES:
        result = accelsim.simulate(engine, net)
        layer = result.layers[0]
        cycles = layer.cycles
        bound = layer.details["bound_cycles"]
        what = ", ".join(f"{key.removeprefix('rounds_bound_by_')} {n}" for key, n in layer.details.items()
                         if key.startswith("rounds_bound_by_"))  # fmt: skip
        figure = (
            f"{cycles:,} cycles, bound {bound:,} ({cycles / bound:.2f}x); {layer.details['gflop_per_s']:.2f} GFLOP/s"
        )
        figure += f"; rounds bound by {what}" if what else ""
        yield Check(f"R-MAT of 20,000 rows on {engine}: time and analytic bound", figure, cycles >= bound)


def matrices(count: int) -> Iterator[str]:
    """Yield names of different matrices: R-MAT, uniform, banded and power-law ones, of 100 to 3,000 rows."""
    for i in range(count):
        n, per_row = (100, 300, 1000, 3000)[i % 4], (2, 5, 12)[i % 3]
        kind = ("rmat", "uniform", "banded", "powerlaw")[i // 4 % 4]
        width = f"width={per_row}" if kind == "banded" else f"nnz={n * per_row}"
        yield f"{kind}:n={n},{width},seed={i}" + (f",longest={8 * per_row}" if kind == "powerlaw" else "")


def slower(name: str, gb_per_s: tuple[float, ...] = (16, 64, 128, 256, 1024, 4096)) -> list[int]:
    """Return the packaged SpArch's cycles at rising bandwidths if it is ever slower with more, else nothing."""
    net = accelsim.load_network(name)
    machines = [accelsim.load_arch("sparch", [("memory.dram.gb_per_s", rate)]) for rate in gb_per_s]
    cycles = [accelsim.simulate(machine, net).cycles for machine in machines]
    return [] if cycles == sorted(cycles, reverse=True) else cycles


def _bandwidths() -> Iterator[Check]:
    bad = {name: cycles for name in matrices(50) if (cycles := slower(name))}
    figure = f"{len(bad)} of 50 slower with more bandwidth" + "".join(f"; {k}: {v}" for k, v in bad.items())
    yield Check("sparch on 50 matrices at 6 bandwidths from 16 to 4,096 GB/s", figure, not bad)


def _scale() -> Iterator[Check]:
    for engine in ENGINES:
        accelsim.simulate(engine, "rmat:n=100,nnz=800")
        for name, bar_s in ((SMALL, 10), (LARGE, 300)):
            net, shares = accelsim.load_network(name), []
            start = time.process_time()
            layer = accelsim.simulate(engine, net, progress=lambda _, done, n, heard=shares: heard.append(done)).layers[
                0
            ]
            used = time.process_time() - start
            figure = f"{layer.details['products']:,} multiplications in {used:.1f} s of CPU (bar {bar_s}), "
            figure += f"{layer.details['products'] / used:.2g} per second, {len(shares)} reports of progress"
            yield Check(f"{engine}, {name}", figure, used < bar_s)
        code = "import accelsim\naccelsim.simulate('{}', '{}')"
        peak = peak_mib(code.format(engine, LARGE))
        yield Check(f"{engine}, peak memory of it", f"{peak:,.0f} MiB (bar 8192)", peak < 8192)


def _kernels() -> Iterator[Check]:
    if GCC is None:
        yield Check("kernels against C", "skipped: no gcc")
        return
    for row in rows(list(ENGINES)):
        figure = f"{1e3 * row.ours_s:.1f} ms, C {1e3 * row.c_s:.1f} ms, ratio {row.ratio:.2f} (bar 1.5)"
        yield Check(f"{row.engine}, {row.kernel}", figure, row.ratio < 1.5)
