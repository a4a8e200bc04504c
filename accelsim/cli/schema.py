"""``accelsim schema``: JSON Schema for editors."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(epilog="Example: accelsim schema arch > arch.schema.json")
@click.argument("what", type=click.Choice(["arch", "network", "sweep"]), default="arch")
def command(what: str) -> None:
    """Print the JSON Schema of a machine, network or sweep file, so that editors complete and check the YAML."""
    schema = {"arch": _arch, "network": _network, "sweep": _sweep}[what]()
    click.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2))


def _arch() -> dict[str, Any]:
    """Return the machine schema with each engine's parameters under the engine's name."""
    from accelsim.config.schema import ArchSpec
    from accelsim.engines import registry

    schema = ArchSpec.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    rules, machines = [], _machines()
    for name in registry.modules():
        params = registry.find_params(name).model_json_schema(ref_template="#/$defs/{model}")
        definitions |= params.pop("$defs", {})
        definitions[f"{name}_params"] = {**params, "required": []}
        then = {"properties": {"params": {"$ref": f"#/$defs/{name}_params"}}}
        rules.append({"if": {"properties": {"engine": {"const": name}}, "required": ["engine"]}, "then": then})
        if bases := machines.get(name):
            by_base = {"properties": {"base": {"enum": bases}}, "required": ["base"], "not": {"required": ["engine"]}}
            rules.append({"if": by_base, "then": then})
    unit = definitions["UnitSpec"]
    unit["properties"]["engine"]["enum"] = list(registry.modules())
    schema["required"] = ["name"]
    return {**schema, "allOf": rules, "$defs": {**definitions, "UnitSpec": {**unit, "allOf": rules}}}


def _machines() -> dict[str, list[str]]:
    """Return engine -> the packaged machines of one unit that has it, whether they say so or their base does."""
    from accelsim.config import packaged, yamlfile

    said = {name: yamlfile.read(packaged.find("arch_configs", name)[0]).data for name in packaged.names("arch_configs")}
    found: dict[str, list[str]] = {}
    for name, file in said.items():
        while "engine" not in file and "units" not in file and file.get("base") in said:
            file = said[file["base"]]
        if isinstance(engine := file.get("engine"), str):
            found.setdefault(engine, []).append(name)
    return found


def _network() -> dict[str, Any]:
    from accelsim.workload.schema import NetworkSpec

    return NetworkSpec.model_json_schema()


def _sweep() -> dict[str, Any]:
    from accelsim.explore.sweep.schema import SweepSpec

    return SweepSpec.model_json_schema()
