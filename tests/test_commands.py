"""Commands that tell: list, show, schema, validate."""

import json
import shlex

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from accelsim import terminal
from accelsim.cli import app
from accelsim.config import packaged
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.replicas import fusemax
from accelsim.validate import cases, compare, spread, table


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


def test_the_schema_knows_the_parameters_of_a_packaged_base():
    schema = json.loads(run("schema", "arch"))

    def params_of(base):
        (then,) = (
            rule["then"] for rule in schema["allOf"] if base in rule["if"]["properties"].get("base", {}).get("enum", ())
        )
        return schema["$defs"][then["properties"]["params"]["$ref"].rpartition("/")[2]]

    for base, key in (("systolic_ws_8", "rows"), ("eie", "pes"), ("stripes", "columns")):
        assert key in params_of(base)["properties"]
        assert "colz" not in params_of(base)["properties"]
        assert params_of(base)["additionalProperties"] is False
        assert not params_of(base)["required"]


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


def test_a_range_holds_what_lies_between_the_published_ends():
    between = case(kind="range", range=[1.24, 1.55], why="six networks", expected=1.37)
    assert [compare.judge("e", between, x).verdict for x in (1.23, 1.24, 1.4, 1.55, 1.56)] == [
        "FAIL", "ok", "ok", "ok", "FAIL"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "verdict", "passed"),
    [(8.0, "gap", True), (7.9, "gap", True), (9.9, "gap shrank", True), (7.7, "GAP GREW", False),
     (12.3, "GAP GREW", False), (12.0, "gap", True)],
)  # fmt: skip
def test_a_known_gap_fails_when_it_grows_and_not_when_it_shrinks(ours, verdict, passed):
    gap = case(kind="known_gap", tolerance=0.02, gap=-0.2, why="inputs unknown", expected=10.0)
    found = compare.judge("e", gap, ours)
    assert (found.verdict, found.passed) == (verdict, passed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": "alexnet"}, "exactly one"),
        ({"tolerance": 0.1}, "no tolerance"),
        ({"kind": "within"}, "tolerance and a reason"),
        ({"kind": "known_gap", "tolerance": 0.1, "why": "w"}, "states its 'gap'"),
        ({"origin": "published (recalled)"}, "no bar"),
        ({"origin": "published"}, "add 'class'"),
        ({"kind": "range", "why": "w"}, "has a 'range'"),
        ({"range": [1.0, 2.0]}, "has a 'range'"),
        ({"kind": "range", "range": [2.0, 1.0], "why": "w"}, "turn it round"),
        ({"class": "comparable"}, "change its 'class'"),
        ({"class": "similar"}, "average of other networks"),
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


def rows_of(*cases_and_ours):
    return [compare.judge("e", case(kind="reported", **changes), ours) for changes, ours in cases_and_ours]


def test_only_comparable_rows_are_scored_and_a_number_in_several_rows_counts_once():
    speed = {"origin": "published", "class": "comparable", "quantity": "totals.cycles", "expected": 10.0}
    rows = rows_of(
        (speed | {"source": "table 1"}, 11.0),
        (speed | {"source": "table 1", "layers": "*", "set": {"a": 1}}, 15.0),
        (speed | {"source": "table 2"}, 10.5),
        (speed | {"source": "table 2", "class": "fitted input"}, 90.0),
        (speed | {"source": "table 2", "origin": "published (recalled)", "quantity": "totals.area_mm2"}, 5.0),
        ({"expected": 1.0}, 7.0),
    )
    cycles, area = spread.spreads(rows)
    assert (cycles.metric, cycles.numbers, cycles.rows, cycles.near, cycles.worst) == ("cycles", 2, 3, 0.5, 0.5)
    assert cycles.median == pytest.approx((0.5 + 0.05) / 2)
    assert (area.metric, area.numbers, area.recalled, area.median) == ("area", 1, 1, 0.5)
    assert spread.classes(rows)["fitted input"] == 1
    assert "4 rows compare with 3 published numbers" in spread.sentences(rows)[0]


def test_equal_figures_of_different_layers_are_different_numbers():
    one, two = (case(layers=name, **{"class": "comparable"}, origin="published") for name in ("fc6", "fc7"))
    assert one.number("e") != two.number("e")
    first, second = (
        case(quantity=f"layer.{name}.details.x", **{"class": "comparable"}, origin="published") for name in "ab"
    )
    assert first.number("e") != second.number("e")


def test_every_packaged_comparable_figure_has_a_kind():
    for rows in cases.engine_cases().values():
        assert not [row.case for row in rows if row.proves == "comparable" and row.metric == "other"]


def test_the_table_as_json_says_the_class_of_each_row_and_the_errors_of_the_comparable_ones():
    done = CliRunner().invoke(app, ["validate", "cnvlutin", "sigma", "--format", "json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["figures"] == len(found["rows"]) == sum(found["classes"].values())
    assert found["comparable"]["cycles"]["numbers"] == 5
    assert {row["class"] for row in found["rows"]} == {"identity", "average of other networks", "comparable"}


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_the_table_fits_any_terminal_with_the_source_under_each_row(monkeypatch, columns):
    monkeypatch.setattr(terminal, "console", lambda: Console(width=columns))
    done = CliRunner().invoke(app, ["validate", "sigma"])
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    text = " ".join(done.stdout.split())
    assert "comparable; within 0.03, published: E. Qin et al., HPCA 2020, from the TeAAL artifact" in text
    assert sum(line.startswith("    comparable; ") for line in lines) == 7
    assert [line.split()[:5] for line in lines if "GEMM 84" in line] == [["33,376", "33,321", "-0.16", "%", "ok"]]
    assert "cycles: median error 0.2 %" in text


def test_an_engine_without_published_figures_is_called_unvalidated():
    row = compare.judge("e", case(), 12.0)
    assert table.unvalidated([row]) == ["e"]
    assert "unvalidated" in table.to_markdown([row])


def test_a_case_without_its_data_is_skipped_and_says_so(monkeypatch):
    monkeypatch.delenv("ACCELSIM_DATA", raising=False)
    needy = case(workload="matrix:wiki-Vote", layer=None, needs="data")
    monkeypatch.setattr(compare, "engine_cases", lambda: {"e": (needy,)})
    (row,) = compare.validate(["e"])
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


def told(command, folder):
    """Return what the command beside a validation row prints, its files written into a folder."""
    *before, last = command.split(" && ")
    for each in before:
        word, text, arrow, name = shlex.split(each)
        assert (word, arrow) == ("echo", ">")
        (folder / name).write_text(text)
    return json.loads(run(*shlex.split(last)[1:]))


def case_of(name, found):
    (case,) = [case for case in found if case.case == name]
    return case


@pytest.mark.parametrize(("engine", "name", "needs"), [
    ("row_stationary", "AlexNet conv1, DRAM accesses", "--mapping eyeriss_chip --density alexnet_eyeriss"),
    ("mvtu", "5 rows and 7 columns on 2 x 3", "> case.yaml && accelsim run"),
    ("systolic", None, "--mapping mapping.yaml"),
    ("eie", None, "--density density.yaml"),
])  # fmt: skip
def test_the_command_beside_a_validation_row_gives_its_figure(tmp_path, monkeypatch, engine, name, needs):
    monkeypatch.chdir(tmp_path)
    found = [case for case in cases.engine_cases()[engine] if needs in case.command]
    case = case_of(name, found) if name else found[0]
    alone = case.model_copy(update={"baseline": None, "baseline_set": {}})
    assert compare._found(told(case.command, tmp_path), alone) * case.scale == pytest.approx(compare.ours(alone))


def test_a_network_of_a_case_runs_isolated_unless_the_case_says_otherwise():
    text = {"case": "c", "quantity": "totals.cycles", "expected": 1, "kind": "reported", "origin": "hand-derived",
            "source": "s", "arch": "eie", "network": {"layers": []}}  # fmt: skip
    assert cases.CaseSpec(**text).command.endswith("run eie case.yaml --format json --isolated")
    assert "--isolated" not in cases.CaseSpec(**text, set={"schedule.mode": "network"}).command


@pytest.mark.parametrize(("found", "quantity"), [
    (cases.stream_cases, "row_hits"), (cases.plan_cases, "peak_bytes"), (cases.replica_cases, "expected_cycles"),
])  # fmt: skip
def test_devices_plans_and_replicas_have_a_command_too(tmp_path, found, quantity):
    case = next(case for case in found() if case.quantity == quantity)
    assert told(case.command, tmp_path)[quantity] == pytest.approx(compare.ours(case) / getattr(case, "scale", 1))


def test_rows_without_a_command_are_those_that_no_command_prints():
    """RTL points, traces, operands from files; what lives at a layer; a search that the replica's command has not."""
    rows = [case for each in cases.engine_cases().values() for case in each]
    assert [c.case for c in rows if bool(c.command) == bool(c.rtl or c.trace or c.masks)] == []
    others = [*cases.stream_cases(), *cases.plan_cases(), *cases.replica_cases()]
    assert [c.case for c in others if not c.command] == [
        "mobilenet_v2: first convolution", "finn: CNV, fewest multipliers for 9,130 cycles"
    ]  # fmt: skip
