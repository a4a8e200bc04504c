"""``accelsim list``: what is packaged."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from textwrap import wrap

import click


@click.command(epilog="Example: accelsim list network")
@click.argument("what", type=click.Choice(["arch", "network", "engine", "replica"]), required=False)
def command(what: str | None) -> None:
    """List packaged machines, networks, engines and replicas: all of them, or one kind.

    A network is a table of the layers that multiply, isolated from each other, or connected (net:NAME, onnx:NAME):
    all of its layers with the edges between them. Sizes such as seq=128 are given with --dim.
    """
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    for kind in [what] if what else ["arch", "network", "engine", "replica"]:
        if what is None:
            click.echo(f"{kind}:")
        for name, text in _entries(kind):
            click.echo(_line(f"{'  ' if what is None else ''}{name:26} ", text, width))


def _line(head: str, text: str, width: int | None) -> str:
    """Return an entry, on a terminal broken between words, its later lines below its text."""
    if width is None or len(head) + len(text) <= width:
        return (head + text).rstrip()
    room = max(20, width - len(head))
    lines = wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return "\n".join((head if i == 0 else " " * len(head)) + line for i, line in enumerate(lines)).rstrip()


def _entries(kind: str) -> list[tuple[str, str]]:
    if kind == "engine":
        from accelsim.engines import registry

        return [(name, registry.get(name).notes.summary) for name in registry.modules()]
    if kind == "replica":
        from accelsim.cli import declared

        return list(declared("replica").items())
    from accelsim.config import packaged
    from accelsim.report import words
    from accelsim.units import si

    if kind == "arch":
        return [(name, _description(name)) for name in packaged.names("arch_configs")]
    from accelsim.workload import nets
    from accelsim.workload.load import load_network
    from accelsim.workload.onnx.file import light_names

    found = []
    for name in packaged.names("workloads"):
        net = load_network(name)
        needed = words.needs([layer.macs for layer in net.layers], lambda n: f"{si(n):>7} MACs")
        found.append((name, f"{len(net.layers):4} layers, {needed}, {si(net.params):>7} parameters; a table"))
    for name, recipe in nets.recipes().items():
        net = nets.whole_network(name)
        text = f"{len(net.layers):4} layers, {si(net.macs or 0):>7} MACs, {si(net.params):>7} parameters; connected"
        found.append((nets.PREFIX + name, ", ".join((text, *(f"{key}={size}" for key, size in recipe.sizes.items())))))
    return found + [(name, "   graph that ships with the onnx package; connected") for name in light_names()]


def _description(name: str) -> str:
    from accelsim.config import packaged
    from accelsim.config.yamlfile import read

    path, shown = packaged.find("arch_configs", name)
    return str(read(path, shown).data.get("description", ""))
