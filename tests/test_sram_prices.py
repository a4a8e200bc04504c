"""SRAM as the cheapest banking of computed macros: rows, nodes, supply, banks, and that it is monotone."""

import csv
import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import accelsim
from accelsim.cli import app, main
from accelsim.components import RegisterFile, Sram
from accelsim.energy import at_supply, load_table, sram
from accelsim.energy.constants import constants, overhead
from accelsim.errors import ConfigError

KIB = 8192
NODES = (65, 45, 32, 22)
T65 = load_table("65nm")
# of the CACTI runs: node, V, bytes, bits -> read pJ, write pJ, mm2
RUNS = {
    (65, 1.1, 32768, 64): (24.908, 22.422, 0.198064),
    (65, 1.1, 4096, 16): (5.135, 3.903, 0.029514),
    (45, 1.0, 4096, 64): (2.924, 5.345, 0.013523),
    (45, 1.0, 1048576, 64): (67.688, 55.894, 3.16951),
    (32, 0.9, 4096, 64): (1.591, None, 0.006863),
    (22, 0.8, 16384, 512): (7.538, 14.139, 0.017134),
    (22, 0.8, 256, 64): (0.257, 0.344, 0.00034),
}


def price(table, kib, width, action="read", banks=1):
    """Return the pJ of one access of the whole port."""
    return table.price(Sram("s", size_bits=round(kib * KIB), width_bits=width, banks=banks), action).pj * width


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_macro_costs_what_cacti_computed_at_its_supply(run):
    node, volts, size, width = run
    table = at_supply(load_table(f"{node}nm"), volts)
    read, write, mm2 = RUNS[run]
    assert price(table, size / 1024, width) == pytest.approx(read, rel=1e-12)
    if write is not None:
        assert price(table, size / 1024, width, "write") == pytest.approx(write, rel=1e-12)
    unit = Sram("s", size_bits=size * 8, width_bits=width, banks=1)
    assert table.part_mm2(unit, "macros") == mm2


def test_energy_goes_with_the_square_of_the_supply_and_the_price_is_at_the_tables():
    # 65nm is at 1.0 V, CACTI at 1.1 V
    assert price(T65, 32, 64) == pytest.approx(24.908 / 1.21)
    assert price(at_supply(T65, 0.82), 32, 64) == pytest.approx(24.908 / 1.21 * 0.82**2)
    assert at_supply(T65, 0.82).name == "65nm at 0.82 V"
    assert at_supply(T65, 1.0) is T65


def test_between_two_sizes_a_macro_is_log_log_at_its_width():
    # 65 nm, 64 bit: 4 KiB 4.869 pJ and 16 KiB 16.662 pJ at 1.1 V; 8 KiB is half-way
    assert price(at_supply(T65, 1.1), 8, 64) == pytest.approx(math.sqrt(4.869 * 16.662))


def test_a_memory_is_the_cheapest_of_its_bankings():
    # 22 nm, 0.8 V, 16 KiB of 512 bit: one macro 7.538; two of 8 KiB and 256 bit, four of 4 KiB and 128 bit 1.447 each;
    # 16 of 1 KiB and 32 bit between 0.179 and 0.499, 64 of 256 B and 8 bit that cost as 16 bit do
    table = load_table("22nm")
    four = price(table, 16, 512, banks=4)
    assert four == pytest.approx(4 * 1.447)
    sixteen = price(table, 16, 512, banks=16)
    assert sixteen == pytest.approx(16 * math.sqrt(0.179 * 0.499), rel=1e-9)
    every = {k: price(table, 16, 512, banks=k) for k in (1, 2, 4, 8, 16, 32, 64)}
    assert price(table, 16, 512, banks=None) == pytest.approx(min(every.values()), rel=1e-12)
    assert min(every.values()) < every[1]


@pytest.mark.parametrize("node", [65, 40, 28, 22, 16])
def test_no_fixed_banking_is_cheaper_than_the_best(node):
    table = load_table(f"{node}nm")
    for kib, width in ((2, 256), (32, 4096), (108, 64), (2048, 1024)):
        for action in ("read", "write"):
            best = price(table, kib, width, action, None)
            for k in (1, 2, 4, 8, 16):
                assert best <= price(table, kib, width, action, k) * (1 + 1e-12)


@pytest.mark.parametrize(("node", "kib", "width"), [(22, 8, 16), (22, 16, 16), (45, 64, 16), (65, 128, 128)])
def test_where_a_larger_macro_is_cheaper_it_serves(node, kib, width):
    """Some of CACTI's macros are dearer than one of twice their size, as at 22 nm that of 16 KiB with 16 bits."""
    table = load_table(f"{node}nm")
    one = price(table, kib, width, "read", None)
    assert all(price(table, factor * kib, width, "read", None) >= one * (1 - 1e-12) for factor in (1.25, 1.5, 2, 3, 4))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([7, 16, 22, 28, 40, 65]), st.sampled_from(["read", "write"]), st.integers(256, 1 << 26),
    st.integers(0, 1 << 24), st.integers(4, 4096), st.integers(0, 2048),
)  # fmt: skip
def test_a_larger_or_wider_memory_never_costs_less(node, action, bits, more_bits, width, more_width):
    table = load_table(f"{node}nm")
    one = price(table, bits / KIB, width, action, None)
    assert price(table, (bits + more_bits) / KIB, width, action, None) >= one * (1 - 1e-12)
    assert price(table, bits / KIB, width + more_width, action, None) >= one * (1 - 1e-12)


def test_28_and_40_nm_lie_between_their_neighbours_log_log_at_one_volt():
    # 4 KiB of 64 bit: 1.591 pJ at 32 nm and 0.9 V, 1.087 at 22 nm and 0.8 V
    share = math.log(28 / 22) / math.log(32 / 22)
    at_one_volt = (1.087 / 0.64) ** (1 - share) * (1.591 / 0.81) ** share
    assert price(load_table("28nm"), 4, 64) == pytest.approx(at_one_volt * 0.81)
    for action in ("read", "write"):
        prices = [price(at_supply(load_table(f"{n}nm"), 1.0), 32, 64, action) for n in (22, 28, 32, 40, 45, 65)]
        assert prices == sorted(prices)


def test_16_and_7_nm_are_carried_from_22_and_say_so():
    # Stillmaker & Baas: a V^2 + b V + c at 22 nm, a sixth of the way from 20 to 32, 0.8 V: 0.187395; 16 nm 0.8 V
    # 0.120272; 7 nm 0.7 V 0.047815
    at_22 = (0.373 * 0.64 - 0.1582 * 0.8 + 0.04104) * 5 / 6 + (0.8367 * 0.64 - 0.4341 * 0.8 + 0.1701) / 6
    at_16, at_7 = 0.2958 * 0.64 - 0.1241 * 0.8 + 0.03024, 0.1776 * 0.49 - 0.09097 * 0.7 + 0.02447
    for node, factor in ((16, at_16 / at_22), (7, at_7 / at_22)):
        table = load_table(f"{node}nm")
        assert price(table, 4, 64) == pytest.approx(1.087 * factor)
        assert table.price(Sram("s", size_bits=32 * KIB), "read").status == "carried"
    for node in NODES:
        assert load_table(f"{node}nm").price(Sram("s", size_bits=32 * KIB), "read").status == "computed"


@pytest.mark.parametrize(("figure", "most"), [("read_pj", 0.30), ("write_pj", 0.20), ("mm2", 0.20)])
def test_a_row_left_out_is_read_from_its_neighbours(figure, most):
    errors = sorted(error for node in NODES for error in sram.leave_one_out(figure, node))
    assert len(errors) > 150
    assert errors[len(errors) // 2] <= 0.08
    assert errors[math.ceil(0.9 * len(errors)) - 1] <= most


def test_every_row_has_supply_and_cell_and_the_file_its_tool_and_commit():
    text = sram.FILE.read_text()
    assert "CACTI 7.0" in text
    assert "1ffd8df" in text
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert len(rows) == len(sram.macros()) == 292
    assert all(float(row["vdd_v"]) > 0 and row["cell"].startswith("itrs-") for row in rows)


def test_a_small_memory_is_what_the_machine_says_it_is():
    # the filter memory of an Eyeriss PE: 448 bytes of 16 bit, between 256 B (0.791 pJ) and 512 B (1.057 pJ) at 1.1 V
    share = math.log(448 / 256) / math.log(2)
    expected = 0.791 * (1.057 / 0.791) ** share / 1.21
    assert price(T65, 448 / 1024, 16, banks=None) == pytest.approx(expected)
    file = RegisterFile("r", size_bits=4 * KIB, width_bits=16)
    assert "mux" in " ".join(T65.price(file, "read").steps)


def test_bit_cells_leak_as_lstp_and_in_proportion_to_the_supply():
    # 65 nm lstp, 32 KiB: 0.00361559 mW at 1.2 V
    assert T65.leak_mw(Sram("s", size_bits=32 * 8 * 1024)).value == pytest.approx(0.00361559 / 1.2)
    assert load_table("22nm").leak_mw(Sram("s", size_bits=32 * 8 * 1024)).status == "carried"


def test_placed_memories_are_bit_cells_with_what_surrounds_them():
    # the compiler's figures: 2.1 at 4 KB, 1.65 at 32, 1.3 at 256; cells of 0.525 um2 at 65 nm
    assert [overhead(kib * KIB) for kib in (0.1, 0.5, 4, 32, 256, 4096)] == [2.8, 2.8, 2.1, 1.65, 1.3, 1.3]
    one = Sram("s", size_bits=4 * KIB, banks=1)
    assert T65.area_mm2(one).value == pytest.approx(4 * KIB * 0.525 * 2.1e-6)
    large = Sram("s", size_bits=1024 * KIB, banks=1)
    # never less than the macro itself, 6.80955 mm2 against 1024 * 8192 * 0.525 * 1.3 um2 = 5.725
    assert T65.area_mm2(large).value == 6.80955


def test_utilisation_places_cells():
    assert constants().utilisation.value == 0.73
    file = RegisterFile("r", size_bits=100, width_bits=10)
    assert load_table("45nm").part_mm2(file, "cells") == pytest.approx(452.2e-6)
    assert load_table("45nm").area_mm2(file).value == pytest.approx(452.2e-6 / 0.73)


# --- the machine file and the command


def test_a_machine_file_may_fix_the_banks(tmp_path):
    (tmp_path / "m.yaml").write_text("base: diannao\nstorage: [{name: glb.weights, banks: 1}]\n")
    (tmp_path / "net.yaml").write_text(
        "name: one\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 1, c: 64, k: 64}\n"
    )
    plain = accelsim.simulate("diannao", str(tmp_path / "net.yaml"))
    fixed = accelsim.simulate(str(tmp_path / "m.yaml"), str(tmp_path / "net.yaml"))
    assert fixed.cycles == plain.cycles
    assert fixed.energy_pj["glb.weights"] > 1.5 * plain.energy_pj["glb.weights"]
    bits = plain.layers[0].events["glb.weights"]
    expected = sum(n * price(T65, 32, 4096, action, 1) / 4096 for action, n in bits.items())
    assert fixed.energy_pj["glb.weights"] == pytest.approx(expected)


def test_a_memory_that_is_not_there_is_one_line(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("base: diannao\nstorage: [{name: glb.nothing, banks: 4}]\n")
    with pytest.raises(ConfigError) as caught:
        accelsim.simulate(str(path), "alexnet", layers="conv1")
    assert str(caught.value) == (
        f"{path}:2: storage.0.name: 'glb.nothing' is no SRAM of this machine; its memories are glb.inputs, "
        "glb.weights, glb.outputs, control"
    )


def quoted(*args):
    done = CliRunner().invoke(app, ["price", *map(str, args), "--format", "json"], catch_exceptions=False)
    return json.loads(done.stdout)


def test_price_sram_prints_one_access_of_the_whole_width():
    found = quoted("sram", "--kib", 32, "--width-bits", 64, "--node", 65, "--vdd", 1.1, "--banks", 1)
    assert found["read_pj"] == pytest.approx(24.908)
    assert found["write_pj"] == pytest.approx(22.422)
    assert found["area_mm2"] == 0.198064
    assert (found["banks"], found["vdd_v"], found["status"]) == (1, 1.1, "computed")
    assert "CACTI 7.0" in found["source"]
    assert quoted("sram", "--kib", 0.4375, "--width-bits", 16, "--node", 65)["vdd_v"] == 1.0


def test_price_equals_what_a_run_charges(tmp_path):
    (tmp_path / "net.yaml").write_text(
        "name: one\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 1, c: 64, k: 64}\n"
    )
    result = accelsim.simulate("diannao", str(tmp_path / "net.yaml"))
    energy, events = result.energy_pj, result.layers[0].events
    for name, kib, width in (("glb.weights", 32, 4096), ("glb.inputs", 2, 256), ("glb.outputs", 2, 256)):
        found = quoted("sram", "--kib", kib, "--width-bits", width, "--node", 65)
        assert energy[name] == pytest.approx(
            sum(n * found[f"{action}_pj"] / width for action, n in events[name].items()), rel=1e-14
        )
        assert result.area_mm2[name] == found["placed_mm2"]
    mac = quoted("mac", "--input-bits", 16, "--weight-bits", 16, "--accumulator-bits", 16, "--node", 65)
    assert energy["macs"] == pytest.approx(events["macs"]["mac"] * mac["mac_pj"], rel=1e-14)
    wire = quoted("wire", "--length-mm", 2, "--bits", 8, "--node", 65)
    # Keckler et al.: 310 pJ for 256 bits over 10 mm at 0.9 V; the supply squared
    assert wire["transfer_pj"] == pytest.approx(310 / 2560 / 0.81 * 16)


def test_prices_of_registers_and_wires_equal_what_a_run_charges():
    layer = {"name": "a", "kind": "conv2d", "c": 4, "k": 8, "h": 10, "w": 10, "r": 3, "s": 3}
    net = accelsim.load_network({"name": "one", "isolated": True, "layers": [layer]})
    result = accelsim.simulate("eyeriss", net)
    energy, events = result.energy_pj, result.layers[0].events
    spad = quoted("register", "--width-bits", 16, "--words", 12, "--node", 65)  # a word; a run counts bits
    charged = sum(n * spad[f"{action}_pj"] / 16 for action, n in events["pe.inputs"].items())
    assert energy["pe.inputs"] == pytest.approx(charged, rel=1e-14)
    pipeline = quoted("register", "--width-bits", 176, "--node", 65)
    assert energy["registers"] == pytest.approx(events["registers"]["data"] * pipeline["data_pj"], rel=1e-14)
    wire = quoted("wire", "--length-mm", 3.5, "--node", 65)
    assert energy["bus"] == pytest.approx(events["bus"]["transfer"] * wire["transfer_pj"], rel=1e-14)
    filters = quoted("sram", "--kib", 0.4375, "--width-bits", 16, "--node", 65)
    charged = sum(n * filters[f"{action}_pj"] / 16 for action, n in events["pe.filters"].items())
    assert energy["pe.filters"] == pytest.approx(charged, rel=1e-14)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sram", "--kib", "nan", "--width-bits", "64", "--node", "65"], "'--kib': 'nan' is not a number."),
        (["sram", "--kib", "0", "--width-bits", "64", "--node", "65"], "'--kib'"),
        (["sram", "--kib", "4", "--width-bits", "0", "--node", "65"], "'--width-bits'"),
        (["sram", "--kib", "4", "--width-bits", "64", "--node", "3"], "cannot scale to or from 3 nm"),
        (["sram", "--kib", "4", "--width-bits", "64", "--node", "65", "--vdd", "50"], "50 V is not within 0.1 and 5 V"),
        (["sram", "--kib", "4", "--width-bits", "64", "--node", "65", "--banks", "few"], "--banks: 'few' banks"),
        (["sram", "--kib", "4", "--width-bits", "64", "--node", "65", "--banks", "0"], "--banks: '0' banks"),
        (["sram", "--kib", "0.001", "--width-bits", "64", "--node", "65"], "--kib: 0.001 KiB hold no word of 64 bit"),
        (["sram", "--kib", "1e9", "--width-bits", "64", "--node", "65"], "times beyond its rows"),
        (["wire", "--length-mm", "-1", "--node", "65"], "'--length-mm'"),
        (["register", "--node", "65", "--words", "0"], "'--words'"),
        (["mac", "--input-bits", "65", "--node", "65"], "'--input-bits'"),
    ],
)
def test_a_wrong_question_is_one_line(capsys, args, words):
    with pytest.raises(SystemExit) as stop:
        main(["price", *args])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_the_text_of_a_price_names_its_rows():
    done = CliRunner().invoke(app, ["price", "register", "--node", "45", "--vdd", "1.1"], catch_exceptions=False)
    assert "constants:flip_flop[45 nm] (read, nangate45)" in done.output


def test_the_file_of_constants_is_the_one_the_decision_names():
    root = Path(accelsim.__file__).parents[1]
    text = (root / "docs" / "decisions" / "0086-prices-with-physics.md").read_text()
    assert "accelsim/energy/constants.yaml" in text
