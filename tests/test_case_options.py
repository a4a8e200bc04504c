"""How a validation case says what to run: densities, mappings, units."""

import pytest

from accelsim.errors import ConfigError
from accelsim.validate.cases import CaseSpec
from accelsim.validate.compare import ours


def case(**changes):
    plain = {
        "case": "a case", "arch": "systolic_ws", "layer": {"kind": "linear", "n": 3, "c": 64, "k": 64},
        "quantity": "account.zero", "expected": 0, "kind": "reported", "origin": "hand-derived", "source": "none",
    }  # fmt: skip
    return CaseSpec.model_validate(plain | changes)


def test_a_case_may_give_densities():
    macs = 3 * 64 * 64
    assert ours(case()) == 0
    assert ours(case(density={"*": {"weight": 0.0}})) == macs
    assert 0.4 * macs < ours(case(density={"layer": {"input": 0.5}})) < 0.6 * macs


def test_a_baseline_may_have_keys_of_its_own():
    figure = case(quantity="stall_cycles", baseline="systolic_ws", baseline_set={"memory.dram.gb_per_s": 0.01})
    assert ours(figure) > 10
    assert ours(figure.model_copy(update={"baseline_set": {}})) == 1
    with pytest.raises(ValueError, match="baseline_set overrides a baseline"):
        case(baseline_set={"params.rows": 4})


def test_a_case_may_put_a_network_on_one_clock():
    """Two layers whose tensor between them stays: the rate is that of all operations in the network's cycles."""
    layers = [{"name": "a", "kind": "linear", "n": 4, "c": 64, "k": 64, "inputs": ["x"]},
              {"name": "b", "kind": "linear", "n": 4, "c": 64, "k": 64, "inputs": ["a.output"]}]  # fmt: skip
    there = {
        "layer": None,
        "network": {"isolated": False, "inputs": ["x"], "layers": layers},
        "set": {"schedule.mode": "network"},
    }
    figure = case(**there, quantity="schedule.tops")
    cycles, mhz, alone = (
        ours(case(**there, quantity=q)) for q in ("schedule.cycles", "totals.clock_mhz", "schedule.isolated_cycles")
    )
    assert ours(figure) == pytest.approx(2 * 2 * 4 * 64 * 64 / cycles * mhz * 1e6 / 1e12)
    assert ours(case(**there, quantity="schedule.bound_tops")) >= ours(figure)
    assert 0 < cycles < alone
    with pytest.raises(ValueError, match="a layer, a network, a trace"):
        case(network={"layers": []})


def test_a_scale_turns_the_reports_unit_into_the_sources():
    assert ours(case(quantity="macs", scale=1e-3)) == pytest.approx(3 * 64 * 64 / 1000)


def test_power_on_chip_leaves_the_dram_out():
    dram, all_of_it, cycles = (
        ours(case(quantity=q)) for q in ("energy_pj.dram", "totals.total_energy_pj", "totals.cycles")
    )
    assert dram > 0
    # 1000 MHz: a cycle is a nanosecond, and 1 pJ per ns is 1 mW
    assert ours(case(quantity="on_chip_mw")) == pytest.approx((all_of_it - dram) / cycles)
    assert ours(case(quantity="totals.on_chip_mw")) == pytest.approx((all_of_it - dram) / cycles)


def test_a_figure_may_be_the_sum_over_the_layers_that_ran():
    two = case(workload="alexnet", layer=None, layers="fc[78]", quantity="layers.macs")
    assert ours(two) == 4096 * 4096 + 4096 * 1000


def test_a_mapping_file_that_is_not_packaged_is_named():
    with pytest.raises(ConfigError, match="no such machine file: 'mappings/nowhere"):
        ours(case(mapping="mappings/nowhere.yaml"))
