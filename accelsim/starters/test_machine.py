"""The machine keeps the contract of all engines, and its own figures hold."""

import pytest

from accelsim import contract
from accelsim.engines import names
from accelsim.starters.plain.engine import ENGINE
from accelsim.starters.plain.reference import reference
from accelsim.validate import compare


@pytest.mark.parametrize("seed", range(40))
def test_kernel_reference_and_numpy_agree_on_a_random_case(seed: int) -> None:
    assert contract.amiss(ENGINE, reference, seed) == []


@pytest.mark.skipif(ENGINE.name not in names.modules(), reason="accelsim does not know it yet: pip install -e .")
def test_every_figure_of_cases_yaml_holds() -> None:
    assert [row.case.case for row in compare.validate([ENGINE.name]) if not row.passed] == []
