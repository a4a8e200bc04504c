"""Operands from files and networks: integers as they are, real numbers quantised to the tensor's width."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.errors import ConfigError, WorkloadError
from accelsim.outputs import write
from accelsim.text import quoted
from accelsim.workload.csr_matrix import CsrMatrix
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, input_names
from accelsim.workload.npy_file import UNREADABLE, check_npz

MAX_BYTES = 4 * 2**30
"""An archive that would unpack to more is refused before it is read."""


def load_operands(
    given: Path | Mapping[str, np.ndarray], network: Network, wanted: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Return tensor name -> integers for the arrays of an archive, or for arrays by name; see `read_npz` for the names.

    Parameters
    ----------
    wanted : collection of str, optional
        Tensors that are looked at; all by default.

    Raises
    ------
    WorkloadError
        Unreadable or oversized archive, unknown layer or role, wrong shape, values that do not fit the width.
    """
    reader = {name: layer.name for layer in reversed(network.layers) for name in (*layer.inputs, *layer.weights[:1])}
    found = {}
    shown = "<operands>" if isinstance(given, Mapping) else str(given)
    arrays = named_arrays(given, network) if isinstance(given, Mapping) else read_npz(given, network)
    for name, array in arrays.items():
        if wanted is not None and name not in wanted:
            continue
        try:
            found[name] = to_integers(array, network.tensors[name])
        except WorkloadError as error:
            raise WorkloadError(f"layer '{reader[name]}': {error.problem}", error.remedy, file=shown) from None
    return found


def named_arrays(arrays: Mapping[str, np.ndarray], network: Network) -> dict[str, np.ndarray]:
    """Return tensor name -> array for arrays under the names of `read_npz`.

    Raises
    ------
    WorkloadError
        Unknown layer or role, wrong shape.
    """
    by_name = {layer.name: layer for layer in network.layers}
    found = {}
    for key, array in arrays.items():
        tensor = _tensor_of(key, by_name, network, "<operands>")
        _same_shape(key, np.shape(array), tensor, "<operands>")
        found[tensor.name] = np.asarray(array)
    return found


def read_npz(path: Path, network: Network) -> dict[str, np.ndarray]:
    """Return tensor name -> array as it is for ``<layer>.weight``, ``<layer>.input``, ``<layer>.input2``, ...

    Raises
    ------
    WorkloadError
        Unreadable or oversized archive, unknown layer or role, wrong shape.
    """
    by_name = {layer.name: layer for layer in network.layers}
    found: dict[str, np.ndarray] = {}
    try:
        shapes = check_npz(path, MAX_BYTES)
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                tensor = _tensor_of(key, by_name, network, str(path))
                _same_shape(key, shapes[key], tensor, str(path))  # before it takes memory
                found[tensor.name] = arrays[key]
    except UNREADABLE as error:
        raise WorkloadError(
            f"cannot be read as .npz ({quoted(error)})", "save it with numpy.savez", file=str(path)
        ) from None
    return found


def save_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, compressed, in one step; ConfigError if that cannot be done.

    The same arrays give the same bytes.
    """
    if path.suffix != ".npz":
        raise ConfigError("an archive of operands ends in .npz", "choose another name", file=str(path))
    write(path, lambda file: np.savez_compressed(file, **dict(arrays)))  # type: ignore[arg-type]


def _same_shape(key: str, shape: tuple[int, ...], tensor: Tensor, shown: str) -> None:
    if shape != tensor.shape:
        problem = f"array '{key}' is {shape}, the layer's tensor is {tensor.shape}"
        raise WorkloadError(problem, "give the layer's shape", file=shown)


def _tensor_of(key: str, by_name: dict[str, Layer], network: Network, shown: str) -> Tensor:
    name, _, role = key.rpartition(".")
    layer = by_name.get(name)
    inputs = () if layer is None else input_names("", len(layer.inputs))
    if layer is None or (role != "weight" and f".{role}" not in inputs):
        raise WorkloadError(
            f"array '{key}' names no operand of '{network.name}'",
            "name arrays <layer>.weight or <layer>.input",
            file=shown,
        )
    view = network.view(layer)
    if role == "weight" and not view.weights:
        raise WorkloadError(f"layer '{name}' has no weights", "drop the array", file=shown)
    return view.weight if role == "weight" else view.inputs[inputs.index(f".{role}")]


def _shaped(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    if array.shape != tensor.shape:
        raise WorkloadError(
            f"tensor '{tensor.name}' is {tensor.shape} but the array given is {array.shape}", "give the layer's shape"
        )
    return array


def to_integers(array: Any, tensor: Tensor) -> Any:
    """Return ``array`` as integers of the tensor's width and shape.

    Integers are taken as they are. Real numbers are scaled so that the largest magnitude is the largest value of
    the width (symmetric, per tensor), and rounded to nearest; an infinite one, as masks have it, is the largest or the
    least value. One signed bit is a sign: +1 or -1. A sparse matrix stays as it is.
    """
    if isinstance(array, CsrMatrix):
        return array
    bits = tensor.bits
    if bits is None:
        raise WorkloadError(f"tensor '{tensor.name}' has no width", "set its bits or a default precision")
    _shaped(array, tensor)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if tensor.signed else (0, 2**bits - 1)
    sign_only = bits == 1 and tensor.signed
    if array.dtype.kind == "f":
        if np.isnan(array).any():
            raise WorkloadError(f"tensor '{tensor.name}' holds NaN", "give numbers")
        if sign_only:
            return np.where(array < 0, -1, 1)
        largest = float(np.abs(array).max(initial=0.0, where=np.isfinite(array))) or 1.0
        scaled = np.rint(array / largest * high)
        return np.clip(scaled, low, high).astype(np.int64)
    if array.dtype.kind not in "iub":
        raise WorkloadError(f"tensor '{tensor.name}' holds {array.dtype}", "give integers or real numbers")
    least, most = int(array.min(initial=0)), int(array.max(initial=0))
    if least < low or most > high + sign_only:
        negative = least < 0
        need = max(most.bit_length() + (tensor.signed or negative), (-least - 1).bit_length() + 1 if negative else 1)
        raise WorkloadError(
            f"tensor '{tensor.name}': values {least}..{most} do not fit {bits} bits "
            f"{'signed' if tensor.signed else 'unsigned'}",
            f"declare at least {need} bits{' signed' if negative and not tensor.signed else ''}",
        )
    return array.astype(np.int64)
