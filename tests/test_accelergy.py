"""Accelergy's reference tables: read into a table of ours, written from a machine, and read back."""

import math

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim.charges import machine_components, table_of
from accelsim.cli import app, main
from accelsim.energy import load_table

# forms of the files as in Accelergy's reference outputs: a list of actions (0.3, 0.4), or action -> entries (0.2)
ERT = """
ERT:
  version: 0.3
  tables:
  - name: System.DRAM
    actions:
    - {name: read, arguments: null, energy: 512}
    - {name: write, arguments: null, energy: 512}
    - {name: idle, arguments: null, energy: 0}
  - name: System.ws.PE[0..15].Buffer[0..3]
    actions:
    - {name: read, arguments: {address_delta: 0, data_delta: 0}, energy: 0.055}
    - {name: read, arguments: {address_delta: 1, data_delta: 1}, energy: 0.237}
    - {name: leak, arguments: {global_cycle_seconds: 2.0e-09}, energy: 0.5}
    - {name: flush, arguments: null, energy: 1}
  - name: System.ws.PE[0..15].LMAC[0..15]
    actions:
    - {name: compute, arguments: null, energy: 0.561}
"""
OLD = """
ERT:
  tables:
    eyeriss_like.PE.mac:
      mac_gated: {arguments: null, energy: 0.044}
      mac_random: {arguments: null, energy: 1.207}
    eyeriss_like.PE.spad:
      read:
      - {arguments: {data_delta: 0}, energy: 0.138}
      - {arguments: {data_delta: 1}, energy: 0.684}
"""
ART = """
ART:
  version: 0.3
  tables:
  - {name: System.DRAM, area: 0}
  - {name: "System.ws.PE[0..15].Buffer[0..3]", area: 379.68}
"""
MAPS = ["--map", "DRAM=dram", "--map", "Buffer=pe.filters", "--map", "LMAC=macs"]


@pytest.fixture
def files(tmp_path):
    for name, text in (("ERT.yaml", ERT), ("ART.yaml", ART), ("old.yaml", OLD)):
        (tmp_path / name).write_text(text)
    return tmp_path


def imported(folder, *args, ert="ERT.yaml"):
    target = folder / "mine.yaml"
    line = ["import", "accelergy", str(folder / ert), *map(str, args), "-o", str(target), "--force"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return load_table(str(target)), done.stderr


def refused(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert err.count("\n") == 1
    return err


def test_actions_become_prices_of_the_machines_components(files):
    table, said = imported(files, files / "ART.yaml", "--machine", "eyeriss", "--base", "65nm", *MAPS)
    parts = {component.name: component for component in machine_components(accelsim.load_arch("eyeriss"))}
    assert table.price(parts["dram"], "read").pj == 512 / 64
    assert table.price(parts["pe.filters"], "read").pj == 0.237 / parts["pe.filters"].width_bits
    assert table.price(parts["macs"], "mac").pj == 0.561
    assert table.leak_mw(parts["pe.filters"]).value == 0.25  # 0.5 pJ in 2 ns
    assert table.area_mm2(parts["pe.filters"]).value == pytest.approx(379.68e-6)
    own = load_table("65nm")
    assert table.price(parts["pe.inputs"], "read").pj == own.price(parts["pe.inputs"], "read").pj
    assert (table.node.nm, table.node.vdd_v) == (65, own.node.vdd_v)
    assert "of 2 energies of 'read' the largest is taken" in said
    assert "there is no counterpart of 'flush', left out" in said
    assert "'idle' does not say how long a cycle is" in said


def test_the_older_form_is_read_and_widths_can_be_given(files):
    table, _ = imported(files, "--node", 45, "--bits", "pe.filters=16", "--map", "spad=pe.filters", "--map", "mac=macs",
                        ert="old.yaml")  # fmt: skip
    parts = {component.name: component for component in machine_components(accelsim.load_arch("eyeriss"))}
    assert table.price(parts["macs"], "gated").pj == 0.044
    assert table.price(parts["macs"], "mac").pj == 1.207
    assert table.price(parts["pe.filters"], "read").pj == 0.684 / 16
    assert table.node.nm == 45


@pytest.mark.parametrize("arch", ["eyeriss", "eie", "tpu_v1", "sparch", "stripes"])
def test_a_machine_written_and_read_back_costs_the_same(arch, tmp_path):
    machine = accelsim.load_arch(arch)
    done = CliRunner().invoke(app, ["show", arch, "--accelergy", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    own = table_of(machine)
    table, said = imported(
        tmp_path, tmp_path / "out" / "ART.yaml", "--machine", arch, "--node", own.node.nm, ert="out/ERT.yaml"
    )
    assert said == ""
    for component in machine_components(machine):
        for action in component.actions:
            # a double times 96 has not always a neighbour that 96 divides into it again
            expected = pytest.approx(own.price(component, action).pj, rel=3e-16, abs=0)
            assert table.price(component, action).pj == expected, (component.name, action)
        assert table.known_leak_mw(component) == pytest.approx(own.known_leak_mw(component), rel=1e-12)
    again = accelsim.load_arch(arch, [("energy.table", str(tmp_path / "mine.yaml"))])
    ert = yaml.safe_load((tmp_path / "out" / "ERT.yaml").read_text())["ERT"]
    assert ert["version"] == "0.4"
    assert math.isclose(
        sum(c.count * table.area_mm2(c).value for c in machine_components(again) if c.kind == "sram"),
        sum(c.count * own.area_mm2(c).value for c in machine_components(machine) if c.kind == "sram"),
        rel_tol=1e-12,
    )


def test_a_run_by_the_table_read_back_costs_what_the_run_did(tmp_path):
    CliRunner().invoke(app, ["show", "diannao", "--accelergy", str(tmp_path)], catch_exceptions=False)
    imported(tmp_path, tmp_path / "ART.yaml", "--machine", "diannao", "--node", 65)
    network = accelsim.load_network("alexnet")
    own = accelsim.simulate(accelsim.load_arch("diannao"), network, layers="conv3")
    table = str(tmp_path / "mine.yaml")
    again = accelsim.simulate(accelsim.load_arch("diannao", [("energy.table", table)]), network, layers="conv3")
    assert again.energy_pj == pytest.approx(own.energy_pj, rel=1e-12)
    assert sum(again.area_mm2.values()) == pytest.approx(sum(own.area_mm2.values()), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", "this is no ERT of Accelergy"),
        ("ERT: {tables: 3}\n", "this is no ERT of Accelergy"),
        ("ERT: {tables: [{actions: []}]}\n", "a component without a name"),
        ("ERT: {tables: [{name: s.x, actions: 3}]}\n", "a component without actions"),
        ("ERT: {tables: [{name: s.x, actions: [{energy: 1}]}]}\n", "an action has a name and an energy"),
        ("ERT: {tables: [{name: s.x, actions: [{name: mac, energy: much}]}]}\n", "'much' is no energy"),
        ("ERT: {tables: [{name: s.x, actions: [{name: mac, energy: -1}]}]}\n", "-1 is no energy"),
        ("ERT: {tables: [{name: s.x, actions: [{name: mac, arguments: 3, energy: 1}]}]}\n", "arguments are names"),
        ("ERT: {tables: [{name: s.x, actions: [{name: read, energy: 1}]}]}\n", "how many bits 'read' of 'x' moves"),
        ("ERT: {tables: [{name: s.x, actions: [{name: flush, energy: 1}]}]}\n", "nothing in it is a price"),
        ("ERT: {tables: [{name: s.x, actions: [{name: mac, energy: 1}, {name: compute, energy: 2}]}]}\n",
         "two prices of 'mac'"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_in_one_line(text, said, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text(text)
    err = refused(capsys, "import", "accelergy", tmp_path / "bad.yaml", "-o", tmp_path / "o.yaml", "--node", 45)
    assert "bad.yaml" in err
    assert said in err
    assert not (tmp_path / "o.yaml").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "the files do not say their process"),
        (("--base", "65nm", "--node", "45"), "--node: is not that of '65nm'"),
        (("--base", "66nm"), "no energy table is called '66nm'"),
        (("--node", "45", "--map", "x"), "--map: 'x' is no pair"),
        (("--node", "45", "--bits", "x=0"), "--bits: '0' bits of 'x'"),
        (("--node", "45", "--machine", "edge_npu"), "--machine: 'edge_npu' has several units"),
        (("--node", "45", "--machine", "eyeriss"), "nothing in it is a price of the machine"),
    ],
)
def test_options_that_make_no_table_are_refused_in_one_line(args, said, files, capsys):
    err = refused(capsys, "import", "accelergy", files / "ERT.yaml", "-o", files / "o.yaml", *args)
    assert said in err


def test_files_that_stand_are_kept_and_a_reference_table_is_no_energy_table(files, capsys):
    (files / "o.yaml").write_text("x: 1\n")
    err = refused(capsys, "import", "accelergy", files / "ERT.yaml", "-o", files / "o.yaml", "--node", 45)
    assert "the file exists" in err
    err = refused(capsys, "run", "eyeriss", "alexnet", "--energy-table", files / "ERT.yaml")
    assert "accelsim import accelergy" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [(("edge_npu",), "several units"), (("eyeriss", "--set", "energy.table=eyeriss_normalized"), "relative to a MAC")],
)
def test_what_cannot_be_written_as_reference_tables_says_so(args, said, tmp_path, capsys):
    assert said in refused(capsys, "show", *args, "--accelergy", tmp_path / "out")
    assert not (tmp_path / "out").exists()
