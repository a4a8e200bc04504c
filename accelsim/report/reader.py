"""A report.json as the result it was written from, as far as tables and pictures need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from accelsim.errors import ConfigError, ModelError
from accelsim.report.document import document
from accelsim.report.markdown import to_markdown
from accelsim.results import SCHEMA, SCHEMA_SCHEDULED, NetworkResult

MAX_BYTES = 64 * 2**20
"""Larger files are refused before they are parsed: a thousand layers take some megabytes."""
_LATER = (
    "nonzero_weight_macs", "nonzero_input_macs", "stored", "dram_bits_touched", "events", "stalled_pj", "parent",
    "dram", "folded_into",
)  # fmt: skip
"""Keys that reports of this format had not from the start."""

_COPIED = (
    "name", "kind", "shape", "bits", "macs", "simulated", "reason", "unit", "effective_macs",
    "performed_macs", "start_cycle", "cycles", "compute_cycles", "stall_cycles", "dram_cycles", "fidelity", "mapping",
    "mapping_source", "primary", "needed_bits_per_cycle", "energy_pj", "checked", "details",
)  # fmt: skip


def read_report(path: Path) -> NetworkResult:
    """Return the result that a report.json describes.

    Raises
    ------
    ConfigError
        A file that cannot be read, is no report, or has another version of the format.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise ConfigError(f"larger than {MAX_BYTES >> 20} MiB", "no report is", file=str(path))
        data = json.loads(body.decode())
    except OSError as error:
        raise ConfigError.unreadable(error, path) from None
    except (ValueError, RecursionError):
        raise _no_report(path) from None
    if not isinstance(data, dict) or "schema" not in data:
        raise _no_report(path)
    if data["schema"] not in (SCHEMA, SCHEMA_SCHEDULED):
        problem = f"the report has format {data['schema']}, this accelsim reads {SCHEMA} and {SCHEMA_SCHEDULED}"
        raise ConfigError(problem, "write it again with 'accelsim run'", file=str(path))
    try:
        result: NetworkResult = TypeAdapter(NetworkResult).validate_python(_result(data))
        document(result)  # every figure that a table or picture may ask for,
        to_markdown(result)  # and every name
        if not isinstance(result.arch["name"], str):
            raise TypeError("name")
        return result
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, ModelError):
        raise _no_report(path) from None


def _no_report(path: Path) -> ConfigError:
    return ConfigError("this is no report.json of accelsim", "give one that 'accelsim run' wrote", file=str(path))


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    network, totals = data["network"], data["totals"]
    return {
        "arch": data["arch"],
        "network": network["name"],
        "source": network["source"],
        "batch": network["batch"],
        "layers": [_layer(row) for row in data["layers"]],
        "options": data["options"],
        "clock_mhz": totals["clock_mhz"],
        "isolated": network["isolated"],
        "not_modelled": data["not_modelled"],
        "notes": data["notes"],
        "area_mm2": totals["area_mm2_by_component"],
        "area_missing": totals.get("area_missing", ()),
        "area_parts_mm2": totals.get("area_parts_mm2", {}),
        "prices": data.get("prices", {}),
        "joins": data.get("joins", {}),
        "advice": data.get("advice"),
        "energy_tables": data.get("energy_tables", {}).get("rows", ()),
        "schedule": data.get("schedule"),
    }


def _layer(row: Mapping[str, Any]) -> dict[str, Any]:
    copied = ("accounts", "traffic", "buffers")
    later = (key for key in _LATER if key in row)
    found = {"dram_bits_touched": None} | {key: row[key] for key in (*_COPIED, *copied, *later)}
    if "events" not in row and row["kind"] == "unsupported":
        found["macs"] = None  # older builds wrote 0 for what they did not know
    return found
