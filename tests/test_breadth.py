"""One run by every energy table: the span, and which comparisons a change of table turns round."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.breadth import by_tables, flips, tables_named
from accelsim.cli import app, main
from accelsim.comparison import compare
from accelsim.energy import table_names
from accelsim.report import comparison as texts
from accelsim.report import words
from accelsim.report.document import document, to_json
from accelsim.report.reader import read_report
from accelsim.results import TablePrice


@pytest.fixture(scope="module")
def result():
    return accelsim.simulate(accelsim.load_arch("diannao"), accelsim.load_network("alexnet"), layers="conv3")


def test_every_table_prices_a_run_as_a_run_by_it_does(result):
    for price in by_tables(result, tables_named("all")):
        if price.reason:
            continue
        alone = accelsim.simulate(
            accelsim.load_arch("diannao", [("energy.table", price.table)]), accelsim.load_network("alexnet"),
            layers="conv3",
        )  # fmt: skip
        assert price.total_energy_pj == alone.total_energy_pj
        assert price.edp_pj_s == alone.edp_pj_s
        assert price.on_chip_pj == pytest.approx(alone.total_energy_pj - alone.energy_pj["dram"])


def test_normalised_tables_are_left_out_and_say_why(result):
    found = {price.table: price for price in by_tables(result, tables_named("all"))}
    assert list(found) == table_names()
    left = found["eyeriss_normalized"]
    assert (left.total_energy_pj, left.reason) == (None, "normalised: in units of a MAC")
    assert all(price.total_energy_pj for name, price in found.items() if name != "eyeriss_normalized")


def test_the_span_is_of_what_is_priced_and_the_report_keeps_it(result, tmp_path):
    wide = replace(result, energy_tables=by_tables(result, ("28nm", "65nm", "eyeriss_normalized")))
    found = document(wide)["energy_tables"]
    assert found["span"]["ratio"] == found["span"]["largest_pj"] / found["span"]["least_pj"] > 1
    assert words.by_tables(wide)[-1].startswith("span: ")
    (tmp_path / "report.json").write_text(to_json(wide))
    assert read_report(tmp_path / "report.json").energy_tables == wide.energy_tables
    assert "energy_tables" not in document(result)


def test_the_head_names_table_node_and_weak_prices(result):
    carried = accelsim.simulate(
        accelsim.load_arch("diannao", [("energy.table", "16nm")]), accelsim.load_network("alexnet"), layers="conv3"
    )
    assert (carried.prices["table"], carried.prices["node_nm"]) == ("16nm", 16)
    assert "glb.weights read" in carried.prices["carried"]
    assert "priced by 16nm (16 nm, 0.8 V); carried prices: " in words.provenance(carried)
    assert words.provenance(result).count("priced by") == 1


def priced(comparison, prices):
    rows = tuple(replace(row, over=replace(row.over, energy_tables=tuple(prices[row.arch]))) for row in comparison.rows)
    return replace(comparison, rows=rows)


def test_pairs_whose_order_depends_on_the_table_are_named():
    found = compare(["diannao", "tpu_v1"], ["alexnet"], layers="conv3")
    table = {name: lambda pj, name=name: TablePrice(name, 28, 0.9, pj, pj, pj, "dram") for name in "abc"}
    none = TablePrice("d", 28, 0.9, reason="normalised: in units of a MAC")
    same = priced(found, {"diannao": [table["a"](1.0), none], "tpu_v1": [table["a"](2.0), none]})
    assert flips(same, "alexnet") == []
    assert "no pair of machines changes its order by any of 1 energy tables" in texts.notes(same)
    turned = priced(
        found,
        {
            "diannao": [table["a"](1.0), table["b"](3.0), table["c"](2.0), none],
            "tpu_v1": [table["a"](2.0), table["b"](2.0), table["c"](2.0), none],
        },
    )
    energy, product = flips(turned, "alexnet")
    assert (energy.figure, energy.first, energy.second) == ("total_energy_pj", "diannao", "tpu_v1")
    assert (energy.first_by, energy.second_by) == (("a",), ("b",))
    assert product.figure == "edp_pj_s"
    said = texts.notes(replace(turned, flips=(energy, product)))
    assert "alexnet, energy: diannao is better by a; tpu_v1 by b" in said
    assert any("energy tables left out: d" in line for line in said)


def test_compare_prints_flips_as_json():
    args = ["compare", "dadiannao", "tpu_v1", "--network", "alexnet", "--layers", "conv3", "--energy-tables", "all"]
    done = CliRunner().invoke(app, [*args, "--format", "json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert len(found["energy_tables"]) == 2 * len(table_names())
    assert set(found["flips"][0]) == {"network", "figure", "first", "second", "first_by", "second_by"}


@pytest.mark.parametrize("command", [["run", "diannao", "alexnet"], ["compare", "diannao", "--network", "alexnet"]])
@pytest.mark.parametrize(
    ("text", "said"), [("28nm,29nm", "no energy table is called '29nm'"), (",", "no energy table is named")]
)
def test_a_table_that_does_not_exist_is_one_line(command, text, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--energy-tables", text])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --energy-tables: ")
    assert said in err
    assert err.count("\n") == 1
