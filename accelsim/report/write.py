"""The report as files: all of them, or none that looks whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelsim.comparison import Comparison
from accelsim.errors import UserError
from accelsim.outputs import Content, write_set
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.rows import to_csv
from accelsim.report.trace import Trace
from accelsim.results import NetworkResult

PICTURES = ("breakdown.png", "roofline.png")
FILES = ("layers.csv", "report.md", *PICTURES, "report.json")
"""What a report consists of, in the order in which the files appear: the last one marks a whole report."""
COMPARISON = ("compare.csv", "compare.md", "compare.html", "compare.png", "compare.json")
"""What a comparison consists of; the last one marks a whole set."""
TRACE = "trace.json"
"""Written too where a trace is given."""


def write_report(
    result: NetworkResult, folder: str | Path, trace: Trace | None = None, *, pictures: bool = True
) -> list[Path]:
    """Write report.json, layers.csv, report.md, a given trace and, unless told not to, the `PICTURES`; return paths.

    Drawing takes longer than most simulations. An earlier report's pictures go where there are no new ones.

    A run that fails leaves an earlier report as it was; see `accelsim.outputs.write_set`.

    Raises
    ------
    UserError
        When the folder cannot be made or written: no permission, no space, a file in its place.
    """
    # texts come first: what cannot be reported fails before any drawing
    made: dict[str, Content] = {
        "report.json": to_json(result), "layers.csv": to_csv(result), "report.md": to_markdown(result)
    }  # fmt: skip
    if pictures:
        from accelsim.report import plots

        made["breakdown.png"] = plots.png(plots.breakdown_figure(result))
        made["roofline.png"] = plots.png(plots.roofline_figure(result))
    files: dict[str, Content] = {} if trace is None else {TRACE: trace.to_json()}
    files |= {name: made[name] for name in FILES if name in made}
    return _write(Path(folder), files, (TRACE, *PICTURES))


def write_comparison(comparison: Comparison, folder: str | Path, options: Mapping[str, Any]) -> list[Path]:
    """Write compare.json, .csv, .md, .html and .png; return their paths. ``options`` are what was asked for.

    Raises
    ------
    UserError
        As `write_report`.
    """
    from accelsim.report import comparison as texts
    from accelsim.report import comparison_page, plots

    files: dict[str, Content] = {
        "compare.csv": texts.to_csv(comparison),
        "compare.md": texts.to_markdown(comparison),
        "compare.html": comparison_page.to_html(comparison, options),
        "compare.png": plots.png(plots.comparison_figure(comparison)),
        "compare.json": texts.to_json(comparison),
    }
    return _write(Path(folder), files)


def _write(target: Path, files: Mapping[str, Content], stale: Sequence[str] = ()) -> list[Path]:
    try:
        write_set(target, files, stale)
    except OSError as error:
        problem = f"cannot write the report: {(error.strerror or str(error)).lower()}"
        remedy = "choose another folder with -o, or mend its permissions or space"
        raise UserError(problem, remedy, file=str(target)) from error
    return [target / name for name in files]
