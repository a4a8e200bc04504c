"""Energy and area: rows, interpolation, prices worked by hand, and what is said when a price is missing."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.activity import Event
from accelsim.components import Alu, Dram, Link, Mac, RegisterFile, Sram
from accelsim.energy import LEAKAGE, area_mm2, energy_pj, leakage_mw, load_table, table_names
from accelsim.energy.rows import NodeRow
from accelsim.energy.scaling import scaling

KIB = 8 * 1024
TABLES = {name: load_table(name) for name in table_names()}
T45 = TABLES["45nm"]
BY_SIZE = Path(__file__).parent / "data" / "by_size.yaml"
TABLES["by_size"] = OLD = load_table(str(BY_SIZE))
"""A table with rows of its own for storage."""

MACHINE = [
    Mac("macs", 256, input_bits=8, weight_bits=8, accumulator_bits=32),
    Sram("glb", 27, size_bits=32 * KIB, width_bits=64),
    RegisterFile("spads", 256, size_bits=24 * 16, width_bits=16),
    Link("wires", length_mm=2.0),
    Dram("dram", standard="lpddr4"),
]


def sram(kib: float, width_bits: int = 64) -> Sram:
    return Sram("s", size_bits=round(kib * KIB), width_bits=width_bits)


def port_pj(table: str, kib: float, action: str, width_bits: int = 64) -> float:
    """Energy of one access of the whole port."""
    return TABLES[table].price(sram(kib, width_bits), action).pj * width_bits


# --- rows


def test_sram_rows_are_reproduced_exactly():
    rows, name = yaml.safe_load(BY_SIZE.read_text())["sram"], "by_size"
    assert len(rows) == 7
    for row in rows:
        kib = row["kib"]
        assert port_pj(name, kib, "read") == pytest.approx(row["read_pj"], rel=1e-15)
        assert port_pj(name, kib, "write") == pytest.approx(row["write_pj"], rel=1e-15)
        assert TABLES[name].area_mm2(sram(kib)).value == row["mm2"]
        assert TABLES[name].leak_mw(sram(kib)).value == row["leak_mw"]


def test_arithmetic_rows_are_reproduced_exactly():
    # Horowitz, 45 nm, 0.9 V: int add 8/16/32 bit 0.03/0.05/0.1 pJ, int mul 8/32 bit 0.2/3.1 pJ
    for bits, pj in ((8, 0.03), (16, 0.05), (32, 0.1)):
        assert T45.price(Alu("a", bits=bits), "add").pj == pj
    for bits, pj in ((8, 0.2), (32, 3.1)):
        assert T45.price(Alu("a", bits=bits), "mul").pj == pj
    # Aladdin, 40 nm: mul 8/16/32 bit 0.79/3.17/12.68 pJ, add 32 bit 0.21, compare 32 bit 0.0295, register bit 0.009
    aladdin = TABLES["aladdin_40nm"]
    for bits, pj in ((8, 0.79), (16, 3.17), (32, 12.68)):
        assert aladdin.price(Alu("a", bits=bits), "mul").pj == pj
    assert aladdin.price(Alu("a", bits=32), "add").pj == 0.21
    assert aladdin.price(Alu("a", bits=32), "compare").pj == 0.0295
    assert aladdin.price(RegisterFile("r", size_bits=16), "read").pj == 0.009


@pytest.mark.parametrize(
    ("standard", "pj_per_bit"),
    # Horowitz has 640 pJ per 32 bit; O'Connor et al. have HBM2 and GDDR5; the others are one library's
    [("lpddr4", 8), ("lpddr", 40), ("ddr3", 70), ("hbm2", 3.92), ("hbm3", 4.05), ("gddr5", 14), ("horowitz", 20)],
)
def test_dram_is_priced_by_standard(standard, pj_per_bit):
    for action in ("read", "write"):
        assert T45.price(Dram("dram", standard=standard), action).pj == pj_per_bit
        assert T45.price(Dram("dram", standard=standard.upper()), action).pj == pj_per_bit


# --- prices worked by hand


def test_a_mac_is_a_multiplier_and_an_adder():
    # Horowitz: int mul 8 bit 0.2 pJ + int add 32 bit 0.1 pJ
    assert T45.price(Mac("m", input_bits=8, weight_bits=8, accumulator_bits=32), "mac").pj == pytest.approx(0.3)
    # 16 bit lies half-way between 8 and 32 bit in the logarithm of the product: sqrt(0.2 * 3.1) = 0.78740 pJ
    mac16 = T45.price(Mac("m", input_bits=16, weight_bits=16, accumulator_bits=32), "mac")
    assert mac16.pj == pytest.approx(0.787401 + 0.1, abs=1e-6)
    # unequal operands: 4 x 16 bit has the product of 8 x 8 bit
    assert T45.price(Mac("m", input_bits=4, weight_bits=16, accumulator_bits=32), "mac").pj == pytest.approx(0.3)


def test_a_narrow_multiplier_goes_on_along_the_last_line():
    # through (64, 0.2) and (1024, 3.1): exponent ln 15.5 / ln 16 = 0.98855; 0.2 * (16 / 64) ** 0.98855 = 0.050800
    price = T45.price(Mac("m", input_bits=4, weight_bits=4, accumulator_bits=16), "mac")
    assert price.pj == pytest.approx(0.050800 + 0.05, abs=1e-6)
    assert price.status == "assumed"


def test_sram_between_rows_is_log_log_in_size():
    # 16 KiB is half-way between 8 (6.14 pJ) and 32 KiB (17.04 pJ): sqrt(6.14 * 17.04) = 10.22867 pJ per 64 bit
    assert port_pj("by_size", 16, "read") == pytest.approx(10.22867, abs=1e-5)


def test_sram_beyond_the_last_row_goes_on_along_the_last_line():
    # 512 -> 1024 KiB: 68.35 -> 93.52 pJ, so 2048 KiB: 93.52^2 / 68.35 = 127.959 pJ
    price = OLD.price(sram(2048), "read")
    assert price.pj * 64 == pytest.approx(127.959, abs=1e-3)
    assert price.status == "assumed"
    assert "beyond" in price.steps[2]


def test_sram_ports_cost_by_their_width_above_32_bits_and_as_32_bits_below():
    whole = port_pj("by_size", 108, "read", 64)  # 29.45 pJ
    assert port_pj("by_size", 108, "read", 128) == pytest.approx(58.90)
    assert port_pj("by_size", 108, "read", 32) == pytest.approx(whole / 2)
    assert port_pj("by_size", 108, "read", 16) == pytest.approx(whole / 2)


def test_small_storage_costs_as_a_register_file_scaled_from_40_nm():
    # Aladdin: 0.009 pJ per bit at 40 nm. Stillmaker & Baas, energy a V^2 + b V + c at 0.9 V:
    # 45 nm 1.018 * 0.81 - 0.3107 * 0.9 + 0.1539 = 0.69885; 32 nm 0.8367 * 0.81 - 0.4341 * 0.9 + 0.1701 = 0.45714;
    # 40 nm 8/13 of the way from 32 to 45: 0.60588. Factor 0.69885 / 0.60588 = 1.15345.
    expected = 0.009 * 1.15345
    assert OLD.price(RegisterFile("r", size_bits=KIB // 2), "write").pj == pytest.approx(expected, rel=1e-4)
    assert OLD.price(Sram("s", size_bits=448 * 8), "read").pj == pytest.approx(expected, rel=1e-4)
    # above 0.5 KiB the SRAM rows count, whatever the kind
    assert OLD.price(RegisterFile("r", size_bits=2 * KIB, width_bits=64), "read").pj == pytest.approx(2.76 / 64)


def test_a_wire_costs_by_its_length_or_by_an_assumed_one():
    # Keckler et al.: 310 pJ for 256 bits over 10 mm = 0.121094 pJ per bit and mm
    assert T45.price(Link("l", length_mm=2.5), "transfer").pj == pytest.approx(0.121094 * 2.5, abs=1e-6)
    near = T45.price(Link("l"), "transfer")
    assert near.pj == pytest.approx(0.0121094, abs=1e-7)
    assert near.status == "assumed"
    # 65 nm, 1.0 V: the same capacitance per mm, (1.0 / 0.9)^2 times the energy
    assert TABLES["65nm"].price(Link("l", length_mm=1.0), "transfer").pj == pytest.approx(0.121094 / 0.81, abs=1e-6)


def test_relative_costs_are_those_of_the_isca_2016_table():
    table = TABLES["eyeriss_normalized"]
    assert table.unit == "MAC"
    assert "1 MAC is shown as 1 pJ" in table.notes[0]
    word = 16
    assert table.price(Mac("m", input_bits=16, weight_bits=16), "mac").pj == 1
    assert table.price(RegisterFile("r", size_bits=512 * 8), "read").pj * word == 1
    assert table.price(Link("l"), "transfer").pj * word == 2
    assert table.price(sram(108), "read").pj * word == 6
    assert table.price(Dram("d", standard="ddr3"), "write").pj * word == 200


def test_the_eyeriss_fit_has_its_static_power():
    table = TABLES["eyeriss_nn_dataflow"]
    machine = [Mac("m", 168, input_bits=16, weight_bits=16), sram(108), Dram("d", standard="lpddr4")]
    events = {Event("m", "mac"): 1000, Event("s", "read"): 160, Event("d", "read"): 32}
    # MAC 2 pJ, buffer 15 and DRAM 460 pJ per 16 bit; 30 mW for 1 us = 30 nJ
    expected = {"m": 2000, "s": 150, "d": 920, LEAKAGE: 30_000}
    assert energy_pj(machine, events, table, time_s=1e-6) == pytest.approx(expected)


def test_one_row_alone_is_taken_as_proportional():
    # Aladdin's only adder has 32 bits and 0.21 pJ; the only MAC of ISCA 2016 has 16 x 16 bit
    price = TABLES["aladdin_40nm"].price(Alu("a", bits=8), "add")
    assert (price.pj, price.status) == (pytest.approx(0.21 / 4), "assumed")
    assert TABLES["eyeriss_normalized"].price(Mac("m", input_bits=8, weight_bits=8), "mac").pj == 0.25


def test_the_assumed_distance_between_neighbours_shrinks_with_the_process():
    # 0.1 mm at 45 nm; areas go with the square of the feature size from 45 to 65 nm, so the side of a square with it
    assert TABLES["65nm"].spec.hop.mm == pytest.approx(0.1 * 65 / 45, rel=1e-3)


@pytest.mark.parametrize("name", ["28nm", "45nm", "65nm", "aladdin_40nm"])
def test_absolute_tables_price_every_action_of_every_kind(name):
    machine = [*MACHINE, Alu("lanes", 16, bits=16), Sram("small", size_bits=100)]
    for component in machine:
        for action in component.actions:
            assert TABLES[name].price(component, action).per == ("bit" if component.counts_bits else "operation")


def test_a_special_function_is_a_multiplication_and_an_addition():
    assert T45.price(Alu("a", bits=32), "special").pj == pytest.approx(3.1 + 0.1)
    assert T45.price(Alu("a", bits=32), "special").status == "assumed"


def test_a_gated_mac_costs_nothing_and_says_that_this_is_assumed():
    price = T45.price(Mac("m"), "gated")
    assert (price.pj, price.status) == (0, "assumed")


def test_arithmetic_at_65_nm_is_scaled_by_the_published_equation():
    # Stillmaker & Baas: 65 nm at 1.0 V 3.755 - 4.398 + 1.975 = 1.332; 45 nm at 0.9 V 0.69885 (see above)
    mul = TABLES["65nm"].price(Alu("a", bits=32), "mul")
    assert mul.pj == pytest.approx(3.1 * 1.332 / 0.69885, rel=1e-4)
    assert mul.status == "computed"
    assert "45 nm 0.9 V to 65 nm 1 V" in mul.steps[0]


def test_scaling_repeats_the_example_of_the_corrigendum():
    # 1 pJ at 65 nm and 1.3 V is 0.1755 pJ at 32 nm and 0.9 V
    factors = scaling(
        NodeRow(nm=65, vdd_v=1.3, status="read", source="x"), NodeRow(nm=32, vdd_v=0.9, status="read", source="x")
    )
    assert factors.energy == pytest.approx(0.1755, abs=1e-4)  # four digits, from rounded terms
    assert factors.area == pytest.approx(0.46 / (65 / 45) ** 2, rel=1e-3)


def test_scaling_twice_is_scaling_once():
    # the comparator of 65nm comes by way of 45nm: 0.0295 pJ * 1.332 / 0.60588
    compare = TABLES["65nm"].price(Alu("a", bits=32), "compare")
    assert compare.pj == pytest.approx(0.0295 * 1.332 / 0.60588, rel=1e-4)


# --- energy, leakage, area


def test_energy_is_events_times_prices_in_the_order_of_the_components():
    events = {
        Event("dram", "write"): 100,
        Event("macs", "mac"): 1_000_000,
        Event("glb", "read"): 6400,
        Event("dram", "read"): 900,
        Event("wires", "transfer"): 10,
        Event("macs", "gated"): 5,
    }
    energy = energy_pj(MACHINE, events, OLD, time_s=2e-3)
    assert list(energy) == ["macs", "glb", "spads", "wires", "dram", LEAKAGE]
    assert energy["macs"] == pytest.approx(300_000)
    assert energy["glb"] == pytest.approx(6400 / 64 * 17.04)
    assert energy["spads"] == 0
    assert energy["wires"] == pytest.approx(10 * 2 * 310 / 2560)
    assert energy["dram"] == 8000
    # 27 banks of 32 KiB leak 0.0009 mW each; over 2 ms 1 mW is 2e6 pJ
    assert energy[LEAKAGE] == pytest.approx(27 * 0.0009 * 2e6)


def test_the_order_of_events_does_not_change_a_digit():
    events = [
        (Event(c.name, action), random.Random(c.name + action).randrange(10**12))
        for c in MACHINE
        for action in c.actions
    ]
    expected = energy_pj(MACHINE, dict(events), T45, 0.1)
    for seed in range(20):
        random.Random(seed).shuffle(events)
        assert energy_pj(MACHINE, dict(events), load_table("45nm"), 0.1) == expected


def test_leakage_counts_every_instance_of_what_the_table_knows():
    # Aladdin: a 32-bit multiplier leaks 0.08 mW, a 32-bit adder 0.0024 mW, a register bit 7.395e-5 mW
    machine = [Mac("m", 100, 32, 32, 32), RegisterFile("r", 10, size_bits=64), Dram("d", standard="lpddr4")]
    expected = 100 * (0.08 + 0.0024) + 10 * 64 * 7.395e-5
    assert leakage_mw(machine, TABLES["aladdin_40nm"]) == pytest.approx(expected)
    assert leakage_mw(machine, OLD) == 0


def test_leakage_of_rows_is_never_carried_to_another_process():
    assert OLD.spec.register_file.leak_mw_per_bit is None
    assert all(row.leak_mw is None for row in T45.spec.comparator)


def test_area_counts_every_instance_and_says_what_is_missing():
    areas = area_mm2(MACHINE, OLD)
    # RecPipe: 385 um2 for 16 x 16 + 64 bit cells at 12 nm, area there 0.135 of 45 nm; 8 x 8 + 32 = 96 of them.
    # A 32 KiB SRAM has a row, 0.0949 mm2
    assert areas.mm2["macs"] == pytest.approx(256 * 96 * 385 / 320 / 0.135 * 1e-6, rel=1e-4)
    assert areas.mm2["glb"] == pytest.approx(27 * 0.0949)
    # Aladdin's register, 5.98 um2 at 40 nm; area relative to 45 nm at 40 nm: 0.46 + (1 - 0.46) * 8 / 13 = 0.792308
    assert areas.mm2["spads"] == pytest.approx(256 * 384 * 5.98e-6 / 0.792308, rel=1e-5)
    assert areas.missing == {
        "wires": "energy table 'by_size' has no figure for the area of 'wires' (link): "
        "tables have none for this kind of component",
        "dram": "off chip",
    }
    assert area_mm2(MACHINE, TABLES["eyeriss_normalized"]).mm2 == {}


def test_small_srams_have_sram_area_not_that_of_flip_flops():
    # log-log below 0.5 KiB: 0.0021 * (448 / 512) ** (ln(0.0075 / 0.0021) / ln 4) = 0.0018575 mm2
    assert OLD.area_mm2(Sram("s", size_bits=448 * 8)).value == pytest.approx(0.0018575, abs=1e-6)


# --- properties


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("action", ["read", "write"])
def test_larger_storage_is_never_cheaper(name, action):
    for kind in (Sram, RegisterFile):
        for width in (8, 32, 64, 256):
            sizes = [round(8 * 2 ** (k / 4)) for k in range(8, 105)]
            prices = [TABLES[name].price(kind("s", size_bits=b, width_bits=width), action).pj for b in sizes]
            assert prices == sorted(prices)


@pytest.mark.parametrize("name", ["28nm", "45nm", "65nm", "22nm", "7nm", "aladdin_40nm", "by_size"])
def test_larger_storage_is_never_smaller(name):
    for kind in (Sram, RegisterFile):
        areas = [TABLES[name].area_mm2(kind("s", size_bits=round(512 * 1.3**k))).value for k in range(40)]
        assert areas == sorted(areas)


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 32), st.integers(2, 32), st.integers(4, 64)),
    st.tuples(st.integers(0, 32), st.integers(0, 32), st.integers(0, 64)),
)
def test_more_bits_are_never_cheaper(name, bits, more):
    table = TABLES[name]
    small = Mac("m", 1, *bits)
    large = Mac("m", 1, *(b + m for b, m in zip(bits, more, strict=True)))
    assert table.price(large, "mac").pj >= table.price(small, "mac").pj * (1 - 1e-12)
    for kib in (0.25, 3, 300):
        narrow, wide = (table.price(sram(kib, w), "read").pj * w for w in (bits[2], bits[2] + more[2]))
        assert wide >= narrow * (1 - 1e-12)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.5, 1024), st.floats(0.5, 1024), st.sampled_from(["read", "write"]))
def test_between_rows_prices_stay_between_them(a, b, action):
    rows = yaml.safe_load(BY_SIZE.read_text())["sram"]
    low, high = sorted((a, b))
    assert port_pj("by_size", low, action) <= port_pj("by_size", high, action) * (1 + 1e-12)
    for below, above in pairwise(rows):
        if below["kib"] <= a <= above["kib"]:
            size = round(a * KIB) / KIB
            if below["kib"] <= size <= above["kib"]:
                assert below[f"{action}_pj"] * (1 - 1e-9) <= port_pj("by_size", a, action)
                assert port_pj("by_size", a, action) <= above[f"{action}_pj"] * (1 + 1e-9)
