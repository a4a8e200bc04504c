"""accelsim: a cycle-level simulator of deep-learning accelerators.

>>> import accelsim
>>> arch = accelsim.load_arch("systolic_ws")
>>> accelsim.simulate(arch, "alexnet", batch=4)  # doctest: +ELLIPSIS
<Result alexnet on systolic_ws: 8 layers, 9,514,788 cycles, 9.515 ms, ... mJ>
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accelsim.version import __version__

if TYPE_CHECKING:
    from accelsim.api import Compared, Picture, Plan, Result, compare, plan, simulate
    from accelsim.comparison import Comparison
    from accelsim.config.arch import Arch
    from accelsim.errors import AccelsimError, ModelError, UserError
    from accelsim.results import LayerResult, NetworkResult
    from accelsim.simulation import load_arch, load_network
    from accelsim.workload.network import Network
    from accelsim.workload.onnx.torch_door import from_torch

_HOMES = {
    "AccelsimError": "accelsim.errors",
    "Arch": "accelsim.config.arch",
    "Compared": "accelsim.api",
    "Comparison": "accelsim.comparison",
    "ModelError": "accelsim.errors",
    "UserError": "accelsim.errors",
    "LayerResult": "accelsim.results",
    "Network": "accelsim.workload.network",
    "NetworkResult": "accelsim.results",
    "Picture": "accelsim.api",
    "Plan": "accelsim.api",
    "Result": "accelsim.api",
    "compare": "accelsim.api",
    "from_torch": "accelsim.workload.onnx.torch_door",
    "load_arch": "accelsim.simulation",
    "load_network": "accelsim.simulation",
    "plan": "accelsim.api",
    "simulate": "accelsim.api",
}

__all__ = [
    "AccelsimError",
    "Arch",
    "Compared",
    "Comparison",
    "LayerResult",
    "ModelError",
    "Network",
    "NetworkResult",
    "Picture",
    "Plan",
    "Result",
    "UserError",
    "__version__",
    "compare",
    "from_torch",
    "load_arch",
    "load_network",
    "plan",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that the command line starts without them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'accelsim' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Name what is public, loaded or not: for completion."""
    return list(__all__)
