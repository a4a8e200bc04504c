"""Speed: kernels against C, SCNN on VGG-16, bit-serial terms, SCALE-Sim's replica against SCALE-Sim."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import rates
from benchmarks.c import measure
from benchmarks.c.twins import GCC
from benchmarks.peers import scalesim

from .check import Check

MOST, SECONDS, TERMS = 1.5, 10, 1e8
REPORTS, CLOSED = 300, 10_000
PEER_LAYERS = 1
"""Of AlexNet; `make bench` runs them all, in an hour or less."""


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _in_c()
    for machine in ("scnn", "scnn_queued", "scnn_strict"):
        used = rates.scnn_vgg16(machine).seconds
        yield Check(f"{machine}: 13 convolutions of VGG-16, values off, CPU", f"{used:.1f} s (bar {SECONDS})",
                    used < SECONDS)  # fmt: skip
    for machine in ("pragmatic", "laconic"):
        rate = rates.terms_per_second(machine)
        figure = f"{rate / 1e6:.0f} million terms of activations per CPU second (bar {TERMS / 1e6:.0f})"
        yield Check(f"{machine}: data-dependent walk", figure, rate >= TERMS)
    yield from _peer()


def _in_c() -> Iterator[Check]:
    if GCC is None:
        yield Check("kernels against the same loops in C", "no gcc here, not measured")
        return
    for row in measure.rows():
        figure = f"{1e3 * row.ours_s:.1f} ms, C {1e3 * row.c_s:.1f} ms: {row.ratio:.2f} times (bar {MOST})"
        yield Check(f"{row.engine}.{row.kernel} against C: {row.case}", figure, row.ratio <= MOST)


def _peer() -> Iterator[Check]:
    found = scalesim.measure(PEER_LAYERS)
    where = f"first {found.layers} of AlexNet, 32 x 32 os"
    yield Check(f"SCALE-Sim 3.0.0, {where}: reports, SRAM counts and MACs are the same", str(found.same), found.same)
    for what, seconds, ratio in found.lines():
        bar = CLOSED if "closed" in what else REPORTS if "three reports" in what else None
        figure = f"{seconds:.6g} s" if ratio is None else f"{seconds:.6g} s, {ratio:,.0f} times less"
        figure += f" (bar {bar:,})" if bar else ""
        yield Check(f"{where}: {what}, CPU", figure, None if bar is None or ratio is None else ratio >= bar)
