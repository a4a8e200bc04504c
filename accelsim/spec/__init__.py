"""The old name of `accelsim.config`, for what imports it; goes with the next release."""

import sys
from importlib import import_module

for _name in ("arch", "packaged", "schema", "yamlfile"):
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = import_module(f"accelsim.config.{_name}")
