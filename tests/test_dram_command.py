"""``accelsim dram`` and its files: standards, traces, what is refused."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from accelsim.cli import app, main
from accelsim.cli import dram as command
from accelsim.config.dram import mapping
from accelsim.config.dram import standard as standards
from accelsim.errors import ConfigError
from accelsim.memory.device import patterns, traces
from accelsim.memory.device.channel import Device, Requests

KEYS = {"cycles", "row_hits", "row_misses", "row_conflicts", "avg_read_latency_cycles", "energy_nj"}
SHORT = ("--requests", "300")


def run(*args):
    done = CliRunner().invoke(app, ["dram", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def figures(*args):
    return json.loads(run(*args, "--format", "json"))


def refused(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(["dram", *map(str, args)])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_the_lists_of_the_command_are_those_of_the_library():
    assert set(command.PATTERNS) == set(patterns.PATTERNS)
    assert tuple(mapping.MAPPINGS) == command.MAPPINGS
    assert traces.FORMS == command.FORMS


@pytest.mark.parametrize("name", standards.names())
@pytest.mark.parametrize("pattern", ["sequential", "rw_fine", "random"])
def test_every_standard_serves_every_kind_of_stream(name, pattern):
    found = figures(name, "--pattern", pattern, *SHORT)
    assert set(found) >= KEYS
    assert found["commands"]["read"] + found["commands"]["write"] == 300
    assert sum(found["bus_clocks"].values()) == found["served_cycles"] * (2 if name.startswith("hbm") else 1)
    has_currents = standards.load(name).currents is not None
    assert (found["energy_nj"] is not None) == has_currents
    if has_currents:
        assert sum(found["energy_by_command_nj"].values()) == pytest.approx(found["energy_nj"])


def test_case_and_underscores_of_a_name_do_not_matter():
    assert figures("DDR4_2400", "--pattern", "stride", *SHORT) == figures("ddr4-2400", "--pattern", "stride", *SHORT)


@pytest.mark.parametrize("name", standards.names())
def test_the_table_fits_80_columns_and_says_its_units(name):
    lines = run(name, "--pattern", "rw_copy", *SHORT).splitlines()
    assert max(map(len, lines)) <= 80
    assert "clocks" in "".join(lines)
    assert ("uJ" in "".join(lines)) == (standards.load(name).currents is not None)


def test_the_list_says_what_was_compared_with_another_simulator():
    lines = run("--list").splitlines()
    states = {line.split()[0]: line.split()[1] for line in lines}
    assert [name for name, state in states.items() if state == "validated"] == [
        "ddr3-1600", "ddr4-2400", "hbm2-2000", "lpddr5-6400"
    ]  # fmt: skip
    assert len(states) == 9
    listed = CliRunner().invoke(app, ["list", "dram"], catch_exceptions=False).output
    assert [line.split()[:2] for line in listed.splitlines()] == [line.split()[:2] for line in lines]


def test_the_first_requests_of_the_patterns_are_those_of_the_page():
    device = Device(standards.load("hbm2-2000"))

    def first(name, count):
        found = patterns.stream(name, device, count)
        return [(int(a), bool(w)) for a, w in zip(found.address, found.write, strict=True)]

    far = 64 << 20
    assert first("sequential", 3) == [(0, False), (32, False), (64, False)]
    assert first("stride", 3) == [(0, False), (4096, False), (8192, False)]
    assert first("rw_fine", 4) == [(0, False), (far, True), (32, False), (far + 32, True)]
    assert first("slice512", 4) == [(0, False), (32, False), (512, False), (544, False)]
    copy = first("rw_copy", 300)
    assert copy[127:130] == [(4064, False), (far, True), (far + 32, True)]
    assert copy[256] == (4096, False)
    assert [a for a, _ in first("tile_rows", 5)] == [0, 32, 96, 128, 160]  # bytes 0..55, then 112..167
    assert patterns.usual("tile_rows", 32) == 71_680


@pytest.mark.parametrize("form", traces.FORMS)
@pytest.mark.parametrize("pattern", ["rw_fine", "random"])
def test_a_trace_written_and_read_back_gives_the_same_figures(form, pattern, tmp_path):
    path = tmp_path / "a.trace"
    plain = figures("hbm2-2000", "--pattern", pattern, *SHORT, "--save-trace", path, "--trace-form", form)
    assert figures("hbm2-2000", "--trace", path) == plain


def test_clocks_of_a_trace_are_kept(tmp_path):
    path = tmp_path / "a.trace"
    made = Requests(np.array([64, 1 << 20]), np.array([True, False]), np.array([3, 900]))
    path.write_text(traces.text(made, "dramsim3"))
    back = traces.read(path)
    assert all((a == b).all() for a, b in zip(made, back, strict=True))
    path.write_text("# comment\n\nld 64\nST 0x80\n")
    assert traces.read(path).address.tolist() == [64, 128]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no request"),
        ("LD\n", ":1: not a request"),
        ("LD 64\nST x\n", ":2: 'x' is not a number"),
        ("LD 64\n64 READ 0\n", ":2: not a request"),
        ("64 READ 0\nLD 64\n", ":2: not a request"),
        ("64 READ\n", ":1: not a request"),
        ("64 FETCH 0\n", ":1: not a request"),
        ("64 READ -1\n", ":1: -1 is out of range"),
        ("64 READ 99999999999999\n", "out of range"),
        ("LD 0x1ffffffffffffffffffffffff\n", "out of range"),
        ("LD 0x200000000\n", "lies outside"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_bad_trace_is_one_line(text, words, tmp_path, capsys):
    path = tmp_path / "a.trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refused(capsys, "ddr4-2400", "--trace", path)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ddr4-2401", "--pattern", "stride"], "did you mean 'ddr4-2400'"),
        (["sram", "--pattern", "stride"], "known: ddr3-1600"),
        (["no/such.yaml", "--pattern", "stride"], "no such file"),
        (["ddr4-2400", "--pattern", "stride", "--channels", "3"], "3 channels"),
        (["ddr4-2400", "--pattern", "stride", "--channels", "0"], "0 channels"),
        (["ddr4-2400", "--pattern", "stride", "--mapping", "RoBaRaCh"], "does not cover the address"),
        (["ddr4-2400", "--pattern", "stride", "--cap", "0"], "cap 0"),
        (["ddr4-2400", "--pattern", "stride", "--queue", "1000"], "queue of 1000"),
        (["ddr4-2400", "--pattern", "stride", "--requests", "999999999"], "out of range"),
        (["ddr4-2400", "--pattern", "random", "--seed", "-1"], "--seed"),
        (["ddr4-2400", "--trace", "no.trace"], "no.trace: cannot be read"),
        (["ddr4-2400"], "--pattern or --trace"),
        (["ddr4-2400", "--pattern", "stride", "--trace", "x"], "--pattern or --trace"),
        ([], "give a standard"),
    ],
)
def test_a_mistake_is_one_line(args, words, capsys):
    assert words in refused(capsys, *args)


PATH = standards.FOLDER / "ddr4-2400.yaml"


def test_a_standard_may_be_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        re.sub(r"\n  nRCD: 16\n", "\n  nRCD: 30\n", PATH.read_text()).replace("name: ddr4-2400", "name: mine")
    )
    slow, plain = figures(path, "--pattern", "random", *SHORT), figures("ddr4-2400", "--pattern", "random", *SHORT)
    assert slow["standard"] == "mine"
    assert slow["avg_read_latency_cycles"] > plain["avg_read_latency_cycles"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("banks_per_group: 4", "banks_per_group: 3", "power of two"),
        ("prefetch: 8", "prefetch: 2048", "prefetch"),
        ("device_bits: 8", "device_bits: 128", "device_bits"),
        ("rows: 65536", "row: 65536", "did you mean 'rows'"),
        ("bank_groups: 4", "bank_groups: 1e9", "is text in YAML"),
        ("bank_groups: 4\n  banks_per_group: 4", "bank_groups: 64\n  banks_per_group: 256", "16,384 banks"),
        ("nCL: 16", "nCL: -1", "too small"),
        ("  nCL: 16\n", "", "nCL: missing key"),
        ("nRC: 55", "nRC: 30", "nRC 30 is less than nRAS"),
        ("nREFI: 9364", "nREFI: 500", "leave no time"),
        ("nRFC: 433", "nRFC: 9000", "leave no time"),
        ("IDD4R: 135", "IDD4R: 1", "IDD4R is less than IDD3N"),
        ("VDD: 1.2", "VDD: .inf", "VDD"),
        ("sources:", "commands: {activate_clocks: 2}\nsources:", "buses: 2"),
        ("name: ddr4-2400", "name: 'a b'", "name"),
    ],
)
def test_a_bad_standard_is_one_line_with_its_place(old, new, words, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    assert old in PATH.read_text()
    path.write_text(PATH.read_text().replace(old, new, 1))
    said = refused(capsys, path, "--pattern", "stride")
    assert words in said
    assert f"{path}:" in said


def test_a_standard_needs_the_sources_of_its_numbers():
    for name in standards.names():
        one = standards.load(name)
        assert one.sources.organisation
        assert one.sources.timing
        assert (one.currents is None) == one.sources.currents.startswith("none")


def test_the_capacity_is_said_where_a_pattern_is_unknown_to_the_library():
    with pytest.raises(ConfigError, match="no pattern"):
        patterns.stream("zigzag", Device(standards.load("ddr4-2400")), 10)
