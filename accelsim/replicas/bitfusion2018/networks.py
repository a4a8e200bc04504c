"""The packaged networks of the two releases, and files of the same format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelsim.config.packaged import is_path
from accelsim.config.yamlfile import Document, read, validate
from accelsim.errors import ConfigError
from accelsim.replicas.bitfusion2018.values import Network
from accelsim.text import nearest

HERE = Path(__file__).parent
BITFUSION_NETWORKS = HERE / "networks"
ANT_NETWORKS = HERE / "ant_networks"

_RUN = re.compile(r"(\d{1,6})x(\d{1,3})")


def names(folder: Path = BITFUSION_NETWORKS) -> list[str]:
    """Return the names of the networks packaged in ``folder``."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def plain_name(name: str) -> str:
    """Return a network's packaged name: ``bitfusion_vgg7`` and the papers' ``VGG-7`` are both ``vgg7``."""
    return name.lower().removeprefix("bitfusion_").replace("-", "")


def load(name: str, folder: Path = BITFUSION_NETWORKS, precision: str | None = None) -> Network:
    """Return a packaged network, or that of a file when ``name`` has a slash or a suffix.

    A file with ``precisions:`` holds the bit widths of several designs, each as runs ``<layers>x<bits>`` such as
    ``1x8 14x4 1x8``; ``precision`` picks one.

    Raises
    ------
    ConfigError
        For an unknown name, key or design, or a value out of range.
    """
    if is_path(name):
        document = read(Path(name))
    else:
        plain = plain_name(name)
        if plain not in names(folder):
            raise unknown("network", name, names(folder))
        document = read(folder / f"{plain}.yaml")
    if "precisions" in document.data:
        document = _with_precision(document, precision)
    return validate(Network, document)


def unknown(what: str, name: str, known: Sequence[str]) -> ConfigError:
    """Return the error for a name that is not among ``known``, with the nearest one as remedy."""
    return ConfigError(f"no {what} is called '{name}'", nearest(name.lower(), known, f"known: {', '.join(known)}"))


def _with_precision(document: Document, precision: str | None) -> Document:
    """Return the document with ``precisions`` replaced by the bit widths of one design in every layer."""
    data = dict(document.data)
    runs_of, layers = data.pop("precisions"), data.get("layers")
    if not isinstance(runs_of, dict) or not isinstance(layers, list):
        raise document.error(("precisions",), "is no mapping of designs beside a list of layers", "write both")
    if precision is None:
        raise document.error(
            ("precisions",), "the bit widths depend on the design", "give activation_bits and weight_bits per layer"
        )
    if precision not in runs_of:
        raise document.error(("precisions",), f"has no '{precision}'", f"add it beside {', '.join(runs_of)}")
    bits: list[int] = []
    for run in str(runs_of[precision]).split():
        found = _RUN.fullmatch(run)
        if found is None:
            raise document.error(("precisions", precision), f"'{run}' is no run", "write <layers>x<bits> as in 14x4")
        bits += [int(found[2])] * int(found[1])
    if len(bits) != len(layers):
        raise document.error(
            ("precisions", precision), f"{len(bits)} widths for {len(layers)} layers", "give one to each layer"
        )
    data["layers"] = [_with_bits(layer, p) for layer, p in zip(layers, bits, strict=True)]
    return Document(data, document.name, document.places)


def _with_bits(layer: Any, bits: int) -> Any:
    return {**layer, "activation_bits": bits, "weight_bits": bits} if isinstance(layer, dict) else layer
