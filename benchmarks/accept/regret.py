"""The mapper: the best of its list, of what is off the list, and promises that it keeps whatever the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .. import monotone, regret
from .check import Check

OWN_BAR, OUTSIDE_BAR = 1.02, 1.10
PAIRS = 2000


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    found = list(regret.rows())
    for line in regret.table(found).splitlines():
        yield Check("regret", line)
    own = max(found, key=lambda row: row.own)
    outside = max(found, key=lambda row: row.outside or 0.0)
    figure = f"{own.own:.4f} ({own.machine}, {own.network}, {own.layer}) of {len(found)} layers, bar {OWN_BAR}"
    yield Check("searched cycles over the best of 200 candidates, worst", figure, own.own <= OWN_BAR)
    worst = outside.outside or 0.0
    figure = f"{worst:.4f} ({outside.machine}, {outside.network}, {outside.layer}), bar {OUTSIDE_BAR}"
    yield Check("searched cycles over the best of 200 legal mappings off the list, worst", figure, worst <= OUTSIDE_BAR)
    ran, broken = monotone.measure(PAIRS)
    counts = Counter((each.engine, each.promise) for each in broken)
    for promise in monotone.PROMISES:
        mine = {engine: count for (engine, what), count in counts.items() if what == promise}
        proven = sum(count for engine, count in mine.items() if engine not in monotone.RULES)
        named = "".join(f"; {engine}: {count} of {ran[engine]}, {monotone.RULES[engine]}"
                        for engine, count in mine.items() if engine in monotone.RULES)  # fmt: skip
        yield Check(promise, f"{proven} of {sum(ran.values())} pairs{named}", proven == 0)
