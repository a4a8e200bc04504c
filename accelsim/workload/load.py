"""Networks by name or path."""

from __future__ import annotations

from pathlib import Path

from accelsim.config import packaged
from accelsim.errors import ConfigError
from accelsim.workload import nets, onnx_import, yaml_network
from accelsim.workload.check import nearest
from accelsim.workload.matrix_names import SUFFIXES, is_matrix
from accelsim.workload.network import Network
from accelsim.workload.onnx_file import PREFIX, light_names, light_path
from accelsim.workload.scalesim import network as scalesim

LOADERS = {
    ".yaml": yaml_network.load,
    ".yml": yaml_network.load,
    ".onnx": onnx_import.load,
    ".csv": scalesim.load,
}
"""File suffix -> function of path and shown name."""


def network_names() -> list[str]:
    """Return the names that `load_network` knows: packaged networks and the graphs of the ``onnx`` wheel."""
    return [*packaged.names("workloads"), *nets.net_names(), *light_names()]


def load_network(name: str, batch: int | None = None, matrix_b: str | None = None) -> Network:
    """Return a network.

    Parameters
    ----------
    name : str
        A packaged name, ``onnx:<name>`` for the light graphs of the ``onnx`` wheel, or a path if it has a slash or
        a suffix: ``.yaml``, ``.yml``, ``.onnx``, or ``.csv`` for a table of SCALE-Sim's. A matrix file, a generator
        (``rmat:n=...,nnz=...``) or ``matrix:<name>`` is the product of that matrix with itself.
    batch : int, optional
        Images in all; the source's own number by default, which is 1 unless an ONNX graph has it fixed.

    matrix_b : str, optional
        Second matrix of a product, where ``name`` is the first.

    Raises
    ------
    ConfigError, WorkloadError
        An unknown name or suffix, and whatever is wrong with the file.
    """
    if is_matrix(name):
        from accelsim.workload.matrix_network import matrix_network

        network = matrix_network(name, matrix_b)
    elif matrix_b is not None:
        raise ConfigError(f"'{name}' is no matrix", "drop --matrix-b or give a matrix", file="--matrix-b")
    else:
        network = _load(name)
    return network if batch is None else network.batched(batch)


def _load(name: str) -> Network:
    if name.startswith(nets.PREFIX):
        return nets.whole_network(name)
    if name.startswith(PREFIX):
        path = light_path(name)
        return onnx_import.load(path, name, f"{path.name} of the onnx wheel, backend test data")
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
    return LOADERS[path.suffix.lower()](path, shown)
