"""Commands that tell: list, show, schema, validate."""

import json

import pytest
import yaml
from click.testing import CliRunner

from accelsim.cli import app
from accelsim.config import packaged
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.replicas import fusemax
from accelsim.validate import cases, compare, table


def run(*args):
    done = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_show_prints_the_resolved_machine_and_where_its_values_come_from():
    text = run("show", "systolic_os_8", "--set", "params.rows=3")
    config = yaml.safe_load(text)
    assert config["params"]["rows"] == 3
    assert config["params"]["dataflow"] == "os"
    assert "# memory.dram: assumed, a 16-bit LPDDR4-3200 channel" in text


def test_show_energy_traces_every_price_to_its_row():
    text = run("show", "energy", "--arch", "systolic_ws")
    assert "45nm:multiplier[8 bit] (read, horowitz14) pj 0.2" in text
    assert "dram" in text


def test_show_knows_networks_and_engines(tmp_path):
    assert "60,965,224 parameters" in run("show", "alexnet")
    assert "Not modelled:" in run("show", "systolic")
    path = tmp_path / "n.yaml"
    path.write_text("name: n\nisolated: true\nlayers:\n- {name: a, kind: linear, n: 1, c: 2, k: 3}\n")
    assert "6 MACs" in run("show", str(path))


@pytest.mark.parametrize("kind", ["arch", "network", "engine", "replica", "dram"])
def test_list_names_everything_of_a_kind(kind):
    names = {
        "arch": packaged.names("arch_configs"),
        "network": [*packaged.names("workloads"), "onnx:resnet50"],
        "engine": list(registry.modules()),
        "replica": ["bitfusion2018", "scalesim", "isca16", "fusemax"],
        "dram": ["ddr4-2400", "hbm3-6400"],
    }[kind]
    found = [line.split()[0] for line in run("list", kind).splitlines()]
    assert set(names) <= set(found)


@pytest.mark.parametrize("kind", ["arch", "network", "sweep"])
def test_the_schema_is_json_with_descriptions(kind):
    schema = json.loads(run("schema", kind))
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["properties"]["name"]["type"] == "string"
    if kind == "arch":
        assert schema["$defs"]["systolic_params"]["properties"]["rows"]["description"] == "PE rows"


def case(**changes):
    plain = {
        "case": "c", "arch": "systolic_ws", "layer": {"kind": "linear", "n": 3, "c": 2, "k": 2}, "quantity": "macs",
        "expected": 12.0, "kind": "exact", "origin": "hand-derived", "source": "3 x 2 x 2",
    }  # fmt: skip
    return cases.CaseSpec.model_validate(plain | changes)


def test_an_exact_case_passes_only_when_equal():
    assert compare.judge("e", case(), compare.ours(case())).verdict == "ok"
    wrong = case(expected=13.0)
    assert compare.judge("e", wrong, compare.ours(wrong)).verdict == "FAIL"


def test_a_band_judges_the_relative_error():
    band = case(kind="within", tolerance=0.1, why="a plot")
    assert compare.judge("e", band, 13.1).verdict == "ok"
    assert compare.judge("e", band, 13.3).verdict == "FAIL"


def test_a_known_gap_fails_when_it_closes():
    gap = case(kind="known_gap", tolerance=0.02, gap=-0.2, why="inputs unknown", expected=10.0)
    assert compare.judge("e", gap, 8.0).verdict == "gap"
    closed = compare.judge("e", gap, 9.9)
    assert (closed.verdict, closed.passed) == ("GAP CLOSED", False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": "alexnet"}, "exactly one"),
        ({"tolerance": 0.1}, "no tolerance"),
        ({"kind": "within"}, "tolerance and a reason"),
        ({"kind": "known_gap", "tolerance": 0.1, "why": "w"}, "states its 'gap'"),
        ({"origin": "published (recalled)"}, "no bar"),
    ],
)
def test_a_case_that_could_not_fail_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        case(**changes)


def test_quantities_reach_accounts_traffic_and_totals():
    assert compare.ours(case(quantity="account.busy")) == 12
    assert compare.ours(case(quantity="traffic.dram/weight/read")) == 32
    assert compare.ours(case(quantity="totals.macs")) == 12
    assert compare.ours(case(quantity="layer.layer.macs")) == 12
    with pytest.raises(ConfigError, match="no number called"):
        compare.ours(case(quantity="nothing"))


def test_every_packaged_figure_is_as_its_case_says():
    rows = compare.validate()
    assert [row.case.case for row in rows if not row.passed] == []
    assert table.count(rows) in table.to_markdown(rows)
    assert table.unvalidated(rows) == [e for e in registry.modules() if e in table.unvalidated(rows)]


def test_an_engine_without_published_figures_is_called_unvalidated():
    row = compare.judge("e", case(), 12.0)
    assert table.unvalidated([row]) == ["e"]
    assert "unvalidated" in table.to_markdown([row])


def test_a_case_without_its_data_is_skipped_and_says_so(monkeypatch):
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    needy = case(workload="matrix:wiki-Vote", layer=None, needs="data")
    monkeypatch.setattr(compare, "engine_cases", lambda: {"e": (needy,)})
    monkeypatch.setattr(compare, "stream_cases", lambda: ())
    monkeypatch.setattr(compare, "replica_cases", lambda: ())
    (row,) = compare.validate()
    assert row.passed
    assert row.verdict == "skipped"
    assert "1 skipped: ACCELSIM_DATA" in table.count([row])
    assert "| - | - | skipped |" in table.to_markdown([row])


def test_a_figure_of_a_replica_without_its_data_is_skipped_too(monkeypatch, tmp_path):
    needy = cases.ReplicaCase.model_validate(
        {"case": "c", "replica": "fusemax", "data": "t.csv", "quantity": "attention", "expected": 1.0, "kind": "exact",
         "origin": "peer", "source": "s"}
    )  # fmt: skip
    monkeypatch.setattr(compare, "replica_cases", lambda: (needy,))
    monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
    (row,) = compare.validate(["replica"])
    assert (row.engine, row.verdict) == ("replica", "skipped")
    (tmp_path / "t.csv").touch()
    monkeypatch.setattr(fusemax, "figures", lambda path: {"attention": path == tmp_path / "t.csv"})
    (row,) = compare.validate(["replica"])
    assert row.verdict == "ok"


def test_a_replicas_quantity_that_is_none_is_refused_with_those_that_are():
    wrong = {"case": "c", "replica": "fusemax", "quantity": "speed", "expected": 1.0, "kind": "exact",
             "origin": "peer", "source": "s"}  # fmt: skip
    with pytest.raises(ConfigError, match="no figure 'speed'; figures: attention, end_to_end"):
        compare.ours(cases.ReplicaCase.model_validate(wrong))


def test_a_command_does_not_take_the_name_of_a_builtin_from_those_after_it():
    assert "systolic_ws" in run("list", "arch")
    assert "SCALE-Sim 3.0.0" in run("replica", "--help")
    assert "merge" in run("--help")


def test_a_list_on_a_narrow_terminal_breaks_between_words():
    from accelsim.cli.list_ import _line

    text = "Bit-serial matrix product overlay, 8 x 256 x 8 at 200 MHz"
    lines = _line(f"{'bismo':26} ", text, 60).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("bismo  ")
    assert lines[1].startswith(" " * 27)
    assert " ".join(" ".join(lines).split()) == f"bismo {text}"
    assert _line("a ", text, None) == f"a {text}"


def test_a_run_without_pictures_writes_three_files(tmp_path):
    text = run("run", "systolic_ws_8", "alexnet", "--layers", "fc8", "--no-pictures", "-o", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"layers.csv", "report.md", "report.json"}
    assert "report and pictures" not in text
    refused = CliRunner().invoke(app, ["run", "systolic_ws_8", "alexnet", "--no-pictures", "--format", "json"])
    assert refused.exit_code == 2
    assert "say where with -o" in refused.output
