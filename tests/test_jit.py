"""The compiler pass that makes indices unsigned: same results, and a negative index is found with bounds checked."""

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
    code = "import logging; logging.basicConfig(level='INFO'); import accelsim.jit"

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
