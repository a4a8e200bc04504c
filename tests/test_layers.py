"""The shape of the code base: imports point one way, files stay small, prices and tests keep their places."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import accelsim

ROOT = Path(accelsim.__file__).parent
TIERS = [
    {"text", "version"},
    {"errors", "units", "basis", "remedy"},
    {"outputs", "terminal"},
    {"progress"},
    {"schedules", "parts"},
    {"activity", "results", "components", "config", "jit"},
    {"memory"},
    {"workload"},
    {"operands"},
    {"stepped"},
    {"passes", "mapping"},
    {"planning"},
    {"engine"},
    {"tiled", "compressed"},
    {"whole"},
    {"engines", "replicas", "energy"},
    {"posts"},
    {"charges", "served"},
    {"layer"},
    {"pinned_rooms", "own_rooms"},
    {"reach"},
    {"rooms", "overlap"},
    {"network_energy", "network_dram"},
    {"network_time"},
    {"one_clock"},
    {"simulation", "contract"},
    {"comparison"},
    {"repricing", "advice"},
    {"breadth"},
    {"report"},
    {"api"},
    {"validate", "explore"},
    {"starters"},
    {"cli"},
    {"__main__"},
]
OLD = {"seam", "spec"}
"""Old names of modules, which nothing here uses."""
TIER = {name: i for i, tier in enumerate(TIERS) for name in tier}
MODULES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 500


def place(path):
    """Return the top-level part of a module, and for engines and replicas the folder too."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0], parts[1] if len(parts) > 2 else None


def imports(path):
    """Yield (module, names) for each import of ours in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names if alias.name.startswith("accelsim"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("accelsim"):
            module = node.module.split(".")
            yield from ([*module, alias.name] for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_left(path):
    top, folder = place(path)
    if top == "__init__" or top in OLD:
        return
    for parts in imports(path):
        assert len(parts) < 2 or parts[1] not in OLD, f"{path} uses an old name: {'.'.join(parts)}"
        if len(parts) < 2 or parts[1] not in TIER:
            continue
        if parts[1] == top:
            if top in ("engines", "replicas") and folder and len(parts) > 2:
                assert parts[2] in (folder, "registry"), f"{path} reaches into another {top} folder: {'.'.join(parts)}"
            continue
        assert TIER[parts[1]] < TIER[top], f"{path} imports {'.'.join(parts)}, which stands to its right"


KERNELS = [path for path in MODULES if path.stem.endswith("kernel") and place(path)[0] != "replicas"]


@pytest.mark.parametrize("path", KERNELS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_kernel_sees_nothing_but_kernels(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert {name.split(".")[0] for name in names} <= {"__future__", "accelsim", "math", "numpy", "typing"}, names
    for parts in imports(path):
        module = ".".join(parts[1:])
        assert module.startswith(("jit.", "mapping.tile_forms.")) or "kernel" in module, f"{path} imports {module}"


def test_modules_do_not_import_each_other_in_circles():
    """Imports inside functions and for types alone count too."""
    names = {".".join(("accelsim", *path.relative_to(ROOT).with_suffix("").parts)): path for path in MODULES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items() if name.split(".")[1] not in OLD}
    graph = {}
    for name, path in names.items():
        found = (".".join(parts) for parts in imports(path))
        graph[name] = {each if each in names else each.rpartition(".")[0] for each in found} - {name}
    assert len(graph) > 300
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path):
    lazy = ("onnx", "onnxruntime", "networkx", "scipy", "torch")
    allowed = {"numba": {"jit.py", "compiling.py"}, "matplotlib": {"report"}, **{name: set() for name in lazy}}
    tree = ast.parse(path.read_text())
    for node in tree.body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            heavy = name.split(".")[0]
            if heavy in allowed:
                assert {path.name, place(path)[0]} & allowed[heavy], f"{path} imports {heavy} at the top"


def test_engines_import_no_numba_until_they_run():
    for path in (ROOT / "engines").glob("*/engine.py"):
        top = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ImportFrom | ast.Import)]
        for node in top:
            names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
            assert not any("kernel" in n.split(".") or n.endswith("kernel") for n in names), path


def test_every_engine_folder_is_whole():
    for path in (ROOT / "engines").glob("*/engine.py"):
        for name in ("kernel.py", "reference.py", "cases.yaml"):
            assert (path.parent / name).is_file(), f"{path.parent.name} has no {name}"
