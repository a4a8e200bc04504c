"""What every engine must satisfy. A new engine is picked up by itself."""

import os
import time

import numpy as np
import pytest
from contract import random_case, reference_of

from accelsim.engines import registry

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
CASES = 20 if INTERPRETED else 150
SECONDS = 10

engines = pytest.mark.parametrize("name", list(registry.modules()))


def cases(name, count=CASES):
    """Yield random cases until their number or the time is spent; at least ten."""
    start = time.process_time()
    for seed in range(count):
        if seed >= 10 and time.process_time() - start > SECONDS:
            return
        yield random_case(name, seed)


@engines
def test_kernel_closed_form_and_reference_give_the_same_integers(name):
    for case in cases(name):
        plan = case.plan()
        walked, expected = case.engine.run(plan), reference_of(case)
        assert walked.same_integers(expected) == [], case
        if (closed := case.engine.closed_form(plan)) is not None:
            assert closed.same_integers(walked) == [], case


@engines
def test_values_equal_numpy(name):
    for case in cases(name, 60):
        truth = case.engine.truth(case.operands)
        walked = case.engine.run(case.plan(), case.operands)
        assert walked.values is not None
        assert walked.values.shape == truth.shape
        np.testing.assert_allclose(walked.values, truth, rtol=1e-12, err_msg=str(case.view))
        np.testing.assert_allclose(reference_of(case).values, truth, rtol=1e-12, err_msg=str(case.view))
        assert walked.same_integers(case.engine.run(case.plan())) == []


@engines
def test_accounts_close(name):
    for case in cases(name):
        case.engine.run(case.plan()).check(case.engine.units(case.params))


@engines
def test_every_boundary_with_traffic_has_a_component(name):
    for case in cases(name, 20):
        activity = case.engine.run(case.plan())
        components = {c.name: c for c in case.engine.components(case.params)}
        for flow, bits in activity.traffic.items():
            if flow.boundary != "dram" and bits:
                assert components[flow.boundary].counts_bits, flow
        for event in activity.events:
            assert event.action in components[event.component].actions, event
