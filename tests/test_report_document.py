"""report.json: complete, strict, the same bytes for the same result."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_samples import ALEXNET, alexnet, conv, every_cause, network, partial_alexnet, resnet50

from accelsim.errors import ModelError
from accelsim.report.document import document, plain, to_json
from accelsim.results import TrafficRow, UnitAccount

TOP = ["schema", "accelsim", "arch", "network", "options", "not_modelled", "totals", "layers"]
TOTALS = [
    "cycles",
    "time_s",
    "macs",
    "nonzero_weight_macs",
    "nonzero_input_macs",
    "effective_macs",
    "performed_macs",
    "total_energy_pj",
    "energy_pj",
    "edp_pj_s",
    "dram_read_bits",
    "dram_write_bits",
    "occupancy",
    "utilization",
    "tops",
    "tops_per_w",
    "area_mm2",
    "stored",
    "complete",
    "coverage",
]
LAYER = [
    "name",
    "kind",
    "unit",
    "simulated",
    "reason",
    "count",
    "shape",
    "bits",
    "macs",
    "nonzero_weight_macs",
    "nonzero_input_macs",
    "effective_macs",
    "performed_macs",
    "start_cycle",
    "cycles",
    "compute_cycles",
    "stall_cycles",
    "dram_cycles",
    "bound_by",
    "fidelity",
    "mapping",
    "mapping_source",
    "primary",
    "accounts",
    "occupancy",
    "utilization",
    "mapping_efficiency",
    "traffic",
    "dram_read_bits",
    "dram_write_bits",
    "dram_bits_touched",
    "buffers",
    "stored",
    "needed_bits_per_cycle",
    "total_energy_pj",
    "energy_pj",
    "stalled_pj",
    "events",
    "checked",
    "details",
]


def test_a_report_has_the_documented_keys_in_their_order():
    report = json.loads(to_json(partial_alexnet()))
    assert [key for key in report if key in TOP] == TOP
    assert [key for key in report["totals"] if key in TOTALS] == TOTALS
    assert all(list(layer) == LAYER for layer in report["layers"])
    assert report["schema"] == 1
    assert set(report["network"]) >= {"name", "source", "batch"}
    assert set(report["totals"]["coverage"]) == {"macs", "layers", "dram_bits"}
    assert list(report["layers"][0]["traffic"][0]) == ["boundary", "tensor", "direction", "bits"]
    assert list(report["layers"][0]["buffers"]["glb.inputs"]) == ["capacity_bits", "peak_bits"]


@pytest.mark.parametrize("sample", [alexnet, partial_alexnet, resnet50, every_cause])
def test_accounts_and_traffic_of_a_report_close(sample):
    report = document(sample())
    for layer in report["layers"]:
        for account in layer["accounts"].values():
            assert sum(account["causes"].values()) == account["units"] * layer["cycles"]
        for direction in ("read", "write"):
            rows = [r for r in layer["traffic"] if (r["boundary"], r["direction"]) == ("dram", direction)]
            assert layer[f"dram_{direction}_bits"] == sum(r["bits"] for r in rows)
    ran = [layer for layer in report["layers"] if layer["simulated"]]
    for key in ("cycles", "macs", "effective_macs", "dram_read_bits", "dram_write_bits"):
        assert report["totals"][key] == sum(layer[key] for layer in ran)
    assert report["totals"]["tops"] == pytest.approx(2 * report["totals"]["macs"] / report["totals"]["time_s"] / 1e12)


def test_the_same_result_gives_the_same_bytes():
    assert to_json(resnet50()) == to_json(resnet50())


def test_bytes_do_not_depend_on_the_order_in_which_causes_and_traffic_were_found():
    layer = conv(*ALEXNET[5])
    units, causes = layer.accounts["pes"]
    other = replace(
        layer,
        accounts={"pes": UnitAccount(units, dict(reversed(causes.items())))},
        traffic=tuple(reversed(layer.traffic)),
    )
    assert other.traffic != layer.traffic
    assert to_json(network([other])) == to_json(network([layer]))


def test_numpy_numbers_and_tuples_are_written_as_plain_ones():
    layer = replace(conv(*ALEXNET[0]), details={"a": np.int64(3), "b": np.float64(0.1), "c": (1, np.bool_(True))})
    found = json.loads(to_json(network([layer])))["layers"][0]["details"]
    assert found == {"a": 3, "b": 0.1, "c": [1, True]}
    assert '"b": 0.1' in to_json(network([layer]))


def test_an_integer_beyond_the_floats_survives():
    layer = replace(conv(*ALEXNET[0]), details={"big": 2**63 - 1})
    assert json.loads(to_json(network([layer])))["layers"][0]["details"]["big"] == 2**63 - 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_a_figure_that_is_not_finite_is_our_bug_and_named(bad):
    layer = replace(conv(*ALEXNET[0]), needed_bits_per_cycle={"dram": bad})
    with pytest.raises(ModelError, match=r"layers\[0\]\.needed_bits_per_cycle\.dram"):
        to_json(network([layer]))


def test_an_unlimited_figure_of_the_configuration_is_written_as_text():
    assert plain({"params": {"queue": float("inf")}}, "arch") == {"params": {"queue": "inf"}}


def test_what_has_no_place_in_a_report_is_named():
    layer = replace(conv(*ALEXNET[0]), details={"engine": object()})
    with pytest.raises(ModelError, match=r"layers\[0\]\.details\.engine: a report cannot hold a object"):
        document(network([layer]))


def test_a_layer_that_was_not_simulated_carries_its_reason():
    report = document(partial_alexnet())
    pool = next(layer for layer in report["layers"] if layer["name"] == "pool1")
    assert (pool["simulated"], pool["reason"]) == (False, "no unit of systolic_ws runs pool layers")
    assert report["totals"]["complete"] is False
    assert report["totals"]["coverage"]["layers"] == 8 / 18


def test_isolated_layers_are_never_complete():
    assert document(alexnet())["totals"]["complete"] is False
    assert document(alexnet(isolated=False))["totals"]["complete"] is True


def test_traffic_is_listed_from_dram_inwards():
    rows = (
        TrafficRow("pe", "weight", "read", 1),
        TrafficRow("glb.weights", "weight", "read", 1),
        TrafficRow("dram", "output", "write", 1),
        TrafficRow("dram", "input", "read", 1),
    )
    found = document(network([replace(conv(*ALEXNET[0]), traffic=rows)]))["layers"][0]["traffic"]
    assert [(r["boundary"], r["tensor"]) for r in found] == [
        ("dram", "input"),
        ("dram", "output"),
        ("glb.weights", "weight"),
        ("pe", "weight"),
    ]


def test_area_is_the_sum_of_the_components_or_absent():
    assert document(alexnet())["totals"]["area_mm2"] == pytest.approx(0.81)
    assert document(alexnet(area_mm2=None))["totals"]["area_mm2"] is None
