"""The compiler pass that makes indices unsigned: same results, and a negative index is found with bounds checked."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
CODE = """
import numpy as np
from accelsim.jit import kernel

def gather(array, rows, out):
    for i in range(rows.size):
        out[i, 0] = array[rows[i], rows[i] + 1] + array[1:, 0].sum() + array[-1, -1]
    return out

found = kernel(gather)(np.arange(12).reshape(3, 4), np.array({rows}), np.zeros((3, 1), np.int64))
print(*found.ravel())
"""


def run(rows, **env):
    folder = {"PYTHONPATH": str(ROOT), "ACCELSIM_CACHE_DIR": "/dev/null/none"}
    return subprocess.run(
        [sys.executable, "-c", CODE.format(rows=rows)],
        env={**os.environ, **folder, **env},
        capture_output=True,
        text=True,
    )


def test_the_first_use_says_that_it_compiles(tmp_path):
    code = "import logging; logging.basicConfig(level='INFO'); import accelsim.memory.clock_kernel"

    def said():
        env = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELSIM_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stderr

    assert "compiling machine code once" in said()
    assert said() == ""


def test_indices_without_a_sign_find_the_same_elements():
    array = np.arange(12).reshape(3, 4)
    expected = [array[i, i + 1] + array[1:, 0].sum() + array[-1, -1] for i in (0, 2, 1)]
    for env in ({}, {"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_DISABLE_JIT": "1"}):
        done = run([0, 2, 1], **env)
        assert done.stdout.split() == [str(n) for n in expected], done.stderr


@pytest.mark.parametrize("rows", [[0, -2, 1], [0, 3, 1]])
def test_an_index_outside_the_array_is_found_when_bounds_are_checked(rows):
    done = run(rows, NUMBA_BOUNDSCHECK="1")
    assert "IndexError" in done.stderr


def test_a_kernel_without_counted_references_cannot_allocate():
    code = "import numpy as np\nfrom accelsim.jit import kernel, lean\n{}(lambda n: np.empty(n).size)(3)"
    folder = {"PYTHONPATH": str(ROOT), "ACCELSIM_CACHE_DIR": "/dev/null/none", "NUMBA_DISABLE_JIT": "0"}

    def done(decorator):
        said = [sys.executable, "-c", code.format(decorator)]
        return subprocess.run(said, env={**os.environ, **folder}, capture_output=True, text=True).returncode

    assert done("kernel") == 0
    assert done("lean") != 0


def test_what_a_kernel_imports_decides_about_its_cache_and_nothing_else():
    from accelsim import jit

    names = {path.relative_to(jit.ROOT).as_posix() for path in jit.sources(jit.ROOT / "mapping" / "search_kernel.py")}
    assert {"mapping/search_kernel.py", "mapping/bound_kernel.py", "memory/clock_kernel.py", "jit.py"} <= names
    assert not any(name.startswith("engines/") for name in names)


@pytest.mark.parametrize("path", sorted((ROOT / "accelsim").rglob("*kernel.py")), ids=lambda p: p.parent.name)
def test_all_that_a_kernel_file_imports_is_among_its_sources(path):
    from accelsim import jit

    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("accelsim"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            imported |= {jit.ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in names}
    assert {file for file in imported if file.is_file()} | {path} <= set(jit.sources(path))


def test_an_edit_has_only_those_files_compiled_again_that_see_it(tmp_path, monkeypatch):
    from accelsim import jit

    monkeypatch.setattr(jit, "ROOT", tmp_path / "accelsim")
    (tmp_path / "accelsim").mkdir()
    files = {
        "sums": "LIMIT = 3\n", "a_kernel": "from accelsim.sums import LIMIT\n",
        "b_kernel": "from accelsim import a_kernel\n", "c_kernel": "x = 1\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / "accelsim" / f"{name}.py").write_text(text)

    def folders():
        jit._folder_of.cache_clear()
        kernels = [name for name in files if name.endswith("kernel")]
        return {name: jit._folder_of(tmp_path / "cache", tmp_path / "accelsim" / f"{name}.py").name for name in kernels}

    before = folders()
    (tmp_path / "accelsim" / "sums.py").write_text("LIMIT = 4\n")
    after = folders()
    assert {name for name in before if before[name] != after[name]} == {"a_kernel", "b_kernel"}
    for i in range(9):
        (tmp_path / "accelsim" / "c_kernel.py").write_text(f"x = {i}\n")
        folders()
    kept = [path.name for path in (tmp_path / "cache").iterdir()]
    assert sum(name.startswith("c_kernel-") for name in kept) == jit.KEPT_CACHES
    assert before["a_kernel"] in kept


COUNTED = """
import collections, sys
import numba.core.event as event
seen = collections.Counter()
class Listener(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        seen[f"{function.__module__}.{function.__name__}"] += 1
    def on_end(self, event):
        pass
event.register("numba:compile", Listener())
"""


def counted(code, folder):
    """Return which functions a process compiles into an empty cache, how often each, and the files that it keeps."""
    env = {"PYTHONPATH": str(ROOT), "ACCELSIM_CACHE_DIR": str(folder), "NUMBA_DISABLE_JIT": "0"}
    words = [sys.executable, "-c", COUNTED + code + "\nprint('seen', dict(seen))"]
    done = subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = ast.literal_eval(done.stdout.splitlines()[-1].removeprefix("seen "))
    return seen, sorted(path.name.split("-")[0] for path in folder.rglob("*.nbi"))


def test_the_first_run_of_a_machine_compiles_each_function_once_and_keeps_what_python_calls(tmp_path):
    """A count, no time: of 104 functions, some for two types of arguments, Python calls six."""
    code = "import accelsim; accelsim.simulate(accelsim.load_arch('systolic_ws'), accelsim.load_network('alexnet'))"
    seen, kept = counted(code, tmp_path)
    ours = {name: times for name, times in seen.items() if name.startswith("accelsim.")}
    assert "accelsim.mapping.search_kernel.search_with" in ours
    assert sum(seen.values()) < 140
    assert sum(ours.values()) < len(ours) + 8
    assert len(kept) < 8


def test_a_number_known_as_a_kernel_is_compiled_makes_no_other_function_of_what_it_calls(tmp_path):
    (tmp_path / "some.py").write_text(
        "from accelsim.jit import kernel\n\n\n@kernel\ndef part(pair, n):\n    return pair[0] + n\n\n\n"
        "@kernel\ndef whole(n):\n    return part((n, 1), 2) + part((3, n), n) + part((n, n), 4)\n\n\n"
        "@kernel\ndef other(n):\n    return part((n, n), n)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport some\n"
    code += "assert (some.whole(5), some.other(5)) == (24, 10)"
    seen, kept = counted(code, tmp_path / "cache")
    assert seen == {"some.whole": 1, "some.other": 1, "some.part": 1}
    assert kept == ["some.other", "some.whole"]
    code += "\nassert some.part((1, 2), 3) == 4"  # from Python after all
    seen, kept = counted(code, tmp_path / "again")
    assert seen["some.part"] == 2
    assert len(kept) == 3
    assert counted(code, tmp_path / "again")[0] == {}


def test_numba_finds_the_libraries_of_its_linear_algebra_when_it_needs_them(tmp_path):
    code = """
import numpy as np
from accelsim.jit import kernel
def product(a, b):
    return np.dot(a, b)
before = kernel(lambda n: n + 1)(1) == 2 and "scipy.linalg" not in sys.modules
print(before, kernel(product)(np.eye(2), np.full((2, 2), 3.0)).sum(), "scipy.linalg" in sys.modules)
"""
    env = {"PYTHONPATH": str(ROOT), "ACCELSIM_CACHE_DIR": "/dev/null/none", "NUMBA_DISABLE_JIT": "0"}
    words = [sys.executable, "-c", COUNTED + code]
    done = subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "12.0", "True"], done.stderr


def test_what_a_kernel_turns_out_not_to_call_is_there_for_what_it_does_call(tmp_path):
    (tmp_path / "dead.py").write_text(
        "from accelsim.jit import kernel\n\n\n@kernel\ndef twice(n):\n    return 2 * n\n\n\n"
        "@kernel\ndef part(n):\n    return twice(max(n, 3))\n\n\n"
        "@kernel\ndef whole(n):\n    if n * 0 > 1:\n        return max(n, 2) + twice(n)\n    return part(n)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport dead\n"
    code += "assert (dead.whole(1), dead.whole(4)) == (6, 8)"
    counted(code, tmp_path / "cache")
