"""The report as files: all of them, or none that looks whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from accelsim.errors import UserError
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.rows import to_csv
from accelsim.report.trace import Trace
from accelsim.results import NetworkResult

FILES = ("layers.csv", "report.md", "breakdown.png", "roofline.png", "report.json")
"""What a report consists of, in the order in which the files appear: the last one marks a whole report."""
TRACE = "trace.json"
"""Written too where a trace is given."""


def write_report(result: NetworkResult, folder: str | Path, trace: Trace | None = None) -> list[Path]:
    """Write report.json, layers.csv, report.md, breakdown.png, roofline.png and a given trace; return their paths.

    Everything is first written under other names in a folder of its own inside ``folder``. Only then the files of
    an earlier report go and the new ones take their places, report.json last. So a run that fails leaves an earlier
    report as it was, one that is killed leaves no report.json unless the report is whole, and files of two runs are
    never mixed. Other files in the folder are not touched.

    Raises
    ------
    UserError
        When the folder cannot be made or written: no permission, no space, a file in its place.
    """
    target = Path(folder)
    try:
        made = _make(target)
        try:
            _write(result, target, trace)
        except BaseException:
            _remove_empty(made)
            raise
    except OSError as error:
        problem = f"cannot write the report: {(error.strerror or str(error)).lower()}"
        remedy = "choose another folder with -o, or mend its permissions or space"
        raise UserError(problem, remedy, file=str(target)) from error
    return [target / name for name in _names(trace)]


def _names(trace: Trace | None) -> tuple[str, ...]:
    return FILES if trace is None else (TRACE, *FILES)


def _write(result: NetworkResult, target: Path, trace: Trace | None) -> None:
    # Not the temporary folder of the system: a rename must not cross file systems.
    aside = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
    try:
        _draft(result, aside, trace)
        for name in (*reversed(FILES), TRACE):
            (target / name).unlink(missing_ok=True)
        for name in _names(trace):
            os.replace(_draft_name(aside, name), target / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _draft(result: NetworkResult, aside: Path, trace: Trace | None) -> None:
    """Write every file under its draft name. Texts come first: what cannot be reported fails before any drawing."""
    texts = {"report.json": to_json(result), "layers.csv": to_csv(result), "report.md": to_markdown(result)}
    texts |= {} if trace is None else {TRACE: trace.to_json()}
    for name, text in texts.items():
        _draft_name(aside, name).write_bytes(text.encode())
    from accelsim.report import plots

    plots.breakdown(result, _draft_name(aside, "breakdown.png"))
    plots.roofline(result, _draft_name(aside, "roofline.png"))


def _draft_name(aside: Path, name: str) -> Path:
    return aside / f"{name}.partial"


def _make(folder: Path) -> list[Path]:
    """Make a folder with its parents and return those that are new, innermost first."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return new


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove the folders that this run made, as far as they are empty."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
