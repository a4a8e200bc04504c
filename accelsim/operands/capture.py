"""Real activations: an ONNX model run by onnxruntime, every tensor between its layers kept.

The graph runs as it is written, without the runtime's optimisations, on one thread: what a layer reads here is what
the imported network says that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.text import nearest, quoted
from accelsim.workload.layers import Layer
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network, input_names, is_view
from accelsim.workload.npy_file import UNREADABLE, check_npy
from accelsim.workload.onnx.file import read_model


@dataclass(frozen=True)
class Capture:
    """What a run of the model saw.

    Attributes
    ----------
    network : Network
        For the batch of the input.
    activations : mapping
        Tensor name -> array of its shape.
    missing : mapping
        Layer name -> why its inputs were not kept.
    """

    network: Network
    activations: Mapping[str, NDArray[Any]] = field(repr=False)
    missing: Mapping[str, str] = field(default_factory=dict)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return ``<layer>.input``, ``<layer>.input2``, ... -> array: what `accelsim.operands.files` reads."""
        found = {}
        for layer in _work(self.network):
            for key, tensor in zip(input_names(layer.name, len(layer.inputs)), layer.inputs, strict=True):
                if tensor in self.activations:
                    found[key] = self.activations[tensor]
        return found

    def densities(self) -> dict[str, dict[str, float]]:
        """Return layer name -> role -> share of non-zeros: inputs, real weights, and outputs that no layer reads."""
        read = {name for layer in self.network.layers for name in layer.inputs}
        found: dict[str, dict[str, float]] = {}
        for layer in _work(self.network):
            said: dict[str, float] = {}
            if layer.inputs and layer.inputs[0] in self.activations:
                said["input"] = _density(self.activations[layer.inputs[0]])
            if layer.weights and layer.weights[0] in self.network.values:
                said["weight"] = _density(self.network.values[layer.weights[0]])
            elif not layer.weights and layer.kind == "matmul" and layer.inputs[1] in self.activations:
                said["weight"] = _density(self.activations[layer.inputs[1]])
            if layer.outputs[0] not in read and layer.outputs[0] in self.activations:
                said["output"] = _density(self.activations[layer.outputs[0]])
            if said:
                found[layer.name] = said
        return found


def capture(path: Path, network: Network, inputs: Mapping[str, Path]) -> Capture:
    """Run a model and keep what its layers read and write.

    Parameters
    ----------
    path : Path
        The ONNX file.
    network : Network
        As imported from it; its attention layers become their parts, and it is brought to the batch of the input.
    inputs : mapping
        Input name -> ``.npy`` file; the name may be empty if the model has one input.

    Raises
    ------
    ConfigError
        onnxruntime is not installed; a file that cannot be read.
    WorkloadError
        Inputs that are missing, unknown or of another shape, and a model that the runtime refuses.
    """
    runtime = _runtime()
    model = _complete(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    wanted = [value.name for value in model.graph.input if value.name not in constants]
    feed = _feed(wanted, inputs)
    network = _at_batch(lowered(network), feed, str(path))
    made = {name for node in model.graph.node for name in node.output}
    names = sorted(
        {n for layer in _work(network) for n in (*layer.inputs, *layer.outputs[:1]) if n in made or n in feed}
    )
    session = _session(runtime, model, [name for name in names if name in made], str(path))
    feed = {name: _typed(feed[name], value) for name, value in zip(wanted, session.get_inputs(), strict=True)}
    outputs = [name for name in names if name in made]
    try:
        values = dict(zip(outputs, session.run(outputs, feed), strict=True)) | feed
    except Exception as error:  # the runtime's own exceptions share no public base
        raise WorkloadError(f"the model cannot run ({quoted(error)})", "check the input", file=str(path)) from None
    return _kept(network, {name: np.asarray(values[name]) for name in names})


def _kept(network: Network, values: Mapping[str, NDArray[Any]]) -> Capture:
    """Return what fits the network's tensors; layers whose inputs do not are named."""
    kept = {name: array for name, array in values.items() if array.shape == network.tensors[name].shape}
    missing: dict[str, str] = {}
    for layer in _work(network):
        for name in layer.inputs:
            if name in values and name not in kept:
                said, found = network.tensors[name].shape, values[name].shape
                missing[layer.name] = f"tensor '{name}' is {said} in the network and was {found}"
            elif name not in values:
                missing[layer.name] = f"tensor '{name}' is not in the graph"
    return Capture(network, kept, missing)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError("onnxruntime is not installed", "pip install 'accelsim[profile]'") from None
    return onnxruntime


def _complete(path: Path) -> Any:
    """Return the model with the weights that are kept beside it."""
    from onnx import external_data_helper

    model = read_model(path, str(path))
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # onnx raises several kinds for files that are missing or outside the folder
        line = f"its external weights cannot be read ({quoted(error)})"
        raise WorkloadError(line, "put them beside the model", file=str(path)) from None
    return model


def _session(runtime: Any, model: Any, outputs: list[str], shown: str) -> Any:
    """Return a session that gives ``outputs``."""
    import onnx

    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no public base
        raise WorkloadError(f"onnxruntime refuses it ({quoted(error)})", "export it again", file=shown) from None


def _feed(wanted: list[str], inputs: Mapping[str, Path]) -> dict[str, NDArray[Any]]:
    """Return the input arrays by name."""
    named = {wanted[0]: inputs[""]} if set(inputs) == {""} and len(wanted) == 1 else dict(inputs)
    if "" in named:
        raise WorkloadError(f"the model has the inputs {', '.join(wanted)}", "give each as name=file.npy")
    for name in named:
        if name not in wanted:
            hint = nearest(name, wanted, f"it has {', '.join(wanted)}")
            raise WorkloadError(f"the model has no input '{name}'", hint)
    if absent := [name for name in wanted if name not in named]:
        raise WorkloadError(f"nothing is given for input '{absent[0]}'", f"add --input {absent[0]}=file.npy")
    return {name: _array(path) for name, path in named.items()}


def _array(path: Path) -> NDArray[Any]:
    try:
        check_npy(path)
        array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise ConfigError(
            f"cannot be read as .npy ({quoted(error)})", "save it with numpy.save", file=str(path)
        ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise ConfigError("holds no array of numbers", "save one array with numpy.save", file=str(path))
    return array


def _at_batch(network: Network, feed: Mapping[str, NDArray[Any]], shown: str) -> Network:
    """Return the network for as many images as the input has; WorkloadError for another shape."""
    for name, array in feed.items():
        tensor = network.tensors.get(name)
        if tensor is not None and array.ndim == len(tensor.shape) and array.shape[0] % (tensor.shape[0] or 1) == 0:
            network = network.batched(network.batch * (array.shape[0] // tensor.shape[0]))
    for name, array in feed.items():
        tensor = network.tensors.get(name)
        if tensor is not None and tensor.shape != array.shape:
            problem = f"input '{name}' is {tensor.shape} but the array given is {array.shape}"
            raise WorkloadError(problem, "give the model's shape, any number of images", file=shown)
    return network


def _typed(array: NDArray[Any], value: Any) -> NDArray[Any]:
    """Return the array in the type that the model wants: float64 files feed float32 models."""
    types: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
    types |= {f"tensor({kind}{bits})": np.dtype(f"{kind}{bits}").type for kind in ("int", "uint") for bits in (8, 16)}
    types |= {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
    return array.astype(types.get(value.type, array.dtype))


def _work(network: Network) -> Iterator[Layer]:
    return (layer for layer in network.layers if not is_view(layer) and layer.kind != "unsupported")


def _density(array: NDArray[Any]) -> float:
    return int(np.count_nonzero(array)) / max(array.size, 1)
