"""How far off this build is, over the figures from which that can be told.

Only *comparable* rows are scored: an identity or another's formula agrees whatever the machine does, a fitted figure
agrees because it was chosen to, and a mean over other networks has no reason to. They are counted beside.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from statistics import median, median_high
from typing import Any, NamedTuple

from accelsim.validate.cases import CLASSES, METRICS, Class, Metric, Number
from accelsim.validate.compare import Verdict

NEAR = 0.1
"""Relative error of a figure that counts as met."""


class Spread(NamedTuple):
    """Relative errors of the published numbers of one kind.

    Attributes
    ----------
    numbers : int
        Published numbers; one that stands in several rows counts once.
    rows : int
        Rows that compare with them.
    median, worst : float
        Of the absolute relative errors. A number in several rows (variants of the machine or of an input that is not
        known) has their median, the larger one of two in the middle.
    near : float
        Share of the numbers that are within `NEAR`.
    recalled : int
        Numbers of them that nobody here has read in their source.
    """

    metric: Metric
    numbers: int
    rows: int
    median: float
    worst: float
    near: float
    recalled: int


def spreads(rows: Iterable[Verdict]) -> list[Spread]:
    """Return the spread of each kind that has comparable figures, in the order of `METRICS`."""
    found: dict[Number, list[Verdict]] = {}
    for row in rows:
        if row.case.proves == "comparable" and not isnan(row.error):
            found.setdefault(row.case.number(row.engine), []).append(row)
    spread = []
    for metric in METRICS:
        groups = [group for number, group in found.items() if number.metric == metric]
        if not groups:
            continue
        errors = [median_high(abs(row.error) for row in group) for group in groups]
        recalled = sum(group[0].case.origin == "published (recalled)" for group in groups)
        near = sum(error <= NEAR for error in errors) / len(errors)
        count = sum(map(len, groups))
        spread.append(Spread(metric, len(groups), count, median(errors), max(errors), near, recalled))
    return spread


def classes(rows: Iterable[Verdict]) -> dict[Class, int]:
    """Return class -> rows of it, for all classes."""
    proved = [row.case.proves for row in rows]
    return {name: proved.count(name) for name in CLASSES}


def sentences(rows: list[Verdict]) -> list[str]:
    """Return the head of the table: what was compared with what, and how far off it is."""
    counted = [f"{number} {name}" for name, number in classes(rows).items() if number and name != "comparable"]
    scored = spreads(rows)
    numbers, taken = sum(one.numbers for one in scored), sum(one.rows for one in scored)
    head = [f"{taken} rows compare with {numbers} published numbers; not scored: {', '.join(counted) or 'none'}."]
    for one in scored:
        recalled = f", {one.recalled} recalled" if one.recalled else ""
        head.append(
            f"{one.metric}: median error {100 * one.median:.1f} %, {100 * one.near:.0f} % of {one.numbers} numbers "
            f"within {100 * NEAR:.0f} %, worst {100 * one.worst:.0f} %{recalled}"
        )
    return head


def to_document(rows: list[Verdict]) -> dict[str, Any]:
    """Return the whole table for machines; errors are fractions, None where there is none."""
    return {
        "figures": len(rows),
        "failed": sum(not row.passed for row in rows),
        "classes": classes(rows),
        "comparable": {
            one.metric: {
                "numbers": one.numbers, "rows": one.rows, "median_abs_error": one.median, "worst_abs_error": one.worst,
                "within_10_percent": one.near, "recalled": one.recalled,
            }
            for one in spreads(rows)
        },
        "rows": [_row(row) for row in rows],
    }  # fmt: skip


def _row(row: Verdict) -> dict[str, Any]:
    case = row.case
    known = not isnan(row.error)
    return {
        "engine": row.engine, "case": case.case, "quantity": case.quantity, "metric": case.metric, "unit": case.unit,
        "expected": case.expected, "ours": row.ours if known else None, "error": row.error if known else None,
        "verdict": row.verdict or "reported", "class": case.proves, "kind": case.kind, "tolerance": case.tolerance,
        "gap": case.gap, "range": case.range, "origin": case.origin, "source": case.source, "why": case.why,
        "command": getattr(case, "command", ""),
    }  # fmt: skip
