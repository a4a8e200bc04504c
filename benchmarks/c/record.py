"""Sees the calls that an engine makes of its kernels, with their arguments before and after."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

NO_ENGINES = {"dram": "accelsim.memory.device"}
"""Twins of kernels that belong to no engine -> their package."""
Seen = Callable[[str, Any, tuple[Any, ...]], Any]
"""Given the kernel's name, the kernel and its arguments; returns what the kernel returned."""


def copied(argument: Any) -> Any:
    """Return a copy of an argument: arrays in C order, tuples of their own type."""
    if isinstance(argument, np.ndarray):
        return argument.copy(order="A")
    if isinstance(argument, tuple):
        parts = [copied(part) for part in argument]
        return type(argument)(*parts) if hasattr(argument, "_fields") else tuple(parts)
    return argument


@contextmanager
def kernels_seen_by(see: Seen, engine: str, names: set[str]) -> Iterator[None]:
    """Let ``see`` call the kernels ``names`` of an engine, wherever its modules have bound them."""
    package = import_module(NO_ENGINES.get(engine, f"accelsim.engines.{engine}"))
    modules = [import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    homes = [module for module in modules if module.__name__.endswith("kernel")]
    kernels = {name: next(getattr(home, name) for home in homes if hasattr(home, name)) for name in names}
    replaced = []
    for module in modules:
        for key, value in list(vars(module).items()):
            name = next((name for name, kernel in kernels.items() if kernel is value), None)
            if name is not None:
                replaced.append((module, key, value))
                setattr(module, key, _wrapped(see, name, value))
    try:
        yield
    finally:
        for module, key, value in replaced:
            setattr(module, key, value)


def _wrapped(see: Seen, name: str, kernel: Any) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return see(name, kernel, args)

    return call
