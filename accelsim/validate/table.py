"""The validation table, for people."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

from accelsim.validate import spread
from accelsim.validate.cases import Figure
from accelsim.validate.compare import Verdict


def unvalidated(rows: Iterable[Verdict]) -> list[str]:
    """Return the engines whose figures were all derived by hand: nothing published stands behind them."""
    origins: dict[str, set[str]] = {}
    for row in rows:
        origins.setdefault(row.engine, set()).add(row.case.origin)
    return [engine for engine, kinds in origins.items() if kinds == {"hand-derived"}]


def to_markdown(rows: list[Verdict]) -> str:
    """Return the table as markdown, as it is committed."""
    lines = ["# Validation", "", "Figures of papers, other simulators and paper arithmetic against this build.", ""]
    lines += [f"{count(rows)}", "", *_spread(rows), ""]
    for name in unvalidated(rows):
        lines.append(f"`{name}` is **unvalidated**: its figures are derived by hand, none is published.")
    lines += [
        "",
        "| engine | case | expected | ours | error | verdict | class | kind | source | run |",
        "|---|---|--:|--:|--:|---|---|---|---|---|",
    ]
    for row in rows:
        case = row.case
        cells = (row.engine, case.case, f"{figure(case.expected)} {case.unit}".strip(), figure(row.ours),
                 error(row), row.verdict or "reported", case.proves, judged(case), case.source,
                 f"`{case.command}`" if case.command else "")  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    reasons = [f"- {row.case.case}: {row.case.why}" for row in rows if row.case.why]
    return "\n".join([*lines, "", "## Bands and gaps", "", *reasons, ""])


def judged(case: Figure) -> str:
    """Return how a figure is judged, and where it is from."""
    return f"{case.kind if case.kind != 'within' else f'within {case.tolerance:.3g}'}, {case.origin}"


def _spread(rows: list[Verdict]) -> list[str]:
    """Return the head: rows by class, and the errors of those that can be compared, by kind."""
    head, *_ = spread.sentences(rows)
    lines = [head, "", "| comparable | numbers | rows | median error | within 10 % | worst | recalled |",
             "|---|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for one in spread.spreads(rows):
        lines.append(
            f"| {one.metric} | {one.numbers} | {one.rows} | {100 * one.median:.1f} % | {100 * one.near:.0f} % | "
            f"{100 * one.worst:.0f} % | {one.recalled} |"
        )
    return [*lines, "", "A published number that stands in several rows counts once, with the median of their errors."]


def count(rows: list[Verdict]) -> str:
    """Return the totals in words."""
    ok = sum(row.verdict == "ok" for row in rows)
    gaps = sum(row.verdict in ("gap", "gap shrank") for row in rows)
    bad = sum(not row.passed for row in rows)
    skipped = sum(row.verdict == "skipped" for row in rows)
    reported = len(rows) - ok - gaps - bad - skipped
    tables = sum(row.case.origin == "RTL" for row in rows)
    of_rtl = f"; {tables} of them against RTL" if tables else ""
    more = f", {skipped} skipped: ACCELSIM_DATA is not set" if skipped else ""
    verdicts = f"{ok} ok, {gaps} known gaps, {reported} reported without a verdict, {bad} failed"
    return f"{len(rows)} figures: {verdicts}{more}{of_rtl}."


def figure(value: float) -> str:
    """Return a number with thousands; integers without a point."""
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.5g}"


def error(row: Verdict) -> str:
    """Return the relative error in per cent, or the difference where the expected value is 0."""
    if isnan(row.error):
        return "-"
    if row.error == 0:
        return "0"
    return f"{100 * row.error:+.2f} %" if row.case.expected else f"{row.error:+g}"
