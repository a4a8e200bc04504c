"""Kernels against the same loops in C, on random cases: a third opinion beside reference and NumPy."""

import os

import dram_streams
import numpy as np
import pytest
from contract import random_case

from accelsim.config.dram import standard as standards
from accelsim.engines import registry
from accelsim.memory.device.channel import serve
from benchmarks.c.record import NO_ENGINES, copied, kernels_seen_by
from benchmarks.c.twins import FOLDER, GCC, Twin, difference, flat

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
CASES = 12

pytestmark = [
    pytest.mark.skipif(GCC is None, reason="no gcc: the twins in C cannot be compiled"),
    pytest.mark.skipif(INTERPRETED, reason="interpreted kernels are compared with their reference alone"),
]


@pytest.mark.parametrize("name", list(registry.modules()))
def test_kernels_and_their_twins_in_c_leave_the_same_bytes(name, tmp_path):
    if not (FOLDER / f"{name}.c").is_file():
        pytest.skip(f"benchmarks/c has no twin of {name}: one is wanted for its speed, not for its truth")
    twin = Twin(name, tmp_path)
    seen = set()

    def compare(kernel_name, kernel, args):
        theirs = copied(args)
        returned = kernel(*args)
        expected = flat(returned)
        go, result = twin.call(kernel_name, theirs, expected.size)
        go()
        np.testing.assert_array_equal(result, expected, err_msg=kernel_name)
        assert difference(args, theirs) is None, kernel_name
        seen.add(kernel_name)
        return returned

    with kernels_seen_by(compare, name, set(twin.functions)):
        for seed in range(CASES):
            case = random_case(name, seed)
            case.engine.run(case.plan(), case.operands)
            case.engine.run(case.plan())
    assert seen == set(twin.functions)


def test_the_dram_kernel_and_its_twin_in_c_leave_the_same_bytes(tmp_path):
    twin = Twin("dram", tmp_path)
    for seed in range(CASES):
        for name in standards.names():
            device = dram_streams.device(name, seed)
            calls = []

            def compare(kernel_name, kernel, args, calls=calls, where=(name, seed)):
                theirs = copied(args)
                returned = kernel(*args)
                go, result = twin.call(kernel_name, theirs, 1)
                go()
                assert result.tolist() == [returned]
                assert difference(args, theirs) is None, where
                calls.append(kernel_name)
                return returned

            with kernels_seen_by(compare, "dram", set(twin.functions)):
                serve(device, dram_streams.requests(device, seed), log=True)
            assert calls == ["serve"] * 2


def test_the_walk_of_nvdla_before_a_device_and_its_twin_in_c_leave_the_same_bytes(tmp_path):
    """Beats keep the device for up to 20 cycles, half of them for none."""
    from accelsim.engines.nvdla import kernel

    twin, drawn, seen = Twin("nvdla", tmp_path), np.random.default_rng(3), 0
    for seed in range(3 * CASES):
        plan = random_case("nvdla", seed).plan()
        if not hasattr(plan.work, "layers"):
            continue
        layers, rates = plan.work.layers, plan.work.rates._replace(limited=1)
        data = layers[:, kernel.LINES] * layers[:, kernel.SURFACES] * layers[:, kernel.LINE_BEATS]
        asks = np.zeros((int((data + layers[:, kernel.WEIGHT_BEATS]).sum()), kernel.ASKS), np.int64)
        asks[:, kernel.BUS] = drawn.integers(0, 21, len(asks)) * drawn.integers(0, 2, len(asks))
        args = (layers, rates, np.zeros(kernel.COUNTS, np.int64), asks)
        theirs = copied(args)
        found = kernel.walk(*args)
        go, result = twin.call("walk", theirs, found.size)
        go()
        np.testing.assert_array_equal(result, found.ravel())
        assert difference(args, theirs) is None
        seen += 1
    assert seen > CASES


def test_every_twin_in_c_has_an_engine():
    assert {path.stem for path in FOLDER.glob("*.c")} <= set(registry.modules()) | set(NO_ENGINES)
