"""Random cases of an engine by its name, and its reference: what the contract tests share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from accelsim import contract
from accelsim.contract import MACHINE, MACHINES, Case, at_home, reshaped, view_of
from accelsim.engines import registry

__all__ = ["MACHINE", "MACHINES", "Case", "at_home", "random_case", "reference_of", "reshaped", "view_of"]


def random_case(name: str, seed: int) -> Case:
    """Return the ``seed``-th random case of an engine; the same one every time."""
    return contract.random_case(registry.get(name), seed)


def reference_of(case: Case) -> Any:
    module = import_module(registry.modules()[case.engine.name].rsplit(".", 1)[0] + ".reference")
    return module.reference(case.view, case.operands, case.params, case.mapping, case.machine)
