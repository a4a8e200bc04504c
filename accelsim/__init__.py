"""accelsim: a cycle-level simulator of deep-learning accelerators.

>>> import accelsim
>>> arch = accelsim.load_arch("systolic_ws")
>>> net = accelsim.load_network("alexnet")
>>> result = accelsim.simulate(arch, net, batch=4)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from accelsim.comparison import Comparison, compare
    from accelsim.errors import AccelsimError, ModelError, UserError
    from accelsim.planning import Plan, plan
    from accelsim.results import LayerResult, NetworkResult
    from accelsim.simulation import load_arch, load_network, simulate
    from accelsim.workload.onnx.torch_door import from_torch

_HOMES = {
    "AccelsimError": "accelsim.errors",
    "Comparison": "accelsim.comparison",
    "ModelError": "accelsim.errors",
    "UserError": "accelsim.errors",
    "LayerResult": "accelsim.results",
    "NetworkResult": "accelsim.results",
    "Plan": "accelsim.planning",
    "compare": "accelsim.comparison",
    "from_torch": "accelsim.workload.onnx.torch_door",
    "load_arch": "accelsim.simulation",
    "load_network": "accelsim.simulation",
    "plan": "accelsim.planning",
    "simulate": "accelsim.simulation",
}

__all__ = [
    "AccelsimError",
    "Comparison",
    "LayerResult",
    "ModelError",
    "NetworkResult",
    "Plan",
    "UserError",
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
    return sorted({*globals(), *__all__})
