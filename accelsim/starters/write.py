"""A new machine from one of the starters in this folder: small whole machines, each under another name and its own."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from accelsim import outputs
from accelsim.engines import names
from accelsim.errors import ConfigError

KINDS = ("tiled", "skipping", "plain")
HERE = Path(__file__).parent
FILES = ("engine.py", "kernel.py", "reference.py", "cases.yaml")
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}-machine"
version = "1.0"
dependencies = ["accelsim"]

[project.entry-points."{group}"]
{name} = "{name}_machine.engine"

[tool.setuptools]
packages = ["{name}_machine"]
package-data = {{{name}_machine = ["cases.yaml"]}}

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]

[tool.ruff]
line-length = 120

[tool.ruff.lint]
extend-select = ["I"]
isort.known-first-party = ["accelsim", "{name}_machine"]

[tool.mypy]
files = ["{name}_machine", "tests"]
strict = true
disallow_untyped_calls = false
plugins = ["pydantic.mypy"]
"""


def new(name: str, kind: str, folder: Path) -> list[Path]:
    """Write the machine ``name`` and return its files.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    folder : Path
        A folder for a package of its own; or ``accelsim/engines/<name>`` in a source tree, whose machine file and test
        go to their places there.

    Raises
    ------
    ConfigError
        A bad name, something that is there already, or what cannot be written.
    """
    _check(name)
    root = _source_tree(folder)
    if root is None:
        module = f"{name}_machine"
        files = {f"{module}/{file}": _renamed(kind, file, name, module) for file in FILES}
        files[f"{module}/__init__.py"] = f'"""The machine {name}, for accelsim."""\n'
        files[f"{module}/cases.yaml"] = files[f"{module}/cases.yaml"].replace(f"arch: {name}", f"arch: {name}.yaml")
        files[f"{name}.yaml"] = _renamed(kind, "machine.yaml", name, module)
        files[f"tests/test_{name}.py"] = _test(name, module)
        files["pyproject.toml"] = PYPROJECT.format(name=name, group=names.GROUP)
        outputs.create(folder, files)
        return [folder / file for file in sorted(files)]
    if folder.name != name:
        raise ConfigError(f"the folder of '{name}' inside accelsim bears its name", f"-o {folder.parent / name}")
    module = f"accelsim.engines.{name}"
    beside: dict[Path, outputs.Content] = {
        root / "arch_configs" / f"{name}.yaml": _renamed(kind, "machine.yaml", name, module),
        root / "tests" / f"test_{name}.py": _test(name, module),
    }
    outputs.create(folder, {file: _renamed(kind, file, name, module) for file in FILES}, beside)
    return [*(folder / file for file in FILES), *beside]


def _check(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name) or name == "accelsim":
        raise ConfigError(
            f"'{name}' cannot be the name of a machine",
            "take up to 40 small letters, digits and underscores, a letter first, and no word of Python",
        )
    if name in names.modules():
        raise ConfigError(f"there is an engine '{name}' already", "choose another name")


def _source_tree(folder: Path) -> Path | None:
    """Return the root of the source tree of accelsim in whose engines ``folder`` is to stand, or None."""
    engines = folder.absolute().parent
    root = engines.parent.parent
    places = (root / "arch_configs", root / "tests", engines / "names.py")
    return root if engines.parts[-2:] == ("accelsim", "engines") and all(p.exists() for p in places) else None


def _renamed(kind: str, file: str, name: str, module: str) -> str:
    """Return a file of a starter under another name."""
    text = (HERE / kind / file).read_text(encoding="utf-8").replace(f"accelsim.starters.{kind}", module)
    if file.endswith(".yaml"):
        return re.sub(rf"^(name|engine|    arch): {kind}$", rf"\1: {name}", text, flags=re.MULTILINE)
    title = name.title().replace("_", "")
    return re.sub(rf'"{kind}"', f'"{name}"', text).replace(f"{kind.title()}(", f"{title}(")


def _test(name: str, module: str) -> str:
    """Return the test, its imports in order."""
    text = (HERE / "test_machine.py").read_text(encoding="utf-8")
    text = text.replace("accelsim.starters.plain", module)
    lines = [line for line in text.splitlines(keepends=True) if line.startswith("from ")]
    return text.replace("".join(lines), "".join(sorted(lines, key=lambda line: line.split()[1])))
