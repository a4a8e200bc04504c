"""``accelsim list``: what is packaged."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: accelsim list network")
@click.argument("what", type=click.Choice(["arch", "network", "engine", "replica"]), required=False)
def command(what: str | None) -> None:
    """List packaged machines, networks, engines and replicas: all of them, or one kind."""
    for kind in [what] if what else ["arch", "network", "engine", "replica"]:
        if what is None:
            click.echo(f"{kind}:")
        for name, text in _entries(kind):
            click.echo(f"{'  ' if what is None else ''}{name:26} {text}".rstrip())


def _entries(kind: str) -> list[tuple[str, str]]:
    if kind == "engine":
        from accelsim.engines import registry

        return [(name, registry.get(name).notes.summary) for name in registry.modules()]
    if kind == "replica":
        from importlib import import_module

        names = sorted(p.stem.removeprefix("replica_") for p in Path(__file__).parent.glob("replica_*.py"))
        return [(n, import_module(f"accelsim.cli.replica_{n}").command.get_short_help_str(90)) for n in names]
    from accelsim.spec import packaged
    from accelsim.spec.yamlfile import read

    folder: packaged.Folder = "arch_configs" if kind == "arch" else "workloads"
    found = []
    for name in packaged.names(folder):
        path, shown = packaged.find(folder, name)
        found.append((name, str(read(path, shown).data.get("description", ""))))
    if kind == "network":
        from accelsim.workload.onnx_file import light_names

        found += [(name, "graph that ships with the onnx package") for name in light_names()]
    return found
