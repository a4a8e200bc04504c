"""Every published, fitted and derived figure that is packaged with an engine, beside this build's."""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.validate import compare, table

from .check import Check


def checks() -> Iterator[Check]:
    """Yield one line per figure; recalled and otherwise reported ones have no bar."""
    rows = compare.validate()
    for row in rows:
        case = row.case
        figure = (
            f"{table.figure(row.ours)} {case.unit}, {case.origin} {table.figure(case.expected)} ({table.error(row)})"
        )
        gap = " known gap" if row.verdict == "gap" else ""
        yield Check(f"{row.engine}: {case.case}", f"{figure}{gap}", row.passed if row.verdict else None)
    yield Check("all figures", table.count(rows), all(row.passed for row in rows))
