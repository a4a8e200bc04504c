"""Which layers points share is known before they run, and both sums come from the same layers."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sweep_files import table, write

import accelsim
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.explore.sweep import choose, evaluate, ranking, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.layersets import layer_set
from accelsim.explore.sweep.merge import merge
from accelsim.explore.sweep.schema import read_sweep
from accelsim.explore.sweep.shares import needed, of_plan
from accelsim.explore.sweep.space import expand
from accelsim.explore.sweep.tables import SUMS
from accelsim.simulation import task_for
from accelsim.workload.layers import LayerView
from accelsim.workload.network import is_view, make_layer

NETWORK = """\
name: mixed
source: made up for tests
isolated: true
layers:
  - {name: conv, kind: conv2d, c: 8, h: 12, w: 12, k: 16, r: 3, s: 3, pad: 1}
  - {name: pool, kind: pool, op: max, c: 16, h: 12, w: 12, r: 2, s: 2, stride: 2}
  - {name: twin, kind: conv2d, c: 8, h: 12, w: 12, k: 16, r: 3, s: 3, pad: 1}
  - {name: fc, kind: linear, c: 64, k: 32}
"""
BIG = "c: 1, h: 40, w: 40, k: 1, r: 40, s: 40}\n"
SWEEP = """\
name: mixed_sweep
machines: [edge_npu, systolic_ws, scnn, sparch]
networks: [./mixed.yaml]
axes:
  memory.dram.gb_per_s: [4, 8]
"""
"""edge_npu runs all four layers, systolic_ws three, scnn two, sparch none."""


def written(folder, text=SWEEP):
    (folder / "mixed.yaml").write_text(NETWORK)
    return write(folder, text)


def rows(path):
    with store.open_reader(path) as opened:
        return list(opened.rows())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    sweep.run(written(folder), folder / "s.db", workers=0)
    return folder


def simulated(row):
    arch = accelsim.load_arch(row["machine"], [("memory.dram.gb_per_s", row["memory.dram.gb_per_s"])])
    return accelsim.simulate(arch, accelsim.load_network(str(row["folder"] / "mixed.yaml")))


def test_a_point_adds_up_what_it_ran_and_what_all_share(mixed):
    covered = {"edge_npu": 4, "systolic_ws": 3, "scnn": 2}
    for row in rows(mixed / "s.db"):
        if row["machine"] == "sparch":
            assert (row["status"], row["ran"]) == ("illegal", None)
            assert row["reason"].startswith("no layer of 'mixed' ran on 'sparch'")
            continue
        result = simulated(row | {"folder": mixed})
        assert row["layers_simulated"] == covered[row["machine"]] == len(result.simulated)
        assert row["layers_needed"] == 4
        assert row["ran"] == tuple(layer.name for layer in result.simulated)
        assert [row[name] for name in SUMS] == [getattr(result, name) for name in SUMS]
        assert (row["coverage_macs"], row["coverage_dram_bits"]) == (
            result.coverage["macs"],
            result.coverage["dram_bits"],
        )
        if row["machine"] == "scnn":  # it ran just the shared layers
            assert row["common"] is None
        else:
            part = result.over({"conv", "twin"})
            assert [row["common"][name] for name in SUMS] == [getattr(part, name) for name in SUMS]
            assert row["common"]["energy_pj"] == part.energy_pj
    with store.open_reader(mixed / "s.db") as opened:
        needed, shared = opened.networks()["./mixed.yaml"]
    assert (needed.names, shared.names) == (("conv", "pool", "twin", "fc"), ("conv", "twin"))


def test_clock_table_and_what_has_no_area_stand_in_every_row(mixed):
    for row in rows(mixed / "s.db"):
        if row["status"] != "ok":
            continue
        result = simulated(row | {"folder": mixed})
        assert row["clock_mhz"] == result.clock_mhz
        assert row["energy_table"] == result.options["energy_table"]
    lacking = {row["machine"]: row["no_area"] for row in rows(mixed / "s.db")}
    assert lacking["systolic_ws"] == "clock, array, bus"


def test_where_all_points_simulate_the_same_nothing_more_is_written(tmp_path):
    sweep.run(written(tmp_path, SWEEP.replace("[edge_npu, systolic_ws, scnn, sparch]", "[scnn]")), tmp_path / "s.db")
    with store.open_reader(tmp_path / "s.db") as opened:
        assert opened.networks()["./mixed.yaml"][1] is None
        assert opened._db.execute("SELECT count(*) FROM common").fetchone() == (0,)
    assert {(row["layers_simulated"], row["common"]) for row in rows(tmp_path / "s.db")} == {(2, None)}


def test_rows_do_not_depend_on_workers_shards_order_or_columns(mixed, tmp_path, monkeypatch):
    path, whole = written(tmp_path), rows(mixed / "s.db")
    sweep.run(path, tmp_path / "w.db", workers=2)
    for i in (1, 2, 3):
        sweep.run(path, tmp_path / f"{i}.db", workers=0, shard=(i, 3))
    merge([tmp_path / f"{i}.db" for i in (3, 1, 2)], tmp_path / "m.db")
    monkeypatch.setattr(sweep, "COLUMNAR_FROM", 1)
    sweep.run(path, tmp_path / "c.db", workers=3, make_executor=partial(ThreadPoolExecutor, 3))
    for name in ("w.db", "m.db", "c.db"):
        assert rows(tmp_path / name) == whole, name
        assert table(tmp_path / name) == table(mixed / "s.db"), name


def test_sums_over_shared_layers_come_from_columns_where_the_rest_does(tmp_path, monkeypatch):
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, sparch", "systolic_ws, scnn")
    sweep.run(written(tmp_path, text), tmp_path / "p.db", workers=0)
    monkeypatch.setattr(sweep, "COLUMNAR_FROM", 1)
    plain = []
    once = evaluate._simulate
    monkeypatch.setattr(evaluate, "_simulate", lambda arch, *rest: plain.append(arch.name) or once(arch, *rest))
    sweep.run(tmp_path / "sweep.yaml", tmp_path / "c.db", workers=0)
    assert rows(tmp_path / "p.db") == rows(tmp_path / "c.db")
    assert rows(tmp_path / "c.db")[0]["common"]["cycles"] > 0
    assert "systolic_ws" not in plain


def test_an_edited_sweep_runs_points_again_that_lack_the_new_shared_layers(tmp_path):
    two = SWEEP.replace(", scnn, sparch", "")
    assert sweep.run(written(tmp_path, two), tmp_path / "s.db", workers=0).pace.done == 4
    again = sweep.run(written(tmp_path), tmp_path / "s.db", workers=0)
    # all points of edge_npu and systolic_ws lack sums over (conv, twin)
    assert (again.counts.reused, again.counts.to_run) == (0, 8)
    assert sweep.run(written(tmp_path), tmp_path / "s.db", workers=0).counts.reused == 8
    assert sweep.run(written(tmp_path, two), tmp_path / "s.db", workers=0).counts.reused == 4
    one = rows(tmp_path / "s.db")[0]
    assert one["common"]["macs"] == simulated(one | {"folder": tmp_path}).over({"conv", "twin", "fc"}).macs


def test_a_point_with_a_value_that_is_not_allowed_shrinks_nothing(tmp_path):
    text = SWEEP.replace("systolic_ws, scnn, sparch", "systolic_ws").replace(
        "memory.dram.gb_per_s: [4, 8]", "precision.input_bits: [8, 65]"
    )
    sweep.run(written(tmp_path, text), tmp_path / "s.db", workers=0)
    found = rows(tmp_path / "s.db")
    assert [row["status"] for row in found] == ["ok", "illegal"] * 2
    assert found[2]["common"] is None
    assert found[2]["ran"] == ("conv", "twin", "fc")


def test_a_point_without_room_for_a_shared_layer_does_not_rank_and_the_others_do(tmp_path):
    text = "name: s\nmachines: [edge_npu, systolic_ws, ./small.yaml]\nnetworks: [./mixed.yaml]\n"
    path = write(tmp_path, text)
    # its 1,600 taps stay together, and the small machine's scratchpad holds 1,024
    first = "c: 8, h: 12, w: 12, k: 16, r: 3, s: 3, pad: 1}\n  - {name: pool"
    (tmp_path / "mixed.yaml").write_text(NETWORK.replace(first, BIG + "  - {name: pool"))
    (tmp_path / "small.yaml").write_text("base: systolic_ws\nname: small\nparams: {weight_kib: 1}\n")
    sweep.run(path, tmp_path / "s.db", workers=0)
    found, rankings = ranking.ranked(rows(tmp_path / "s.db"))
    assert [(one.row["layers_simulated"], one.ranks) for one in found] == [(4, True), (3, True), (2, False)]
    assert rankings["./mixed.yaml"].layers == {"conv", "twin", "fc"}
    assert found[0].figures["cycles"] == found[0].row["common"]["cycles"] < found[0].row["cycles"]
    shown = choose.of_chosen(rows(tmp_path / "s.db"), [])
    assert [(p.ranks, p.part) for p in shown.points] == [(True, ""), (True, "3 of 4 layers"), (False, "2 of 4 layers")]
    assert choose.on_front(shown.points, ("time_s", "total_energy_pj")) <= {0, 1}


def test_a_shared_set_follows_options_that_choose_layers(tmp_path):
    text = SWEEP.replace("memory.dram.gb_per_s: [4, 8]", "options.layers: ['*', 'c*']").replace(", sparch", "")
    space = expand(read_sweep(written(tmp_path, text)))
    context = evaluate.Context({n: a.document for n, a in space.archs.items()}, space.networks, space.sweep.folder)
    share = of_plan(space, list(space.points()), context)["./mixed.yaml"]
    assert share.shared.names == ("conv",)
    assert share.widest.names == ("conv", "pool", "twin", "fc")


def test_what_supports_looks_at_decides_and_nothing_else_is_asked_for(tmp_path, monkeypatch):
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, sparch", "systolic_ws").replace(
        "memory.dram.gb_per_s: [4, 8]", "params.rows: [4, 8, 16]\n  params.operand_bits: [4, 8]"
    )
    asked = []
    once = evaluate.ran
    monkeypatch.setattr(evaluate, "ran", lambda context, job: asked.append(job.sets) or once(context, job))
    space = expand(read_sweep(written(tmp_path, text)))
    context = evaluate.Context({n: a.document for n, a in space.archs.items()}, space.networks, space.sweep.folder)
    share = of_plan(space, list(space.points()), context)["./mixed.yaml"]
    assert [dict(sets)["params.operand_bits"] for sets in asked] == [4, 8]
    assert share.shared is None  # with 4 bits nothing runs
    assert share.widest.names == ("conv", "twin", "fc")


def test_of_an_engine_that_names_no_parameters_all_of_them_count(tmp_path, monkeypatch):
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, sparch", "systolic_ws").replace(
        "memory.dram.gb_per_s: [4, 8]", "params.operand_bits: [8, 4]"
    )
    monkeypatch.setattr(registry.get("systolic"), "support_params", None)
    space = expand(read_sweep(written(tmp_path, text)))
    context = evaluate.Context({n: a.document for n, a in space.archs.items()}, space.networks, space.sweep.folder)
    points = list(space.points())
    assert of_plan(space, points, context)["./mixed.yaml"].widest.names == ("conv", "twin", "fc")
    assert of_plan(space, points[::-1], context)["./mixed.yaml"].widest.names == ("conv", "twin", "fc")


def test_widths_decide_what_is_shared(tmp_path):
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, sparch", "edge_npu").replace(
        "memory.dram.gb_per_s: [4, 8]", "precision.input_bits: [8, 16]"
    )
    space = expand(read_sweep(written(tmp_path, text)))
    context = evaluate.Context({n: a.document for n, a in space.archs.items()}, space.networks, space.sweep.folder)
    share = of_plan(space, list(space.points()), context)["./mixed.yaml"]
    assert share.shared.names == ("pool",)  # the array's operands have 8 bits, the lanes 32
    assert share.widest.names == ("conv", "pool", "twin", "fc")


def test_a_parameter_counts_where_the_engine_of_its_own_unit_looks_at_it(tmp_path):
    text = SWEEP.replace("edge_npu, systolic_ws, scnn, sparch", "edge_npu").replace(
        "memory.dram.gb_per_s: [4, 8]", "units.vector.params.lane_bits: [32, 4]"
    )
    space = expand(read_sweep(written(tmp_path, text)))
    context = evaluate.Context({n: a.document for n, a in space.archs.items()}, space.networks, space.sweep.folder)
    assert of_plan(space, list(space.points()), context)["./mixed.yaml"].shared.names == ("conv", "twin", "fc")


def test_renamings_are_no_layers_that_a_network_needs(tmp_path):
    flat = "  - {name: flat, kind: view, op: flatten, operand_shapes: [[1, 4, 4, 4]], shape: [1, 64]}\n"
    path = written(tmp_path)
    (tmp_path / "mixed.yaml").write_text(NETWORK.replace("  - {name: fc", flat + "  - {name: fc"))
    space = expand(read_sweep(path))
    assert "flat" in [layer.name for layer in space.networks["./mixed.yaml"].layers]
    assert needed(space)["./mixed.yaml"].names == ("conv", "pool", "twin", "fc")


class Seen:
    """Parameters that remember which of them were read."""

    def __init__(self, params):
        self._params, self.read = params, set()

    def __getattr__(self, name):
        value = getattr(self._params, name)
        if name in type(self._params).model_fields:
            self.read.add(name)
        return value


@pytest.mark.parametrize("name", registry.modules())
def test_an_engine_names_all_parameters_that_decide_what_it_refuses(name):
    engine = registry.get(name)
    if engine.support_params is None:
        pytest.skip("nothing is said")
    rng = np.random.default_rng(3)
    networks = [accelsim.load_network(name) for name in ("onnx:squeezenet", "mobilenet_v2", "eie_benchmarks")]
    views = [network.view(layer) for network in networks for layer in network.layers if not is_view(layer)]
    for case in range(20):
        sample = engine.sample(rng)
        params = Seen(engine.params_schema.model_validate(sample.params))
        layer, tensors = make_layer("l", sample.shape)
        parts = (tuple(tensors[name] for name in names) for names in (layer.inputs, layer.weights, layer.outputs))
        for view in [LayerView("l", sample.shape, *parts), *views]:
            for bits, home in ((1 + case, "dram"), (8, "chip")):
                inputs = tuple(replace(tensor, bits=bits, home=home) for tensor in view.inputs)
                weights, outputs = (
                    tuple(replace(tensor, bits=8) for tensor in part) for part in (view.weights, view.outputs)
                )
                engine.refuses(replace(view, inputs=inputs, weights=weights, outputs=outputs), params)
        assert params.read <= set(engine.support_params)


@pytest.mark.parametrize(
    ("machine", "network"),
    [("edge_npu", "onnx:squeezenet"), ("systolic_ws", "onnx:bvlc_alexnet"), ("eie", "eie_benchmarks")],
)
def test_what_is_foreseen_is_what_runs(machine, network):
    arch, net = accelsim.load_arch(machine), accelsim.load_network(network)
    context = evaluate.Context({machine: arch.document}, {network: net}, None)
    job = evaluate.Job("k", machine, network, (), evaluate.OptionsSpec())
    prepared = accelsim.simulation.prepare(arch, net, None, None, None)
    names = [x.name for x in net.layers if not is_view(x) and task_for(arch, prepared, x, None, {}, "skip").unit]
    assert evaluate.ran(context, job) == (layer_set(names), ())


def test_digests_tell_sets_apart_whose_names_join_to_the_same_text():
    assert layer_set(["a", "b"]).digest != layer_set(["a b"]).digest
    assert layer_set(["a", "b"]) == layer_set(["a", "b"])


def made(machine, ran, shared, cycles, common, status="ok"):
    """Return what ranking looks at of a store's row."""
    return {"machine": machine, "network": "n", "status": status, "ran": ran, "shared": shared, "cycles": cycles,
            "common": common and {"cycles": common}, "coverage_layers": None}  # fmt: skip


def test_points_rank_by_their_sums_over_the_shared_layers_and_those_that_did_not_run_are_left_out():
    part = ("b", "c")
    found, rankings = ranking.ranked([
        made("p", ("a", "b", "c"), part, 9, 7),
        made("x", None, part, None, None, status="illegal"),
        made("q", part, part, 8, None),
        made("r", ("b",), part, 1, None),  # one of the shared layers had no room
    ])  # fmt: skip
    assert rankings["n"].layers == {"b", "c"}
    assert [(one.row["machine"], one.figures["cycles"], one.ranks) for one in found] == [
        ("p", 7, True), ("q", 8, True), ("r", 1, False)
    ]  # fmt: skip


def test_points_of_one_network_with_sums_over_different_layers_do_not_rank_together():
    found, rankings = ranking.ranked([
        made("p", ("a", "b", "c"), ("a",), 9, 2), made("q", ("a", "b"), ("b",), 5, 3)
    ])  # fmt: skip
    assert rankings["n"].layers is None
    assert [(one.figures["cycles"], one.ranks) for one in found] == [(9, True), (5, False)]


def test_a_set_holds_itself_and_its_parts_in_any_order():
    whole = layer_set(["a", "b", "c"])
    assert whole.holds(whole)
    assert whole.holds(layer_set(["c", "a"]))
    assert whole.holds(layer_set([]))
    assert not whole.holds(layer_set(["a", "d"]))


def test_a_store_of_the_first_format_is_read_but_not_written_or_merged(mixed, tmp_path):
    old = first_format(mixed / "s.db", tmp_path / "old.db")
    found = rows(old)
    assert [row["cycles"] for row in found] == [row["cycles"] for row in rows(mixed / "s.db")]
    assert {(row["ran"], row["common"], row["clock_mhz"]) for row in found} == {(None, None, None)}
    assert "edge_npu" in table(old)
    with pytest.raises(ConfigError, match="the store has format 1, this accelsim writes 2"):
        sweep.run(mixed / "sweep.yaml", old, workers=0)
    with pytest.raises(ConfigError, match="the store has format 1, this accelsim writes 2"):
        merge([old], tmp_path / "new.db")


def first_format(source, target):
    """Write what an accelsim before shared layers would have stored."""
    import sqlite3

    target.write_bytes(source.read_bytes())
    with sqlite3.connect(target) as db:
        for name in ("coverage_dram_bits", "layers_simulated", "layers_needed", "clock_mhz", "energy_table", "no_area"):
            db.execute(f"ALTER TABLE totals DROP COLUMN {name}")
        db.execute("ALTER TABLE totals DROP COLUMN ran")
        for name in ("common", "networks", "layer_sets"):
            db.execute(f"DROP TABLE {name}")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
        objectives = json.dumps(["cycles", "total_energy_pj"])
        db.execute("UPDATE meta SET value = ? WHERE key = 'objectives'", (objectives,))
    return target
