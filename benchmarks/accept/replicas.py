"""Other simulators' arithmetic: agreement of a replica is shown as such, never as validation of an engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product

from accelsim.replicas.bitfusion2018 import baseline
from accelsim.replicas.isca16 import BATCHES, PES, buffer_bytes, study, totals

from .check import Check

AREAS = {512: 131_070, 0: 346_458, 2: 342_287, 96: 250_584, 256: 204_655}
"""Register bytes per PE -> buffer bytes at 256 PEs: result file of the authors' public model."""


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _isca16()
    yield from _bitfusion()


def _isca16() -> Iterator[Check]:
    worst = max(abs(buffer_bytes(256, rf) / published - 1) for rf, published in AREAS.items())
    yield Check(
        "ISCA 2016, five buffer areas at 256 PEs (re-statement)", f"worst error {worst:.1e} (bar 1e-3)", worst < 1e-3
    )
    for kind, low, high in (("conv", 1.4, 2.5), ("fc", 1.3, None)):
        ratios = []
        for pes, batch in product(PES, BATCHES[kind]):
            sums = totals(study(pes, batch, kind), kind)
            base = next(row.energy_per_op for row in sums if row.flow == "RS")
            ratios += [row.energy_per_op / base for row in sums if row.flow != "RS" and row.legal]
        bar = f"published {low} to {high}" if high else f"recalled at least {low}"
        holds = round(min(ratios), 1) >= low and (high is None or round(max(ratios), 1) <= high)
        figure = f"{min(ratios):.2f} to {max(ratios):.2f} times row stationary ({bar}, met at one decimal)"
        yield Check(f"ISCA 2016, other dataflows on {kind} layers", figure, holds)


def _bitfusion() -> Iterator[Check]:
    baseline.headline()
    start = time.process_time()
    found = baseline.headline()
    used = time.process_time() - start
    for what, ours, published in (("speed-up", found.speed_up, 3.925), ("energy", found.energy_reduction, 5.117)):
        error = ours / published - 1
        yield Check(f"BitFusion 2018, geometric mean of the {what} over the shipped Eyeriss totals",
                    f"{ours:.4f}, released {published} ({100 * error:+.2f} %, bar 1 %)", abs(error) < 0.01)  # fmt: skip
    yield Check("BitFusion 2018, eight networks, CPU warm", f"{used:.2f} s (bar 1)", used < 1)
