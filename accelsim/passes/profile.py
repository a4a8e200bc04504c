"""Profiles: what measurements say of the tensors of some layers, by layer name or pattern."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field, create_model

from accelsim.config import packaged
from accelsim.config.schema import Strict
from accelsim.config.yamlfile import MAX_FILE_BYTES, Document, of_values, read, validate
from accelsim.errors import ConfigError
from accelsim.text import nearest
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network

Role: TypeAlias = Literal["input", "weight", "output"]
ROLES: tuple[Role, ...] = ("input", "weight", "output")
FREE_COLUMNS = ("source", "status", "note")
"""Columns of a CSV profile that are for people."""


@dataclass(frozen=True)
class Entry:
    """One line of a profile.

    Attributes
    ----------
    pattern : str
        Layer name or shell pattern.
    values : mapping
        Role -> value for the first input, the filters (of a matmul the second operand) or the first output.
    """

    pattern: str
    values: Mapping[Role, Any]
    file: str | None = None
    line: int | None = None

    def error(self, problem: str, remedy: str) -> ConfigError:
        """Return the error to raise for this line."""
        return ConfigError(problem, remedy, file=self.file, line=self.line, key=self.pattern)


Given: TypeAlias = str | Path | Mapping[str, Any]
"""A file, the packaged name of one, or its content as values."""


def read_entries(given: Given, quantity: str, value: Any) -> tuple[Entry, ...]:
    """Return the lines of a profile.

    Parameters
    ----------
    given : path, str or mapping
        A file, by path or by its packaged name, or what would stand under its ``layers``. YAML: ``layers: {conv1:
        {input: 0.4, weight: 0.7}, 'fc*': {weight: 0.1}}``, with an optional ``source``. CSV: columns ``layer`` and
        ``input_<quantity>``, ``weight_<quantity>``, ``output_<quantity>`` as far as known.
    quantity : str
        ``density`` or ``bits``.
    value : type
        Annotated type of a value, with its bounds.

    Raises
    ------
    ConfigError
        A file that cannot be read, unknown keys or columns, values out of bounds.
    """
    roles: dict[str, Any] = dict.fromkeys(ROLES, (value | None, None))
    said = create_model(f"{quantity.capitalize()}Spec", __base__=Strict, **roles)
    fields: dict[str, Any] = {"source": (str, ""), "layers": (dict[str, said], Field(min_length=1))}
    schema = create_model("ProfileSpec", __base__=Strict, **fields)
    document = _document(given, quantity)
    layers: dict[str, BaseModel] = validate(schema, document).layers  # type: ignore[attr-defined]
    entries = []
    for pattern, spec in layers.items():
        file, line = document.place(("layers", pattern))
        values = {role: value for role in ROLES if (value := getattr(spec, role)) is not None}
        entries.append(Entry(pattern, values, file, line))
    return tuple(entries)


def _document(given: Given, quantity: str) -> Document:
    if isinstance(given, Mapping):
        return of_values({"layers": given}, f"<{quantity} of layers>")
    path = packaged.beside("profiles", given)
    return _from_csv(path, quantity) if path.suffix.lower() == ".csv" else read(path)


def _from_csv(path: Path, quantity: str) -> Document:
    """Return a table as the document that says the same in YAML."""
    shown = str(path)

    def error(problem: str, remedy: str, line: int | None = None) -> ConfigError:
        return ConfigError(problem, remedy, file=shown, line=line)

    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
        if len(body) > MAX_FILE_BYTES:
            raise error(f"file is larger than {MAX_FILE_BYTES >> 20} MiB", "split it")
        lines = body.decode("utf-8-sig").splitlines()
        rows = list(csv.reader(lines, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError.unreadable(problem, shown, "give a CSV file in UTF-8") from None
    header = rows[0] if rows else []
    known = ("layer", *(f"{role}_{quantity}" for role in ROLES), *FREE_COLUMNS)
    for column in header:
        if column not in known:
            raise error(f"unknown column '{column}'", nearest(column, known, f"use {', '.join(known)}"), 1)
    if "layer" not in header or len(set(header)) != len(header):
        raise error("the columns need to be distinct and one of them 'layer'", "correct the first line", 1)
    layers: dict[str, dict[str, Any]] = {}
    places: dict[tuple[str | int, ...], tuple[str, int | None]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise error(f"{len(row)} values for {len(header)} columns", "give one per column", line)
        cells = dict(zip(header, row, strict=True))
        name = cells["layer"]
        if name in layers:
            raise error(f"layer '{name}' comes twice", "keep one line", line)
        places["layers", name] = (shown, line)
        layers[name] = {role: _number(text) for role in ROLES if (text := cells.get(f"{role}_{quantity}"))}
    return Document({"layers": layers}, shown, places)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def assigned(network: Network, entries: tuple[Entry, ...]) -> dict[str, Any]:
    """Return tensor name -> value; of two lines that speak of the same layer and role the later one counts.

    Raises
    ------
    ConfigError
        A pattern that no layer has, a role that none of its layers has, or two layers that give one tensor
        different values.
    """
    chosen: dict[tuple[str, Role], tuple[Any, Entry]] = {}
    names = [layer.name for layer in network.layers]
    for entry in entries:
        matched = [layer for layer in network.layers if fnmatchcase(layer.name, entry.pattern)]
        if not matched:
            hint = nearest(entry.pattern, names, "'accelsim show' lists the layers")
            raise entry.error(f"network '{network.name}' has no such layer", hint)
        for role, value in entry.values.items():
            owners = [layer for layer in matched if tensor_of(layer, role)]
            if not owners:
                raise entry.error(f"there is no {role} to describe", "remove it")
            chosen |= {(layer.name, role): (value, entry) for layer in owners}
    values: dict[str, tuple[Any, str]] = {}
    for layer in network.layers:
        for role in ROLES:
            tensor = tensor_of(layer, role)
            if tensor is None or (layer.name, role) not in chosen:
                continue
            value, entry = chosen[layer.name, role]
            other, by = values.setdefault(tensor, (value, layer.name))
            if other != value:
                raise entry.error(
                    f"tensor '{tensor}' has {other} as seen from layer '{by}' and {value} from '{layer.name}'",
                    "give one of the two",
                )
    return {tensor: value for tensor, (value, _) in values.items()}


def tensor_of(layer: Layer, role: Role) -> str | None:
    """Return the name of a layer's tensor in a role, if it has one."""
    if role == "weight" and not layer.weights and layer.kind == "matmul":
        return layer.inputs[1]
    names = {"input": layer.inputs, "weight": layer.weights, "output": layer.outputs}[role]
    return names[0] if names else None


def with_attribute(network: Network, name: str, values: Mapping[str, Any]) -> Network:
    """Return the network with an attribute of some tensors set."""
    changed: dict[str, Tensor] = {t: replace(network.tensors[t], **{name: value}) for t, value in values.items()}
    return network.with_tensors(changed)
