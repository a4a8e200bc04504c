"""Networks from PyTorch: a module or an exported program, by way of an ONNX model that never becomes a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsim.errors import ConfigError
from accelsim.text import quoted
from accelsim.workload.network import Network
from accelsim.workload.onnx import importer
from accelsim.workload.onnx.inline import inlined
from accelsim.workload.sizes import Sizes


def from_torch(
    module: Any,
    inputs: tuple[Any, ...] | None = None,
    dims: Sizes | None = None,
    *,
    name: str | None = None,
    export: Mapping[str, Any] | None = None,
) -> Network:
    """Return the network of a PyTorch module: what `load_network` gives for the file that ``torch.onnx.export`` writes.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
        A module is exported as it stands: call ``eval()`` first.
    inputs : tuple of tensors, optional
        Example inputs of the module, which give the sizes; an exported program has its own.
    dims : mapping, optional
        Sizes of dimensions that the export leaves open, by name.
    name : str, optional
        Of the network; the module's class by default.
    export : mapping, optional
        Further arguments of ``torch.onnx.export``, such as ``dynamic_shapes``.

    Raises
    ------
    ConfigError
        PyTorch or its ONNX exporter is not installed, or cannot export the module.
    WorkloadError
        As of an ONNX file.
    """
    try:
        import torch
        import torch.onnx
    except ImportError:
        raise ConfigError("from_torch needs PyTorch", "pip install torch onnxscript") from None
    shown = name or type(module).__name__
    arguments = () if inputs is None else inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        with torch.no_grad():
            program = torch.onnx.export(module, arguments, dynamo=True, verbose=False, **(export or {}))
    except ImportError as error:
        raise ConfigError(f"PyTorch's ONNX exporter is not whole ({quoted(error)})", "pip install onnxscript") from None
    except Exception as error:  # whatever the module and the exporter raise, wrapped once or more
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        raise ConfigError(f"PyTorch cannot export '{shown}' ({quoted(error)})", "mend the module or inputs") from None
    if program is None:
        raise ConfigError(f"PyTorch {torch.__version__} exports to files only", "use torch 2.5 or later")
    model = inlined(program.model_proto, shown)
    source = f"PyTorch module {type(module).__name__}, exported by {model.producer_name}"
    return importer.network_of(model, Path(), shown, dims or {}, shown, source)
