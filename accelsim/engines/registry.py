"""Finding engines by name (`names`): their objects, parameters and machine files."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from accelsim.config import packaged
from accelsim.engine import Engine
from accelsim.engines.names import GROUP as GROUP
from accelsim.engines.names import modules as modules
from accelsim.errors import ConfigError
from accelsim.text import nearest


@cache
def get(name: str) -> Engine[Any, Any]:
    """Return the engine called ``name``, or raise ConfigError with the nearest known one."""
    known = modules()
    if name not in known:
        hint = nearest(name, known, f"known engines: {', '.join(known)}")
        raise ConfigError(f"no engine is called '{name}'", hint)
    try:
        engine: Engine[Any, Any] = import_module(known[name]).ENGINE
    except (ImportError, SyntaxError, AttributeError) as error:
        if known[name].startswith("accelsim."):
            raise
        raise ConfigError(f"engine '{name}' cannot be imported from {known[name]} ({error})", "mend it") from None
    return engine


def publishes(path: Path) -> bool:
    """Whether a machine file belongs to accelsim or to a plug-in, beside its engine or one folder up."""
    return packaged.holds(path) or path.resolve().parent in _plug_in_folders()


@cache
def _plug_in_folders() -> frozenset[Path]:
    found: set[Path] = set()
    for module in modules().values():
        if not module.startswith("accelsim."):
            with suppress(ImportError, ValueError):  # a broken plug-in is reported when it is used
                spec = find_spec(module)
                if spec is not None and spec.origin is not None:
                    folder = Path(spec.origin).resolve().parent
                    found |= {folder, folder.parent}
    return frozenset(found)


def find_params(name: str) -> type[BaseModel]:
    """Return the schema of an engine's parameters."""
    return get(name).params_schema
