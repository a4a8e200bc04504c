"""What ``accelsim list`` says of packaged networks, kept in ``listing.yaml`` so that listing loads none of them.

An entry counts only beside the digest of what it was made from: a table's file, or all files of the connected
networks. What was edited since, or is new, is loaded. ``python -m accelsim.workload.listing`` writes the file again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from accelsim import outputs
from accelsim.config import packaged
from accelsim.units import si

FILE = Path(__file__).with_name("listing.yaml")


def entries() -> list[tuple[str, str]]:
    """Return (name, line of text) of every packaged network, tables first."""
    kept = yaml.load(FILE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if FILE.is_file() else {}
    found: list[tuple[str, str]] = []
    for name in packaged.names("workloads"):
        digest = _digest([packaged.folder("workloads") / f"{name}.yaml"])
        known = kept.get(digest, {})
        found.append((name, known[name] if name in known else _table(name)))
    nets = kept.get(_digest(_net_files()), {})
    return found + list(nets.items() if nets else _connected())


def write() -> None:
    """Write the file from the networks themselves."""
    lines = {
        _digest([packaged.folder("workloads") / f"{name}.yaml"]): {name: _table(name)}
        for name in packaged.names("workloads")
    }
    text = yaml.safe_dump(lines | {_digest(_net_files()): dict(_connected())}, sort_keys=False, width=200)
    outputs.write(
        FILE, "# Written by 'python -m accelsim.workload.listing': digest of the sources, names, lines.\n" + text
    )


def needs(macs: Sequence[int | None]) -> str:
    """Return the multiply-accumulates of all layers, and in how many they are unknown."""
    known, unknown = f"{si(sum(number or 0 for number in macs)):>7} MACs", macs.count(None)
    return f"at least {known} (unknown in {unknown} of {len(macs)} layers)" if unknown else known


def _table(name: str) -> str:
    from accelsim.workload.load import load_network

    net = load_network(name)
    text = needs([layer.macs for layer in net.layers])
    edges = "a table" if net.isolated else "connected"
    return f"{len(net.layers):4} layers, {text}, {si(net.params):>7} parameters; {edges}"


def _connected() -> Iterable[tuple[str, str]]:
    from accelsim.workload import nets

    for name, recipe in nets.recipes().items():
        net = nets.whole_network(name)
        text = f"{len(net.layers):4} layers, {si(net.macs or 0):>7} MACs, {si(net.params):>7} parameters; connected"
        yield nets.PREFIX + name, ", ".join((text, *(f"{key}={size}" for key, size in recipe.sizes.items())))


def _net_files() -> list[Path]:
    return sorted((Path(__file__).parent / "nets").glob("*.py"))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + b"\n".join(path.read_bytes().splitlines()))
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    write()
