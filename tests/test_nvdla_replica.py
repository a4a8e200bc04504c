"""The replica of NVDLA's performance workbook against the workbook's own cells."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from accelsim.cli import app
from accelsim.errors import ConfigError
from accelsim.replicas import nvdla

CELLS = list(csv.DictReader((Path(__file__).parent / "data" / "nvdla_perf_AlexNet.csv").open()))
BOUND = {"CVSRAM-W": "SRAM write", "CVSRAM-R": "SRAM read"}


@pytest.mark.parametrize(
    ("name", "sram_mb", "cycles", "fps", "busy", "network"),
    [
        ("alexnet", 0, 895443.5625, 1116.7649664129447, 0.29102846166254059, 0.39501569997048253),
        ("alexnet", 4, 591475.5625, 1690.6869250409648, 0.44059227299014575, 0.59802008409265428),
        ("googlenet", 0, 1222071, 818.28306211341248, 0.43188079906977583, 0.62722787792198653),
        ("resnet50", 0, 7113691, 140.57400019202407, 0.23158160791634047, 0.26745496817334347),
    ],
)
def test_the_totals_are_those_of_the_sheets_foot(name, sram_mb, cycles, fps, busy, network):
    totals = nvdla.network(name, sram_mb)[1]
    assert totals.cycles == cycles
    found = (totals.fps, totals.hw_mac_efficiency, totals.network_mac_efficiency)
    assert found == pytest.approx((fps, busy, network), rel=1e-14)


def test_every_cell_of_alexnets_sheet_is_computed():
    plain, sram = nvdla.network("alexnet")[0], nvdla.network("alexnet", 4)[0]
    assert len(plain) == len(sram) == len(CELLS)
    for cell, row, beside in zip(CELLS, plain, sram, strict=True):
        assert row.name == cell["layer"]
        names = ("input_KB", "min_input_KB", "output_KB", "weight_KB", "min_weight_KB", "s0_dram_KB", "s0_dram_cycles",
                 "s0_mac_cycles", "s0_max_cycles", "macs")  # fmt: skip
        ours = (row.input_kb, row.min_input_kb, row.output_kb, row.weight_kb, row.min_weight_kb, row.dram_kb,
                row.dram_cycles, row.mac_cycles, row.cycles, row.macs)  # fmt: skip
        assert ours == tuple(float(cell[name]) for name in names), row.name
        assert row.bound_by == cell["s0_bound"]
        names = ("dram_KB", "dram_cycles", "sram_read_cycles", "sram_write_cycles", "mac_cycles", "max_cycles")
        ours = (beside.dram_kb, beside.dram_cycles, beside.sram_read_cycles, beside.sram_write_cycles,
                beside.mac_cycles, beside.cycles)  # fmt: skip
        assert ours == tuple(float(cell[f"s4_{name}"]) for name in names), row.name
        assert beside.bound_by == BOUND.get(cell["s4_bound"], cell["s4_bound"])


def test_the_first_rows_of_resnet_are_the_sheets():
    rows = nvdla.network("resnet50")[0]
    assert len(rows) == 54
    assert [(row.cycles, row.bound_by, row.dram_kb) for row in rows[:3]] == [
        (153664, "MAC", 408), (99600, "DRAM", 996), (99600, "DRAM", 996),
    ]  # fmt: skip


def test_branches_that_read_one_input_are_one_convolution():
    rows = {row.name: row for row in nvdla.network("googlenet")[0]}
    assert len(rows) == 66
    merged = rows["3a 1x1 (combined)"]
    assert [rows[f"3a {branch}"].cycles for branch in ("1x1", "3x3 red", "5x5 red")] == [None] * 3
    assert (merged.dram_kb, merged.mac_cycles, merged.cycles) == (314.75, 12936, 31475)
    # 624 kernels of 832 channels do not stay in the buffer beside a row of the input: the input comes twice
    last = rows["5b 1x1 (combined)"]
    assert (last.kept, last.dram_kb) == ("weight", 616.484375)


def test_the_command_prints_rows_and_totals():
    done = CliRunner().invoke(app, ["replica", "nvdla", "alexnet", "--format", "json"], catch_exceptions=False)
    document = json.loads(done.output)
    assert document["totals"]["cycles"] == 895443.5625
    assert [layer["name"] for layer in document["layers"]][:2] == ["conv1", "conv2a"]
    table = CliRunner().invoke(app, ["replica", "nvdla", "resnet50"], catch_exceptions=False).output
    assert "7,113,691 cycles, 140.6 frames/s" in table


def test_other_sram_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"--sram-mb: no sheet of resnet50 with 4 MB of SRAM; use 0, or 4 with"):
        nvdla.network("resnet50", 4)
