"""What the keys of a mapping mean, as its engine says: `e 4, f 112` is nothing to who has not read the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.results import LayerResult, NetworkResult


def of_layer(result: NetworkResult, layer: LayerResult) -> dict[str, str]:
    """Return key -> meaning of a layer's mapping; nothing of an engine that this build does not have."""
    meanings = _of_engine(_engine(result.arch, layer.unit))
    return {key: meanings[key] for key in layer.mapping if key in meanings}


def of_run(result: NetworkResult) -> dict[str, dict[str, str]]:
    """Return unit -> key -> meaning, of the mappings that occur in a run."""
    found: dict[str, dict[str, str]] = {}
    for layer in result.simulated:
        if meanings := of_layer(result, layer):
            found.setdefault(layer.unit or "", {}).update(meanings)
    return found


def said(meanings: Mapping[str, str]) -> str:
    """Return keys and meanings in a line."""
    return "; ".join(f"{key}: {meaning}" for key, meaning in meanings.items())


def _engine(arch: Mapping[str, Any], unit: str | None) -> str:
    units = {entry.get("name"): entry.get("engine") for entry in arch.get("units") or ()}
    return str(units.get(unit) or arch.get("engine") or unit)


def _of_engine(name: str) -> dict[str, str]:
    try:
        schema = registry.get(name).mapping_schema
    except ConfigError:
        return {}
    return {key: field.description for key, field in schema.model_fields.items() if field.description}
