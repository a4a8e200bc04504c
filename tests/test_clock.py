"""Registers and their clock: cells of the libraries, the network, gating by the account, conserved energy."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from test_columnar import context_of, draw_network, plain_row

import accelsim
from accelsim.activity import Event
from accelsim.charges import machine_components, table_of, unit_components
from accelsim.cli import app
from accelsim.components import Clock, Link, Mac, RegisterFile, Registers, Sram
from accelsim.energy import at_supply, clocked, complete, energy_pj, load_table
from accelsim.energy.cells import wire_ff
from accelsim.energy.constants import cells, gate_leak
from accelsim.engines import registry
from accelsim.errors import ModelError
from accelsim.explore.sweep import columnar, evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.repricing import repriced

T65 = load_table("65nm")
NETWORK = "name: net\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 3, c: 500, k: 70}\n"
CAUSES = {"busy": 40, "zero": 3, "padding": 5, "fill_drain": 7, "unmapped": 11, "imbalance": 13, "memory": 21}


@pytest.fixture
def declare(monkeypatch):
    """Return a function that gives an engine other registers than its own, or none."""

    def add(engine, *registers):
        kind = type(registry.get(engine))
        own = kind.components

        def components(self, params):
            return (*(c for c in own(self, params) if not isinstance(c, Registers)), *registers)

        monkeypatch.setattr(kind, "components", components)
        columnar._RATES.clear()

    yield add
    monkeypatch.undo()
    columnar._RATES.clear()


@pytest.fixture
def network(tmp_path):
    (tmp_path / "net.yaml").write_text(NETWORK)
    return str(tmp_path / "net.yaml")


def quoted(*args):
    done = CliRunner().invoke(app, ["price", *map(str, args), "--format", "json"], catch_exceptions=False)
    return json.loads(done.stdout)


# --- cells


@pytest.mark.parametrize(
    ("node", "volts", "clock_fj", "pin_fj", "toggle_fj", "um2"),
    [
        (45, 1.1, 8.33, 1.15, 8.3, 4.522),  # NanGate DFF_X1
        (7, 0.7, 0.84, 0.233, 1.0, 0.2916),  # ASAP7 DFFHQNx1
        (130, 1.8, 45.7, 5.8, 36, 20.02),  # SkyWater dfxtp_1
    ],
)
def test_a_librarys_flip_flop_comes_back_exactly(node, volts, clock_fj, pin_fj, toggle_fj, um2):
    found = quoted("register", "--node", node, "--vdd", volts)
    assert found["clock_pj_per_bit"] * 1e3 == pytest.approx(clock_fj, rel=1e-12)
    assert found["clock_pin_pj_per_bit"] * 1e3 == pytest.approx(pin_fj, rel=1e-12)
    assert found["clock_internal_pj_per_bit"] * 1e3 == pytest.approx(clock_fj - pin_fj, rel=1e-12)
    assert found["toggle_pj_per_bit"] * 1e3 == pytest.approx(toggle_fj, rel=1e-12)
    assert found["flip_flop_um2"] == um2
    assert found["status"] == "computed"


def test_nangates_clock_gate_and_multiplexer_come_back_exactly():
    found = quoted("register", "--node", 45, "--vdd", 1.1)
    assert found["clock_gate_pj"] * 1e3 == pytest.approx(7.45)  # CLKGATE_X1, 5.23 inside and 2.22 at the pin
    assert found["mux_pj_per_level"] * 1e3 == pytest.approx(3.05)  # MUX2_X1, half of a rise and a fall


def test_a_flip_flop_between_the_libraries_is_log_log_in_the_node():
    # 6.884 fF at 45 nm (8.33 fJ at 1.1 V), 14.105 at 130 nm (45.7 fJ at 1.8 V); at 65 nm 8.83
    low, high = 8.33 / 1.21, 45.7 / 3.24
    expected = low * (65 / 45) ** (math.log(high / low) / math.log(130 / 45))
    assert cells(65).clock == pytest.approx(expected)
    assert [cells(nm).clock for nm in (7, 16, 28, 45, 65, 130)] == sorted(
        cells(nm).clock for nm in (7, 16, 28, 45, 65, 130)
    )


def test_flip_flop_storage_costs_its_clock_and_toggles_written_and_its_multiplexers_read():
    # 45 nm at 1.1 V, 12 words: a clock 8.33 and half of 8.3 fJ written, 4 levels of half of 3.05 fJ read
    table = at_supply(load_table("45nm"), 1.1)
    file = RegisterFile("r", size_bits=12 * 16, width_bits=16)
    assert table.price(file, "write").pj == pytest.approx(0.00833 + 0.00415)
    assert table.price(file, "read").pj == pytest.approx(4 * 0.5 * 0.00305)
    assert table.price(RegisterFile("r", size_bits=16, width_bits=16), "read").pj == 0


def test_gates_leak_by_their_area_and_flavour():
    # 45 nm, 0.9 V: 1000 flip-flops of 4.522 um2 are 5666.7 NAND2 of 0.798 um2, 17.4 nW each at 1.1 V
    file = RegisterFile("r", size_bits=1000, width_bits=10)
    whole = load_table("45nm").leak_mw(file).value
    assert whole == pytest.approx(4522 / 0.798 * 17.4e-6 * 0.9 / 1.1)
    arch = accelsim.load_arch("eie", [("technology.flavour", "low_power")])
    assert table_of(arch).leak_mw(file).value == pytest.approx(whole / math.sqrt(1000), rel=1e-3)
    assert gate_leak("low_power").status == "assumed"


# --- the network


def test_the_clock_is_flip_flops_gates_pins_and_wire():
    """An Eyeriss PE with 176 clocked bits and 45 gated words, 168 of them in 8.5 mm2, by hand."""
    registers = Registers("registers", 168, clocked_bits=176, gated_words=45, unit="pes", per_units=168)
    tree = Clock("clock", 168, registers, sinks=168 * 221, area_mm2=8.5)
    wire = 200 * 0.75 * math.sqrt(168 * 221 * 8.5)  # 0.2 pF/mm, in fF
    assert wire_ff(tree) == pytest.approx(wire)
    at = cells(65)
    inside = 176 * at.internal + 45 * at.gate_internal
    pins = 176 * at.pin + 45 * at.gate_pin
    femto = inside + 1.5 * (pins + wire / 168)
    assert T65.price(tree, "cycle").pj == pytest.approx(femto * 1e-3)
    # 200 MHz of 168 PEs: the clock of the published chip is the largest part of 236 to 332 mW
    assert 80 < T65.price(tree, "cycle").pj * 168 * 0.2 < 110
    assert T65.price(tree, "gates").pj == pytest.approx((45 + 11) * (at.gate_internal + at.gate_pin) * 1e-3)


def test_registers_of_one_instance_are_shared_by_its_units():
    """19,152 bits of 256 multipliers: a unit-cycle costs a 256th."""
    one = Registers("r", 1, clocked_bits=19_152, unit="multipliers", per_units=256)
    at = cells(65)
    assert T65.price(one, "data").pj == pytest.approx(19_152 / 256 * 0.5 * at.toggle * 1e-3)
    assert T65.price(Clock("c", 1, one), "cycle").pj == pytest.approx(
        19_152 / 256 * (at.internal + 1.5 * at.pin) * 1e-3
    )


def test_a_clock_follows_its_registers_and_shares_the_wire_by_sinks():
    units = {"pes": 4}
    mac, glb = Mac("macs", 4), Sram("glb", size_bits=1 << 20)
    small, large = Registers("a", 4, clocked_bits=10), Registers("b", 4, clocked_bits=30)
    made = complete((mac, small, large, glb), T65, units, "pes", {})
    clocks = [c for c in made if isinstance(c, Clock)]
    assert [c.name for c in clocks] == ["clock.a", "clock.b"]
    assert [c.name for c in complete((mac, small), T65, units, "pes", {})] == ["macs", "a", "clock"]
    assert {c.sinks for c in clocks} == {160}
    logic = sum(T65.area_mm2(c).value * c.count for c in (mac, small, large))
    assert clocks[0].area_mm2 == pytest.approx(logic)  # the buffer lies elsewhere
    whole = sum(4 * T65.price(c, "cycle").pj for c in clocks)
    at = cells(65)
    expected = 160 * (at.internal + 1.5 * at.pin) + 1.5 * wire_ff(clocks[0])
    assert whole == pytest.approx(expected * 1e-3)


def test_registers_of_units_that_are_not_there_are_our_mistake():
    with pytest.raises(ModelError, match="registers 'a' of units 'ghosts', but there are pes"):
        complete((Registers("a", unit="ghosts"),), T65, {"pes": 1}, "pes", {})


def test_a_link_without_a_length_has_that_of_the_placed_area():
    mac, glb = Mac("macs", 16), Sram("glb", size_bits=1 << 20)
    hop, trunk, known = Link("hop"), Link("trunk", reach="trunk"), Link("known", length_mm=3.0)
    made = {c.name: c for c in complete((mac, glb, hop, trunk, known), T65, {"pes": 16}, "pes", {})}
    logic, whole = T65.area_mm2(mac).value * 16, T65.area_mm2(mac).value * 16 + T65.area_mm2(glb).value
    assert made["hop"].length_mm == pytest.approx(math.sqrt(logic / 16))
    assert made["trunk"].length_mm == pytest.approx(math.sqrt(whole))
    assert made["known"] == known
    # Keckler et al.: 310 pJ for 256 bits over 10 mm at 0.9 V
    assert T65.price(made["trunk"], "transfer").pj == pytest.approx(0.1210937 / 0.81 * math.sqrt(whole), rel=1e-6)
    assert "from the placed area" in T65.price(made["hop"], "transfer").steps[-1]


# --- the account


@pytest.mark.parametrize(("gating", "cycle", "gates"), [("none", 100, None), ("unit", 55, None), ("word", 55, 45)])
def test_the_account_says_which_unit_cycles_are_clocked(gating, cycle, gates):
    made = complete((Registers("r", 4, clocked_bits=8),), T65, {"pes": 4}, "pes", {})
    found = clocked(made, {"pes": CAUSES}, gating)
    expected = {Event("clock", "cycle"): cycle, Event("r", "data"): 40}
    assert found == (expected if gates is None else expected | {Event("clock", "gates"): gates})


def slowed(arch, by):
    return arch.replace("memory.dram.gb_per_s", arch.memory.dram.gb_per_s / by)


@pytest.mark.parametrize("gating", ["none", "unit", "word"])
def test_more_idle_cycles_add_exactly_the_clock_and_with_gated_units_nothing(declare, network, gating):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152, gated_words=64))
    arch = accelsim.load_arch("diannao", [("clock_gating", gating)])
    fast, slow = (accelsim.simulate(machine, network) for machine in (arch, slowed(arch, 4)))
    (one,), (two,) = fast.layers, slow.layers
    assert one.mapping == two.mapping
    assert one.compute_cycles == two.compute_cycles
    more = two.cycles - one.cycles
    assert more > one.cycles
    same = set(one.energy_pj) - {"clock", "leakage"}
    assert {name: one.energy_pj[name] for name in same} == {name: two.energy_pj[name] for name in same}
    clock = next(c for c in machine_components(arch) if isinstance(c, Clock))
    table, units = table_of(arch), one.accounts["multipliers" if "multipliers" in one.accounts else one.primary].units
    idle = {"none": table.price(clock, "cycle").pj, "unit": 0.0, "word": table.price(clock, "gates").pj}[gating]
    assert two.energy_pj["clock"] - one.energy_pj["clock"] == pytest.approx(more * units * idle, rel=1e-9, abs=1e-9)
    if gating == "unit":
        assert two.energy_pj["clock"] == one.energy_pj["clock"]


def test_parts_sum_to_the_total_bit_for_bit(declare, network):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    result = accelsim.simulate("diannao", network)
    assert {"registers", "clock"} <= set(result.energy_pj)
    for whole in (result, *result.layers):
        assert whole.total_energy_pj == math.fsum(whole.energy_pj.values())
    assert result.area_parts_mm2["placed"] == sum(result.area_mm2.values())


def test_at_a_fixed_supply_switched_energy_does_not_depend_on_the_clock(declare, network):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    arch = accelsim.load_arch("diannao", [("memory.dram.latency_ns", 0)])
    twice = arch.replace("clocks_mhz.core", 1960).replace("memory.dram.gb_per_s", 2 * arch.memory.dram.gb_per_s)
    one, two = (accelsim.simulate(machine, network).layers[0] for machine in (arch, twice))
    assert one.cycles == two.cycles
    assert {k: v for k, v in one.energy_pj.items() if k != "leakage"} == {
        k: v for k, v in two.energy_pj.items() if k != "leakage"
    }
    assert one.energy_pj["leakage"] == pytest.approx(2 * two.energy_pj["leakage"])


def test_switched_energy_goes_with_the_square_of_the_machines_supply(declare, network):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    one, low = (
        accelsim.simulate(accelsim.load_arch("diannao", [("technology.voltage_v", volts)]), network).layers[0]
        for volts in (1.0, 0.8)
    )
    for name, pj in one.energy_pj.items():
        factor = {"dram": 1.0, "leakage": 0.8}.get(name, 0.64)
        assert low.energy_pj[name] == pytest.approx(factor * pj), name
    # a table of another node keeps its own supply
    other = accelsim.load_arch("diannao", [("technology.voltage_v", 0.8), ("energy.table", "28nm")])
    assert table_of(other).name == "28nm"


def test_a_waiting_unit_is_clocked_unless_gated(declare, tmp_path):
    declare("vector", Registers("registers", 1, clocked_bits=2048))
    (tmp_path / "net.yaml").write_text(
        NETWORK + "- {name: relu, kind: elementwise, op: relu, shape: [1, 4096]}\n", encoding="utf-8"
    )
    arch = accelsim.load_arch("edge_npu")
    clock = next(c for c in unit_components(arch, arch.units[1]) if isinstance(c, Clock))
    fc, relu = accelsim.simulate(arch, str(tmp_path / "net.yaml")).layers
    per_cycle = table_of(arch).price(clock, "cycle").pj * clock.registers.per_units
    assert fc.energy_pj["vector.clock"] == pytest.approx(per_cycle * fc.cycles)
    assert relu.energy_pj["vector.clock"] == pytest.approx(per_cycle * relu.cycles)
    gated = accelsim.simulate(arch.replace("clock_gating", "unit"), str(tmp_path / "net.yaml")).layers
    assert "vector.clock" not in gated[0].energy_pj
    assert 0 < gated[1].energy_pj["vector.clock"] < relu.energy_pj["vector.clock"]


def test_energy_objectives_see_a_clock_that_never_stops(declare):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    from accelsim.layer import leak_pj_per_cycle

    arch = accelsim.load_arch("diannao", [("mapping.objective", "energy")])
    clock = next(c for c in machine_components(arch) if isinstance(c, Clock))
    pj = table_of(arch).price(clock, "cycle").pj * clock.registers.per_units
    assert leak_pj_per_cycle(arch, lambda: 0.0) == pytest.approx(pj)
    assert leak_pj_per_cycle(arch.replace("clock_gating", "unit"), lambda: 0.0) == 0
    assert leak_pj_per_cycle(arch.replace("mapping.objective", "cycles"), lambda: 0.0) == 0


# --- columns and pricing again


@pytest.mark.parametrize("name", ["diannao", "bismo", "edge_npu", "eyeriss", "stripes"])
@pytest.mark.parametrize("gating", ["none", "unit", "word"])
def test_columns_price_registers_to_the_last_digit(declare, name, gating):
    base = accelsim.load_arch(name)
    for unit in base.units:
        declare(unit.engine, Registers("registers", 1, clocked_bits=777, gated_words=5))
    rng, ran = np.random.default_rng(3), 0
    for case in range(6):
        context = context_of(base, draw_network(rng), columnar=True)
        sets = (("clock_gating", gating), ("mapping.objective", ("cycles", "energy")[case % 2]))
        job = evaluate.Job(f"{case}", "m", "n", sets[: 1 if name == "eyeriss" else 2], OptionsSpec())
        row = evaluate.run_point(context, job)
        assert (row.status, row.reason, dict(row.totals)) == plain_row(context, job)
        ran += row.status == "ok" and any(key.endswith("clock") for key in row.totals["energy_pj"])
    assert ran > 2


@pytest.mark.parametrize(("unit", "in_columns"), [("", True), ("spare", False)])
def test_registers_of_other_units_than_primary_are_for_the_plain_path(declare, monkeypatch, unit, in_columns):
    base, kind = accelsim.load_arch("diannao"), type(registry.get("diannao"))
    own = kind.units
    monkeypatch.setattr(kind, "units", lambda self, params: {**own(self, params), "spare": 1})
    declare("diannao", Registers("registers", 1, clocked_bits=777, unit=unit))
    context = context_of(base, draw_network(np.random.default_rng(3)), columnar=True)
    job = evaluate.Job("k", "m", "n", (), OptionsSpec())
    machine = evaluate._machine(context, job)
    found = evaluate._columnar(machine, evaluate._ready(context, job, machine.arch), job, None)
    assert (found is not None) == in_columns


@pytest.mark.parametrize("table", ["28nm", "aladdin_40nm", "eyeriss_normalized"])
def test_a_result_with_registers_is_priced_again_as_a_run(declare, network, table):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    arch = accelsim.load_arch("diannao")
    again = repriced(accelsim.simulate(arch, network), table)
    ran = accelsim.simulate(arch.replace("energy.table", table), network)
    assert again.energy_pj == ran.energy_pj
    assert (again.energy_pj["clock"] > 0) == (table == "28nm")


def test_tables_without_cells_price_registers_at_nothing():
    made = complete((Registers("r", 1, clocked_bits=8),), load_table("aladdin_40nm"), {"pes": 1}, "pes", {})
    events = {Event("r", "data"): 5, Event("clock", "cycle"): 7}
    assert energy_pj(made, events, load_table("aladdin_40nm"))["clock"] == 0


# --- what is said


def test_a_unit_without_registers_is_said_in_the_report(declare, network):
    declare("diannao")
    result = accelsim.simulate("diannao", network)
    assert "registers not declared: clock and pipeline registers of diannao cost nothing here" in result.not_modelled
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    result = accelsim.simulate("diannao", network)
    assert not any("registers not declared" in line for line in result.not_modelled)


def test_show_energy_lists_every_component_with_its_share(declare):
    declare("diannao", Registers("registers", 1, clocked_bits=19_152))
    done = CliRunner().invoke(app, ["show", "diannao", "--energy"], catch_exceptions=False)
    lines = done.output.splitlines()
    assert lines[0] == "diannao: energy table 65nm, 65 nm at 1 V; clock gating none"
    arch = accelsim.load_arch("diannao")
    for component in machine_components(arch):
        own = [line for line in lines if line.startswith(f"{component.name} ")]
        assert len(own) == len(component.actions), component.name
    shares = [float(line[: line.index(" %")].split()[-1]) for line in lines[3:] if " %" in line]
    assert sum(shares) == pytest.approx(100, abs=1.0)
    assert "19152 bit, 0 gated words" in done.output
    declare("eie")
    bare = CliRunner().invoke(app, ["show", "eie", "--energy"], catch_exceptions=False)
    assert "registers not declared: eie" in bare.output


def test_one_price_is_the_same_whatever_else_the_machine_has():
    one, two = Registers("r", 1, clocked_bits=8), replace(Registers("r", 1, clocked_bits=8), name="q")
    assert T65.price(one, "data").pj == T65.price(two, "data").pj
