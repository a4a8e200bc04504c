"""One table or one node for all machines, and what a run says of its prices: `energy.node`, the two options, events."""

import json
import math
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim.charges import energy_table, full_name, machine_components, unit_components
from accelsim.cli import app, main
from accelsim.components import Dram, Link, Mac, Sram
from accelsim.config.schema import EnergySpec
from accelsim.energy import area_mm2, at_node, leakage_mw, load_table, price_sets, table_names
from accelsim.errors import ConfigError
from accelsim.report import points, words
from accelsim.report.document import to_json
from accelsim.report.reader import read_report
from accelsim.repricing import repriced

KIB = 8 * 1024
MAC = Mac("macs", 4, input_bits=8, weight_bits=8, accumulator_bits=32)
GLB = Sram("glb", size_bits=32 * KIB, width_bits=64)
# a V^2 + b V + c of Stillmaker's table at 0.9 V; 36 nm lies at 4 / 13 of the way from 32 to 45 nm
AT_45 = 1.018 * 0.81 - 0.3107 * 0.9 + 0.1539
AT_32 = 0.8367 * 0.81 - 0.4341 * 0.9 + 0.1701
AT_36 = AT_32 + (AT_45 - AT_32) * 4 / 13


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(
        "name: net\nisolated: false\ninputs: [x]\nlayers:\n"
        "- {name: c, kind: conv2d, c: 8, k: 16, h: 12, w: 12, r: 3, s: 3, inputs: [x], outputs: [a]}\n"
        "- {name: p, kind: pool, op: max, c: 16, h: 10, w: 10, r: 2, s: 2, stride: 2, inputs: [a], outputs: [b]}\n"
        "- {name: f, kind: linear, c: 400, k: 10, inputs: [b], outputs: [y]}\n"
    )
    return str(path)


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def refused(capsys, *args):
    """Return the one line that the command line says of a mistake."""
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert len(err.splitlines()) == 1
    return err


# --- tables at a node


@pytest.mark.parametrize("name", table_names())
@pytest.mark.parametrize("node", [7, 16, 22, 28, 32, 40, 45, 65])
def test_a_node_with_a_table_of_its_own_takes_it(name, node):
    assert load_table(name, node).spec == load_table(f"{node}nm").spec


def test_another_node_takes_the_table_scaled_and_says_so():
    table, source = load_table("45nm", 36), load_table("45nm")
    assert table.name == "45nm scaled to 36 nm"
    assert table.node.nm == 36
    assert table.node.vdd_v == source.node.vdd_v
    assert table.price(MAC, "mac").pj == pytest.approx(AT_36 / AT_45 * source.price(MAC, "mac").pj)
    # 32 KiB of 64 bit: 12.69 pJ written at 45 nm and 1.0 V in one macro; the price is that of macros at 36 nm
    assert load_table("32nm").price(GLB, "read").pj < table.price(GLB, "read").pj < source.price(GLB, "read").pj
    area = 0.46 + (1 - 0.46) * 4 / 13
    assert area_mm2([MAC], table).mm2["macs"] == pytest.approx(area * area_mm2([MAC], source).mm2["macs"])


def test_what_does_not_follow_the_process_stays_and_leakage_of_rows_is_left_out():
    by_size = str(Path(__file__).parent / "data" / "by_size.yaml")
    table, source = load_table(by_size, 36), load_table(by_size)
    dram = Dram("dram", standard="ddr3")
    assert table.price(dram, "read").pj == source.price(dram, "read").pj
    assert leakage_mw([GLB], source) > 0
    assert leakage_mw([GLB], table) == 0
    assert "not in energy table by_size scaled to 36 nm: leakage, which is not carried over to 36 nm" in table.notes
    wire = Link("w", length_mm=2.0)
    assert table.price(wire, "transfer").pj == source.price(wire, "transfer").pj  # the supply stays


def test_static_power_of_a_chip_is_not_carried_over():
    assert leakage_mw([], load_table("eyeriss_nn_dataflow")) == 30
    assert leakage_mw([], load_table("eyeriss_nn_dataflow", 36)) == 0


def test_a_table_at_its_own_node_is_left_as_it_is():
    table = load_table("aladdin_40nm")
    assert at_node(table, 40) is table


@pytest.mark.parametrize(
    ("name", "node", "message"),
    [
        ("45nm", 300, "energy.node: cannot scale to or from 300 nm; stay within 7 and 130 nm, or do not scale"),
        ("45nm", 5, "energy.node: cannot scale to or from 5 nm; stay within 7 and 130 nm, or do not scale"),
        (
            "eyeriss_normalized",
            36,
            "energy.node: energy table 'eyeriss_normalized' gives costs relative to a MAC, which do not scale with the "
            "process; choose a node that has a table of its own, or another energy.table",
        ),
    ],
)
def test_a_node_that_a_table_cannot_be_carried_to_is_one_line(name, node, message):
    with pytest.raises(ConfigError) as caught:
        load_table(name, node)
    assert str(caught.value) == message


def test_prices_by_name_are_not_carried_over(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(
        "name: mine\ntitle: t\nnode: {nm: 45, vdd_v: 0.9, status: assumed, source: s}\nsources: {s: a source of mine}\n"
        "named: [{component: macs, action: mac, pj: 1.0, status: assumed, source: s}]\n"
    )
    with pytest.raises(ConfigError, match="has rows of 'named:', which do not scale with the process"):
        load_table(str(path), 36)


# --- the two options


def test_the_options_set_keys_of_the_machine():
    assert price_sets(None, None) == []
    assert price_sets("28nm", None) == [("energy.table", "28nm"), ("energy.node", None)]
    assert price_sets(None, 36.0) == [("energy.node", 36.0)]
    assert price_sets("45nm", 36.0) == [("energy.table", "45nm"), ("energy.node", None), ("energy.node", 36.0)]
    assert price_sets("28nm", 28.0)[-1] == ("energy.node", 28.0)
    with pytest.raises(ConfigError, match="28 nm has an energy table of its own, '28nm', which goes before '65nm'"):
        price_sets("65nm", 28.0)


@pytest.mark.parametrize(
    ("options", "table", "energy"),
    [
        (["--energy-table", "28nm"], "28nm", {"table": "28nm", "node": None}),
        (["--node", "28"], "28nm", {"table": "45nm", "node": 28.0}),
        (["--node", "36"], "45nm scaled to 36 nm", {"table": "45nm", "node": 36.0}),
        (["--set", "energy.node=36", "--energy-table", "28nm"], "28nm", {"table": "28nm", "node": None}),
    ],
)
def test_a_run_says_what_priced_it(network, options, table, energy):
    done = run("run", "systolic_ws", network, "--format", "json", *options)
    report = json.loads(done.stdout)
    assert report["options"]["energy_table"] == table
    assert report["arch"]["energy"] == energy
    assert f"priced by {table}" in run("run", "systolic_ws", network, "--format", "markdown", *options).stdout
    assert "energy.node = None" not in report["arch"]["description"]


def test_the_folder_of_a_run_names_its_prices(network):
    runner = CliRunner()
    with runner.isolated_filesystem():
        done = runner.invoke(app, ["run", "systolic_ws", network, "--node", "22"])
        assert "reports/out/systolic_ws-net-energy.node=22.0" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--node", "0"], "Invalid value for '--node': 0.0 is not in the range x>0."),
        (["--node", "many"], "Invalid value for '--node': 'many' is not a valid float range."),
        (["--node", "nan"], "energy.node: nan is of the wrong type; must be a finite number"),
        (["--node", "300"], "energy.node: cannot scale to or from 300 nm"),
        (["--energy-table", "54nm"], "no energy table is called '54nm'; did you mean '65nm'?"),
        (["--energy-table", "./no.yaml"], "no such energy table file: './no.yaml'; check the path"),
        (["--energy-table", "65nm", "--node", "28"], "--node: 28 nm has an energy table of its own, '28nm'"),
        (["--set", "energy.node=-3"], "energy.node: -3 is too small"),
        (["--set", "energy.node=[28]"], "energy.node:"),
    ],
)
def test_a_wrong_price_option_is_one_line(capsys, network, options, message):
    assert message in refused(capsys, "run", "systolic_ws", network, "--format", "json", *options)


def test_show_energy_follows_the_node():
    text = run("show", "energy", "--arch", "systolic_ws", "--set", "energy.node=36").output
    assert text.startswith("systolic_ws, energy table 45nm scaled to 36 nm")
    assert f"45 nm 0.9 V to 36 nm 0.9 V: pj x {AT_36 / AT_45:.4g}" in text


# --- events and pricing again


def test_energy_is_events_times_prices(network):
    arch = accelsim.load_arch("edge_npu")
    result = accelsim.simulate(arch, network)
    table = energy_table(arch.energy)
    for layer in result.simulated:
        unit = next(unit for unit in arch.units if unit.name == layer.unit)
        by_name = {full_name(arch, unit, c.name): c for c in unit_components(arch, unit)}
        assert layer.events.keys() <= by_name.keys()
        for name, component in by_name.items():
            counts = layer.events.get(name, {})
            expected = math.fsum(n * table.price(component, action).pj for action, n in counts.items())
            assert layer.energy_pj[name] == pytest.approx(expected, rel=1e-12)
        dram = {row.direction: 0 for row in layer.traffic if row.boundary == "dram"}
        for row in layer.traffic:
            if row.boundary == "dram":
                dram[row.direction] += row.bits
        assert layer.events["dram"] == dram
    conv = next(layer for layer in result.simulated if layer.name == "c")
    assert conv.events["array.macs"]["mac"] == 16 * 8 * 9 * 100


def test_events_are_in_the_report_and_come_back(network, tmp_path):
    result = accelsim.simulate("edge_npu", network)
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    assert json.loads(path.read_text())["layers"][0]["events"]["array.macs"] == {"mac": 16 * 8 * 9 * 100}
    again = read_report(path)
    assert [layer.events for layer in again.layers] == [layer.events for layer in result.layers]
    assert to_json(again) == to_json(result)


@pytest.mark.parametrize("machine", ["edge_npu", "eyeriss", "scnn", "bitfusion"])
@pytest.mark.parametrize(("table", "node"), [("65nm", None), (None, 28), (None, 36), ("aladdin_40nm", None)])
def test_a_result_priced_again_equals_a_run_with_these_prices(network, tmp_path, machine, table, node):
    path = tmp_path / "report.json"
    path.write_text(to_json(accelsim.simulate(machine, network)))
    arch = accelsim.load_arch(machine)
    for key, value in price_sets(table, node):
        arch = arch.replace(key, value)
    ran = accelsim.simulate(arch, network)
    ours = repriced(read_report(path), table, node)
    assert ours.energy_pj == ran.energy_pj
    assert (ours.area_mm2, ours.area_missing) == (ran.area_mm2, ran.area_missing)
    assert ours.options["energy_table"] == ran.options["energy_table"]
    assert ours.arch["energy"] == ran.arch["energy"]
    assert ours.not_modelled == ran.not_modelled
    assert ours.notes[-1].startswith(f"energies and area by {ran.options['energy_table']}; the run was priced by ")


def test_areas_follow_when_a_result_is_priced_again(network):
    """eyeriss_nn_dataflow has no areas at all."""
    result = accelsim.simulate("eyeriss", network)
    assert result.area_mm2
    again = repriced(result, "eyeriss_nn_dataflow")
    assert not again.area_mm2
    assert set(again.area_missing) == set(result.area_mm2) | set(result.area_missing)


def test_nothing_to_price_by_leaves_a_result_as_it_is(network):
    result = accelsim.simulate("systolic_ws", network)
    assert repriced(result) is result


def test_a_mapping_chosen_by_energy_is_noted(network):
    arch = accelsim.load_arch("systolic_ws", [("mapping.objective", "energy")])
    note = repriced(accelsim.simulate(arch, network), "28nm").notes[-1]
    assert note == "energies and area by 28nm; the run was priced by 45nm, by which its mappings were chosen"


def test_a_report_without_counts_cannot_be_priced_again(network, tmp_path):
    data = json.loads(to_json(accelsim.simulate("systolic_ws", network)))
    for layer in data["layers"]:
        del layer["events"]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError) as caught:
        repriced(read_report(path), "28nm")
    assert str(caught.value) == (
        "systolic_ws: the report has no counts of events, so it cannot be priced again; "
        "write it again with 'accelsim run'"
    )


def test_a_report_of_another_machine_than_this_build_has_cannot_be_priced_again(network):
    result = accelsim.simulate("systolic_ws", network)
    layer = accelsim.LayerResult(**{**vars(result.layers[0]), "events": {"flux": {"mac": 1}}})
    changed = accelsim.NetworkResult(**{**_fields(result), "layers": (layer,)})
    with pytest.raises(ConfigError, match="counts events of 'flux', which this build's machine does not have"):
        repriced(changed, "28nm")
    engine = accelsim.NetworkResult(**{**_fields(result), "arch": {**result.arch, "engine": "warp"}})
    with pytest.raises(ConfigError, match="cannot be priced again: "):
        repriced(engine, "28nm")


def _fields(result):
    return {name: getattr(result, name) for name in type(result).__dataclass_fields__}


# --- area


def test_area_says_what_it_leaves_out(network, tmp_path):
    arch = accelsim.load_arch("edge_npu")
    result = accelsim.simulate(arch, network)
    names = {c.name for c in machine_components(arch)} - {"dram"}
    assert result.area_missing == ("array.clock", "array.links", "array.bus", "vector.clock", "vector.links")
    left_out = ", ".join(result.area_missing)
    assert set(result.area_mm2) == names - set(result.area_missing)
    parts = result.area_parts_mm2
    assert parts["placed"] == sum(result.area_mm2.values())
    said = (
        f"{words.number(parts['placed'])} mm2 placed, of cells {words.number(parts['cells'])} and macros "
        f"{words.number(parts['macros'])}; components without figures left out: {left_out}"
    )
    assert dict(words.totals(result))["area"] == said
    done = run("run", "edge_npu", network, "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert f"components without figures left out: {left_out}" in " ".join(done.output.split())
    report = (tmp_path / "out" / "report.json").read_text()
    assert json.loads(report)["totals"]["area_missing"] == list(result.area_missing)
    assert f"left out: {left_out}" in (tmp_path / "out" / "report.md").read_text()
    assert run("report", tmp_path / "out" / "report.json").exit_code == 0
    assert f"left out: {left_out}" in (tmp_path / "out" / "report.html").read_text()
    assert read_report(tmp_path / "out" / "report.json").area_missing == result.area_missing


def test_points_of_reports_say_what_their_area_leaves_out(network):
    (point,) = points.of_results([accelsim.simulate("edge_npu", network)]).points
    assert point.no_area == "array.clock, array.links, array.bus, vector.clock, vector.links"


def test_a_machine_file_may_name_its_node(tmp_path, network):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"base": "systolic_ws", "energy": {"node": 36}}))
    result = accelsim.simulate(str(path), network)
    assert result.options["energy_table"] == "45nm scaled to 36 nm"
    assert energy_table(EnergySpec(node=36)).name == "45nm scaled to 36 nm"
