"""Energy of the data pins, apart from that of commands."""

import json

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli import app, main
from accelsim.config.dram import standard as standards
from accelsim.energy.tables import load_table
from accelsim.memory.device.energy import _pin_mw, per_bit
from accelsim.simulation import NOT_IN_TABLES, load_arch

DEVICE = "memory.dram.device"


@pytest.mark.parametrize(
    ("name", "changed", "read", "write", "halved"),
    [  # mW of two ranks in Micron's worksheets of DDR3 and DDR4: target, controller, other rank
        ("ddr3-1600", {}, (3.2 + 1.4, 10.7, 15 + 0.48), (20.2 + 0.74, 5.5, 15.4 + 0.5), 1),
        ("ddr4-2400", {}, (7.8 + 2.3, 2.4, 4.6 + 1.1), (2.7 + 0.2, 10.0, 6.1 + 1.5), 2),
    ],
)
def test_a_pin_takes_what_the_worksheets_say(name, changed, read, write, halved):
    p = standards.load(name).pins
    driver, controller, other = _pin_mw(p, p.driver + p.series, [(p.controller, 0.0), (p.others, p.series)])
    assert (halved * driver, halved * controller, halved * other) == pytest.approx(read, abs=0.06)
    controller, target, other = _pin_mw(p, p.driver, [(p.written, p.series), (p.others, p.series)])
    assert (halved * target, halved * controller, halved * other) == pytest.approx(write, abs=0.11)


def test_a_lone_rank_by_hand():
    """DDR4-2400, a zero: 1.2 V over 34 + 10 + 120 ohm; ones take nothing; ten pins beside eight bits, 2.4 Gb/s."""
    one = per_bit(standards.load("ddr4-2400"))
    rate = 2 / 0.833
    assert one.read_pj == pytest.approx(1000 * 1.2**2 / 164 / 2 * 10 / 8 / rate)
    assert one.write_pj == pytest.approx(1000 * 1.2**2 / 164 / 2 * 11 / 8 / rate)


@pytest.mark.parametrize("name", standards.names())
def test_every_standard_has_its_pins_or_says_why_not(name):
    one = standards.load(name)
    assert (per_bit(one) is None) == one.sources.io.startswith("not included: ")


def test_the_command_and_a_run_have_the_pins_apart(tmp_path):
    def figures(name):
        asked = ["dram", name, "--pattern", "rw_fine", "--requests", "1000", "--format", "json"]
        return json.loads(CliRunner().invoke(app, asked, catch_exceptions=False).output)

    found = figures("ddr3-1600")
    one = per_bit(standards.load("ddr3-1600"))
    assert found["io_energy_nj"]["read"] == pytest.approx(found["commands"]["read"] * 512 * one.read_pj / 1000)
    assert found["energy_nj"] == pytest.approx(sum(found["energy_by_command_nj"].values()))
    assert figures("hbm2-2000")["io_energy_nj"] is None
    (tmp_path / "n.yaml").write_text("name: n\nisolated: true\nlayers:\n- {name: a, kind: linear, c: 64, k: 96}\n")
    for name, words in (("ddr4-2400", "stands apart: 2.3 pJ a bit read"), ("hbm2-2000", "is nowhere: not included")):
        result = accelsim.simulate(load_arch("systolic_ws", [(DEVICE, name)]), str(tmp_path / "n.yaml"))
        assert any(words in note for note in result.notes)
        layer = result.layers[0]
        assert (layer.dram["io_energy_pj"] is None) == (name == "hbm2-2000")
        assert layer.energy_pj["dram"] == pytest.approx(sum(layer.dram["energy_pj"].values()))


def test_what_tables_lack_is_not_said_to_be_missing_beside_a_device():
    def said(sets):
        result = accelsim.simulate(load_arch("systolic_ws", sets), "alexnet", layers="fc8")
        return [note for note in result.not_modelled if NOT_IN_TABLES in note]

    assert NOT_IN_TABLES in "".join(load_table("45nm").notes)
    assert said([])
    assert not said([(DEVICE, "ddr4-2400")])
    assert said([(DEVICE, "lpddr5-6400"), ("memory.dram.standard", "lpddr4")]), "no currents: a price per bit"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("to: half", "to: ground", "pins.to"), ("driver_ohm: 34", "driver_ohm: 0", "pins.driver_ohm")],
)
def test_bad_pins_are_one_line(old, new, words, tmp_path, capsys):
    text = (standards.FOLDER / "ddr3-1600.yaml").read_text()
    (tmp_path / "d.yaml").write_text(text.replace(old, new))
    with pytest.raises(SystemExit) as stopped:
        main(["dram", str(tmp_path / "d.yaml"), "--pattern", "stride"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in said
    assert said.count("\n") == 1
