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
    asked = monotone.measure(PAIRS)
    for promise in monotone.PROMISES:
        mine = [each for each in asked if each.promise == promise]
        broken = sum(each.broken for each in mine if not each.rule)
        excused = Counter(each.rule for each in mine if each.rule)
        named = "".join(f"; excused: {count}, {rule}" for rule, count in sorted(excused.items()))
        yield Check(promise, f"{broken} of {len(mine) - excused.total()} pairs{named}", broken == 0)
