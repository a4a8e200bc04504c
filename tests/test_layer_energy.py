"""What one small layer costs, event by event: counts made by hand times the table's prices."""

import math

import pytest

import accelsim
from accelsim.components import Dram, Mac, Sram
from accelsim.energy import LEAKAGE, load_table
from accelsim.energy.constants import cells

T65 = load_table("65nm")
KIB = 8192
NETWORK = "name: one\nisolated: true\nlayers:\n- {name: fc, kind: linear, n: 1, c: 16, k: 16}\n"
WHOLE = "fc: {groups: 1, n: 1, e: 1, f: 1, k: 16, c: 16, order: mkc}\n"


@pytest.fixture
def layer(tmp_path):
    """DianNao (65 nm, 980 MHz) with 16 inputs of 16 outputs, 16 bits each, in one tile: 256 products in one cycle."""
    for name, text in (("net.yaml", NETWORK), ("map.yaml", WHOLE)):
        (tmp_path / name).write_text(text)
    return accelsim.simulate("diannao", str(tmp_path / "net.yaml"), mapping=tmp_path / "map.yaml").layers[0]


def test_each_component_costs_its_events_times_their_price(layer):
    mac = Mac("macs", 256, input_bits=16, weight_bits=16, accumulator_bits=16)
    narrow, wide = Sram("glb", size_bits=2 * KIB, width_bits=256), Sram("w", size_bits=32 * KIB, width_bits=4096)
    dram = Dram("dram", standard="ddr3")

    def cost(component, **bits):
        return pytest.approx(sum(count * T65.price(component, action).pj for action, count in bits.items()))

    found = layer.energy_pj
    assert found["macs"] == cost(mac, mac=256)
    assert found["glb.inputs"] == cost(narrow, write=16 * 16, read=16 * 16)
    assert found["glb.weights"] == cost(wide, write=256 * 16, read=256 * 16)
    assert found["glb.outputs"] == cost(narrow, write=16 * 16, read=16 * 16)
    # 256 bits of inputs in a burst of 512, 4096 of weights; 256 of outputs in a burst
    assert found["dram"] == cost(dram, read=512 + 4096, write=512)
    # 19,152 flip-flops: half change in the one busy cycle of all 256 multipliers, all are clocked for 149 cycles
    flip_flop = cells(65)
    assert found["registers"] == pytest.approx(19_152 * 0.5 * flip_flop.toggle * 1e-3)
    wire = 200 * 0.75 * math.sqrt(19_152 * clock_mm2())
    of_all = 19_152 * (flip_flop.internal + 1.5 * flip_flop.pin) + 1.5 * wire
    assert found["clock"] == pytest.approx(149 * of_all * 1e-3)
    assert set(found) == {
        "macs", "registers", "clock", "glb.inputs", "glb.weights", "glb.outputs", "control", "dram", LEAKAGE,
    }  # fmt: skip


def clock_mm2():
    """Return the placed area of 256 multipliers and 19,152 flip-flops."""
    mac = Mac("macs", 256, input_bits=16, weight_bits=16, accumulator_bits=16)
    return 256 * T65.area_mm2(mac).value + 19_152 * cells(65).flip_flop_um2 / 0.73e6


def test_the_machine_leaks_while_the_layer_waits_for_dram_too(layer):
    # 98 cycles of latency, 4608 bits at 104.49 per cycle, the one cycle of work, 512 bits: 148 of 149 cycles stall
    assert (layer.cycles, layer.compute_cycles, layer.stall_cycles) == (98 + 45 + 1 + 5, 1, 148)
    # 256 multipliers of 16 x 16 + 16 bit cells of RecPipe (385 / 320 um2 at 12 nm, 1 / 0.135 at 45, x (65 / 45)^2) in
    # NAND2 of 0.798 um2 at 45 and 3.754 at 130 nm, log-log; 17.4 nW each at 1.1 V. The buffers' lstp cells: 32 KiB
    # 0.00361559 mW at 1.2 V; of 2 KiB each less than a sixteenth of it more than a twentieth
    nand2 = 0.798 * (65 / 45) ** (math.log(3.754 / 0.798) / math.log(130 / 45))
    gates = 256 * (16 * 16 + 16) * 385 / 320 / 0.135 * (65 / 45) ** 2 / nand2
    gates += 19_152 * cells(65).flip_flop_um2 / nand2
    mw = gates * 17.4e-6 / 1.1
    found = layer.energy_pj[LEAKAGE] / (149 * 1000 / 980)
    assert mw + 0.0036 / 1.2 < found * (1 + 1e-3)
    assert found == pytest.approx(mw, rel=2e-3)


def test_all_units_of_a_machine_leak_whichever_of_them_works(tmp_path):
    relu = "- {name: relu, kind: elementwise, op: relu, shape: [1, 4096]}\n"
    (tmp_path / "net.yaml").write_text(NETWORK + relu)
    fc, relu = accelsim.simulate("edge_npu", str(tmp_path / "net.yaml")).layers
    assert fc.unit != relu.unit
    assert fc.energy_pj[LEAKAGE] / fc.cycles == pytest.approx(relu.energy_pj[LEAKAGE] / relu.cycles)
    assert fc.energy_pj[LEAKAGE] > 0


def test_a_layer_touches_only_what_lives_in_dram(tmp_path):
    (tmp_path / "net.yaml").write_text(f"{NETWORK}tensors: {{fc.input: {{home: chip}}}}\n")
    layer = accelsim.simulate("diannao", str(tmp_path / "net.yaml"), unsupported="skip").layers[0]
    assert "at home on the chip" in layer.reason
    # 16 x 16 weights and 16 outputs of 16 bits
    assert layer.dram_bits_touched == (256 + 16) * 16
