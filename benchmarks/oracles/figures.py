"""The figures of this build, as named trees of JSON: what two builds are compared by."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any

import yaml

import accelsim
from accelsim.errors import UserError
from accelsim.explore.sweep import export
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.store import open_reader
from accelsim.report.document import document
from accelsim.validate.compare import validate

from .plan import RUNS, SWEEPS, Run

NAMES_OF_A_BUILD = ("accelsim", "schema")
"""Keys of a report that tell builds apart and are no figures."""
KEY_FIGURES = ("status", "cycles", "total_energy_pj", "dram_read_bits", "dram_write_bits", "utilization", "area_mm2")
"""Columns of a point that are kept; of all others, its axes apart, only the digest."""


def validation() -> Iterator[tuple[str, Any]]:
    """Yield every figure of the validation table."""
    seen: dict[str, int] = {}
    for row in validate():
        name = f"{row.engine}: {row.case.case}, {row.case.quantity}"
        seen[name] = seen.get(name, 0) + 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        yield name + again, {"ours": None if isnan(row.ours) else row.ours, "verdict": row.verdict}


def reports() -> Iterator[tuple[str, Any]]:
    """Yield every report."""
    for run in RUNS:
        yield run.name, report(run)


def report(run: Run) -> Any:
    """Return report.json of a run, its layers by name; where the run is refused, what was said."""
    try:
        arch = accelsim.load_arch(run.machine, list(run.sets.items()))
        found = document(accelsim.simulate(arch, run.network, **run.options))
    except UserError as error:
        return {"refused": str(error)}
    found = {key: value for key, value in found.items() if key not in NAMES_OF_A_BUILD}
    found["network"]["source"] = str(found["network"]["source"]).replace(str(Path(__file__).parent), "")
    layers = found.pop("layers")
    return found | {"layers": {f"{i} {layer['name']}": layer for i, layer in enumerate(layers)}}


def points(documents: list[dict[str, Any]] = SWEEPS) -> Iterator[tuple[str, Any]]:
    """Yield every point of the sweeps."""
    for said in documents:
        with tempfile.TemporaryDirectory() as folder:
            file, store = Path(folder) / "sweep.yaml", Path(folder) / "points.db"
            file.write_text(yaml.safe_dump(said, sort_keys=False))
            sweep.run(file, store, workers=0)
            with open_reader(store) as opened:
                rows = export.rows(opened)
        for row in rows:
            axes = {key: row.pop(key) for key in said["axes"]}
            del row["point"]
            name = " ".join([f"{row['machine']} on {row['network']}", *(f"{k}={v}" for k, v in axes.items())])
            digest = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:12]
            yield name, {key: row.get(key) for key in KEY_FIGURES} | {"digest of all columns": digest}


PARTS = {"validation": validation, "reports": reports, "points": points}
