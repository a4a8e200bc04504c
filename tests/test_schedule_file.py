"""A schedule from a file: a report's clock is run again, and whatever does not fit the machine or network is named."""

import json

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app
from accelsim.config.schedule_file import keys
from accelsim.errors import ConfigError

MACHINE, NETWORK = "edge_npu_l2", "onnx:squeezenet"


def run(*args):
    return CliRunner().invoke(app, ["run", MACHINE, NETWORK, "--format", "json", *map(str, args)])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.json"
    greedy = run("--residency", "greedy", "--prefetch", "8")
    path.write_text(greedy.stdout)
    return path


def test_the_schedule_of_a_report_reproduces_it(report):
    before, again = json.loads(report.read_text()), json.loads(run("--schedule", report).stdout)
    assert before["schedule"]["residency"] == again["schedule"]["residency"] == "greedy"
    assert (before["schedule"].pop("proof"), again["schedule"].pop("proof")) == ("greedy", "pinned")
    assert again["schedule"] == before["schedule"]
    assert again["totals"] == before["totals"]
    assert json.loads(run().stdout)["schedule"]["kept"] != before["schedule"]["kept"], "the exact plan is another"


def test_addresses_are_those_of_the_file_and_what_is_not_named_is_in_dram(report):
    (first, *_) = json.loads(report.read_text())["schedule"]["kept"]
    place = {key: first[key] for key in ("storage", "buffer")} | {"address_bits": 4096}
    machine = accelsim.load_arch(MACHINE, [("schedule.places", [place])])
    (kept,) = accelsim.simulate(machine, NETWORK).schedule.kept
    assert (kept.storage, kept.address_bits) == (first["storage"], 4096)


def test_yaml_gives_the_keys_of_a_machine(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("schedule: {mode: network, prefetch: none}\n")
    assert keys(path) == [("schedule.mode", "network"), ("schedule.prefetch", "none")]
    found = run("--schedule", path)
    assert json.loads(found.stdout)["schedule"]["prefetch"] == "none"


def places(report):
    kept = json.loads(report.read_text())["schedule"]["kept"]
    return [{key: each[key] for key in ("storage", "buffer", "address_bits")} for each in kept]


def overlapping(found, kept):
    a, b = next((a, b) for a in kept for b in kept if a is not b and a["first"] <= b["first"] <= a["last"])
    by_name = {each["storage"]: each for each in found}
    return [by_name[a["storage"]], by_name[b["storage"]] | {"address_bits": by_name[a["storage"]]["address_bits"]}]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p, k: [p[0] | {"buffer": "l3"}], r"places.0.buffer: 'l3' is no buffer; did you mean 'l2'\?"),
        (lambda p, k: [p[0] | {"storage": p[0]["storage"] + "x"}], "places.0.storage: this network has no"),
        (lambda p, k: [p[0] | {"address_bits": 1 << 40}], "places.0.address_bits: .* has 8,388,608 bits"),
        (lambda p, k: [p[0] | {"address_bits": 1}], "places.0.address_bits: .* in words of 256"),
        (overlapping, "places.1.address_bits: .* shares bits with .* give it another address"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_is_named_with_its_remedy(report, change, told):
    kept = json.loads(report.read_text())["schedule"]["kept"]
    machine = accelsim.load_arch(MACHINE, [("schedule.places", change(places(report), kept))])
    with pytest.raises(ConfigError, match=told):
        accelsim.simulate(machine, NETWORK)


def test_what_a_network_reads_or_a_machine_without_buffers_cannot_be_pinned(report):
    outside = {"storage": "data_0", "buffer": "l2", "address_bits": 0}
    machine = accelsim.load_arch(MACHINE, [("schedule.places", [outside])])
    with pytest.raises(ConfigError, match="'data_0' cannot live in 'l2'"):
        accelsim.simulate(machine, NETWORK)
    bare = accelsim.load_arch("edge_npu", [("schedule.places", places(report))])
    with pytest.raises(ConfigError, match="'edge_npu' has no buffers between layers"):
        accelsim.simulate(bare, NETWORK)


@pytest.mark.parametrize("text", ["{", "[]", '{"schedule": 1}', '{"arch": {}, "schedule": {"kept": [1]}}'])
def test_a_file_without_a_schedule_is_one_line(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"the file says nothing of a schedule; give the report.json of a run on one"):
        keys(path)
    both = run("--schedule", path, "--prefetch", "none")
    assert "--schedule says all of a clock" in both.output
