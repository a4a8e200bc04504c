"""Operands from files and networks: integers as they are, real numbers quantised to the tensor's width."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.csr_matrix import CsrMatrix
from accelsim.workload.network import Layer, Network, Tensor

MAX_BYTES = 4 * 2**30
"""An archive that would unpack to more is refused before it is read."""


def load_npz(path: Path, network: Network) -> dict[str, np.ndarray]:
    """Return tensor name -> integers for the arrays ``<layer>.weight`` and ``<layer>.input`` of an archive.

    Raises
    ------
    WorkloadError
        Unreadable or oversized archive, unknown layer or role, wrong shape, values that do not fit the width.
    """
    by_name = {layer.name: layer for layer in network.layers}
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise WorkloadError(f"unpacks to more than {MAX_BYTES >> 30} GiB", "split it", file=str(path))
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                tensor = _tensor_of(key, by_name, network, path)
                found[tensor.name] = to_integers(arrays[key], tensor)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise WorkloadError(f"cannot be read as .npz ({error})", "save it with numpy.savez", file=str(path)) from None
    return found


def _tensor_of(key: str, by_name: dict[str, Layer], network: Network, path: Path) -> Tensor:
    name, _, role = key.rpartition(".")
    layer = by_name.get(name)
    if layer is None or role not in ("weight", "input"):
        raise WorkloadError(
            f"array '{key}' names no operand of '{network.name}'",
            "name arrays <layer>.weight or <layer>.input",
            file=str(path),
        )
    view = network.view(layer)
    if role == "weight" and not view.weights:
        raise WorkloadError(f"layer '{name}' has no weights", "drop the array", file=str(path))
    return view.weight if role == "weight" else view.input


def to_integers(array: Any, tensor: Tensor) -> Any:
    """Return ``array`` as integers of the tensor's width and shape.

    Integers are taken as they are. Real numbers are scaled so that the largest magnitude is the largest value of
    the width (symmetric, per tensor), and rounded to nearest. A sparse matrix stays as it is.
    """
    if isinstance(array, CsrMatrix):
        return array
    bits = tensor.bits
    if bits is None:
        raise WorkloadError(f"tensor '{tensor.name}' has no width", "set its bits or a default precision")
    if array.shape != tensor.shape:
        raise WorkloadError(
            f"tensor '{tensor.name}' is {tensor.shape} but the array given is {array.shape}", "give the layer's shape"
        )
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if tensor.signed else (0, 2**bits - 1)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise WorkloadError(f"tensor '{tensor.name}' holds NaN or infinity", "give finite numbers")
        largest = float(np.abs(array).max(initial=0.0))
        scaled = np.rint(array / largest * high) if largest else np.zeros(array.shape)
        return np.clip(scaled, low, high).astype(np.int64)
    if array.dtype.kind not in "iub":
        raise WorkloadError(f"tensor '{tensor.name}' holds {array.dtype}", "give integers or real numbers")
    least, most = int(array.min(initial=0)), int(array.max(initial=0))
    if least < low or most > high:
        need = max(most.bit_length() + tensor.signed, (-least - 1).bit_length() + 1 if least < 0 else 1)
        sign = "signed" if tensor.signed or least >= 0 else "unsigned"
        raise WorkloadError(
            f"tensor '{tensor.name}': values {least}..{most} do not fit {bits} bits {sign}",
            f"declare at least {need} bits{'' if tensor.signed or least >= 0 else ' signed'}",
        )
    return array.astype(np.int64)
