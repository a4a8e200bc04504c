"""ONNX files: reading them safely, and the constants they carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from accelsim.config import packaged
from accelsim.errors import ConfigError, ModelError, WorkloadError
from accelsim.text import nearest, quoted
from accelsim.workload.onnx.inline import inlined
from accelsim.workload.shapes import Dims, elements

if TYPE_CHECKING:
    import numpy as np

MAX_MODEL_BYTES = 2**31 - 1
"""Protocol buffers hold no more; larger models keep their weights in a file beside them."""
PREFIX = "onnx:"
"""Names of the light graphs start with it."""


@dataclass(frozen=True)
class Stored:
    """Values inside the model file."""

    tensor: Any
    shown: str

    def read(self) -> np.ndarray:
        """Return the values; WorkloadError if they do not fill the tensor."""
        from onnx import numpy_helper

        try:
            return _plain(numpy_helper.to_array(self.tensor))
        except (ValueError, TypeError) as error:
            line = f"tensor '{self.tensor.name}' cannot be read ({quoted(error)})"
            raise WorkloadError(line, "export the model again", file=self.shown) from None


@dataclass(frozen=True)
class External:
    """Values in a file beside the model."""

    path: Path
    dtype: np.dtype[Any]
    offset: int
    count: int

    def read(self) -> np.ndarray:
        """Return the values, in one dimension."""
        import numpy as np

        return _plain(np.fromfile(self.path, self.dtype, self.count, offset=self.offset))


@dataclass(frozen=True, eq=False)
class Computed:
    """Values that were computed from constants."""

    array: np.ndarray = field(repr=False)

    def read(self) -> np.ndarray:
        """Return the values."""
        return self.array


@dataclass(frozen=True)
class Absent:
    """Values in a file that is not there: shapes suffice until somebody wants them."""

    name: str
    location: str
    shown: str

    def read(self) -> np.ndarray:
        """Raise WorkloadError."""
        problem = f"tensor '{self.name}' is kept in '{self.location}', which is missing"
        raise WorkloadError(problem, "put it beside the model", file=self.shown)


class Origin(Protocol):
    """Where values are."""

    def read(self) -> np.ndarray:
        """Return the values."""


@dataclass(frozen=True)
class Constant:
    """A constant of the graph.

    Attributes
    ----------
    shape : tuple of int
    origin : Origin or None
        Where the values are; None when the file holds none worth the name: a fill, or a computed constant.
    orders : tuple of (shape, order of dimensions)
        Transpositions that lead from the origin to the constant.
    """

    shape: Dims
    origin: Origin | None = None
    orders: tuple[tuple[Dims, Dims], ...] = ()

    @property
    def absent(self) -> str:
        """The file in which the values should be and which is missing; empty if they are there or there are none."""
        origin = self.origin
        while isinstance(origin, Part):
            origin = origin.whole.origin
        if isinstance(origin, Absent):
            return origin.location
        return ""

    def reshaped(self, shape: Dims) -> Constant:
        """Return the same values in another shape."""
        return replace(self, shape=shape)

    def transposed(self, order: Dims) -> Constant:
        """Return the values with their dimensions in another order."""
        shape = tuple(self.shape[i] for i in order)
        return Constant(shape, self.origin, (*self.orders, (self.shape, order)))

    def part(self, start: int, shape: Dims) -> Constant:
        """Return some of the values, from one on, in a shape of their own."""
        return Constant(shape, None if self.origin is None else Part(self, start, elements(shape)))

    def read(self) -> np.ndarray:
        """Return the values; ModelError if there are none."""
        if self.origin is None:
            raise ModelError("a constant without values was read")
        values = self.origin.read()
        for shape, order in self.orders:
            values = values.reshape(shape).transpose(order)
        return values.reshape(self.shape)


@dataclass(frozen=True)
class Part:
    """Some values of a constant, which follow each other."""

    whole: Constant
    start: int
    count: int

    def read(self) -> np.ndarray:
        """Return the values, in one dimension."""
        return self.whole.read().reshape(-1)[self.start : self.start + self.count]


@dataclass(frozen=True, repr=False)
class LazyValues(Mapping[str, "np.ndarray"]):
    """Tensor name -> values, read at each access."""

    constants: Mapping[str, Constant]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.constants[name].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.constants)

    def __len__(self) -> int:
        return len(self.constants)


def light_names() -> list[str]:
    """Return the names of the graphs in the ``onnx`` wheel, ``onnx:<name>``; nothing of onnx is imported."""
    return sorted(PREFIX + path.stem.removeprefix("light_") for path in _light_folder().glob("light_*.onnx"))


def light_path(name: str) -> Path:
    """Return the file of ``onnx:<name>``; ConfigError if there is none."""
    path = _light_folder() / f"light_{name.removeprefix(PREFIX)}.onnx"
    known = light_names()
    if name not in known:
        raise ConfigError(f"no ONNX graph is called '{name}'", nearest(name, known, f"one of {', '.join(known)}"))
    return path


def _light_folder() -> Path:
    spec = find_spec("onnx")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places or ()), "onnx")) / "backend" / "test" / "data" / "light"


def read_model(path: Path, shown: str) -> Any:
    """Return the model of a file, local functions expanded; weights kept beside the file stay there.

    Parameters
    ----------
    path : Path
    shown : str
        How messages call the file.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ConfigError
        A file that is missing, too large, or no ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    not_a_model = ConfigError("not an ONNX model", "give a file that an ONNX exporter wrote", file=shown)
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ConfigError("larger than 2 GiB", "export it with the weights in a file of their own", file=shown)
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError.unreadable(error, shown) from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError):
        raise not_a_model from None
    if not model.opset_import or not (model.graph.node or model.graph.initializer):
        raise not_a_model
    model = inlined(model, shown)
    if any(isinstance(text, bytes) for text in _texts(model)):
        raise not_a_model
    return model


def _texts(model: Any) -> Iterator[Any]:
    """Yield every name in the graph; the parser leaves those that are not UTF-8 as bytes."""
    graph = model.graph
    yield from (model.producer_name, graph.name)
    for node in graph.node:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in graph.initializer:
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def constant(tensor: Any, folder: Path, shown: str) -> Constant:
    """Return an initialiser as a constant whose values are read when asked for.

    Raises
    ------
    WorkloadError
        Values in another file that is too short, or not inside the model's folder; too few values.
    """
    from onnx import TensorProto

    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise WorkloadError(f"tensor '{tensor.name}' has the shape {list(shape)}", "export again", file=shown)
    if tensor.data_location == TensorProto.EXTERNAL:
        return Constant(shape, _external(tensor, shape, folder, shown))
    return Constant(shape, Stored(tensor, shown))


def _external(tensor: Any, shape: Dims, folder: Path, shown: str) -> External | Absent | None:
    from onnx import helper

    def refused(problem: str, remedy: str) -> WorkloadError:
        return WorkloadError(f"tensor '{tensor.name}' {problem}", remedy, file=shown)

    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = (folder / location.replace("\0", "")).resolve()
    if not location or not path.is_relative_to(folder.resolve()):
        raise refused(f"is kept in '{location}', outside the model's folder", "put the file beside the model")
    if not packaged.is_file(path):
        return Absent(tensor.name, location, shown)
    try:
        stored = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", elements(shape) * stored.itemsize))
    except (ValueError, KeyError, TypeError):
        raise refused("has malformed external data", "export again") from None
    if offset < 0 or length < 0 or offset + length > path.stat().st_size:
        raise refused(f"ends behind the end of '{location}'", "copy the whole file")
    if length != elements(shape) * stored.itemsize:
        return None
    return External(path, stored.newbyteorder("<"), offset, elements(shape))


def _plain(array: np.ndarray) -> np.ndarray:
    """Return types that NumPy does not know by itself as float32 (bfloat16, float8) or 8-bit integers (int4)."""
    import numpy as np

    if array.dtype.kind in "fiub":
        return array
    return array.astype({"int": np.int8, "uint": np.uint8}.get(array.dtype.name.rstrip("0123456789"), np.float32))
