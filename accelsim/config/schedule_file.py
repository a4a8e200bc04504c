"""A schedule from a file: what a report.json, or YAML with ``schedule:``, says of a network's clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelsim.config import yamlfile
from accelsim.errors import ConfigError

PLACE = ("storage", "buffer", "address_bits")


def keys(path: Path) -> list[tuple[str, Any]]:
    """Return the keys of a machine, and their values, that put a network on the clock of a file.

    Raises
    ------
    ConfigError
        A file that cannot be read, or says nothing of a schedule.
    """
    if path.suffix != ".json":
        told = yamlfile.read(path).data.get("schedule")
        if not isinstance(told, dict):
            raise _none(path)
        return [(f"schedule.{key}", value) for key, value in told.items()]
    try:
        data = json.loads(path.read_text("utf-8"))
        schedule, machine = data["schedule"], data["arch"].get("schedule") or {}
        places = [{key: kept[key] for key in PLACE} for kept in schedule["kept"]]
        found = {"mode": "network", "places": places} | {k: schedule[k] for k in ("residency", "prefetch", "overlap")}
    except OSError as error:
        raise ConfigError.unreadable(error, path) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _none(path) from None
    if "fold" in machine:
        found["fold"] = machine["fold"]
    return [(f"schedule.{key}", value) for key, value in found.items()]


def _none(path: Path) -> ConfigError:
    remedy = "give the report.json of a run on one clock, or YAML with schedule:"
    return ConfigError("the file says nothing of a schedule", remedy, file=str(path))
