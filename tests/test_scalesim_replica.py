"""The replica of SCALE-Sim against what SCALE-Sim 3.0.0 printed (tests/data/scalesim/make_reports.sh)."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from accelsim.cli.replica import command
from accelsim.errors import ConfigError, WorkloadError
from accelsim.replicas import scalesim

DATA = Path(__file__).parent / "data" / "scalesim"
REPORTS = ("COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv", "DETAILED_ACCESS_REPORT.csv")
FLOWS = ("os", "ws", "is")

SMALL = [("small", f"{f}_{a}_{m}") for f in FLOWS for a in ("8x8", "4x16") for m in ("calc", "user")]
LARGE = [
    (network, f"{flow}_{array}")
    for network, flow, array in itertools.product(("alexnet", "resnet18", "mobilenet", "gemm"), FLOWS, (32, 128))
]
LARGE += [("gemm", f"{flow}_32_user") for flow in FLOWS]
SPARSE = [(topology, f"sparse_{flow}") for topology in ("sparse", "sparse_gemm") for flow in FLOWS]
SPARSE += [("sparse", f"sparse_{kind}") for kind in ("ws_zero_offset", "rows", "rows_user")]


def load(topology, config):
    network = scalesim.read_topology(DATA / f"{topology}.csv", gemm="gemm" in topology)
    return scalesim.read_config(DATA / "configs" / f"{config}.cfg"), network


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def compare(topology, config, names, tmp_path):
    scalesim.write_reports(scalesim.run(*load(topology, config)), tmp_path)
    expected = files(DATA / "reports" / topology / config)
    assert set(expected) == set(names)
    assert files(tmp_path) == expected


@pytest.mark.parametrize(("topology", "config"), SMALL)
def test_reports_of_small_odd_layers_are_scalesims_to_the_digit(topology, config, tmp_path):
    compare(topology, config, REPORTS, tmp_path)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="hours without the compiler")
@pytest.mark.parametrize(("topology", "config"), LARGE)
def test_reports_of_whole_networks_are_scalesims_to_the_digit(topology, config, tmp_path):
    compare(topology, config, REPORTS, tmp_path)


@pytest.mark.parametrize(("topology", "config"), SPARSE)
def test_sparse_reports_are_scalesims_to_the_digit(topology, config, tmp_path):
    compare(topology, config, (*REPORTS, "SPARSE_REPORT.csv"), tmp_path)


def test_no_report_of_scalesim_is_left_uncompared():
    found = {path.parts[-2:] for path in (DATA / "reports").glob("*/*") if any(path.iterdir())}
    assert found == set(SMALL + LARGE + SPARSE)


@pytest.mark.parametrize(("topology", "config"), [("small", "is_4x16_calc"), ("sparse", "sparse_ws_zero_offset")])
def test_the_closed_forms_are_those_of_the_full_run(topology, config):
    loaded = load(topology, config)
    for closed, row in zip(scalesim.closed(*loaded), scalesim.run(*loaded), strict=True):
        assert row.stall_cycles == 0
        assert closed.total_cycles == row.total_cycles
        words = (closed.ifmap_sram_reads, closed.filter_sram_reads, closed.ofmap_sram_writes)
        assert words == tuple(port.words for port in row.ports[:3])
        utils = [closed.overall_util, closed.mapping_efficiency, closed.compute_util]
        assert utils == row.compute_items()[3:]


def test_layers_are_reported_one_by_one_without_waiting_for_the_last(tmp_path):
    (tmp_path / "net.csv").write_text("header\nok,8,8,3,3,2,4,1,\nhuge,2000000,2000000,1,1,2000,4,1,\n")
    config, _ = load("small", "os_8x8_calc")
    rows = scalesim.run(config, scalesim.read_topology(tmp_path / "net.csv"))
    assert next(rows).total_cycles > 0
    with pytest.raises(WorkloadError, match="more than"):
        next(rows)


def test_the_command_writes_the_reports_and_tells_what_was_odd(tmp_path):
    arguments = [
        "scalesim",
        str(DATA / "configs/is_8x8_user.cfg"),
        str(DATA / "small.csv"),
        "-o",
        str(tmp_path),
    ]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    assert files(tmp_path) == files(DATA / "reports/small/is_8x8_user")
    assert result.stdout.split() == [str(tmp_path / name) for name in REPORTS]
    assert "small.csv:11: 'DP' in the name: 3 layers of one channel and 1 filters" in result.stderr


def test_reading_and_the_closed_forms_load_no_compiler():
    code = f"""
import sys
from accelsim.replicas import scalesim
config, network = scalesim.read_config({str(DATA / "configs/os_32.cfg")!r}), scalesim.read_topology(
    {str(DATA / "alexnet.csv")!r})
assert [row.ofmap_sram_writes for row in scalesim.closed(config, network)][0] > 0
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=DATA.parents[2])


def test_the_replicas_are_found_by_their_files():
    result = CliRunner().invoke(command, ["--help"])
    assert "SCALE-Sim 3.0.0" in result.stdout


def test_an_output_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        scalesim.write_reports([], tmp_path / "file" / "folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("IfmapCustomLayout : False", "IfmapCustomLayout : True"), "custom data layouts are not replicated"),
        (("UseRamulatorTrace : False", "UseRamulatorTrace : True"), "Ramulator traces are not replicated"),
    ],
)
def test_what_is_not_replicated_is_refused(change, message, tmp_path):
    text = (DATA / "configs/os_8x8_user.cfg").read_text()
    (tmp_path / "run.cfg").write_text(text.replace(*change))
    config = scalesim.read_config(tmp_path / "run.cfg")
    with pytest.raises(ConfigError, match=message):
        next(scalesim.run(config, load("small", "os_8x8_user")[1]))


def test_a_layer_of_one_cycle_is_refused_as_scalesim_divides_by_zero(tmp_path):
    text = (DATA / "configs/os_8x8_calc.cfg").read_text()
    text = text.replace("ArrayHeight : 8", "ArrayHeight : 1").replace("ArrayWidth : 8", "ArrayWidth : 1")
    (tmp_path / "run.cfg").write_text(text)
    (tmp_path / "net.csv").write_text("header\na,1,1,1,1,1,1,1,\n")
    with pytest.raises(WorkloadError, match="divides by zero"):
        next(scalesim.run(scalesim.read_config(tmp_path / "run.cfg"), scalesim.read_topology(tmp_path / "net.csv")))
