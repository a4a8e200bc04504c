"""Networks by name or path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelsim.config import packaged
from accelsim.config.yamlfile import of_values
from accelsim.errors import ConfigError
from accelsim.text import nearest
from accelsim.workload import nets, yaml_network
from accelsim.workload.matrix_names import SUFFIXES, is_matrix
from accelsim.workload.network import Network
from accelsim.workload.onnx.file import PREFIX, light_names, light_path
from accelsim.workload.sizes import Sizes, check_names


def _fixed(load: Callable[[Path, str], Network]) -> Callable[[Path, str, Sizes], Network]:
    """Return the loader of files that leave no size open."""

    def loader(path: Path, shown: str, dims: Sizes) -> Network:
        check_names(dims, (), shown)
        return load(path, shown)

    return loader


def _graph(path: Path, shown: str, dims: Sizes, source: str = "") -> Network:
    from accelsim.workload.onnx import importer

    return importer.load(path, shown, dims, source)


def _table(path: Path, shown: str) -> Network:
    from accelsim.workload.scalesim import network

    return network.load(path, shown)


LOADERS: dict[str, Callable[[Path, str, Sizes], Network]] = {
    ".yaml": _fixed(yaml_network.load),
    ".yml": _fixed(yaml_network.load),
    ".onnx": _graph,
    ".csv": _fixed(_table),
}
"""File suffix -> function of path, shown name and the sizes that were given."""


def network_names() -> list[str]:
    """Return the names that `load_network` knows: packaged tables, whole networks, graphs of the ``onnx`` wheel."""
    return [*packaged.names("workloads"), *nets.net_names(), *light_names()]


def load_network(
    name: str | Path | Mapping[str, Any],
    batch: int | None = None,
    matrix_b: str | None = None,
    dims: Sizes | None = None,
) -> Network:
    """Return a network.

    Parameters
    ----------
    name : str, path or mapping
        A packaged table, ``net:<name>`` for a packaged network whole, ``onnx:<name>`` for the light graphs of the
        ``onnx`` wheel, or a path if it has a slash or a suffix: ``.yaml``, ``.yml``, ``.onnx``, or ``.csv`` for a table
        of SCALE-Sim's. A matrix file, a generator (``rmat:n=...,nnz=...``) or ``matrix:<name>`` is the product of that
        matrix with itself, or with a vector if ``@vector`` follows. A mapping holds what a network file would:
        ``{"name": ..., "layers": [...]}``.
    batch : int, optional
        Images in all; the source's own number by default, which is 1 unless an ONNX graph has it fixed.
    matrix_b : str, optional
        Second matrix of a product, where ``name`` is the first.
    dims : mapping, optional
        Sizes of dimensions that the network leaves open, by name: ``{"seq": 128}``.

    Raises
    ------
    ConfigError, WorkloadError
        An unknown name or suffix, a size of a dimension that is not open, and whatever is wrong with the file.
    """
    if isinstance(name, Mapping):
        check_names(dims or {}, (), "<network>")
        network = yaml_network.build(of_values(name, "<network>"))
        return network if batch is None else network.batched(batch)
    name = str(name)
    if is_matrix(name):
        from accelsim.workload.matrix_network import matrix_network

        check_names(dims or {}, (), name)
        network = matrix_network(name, matrix_b)
    elif matrix_b is not None:
        raise ConfigError(f"'{name}' is no matrix", "drop --matrix-b or give a matrix", file="--matrix-b")
    else:
        network = _load(name, dims or {})
    return network if batch is None else network.batched(batch)


def _load(name: str, dims: Sizes) -> Network:
    if name.startswith(nets.PREFIX):
        return nets.whole_network(name, dims)
    if name.startswith(PREFIX):
        path = light_path(name)
        return _graph(path, name, dims, f"{path.name} of the onnx wheel, backend test data")
    if not packaged.is_path(name):
        if name not in packaged.names("workloads"):
            known = network_names()
            twin = PREFIX + name
            hint = f"did you mean '{twin}'?" if twin in known else nearest(name, known, "'accelsim list network'")
            raise ConfigError(f"no network is called '{name}'", hint)
    elif (suffix := Path(name).suffix.lower()) not in LOADERS:
        what = f"files of type '{suffix}' are no networks" if suffix else "a network file needs a suffix"
        raise ConfigError(what, f"give one of {', '.join((*LOADERS, *SUFFIXES))}", file=name)
    path, shown = packaged.find("workloads", name)
    return LOADERS[path.suffix.lower()](path, shown, dims)
