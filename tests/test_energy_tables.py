"""Energy tables as files: where their numbers come from, what they inherit, and how mistakes are told."""

import math
import pickle
from pathlib import Path

import pytest
import yaml

from accelsim.activity import Event
from accelsim.components import Alu, Component, Dram, Link, Mac, RegisterFile, Sram
from accelsim.energy import LEAKAGE, energy_pj, load_table, provenance, table_names
from accelsim.energy.rows import STATUSES
from accelsim.energy.tables import FOLDER
from accelsim.errors import ConfigError, ModelError, PriceError

KIB = 8 * 1024
TABLES = {name: load_table(name) for name in table_names()}
T45 = TABLES["45nm"]
BY_SIZE = Path(__file__).parent / "data" / "by_size.yaml"
OLD = load_table(str(BY_SIZE))

MACHINE = [
    Mac("macs", 256, input_bits=8, weight_bits=8, accumulator_bits=32),
    Sram("glb", 27, size_bits=32 * KIB, width_bits=64),
    RegisterFile("spads", 256, size_bits=24 * 16, width_bits=16),
    Link("wires", length_mm=2.0),
    Dram("dram", standard="lpddr4"),
]


# --- provenance


def _numbers_without_a_source(node: object, path: str, sources: dict) -> list[str]:
    if isinstance(node, list):
        return [bad for i, item in enumerate(node) for bad in _numbers_without_a_source(item, f"{path}[{i}]", sources)]
    if not isinstance(node, dict):
        return []
    found = [bad for key, item in node.items() for bad in _numbers_without_a_source(item, f"{path}.{key}", sources)]
    numbers = [k for k, v in node.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    known = node.get("source") in sources and node.get("status") in STATUSES
    return found + [f"{path}.{key}" for key in numbers if not known]


@pytest.mark.parametrize(
    "file",
    [*sorted(FOLDER.glob("*.yaml")), FOLDER.parent / "scaling.yaml", FOLDER.parent / "constants.yaml"],
    ids=lambda p: p.stem,
)
def test_every_shipped_number_has_a_source_and_a_status(file):
    data = yaml.safe_load(file.read_text())
    assert all(len(text) > 20 for text in data["sources"].values())
    assert _numbers_without_a_source(data, "", data["sources"]) == []


def test_the_walk_for_sources_finds_a_bare_number():
    data = {"a": [{"pj": 1.0, "status": "read"}, {"pj": 2, "status": "read", "source": "x"}]}
    assert _numbers_without_a_source(data, "", {"x": "..."}) == [".a[0].pj"]


@pytest.mark.parametrize("name", table_names())
def test_shipped_tables_carry_their_own_name_and_all_sources_of_their_rows(name):
    table = TABLES[name]
    assert table.name == name
    text = "\n".join(step for row in provenance(MACHINE, table) for step in row.steps)
    used = {key for key in table.spec.sources if key in text}
    assert used
    assert ("stillmaker17" in text) <= ("stillmaker17" in table.spec.sources)


def test_a_trace_follows_a_price_to_its_rows():
    rows = {(r.component, r.what): r for r in provenance([*MACHINE, Sram("s", size_bits=16 * KIB)], OLD)}
    found = rows["s", "read"]
    assert found.value == pytest.approx(10.22867 / 64, abs=1e-6)
    assert (found.unit, found.status, found.instances) == ("pJ/bit", "computed", 1)
    assert found.steps == (
        "by_size:sram[8 KiB] (computed, older) read_pj 6.14",
        "by_size:sram[32 KiB] (computed, older) read_pj 17.04",
        "16 KiB: log-log between these rows",
        "/ 64 bit: linear in the width of the port (64 bit)",
    )
    assert rows["macs", "mac"].steps == (
        "45nm:multiplier[8 bit] (read, horowitz14) pj 0.2",
        "45nm:adder[32 bit] (read, horowitz14) pj 0.1",
    )
    assert rows["macs", LEAKAGE].value is None
    assert "no row of 'multiplier:' has leak_mw" in rows["macs", LEAKAGE].steps[0]


def test_the_trace_has_a_row_for_the_power_of_the_chip():
    chip = provenance(MACHINE, TABLES["eyeriss_nn_dataflow"])[-1]
    assert (chip.component, chip.what, chip.value, chip.unit) == ("chip", LEAKAGE, 30, "mW")


# --- mistakes


def test_a_missing_price_names_component_action_table_and_remedy():
    with pytest.raises(PriceError) as caught:
        energy_pj([Dram("dram", standard="ddr9")], {Event("dram", "read"): 1}, T45)
    assert str(caught.value) == (
        "energy table '45nm' has no price for 'read' of 'dram' (dram): DRAM standard 'ddr9' is not among its rows "
        "(lpddr4, lpddr, ddr3, hbm2, hbm3, hbm4, gddr5, horowitz); "
        "add a row in a table of your own, or choose another one with --set energy.table=NAME"
    )


@pytest.mark.parametrize(
    ("component", "action", "table", "words"),
    [
        (Sram("s"), "read", "45nm", "its size_bits is not given"),
        (Sram("s", size_bits=1 << 45), "read", "45nm", "4.29497e+09 KiB is more than 64 times beyond its rows"),
        (Sram("s", size_bits=65 * 1024 * KIB), "read", "by_size", "66560 KiB is more than 64 times beyond its rows"),
        (Alu("a"), "add", "eyeriss_normalized", "no row of 'adder:' has pj"),
        (Mac("m", input_bits=1, weight_bits=1), "mac", "eyeriss_normalized", "1 x 1 bit is more than 64 times"),
        (Alu("a", bits=0), "mul", "45nm", "0 x 0 bit is more than 64 times"),
    ],
)
def test_what_a_table_cannot_price_is_an_error_with_the_reason(component, action, table, words):
    with pytest.raises(PriceError) as caught:
        (TABLES | {"by_size": OLD})[table].price(component, action)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_actions_without_events_need_no_price():
    machine = [Alu("a"), Mac("m", input_bits=16, weight_bits=16)]
    assert energy_pj(machine, {Event("m", "mac"): 3}, TABLES["eyeriss_normalized"])["m"] == 3


@pytest.mark.parametrize("event", [Event("nobody", "read"), Event("dram", "transfer")])
def test_an_event_of_nobody_is_our_mistake(event):
    with pytest.raises(ModelError):
        energy_pj(MACHINE, {event: 1}, T45)


@pytest.mark.parametrize("machine", [[Mac("m"), Sram("m")], [Mac(LEAKAGE)]])
def test_components_need_names_of_their_own(machine):
    with pytest.raises(ModelError):
        energy_pj(machine, {}, T45)


def test_an_unknown_table_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="no energy table is called '45mn'; did you mean '45nm'"):
        load_table("45mn")
    with pytest.raises(ConfigError, match=r"no such energy table file: './mine.yaml'; check the path"):
        load_table("./mine.yaml")


# --- tables of one's own

OWN = """\
name: mine
title: a table of one's own
node: {nm: 16, vdd_v: 0.8, status: assumed, source: me}
sources: {me: "a measurement"}
inherits:
  - {table: 45nm, sections: [multiplier, adder, link, hop], scaled: true}
  - {table: by_size.yaml, sections: [sram, register_file], scaled: true}
  - {table: 45nm, sections: [dram, gated]}
named:
  - {component: glb, action: read, pj: 12.8, per_bits: 64, status: read, source: me}
"""


def _own(folder: Path, text: str = OWN) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    (folder / "by_size.yaml").write_text(BY_SIZE.read_text())
    return str(path)


def test_a_table_of_ones_own_inherits_scales_and_names(tmp_path):
    table = load_table(_own(tmp_path))
    assert table.price(MACHINE[1], "read").pj == 0.2
    assert "mine:named[glb read] (read, me) 12.8 per 64" in table.price(MACHINE[1], "read").steps
    # 16 nm at 0.8 V: 0.2958 * 0.64 - 0.1241 * 0.8 + 0.03024 = 0.120272, over 0.69885 at 45 nm and 0.9 V
    assert table.price(MACHINE[1], "write").pj == pytest.approx(15.40 / 64 * 0.120272 / 0.69885, rel=1e-4)
    assert table.area_mm2(MACHINE[1]).value == pytest.approx(0.0949 * 0.19)
    assert table.price(Dram("d", standard="hbm2"), "read").pj == 3.92
    assert {"me", "horowitz14", "stillmaker17"} <= table.spec.sources.keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: me}\nsources", "source: you}\nsources", "mine.yaml:3: node.source: 'you' is not under 'sources'"),
        ("pj: 12.8", "pj: 12.8, pJ: 1", "mine.yaml:10: named.0.pJ: unknown key; did you mean 'pj'?"),
        ("status: read", "status: guessed", "mine.yaml:10: named.0.status: 'guessed' is not a known value"),
        ("[dram, gated]", "[dram, adder]", "mine.yaml:8: inherits.2.sections.1: 'adder' is already given"),
        ("[dram, gated]", "[dram, mac]", "mine.yaml:8: inherits.2: table '45nm' has no 'mac'"),
        ("[dram, gated]", "[drum]", "mine.yaml:8: inherits.2.sections.0: 'drum' is no section"),
        ("[multiplier, adder", "[dram, adder", "'dram' does not scale with the process"),
        ("nm: 16", "nm: 3", "mine.yaml:6: inherits.0: cannot scale to or from 3 nm; stay within 7 and 130 nm"),
        ("table: 45nm, sections: [dram", "table: 46nm, sections: [dram", "no energy table is called '46nm'"),
        ("table: 45nm, sections: [dram", "table: ./mine.yaml, sections: [dram", "inherits from itself; break"),
        ("sources: {me", "sources: {horowitz14", "is not under 'sources'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_table_is_told_with_its_place(tmp_path, old, new, message):
    assert old in OWN
    with pytest.raises(ConfigError) as caught:
        load_table(_own(tmp_path, OWN.replace(old, new, 1)))
    assert message in str(caught.value)


def test_two_rows_for_one_width_are_a_mistake(tmp_path):
    row = "{standard: lpddr4, pj: 8, status: read, source: me}"
    text = OWN.replace("[dram, gated]", "[gated]") + f"dram:\n  - {row}\n  - {row}\n"
    with pytest.raises(ConfigError, match="'dram' has two rows with lpddr4 as standard; keep one of them"):
        load_table(_own(tmp_path, text))


def test_two_tables_may_not_disagree_on_a_source(tmp_path):
    text = OWN.replace('sources: {me: "a measurement"}', 'sources: {me: "a measurement", cacti: "another run"}')
    with pytest.raises(ConfigError, match=r"mine.yaml:4: sources.cacti: table '45nm' has another text for it"):
        load_table(_own(tmp_path, text))


def test_a_component_of_another_kind_is_priced_by_name(tmp_path):
    class Decoder(Component):
        kind = "decoder"
        actions = ("decode",)

    text = OWN + "  - {component: codec, action: decode, pj: 0.5, status: read, source: me}\n"
    table = load_table(_own(tmp_path, text))
    assert table.price(Decoder("codec"), "decode").pj == 0.5
    with pytest.raises(PriceError, match="only by rows of 'named:'"):
        table.price(Decoder("other"), "decode")


def test_prices_are_finite_and_positive_over_all_that_tables_cover():
    for table in TABLES.values():
        for row in provenance(MACHINE, table):
            assert row.value is None or (math.isfinite(row.value) and row.value >= 0)


def test_a_unit_of_a_relative_table_is_shown_as_so_many_pj(tmp_path):
    text = (FOLDER / "eyeriss_normalized.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("unit: {name: MAC, pj: 1,", "unit: {name: MAC, pj: 2.5,"))
    mine, shipped = load_table(str(tmp_path / "mine.yaml")), TABLES["eyeriss_normalized"]
    mac, dram = Mac("macs", input_bits=16, weight_bits=16), Dram("dram", standard="lpddr4")
    assert shipped.price(mac, "mac").pj == 1
    assert mine.price(mac, "mac").pj == 2.5
    assert mine.price(dram, "read").pj == 2.5 * shipped.price(dram, "read").pj


def test_leakage_between_two_sizes_of_memory_is_on_a_straight_line():
    # 45 nm: 0 mW at 0.5 KiB and 0.0001 at 2; 0.0009 at 32 KiB and 0.0028 at 108
    for kib, mw in ((1, 0.0001 / 3), (70, (0.0009 + 0.0028) / 2)):
        assert OLD.leak_mw(Sram("s", size_bits=kib * KIB)).value == pytest.approx(mw, rel=1e-9)
