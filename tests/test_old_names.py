"""Modules that were renamed are still found under their old names: the same modules, not copies."""

import subprocess
import sys

import pytest

OLD = {
    "accelsim.seam": "accelsim.engine", "accelsim.spec": "accelsim.spec", "accelsim.spec.arch": "accelsim.config.arch",
    "accelsim.spec.packaged": "accelsim.config.packaged", "accelsim.spec.schema": "accelsim.config.schema",
    "accelsim.spec.yamlfile": "accelsim.config.yamlfile",
}  # fmt: skip


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_is_the_new_module(old):
    code = f"import sys, {old} as found, {OLD[old]} as now; assert found is now is sys.modules[{old!r}]"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
