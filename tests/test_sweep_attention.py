"""Machines that take an attention whole and machines that lower it are compared over the same work."""

import csv
import io

import pytest
from sweep_files import table

import accelsim
from accelsim.explore.search import design
from accelsim.explore.sweep import choose, run, store
from accelsim.explore.sweep.tables import SUMS
from accelsim.report import comparison as texts
from accelsim.report import comparison_page

NETWORK = """\
name: two
source: made up for tests
isolated: true
layers:
  - {name: a.attention, kind: attention, heads: 2, q: 8, kv: 8, head_dim: 8}
  - {name: fc, kind: linear, n: 8, c: 16, k: 16}
  - {name: b.attention, kind: attention, heads: 2, q: 8, kv: 12, head_dim: 8, causal: skip}
"""
SWEEP = """\
name: mixed
machines: [spatten, edge_npu, a3_base]
networks: [./two.yaml]
axes:
  memory.dram.gb_per_s: [4, 8]
"""
A = tuple(f"a.{part}" for part in ("scores", "scale", "softmax", "context"))
B = tuple(f"b.{part}" for part in ("scores", "scale", "mask", "softmax", "context"))


def written(folder, text=SWEEP):
    (folder / "two.yaml").write_text(NETWORK)
    (folder / "sweep.yaml").write_text(text)
    return folder / "sweep.yaml"


def rows(path):
    with store.open_reader(path) as opened:
        return list(opened.rows())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    run.run(written(folder), folder / "s.db", workers=0)
    return folder


def test_an_attention_is_shared_by_who_has_it_whole_and_who_runs_its_parts(mixed):
    with store.open_reader(mixed / "s.db") as opened:
        needed, shared = opened.networks()["./two.yaml"]
    assert needed.names == (*A, "fc", *B)
    assert shared.names == (*A, *B)
    network = accelsim.load_network(str(mixed / "two.yaml"))
    for row in rows(mixed / "s.db"):
        arch = accelsim.load_arch(row["machine"], [("memory.dram.gb_per_s", row["memory.dram.gb_per_s"])])
        result = accelsim.simulate(arch, network)
        taken = [x.name for x in result.layers if x.name != "fc"]
        part = result.over(taken)
        figures = {**row, **(row["common"] or {})}
        assert [figures[name] for name in SUMS] == [getattr(part, name) for name in SUMS]
        assert figures["macs"] == 2 * 2 * 8 * (8 + 12) * 8
        assert row["ran"] == ((*A, "fc", *B) if row["machine"] == "edge_npu" else (*A, *B))
        assert len(taken) == (9 if row["machine"] == "edge_npu" else 2)


def test_a_sweep_ranks_them_by_the_figures_and_in_the_words_of_a_comparison(mixed):
    shown = choose.of_store(mixed / "s.db", None, "memory.dram.gb_per_s == 8").compared
    assert [point.ranks for point in shown.points] == [True] * 3
    assert shown.notes[0] == "over the 2 of 3 layers that all machines simulate"
    found = accelsim.compare(
        ["spatten", "edge_npu", "a3_base"], [str(mixed / "two.yaml")], sets=[("memory.dram.gb_per_s", 8)]
    )
    assert [point.figures["cycles"] for point in shown.points] == [row.over.cycles for row in found.rows]
    assert [point.figures["total_energy_pj"] for point in shown.points] == [
        row.over.total_energy_pj for row in found.rows
    ]
    assert "over the 2 of 3 layers that all ran" in texts.heading(found, "two")


def test_an_attention_counts_as_one_layer_beside_others_that_nobody_runs(tmp_path):
    path = written(tmp_path, SWEEP.replace(", a3_base", ""))
    (tmp_path / "two.yaml").write_text(
        NETWORK + "  - {name: wide, kind: linear, n: 1, c: 8, k: 8, input: {bits: 32}}\n"
    )
    run.run(path, tmp_path / "s.db", workers=0)
    shown = choose.of_store(tmp_path / "s.db", None, None).compared
    assert {point.part for point in shown.points} == {"2 of 4 layers", "10 of 11 layers"}
    assert shown.notes[0] == "over the 2 of 4 layers that all machines simulate"


def test_what_was_not_simulated_names_no_attention_that_was(mixed):
    found = csv.DictReader(io.StringIO(table(mixed / "s.db")))
    assert [row["not_simulated"] for row in found] == ["fc", "fc", "", "", "fc", "fc"]


def test_rows_of_mixed_machines_do_not_depend_on_columns(mixed, tmp_path, monkeypatch):
    assert not all(row["common"] is None for row in rows(mixed / "s.db"))
    monkeypatch.setattr(run, "COLUMNAR_FROM", 10**9)
    monkeypatch.setattr(run, "_walks", lambda arch: False)
    run.run(written(tmp_path), tmp_path / "plain.db", workers=0)
    assert rows(tmp_path / "plain.db") == rows(mixed / "s.db")


def test_of_an_attention_that_one_machine_has_whole_half_the_parts_are_not_shared(tmp_path):
    machines = "spatten_e2e, systolic_ws"  # the array has no lanes for scale and softmax
    run.run(written(tmp_path, SWEEP.replace("spatten, edge_npu, a3_base", machines)), tmp_path / "s.db", workers=0)
    found = rows(tmp_path / "s.db")
    assert {row["shared"] for row in found} == {("fc",)}
    assert {(row["common"] or row)["macs"] for row in found} == {8 * 16 * 16}


def test_the_parts_that_machines_without_attention_share_are_compared_one_by_one(tmp_path):
    machines = "edge_npu, systolic_ws"
    run.run(written(tmp_path, SWEEP.replace("spatten, edge_npu, a3_base", machines)), tmp_path / "s.db", workers=0)
    found = rows(tmp_path / "s.db")
    assert {row["shared"] for row in found} == {("a.scores", "a.context", "fc", "b.scores", "b.context")}
    assert found[0]["whole"] == []


def test_machines_that_run_all_of_a_connected_network_differ_in_nothing(tmp_path):
    text = "name: s\nmachines: [edge_npu, spatten_e2e]\nnetworks: ['net:gpt2_small']\naxes: {options.dim.seq: [4]}\n"
    (tmp_path / "s.yaml").write_text(text)
    run.run(tmp_path / "s.yaml", tmp_path / "s.db", workers=0)
    whole, lowered = rows(tmp_path / "s.db")[::-1]
    assert (whole["shared"], whole["common"], lowered["common"]) == (None, None, None)
    assert whole["ran"] == lowered["ran"]
    assert (whole["macs"], whole["complete"], lowered["complete"]) == (lowered["macs"], True, True)
    assert [point.ranks for point in choose.of_store(tmp_path / "s.db", None, None).compared.points] == [True, True]


def test_a_search_takes_both_kinds_of_machines_as_complete(tmp_path):
    text = SWEEP.replace("spatten, edge_npu, a3_base", "spatten_e2e, edge_npu") + "objectives: [cycles]\n"
    found = design.run(written(tmp_path, text), tmp_path / "s.db", design.Settings(budget=8), workers=0)
    assert (found.tried, found.partial) == (4, 0)


def test_the_page_of_a_comparison_shows_parts_beside_their_whole(mixed):
    for machines in (["spatten", "edge_npu"], ["edge_npu", "spatten"]):
        found = accelsim.compare(machines, [str(mixed / "two.yaml")], sets=[("memory.dram.gb_per_s", 8)])
        page = comparison_page.to_html(found, {})
        places = [page.index(f">{name}<") for name in ("a.attention", *A, "b.attention", *B)]
        assert places == sorted(places)
