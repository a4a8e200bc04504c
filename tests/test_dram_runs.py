"""Machines with a DRAM device: accounts, traffic, energy, reports, traces, sweeps, engines that couple memory."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from sweep_files import SWEEP, table, write

import accelsim
from accelsim.activity import Step, Transfer
from accelsim.cli import app
from accelsim.config.dram import standard as standards
from accelsim.engines import registry
from accelsim.memory.device import machine
from accelsim.memory.device.channel import Device
from accelsim.memory.device.energy import per_command
from accelsim.memory.device.machine import Coupling, Places
from accelsim.passes.dram_layout import layout
from accelsim.passes.precision import resolve
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.report.run_page import to_html
from accelsim.repricing import repriced
from accelsim.served import roles
from accelsim.simulation import load_arch, load_network

DEVICE = "memory.dram.device"
CHANNELS = "memory.dram.channels"
MACHINES = [
    "systolic_ws",
    "eyeriss",
    "scnn",
    "bitfusion",
    "eie",
    "nvdla_small",
    "sigma",
    "diannao",
    "cnvlutin",
    "stripes",
]


def small(tmp_path):
    (tmp_path / "n.yaml").write_text(
        """\
name: n
source: made up
layers:
  - {name: a, kind: conv2d, c: 8, h: 14, w: 14, k: 16, r: 3, s: 3, pad: 1}
  - {name: b, kind: conv2d, c: 16, h: 14, w: 14, k: 24, r: 1, s: 1, inputs: [a]}
  - {name: c, kind: linear, c: 64, k: 96}
isolated: true
""".replace(", inputs: [a]", "")
    )
    return load_network(str(tmp_path / "n.yaml"))


def run(tmp_path, name="systolic_ws", device="ddr4-2400", channels=1, **options):
    sets = options.pop("sets", [])
    arch = load_arch(name, [(DEVICE, device), (CHANNELS, channels), *sets])
    return accelsim.simulate(arch, small(tmp_path), **options)


@pytest.mark.parametrize("name", MACHINES)
def test_accounts_close_and_bytes_are_whole_transactions(tmp_path, name):
    for device, channels in (("ddr4-2400", 1), ("hbm2-2000", 2)):
        result = run(tmp_path, name, device, channels)
        tx = 8 * standards.load(device).organisation.tx_bytes
        assert result.simulated
        for layer in result.simulated:
            d = layer.dram
            assert sum(layer.account.values()) == layer.units * layer.cycles
            assert layer.account.get("memory", 0) >= 0
            assert layer.dram_read_bits == d["read_transactions"] * tx
            assert layer.dram_write_bits == d["write_transactions"] * tx
            moved = d["commands"]["read"] + d["commands"]["write"] + d["forwarded_reads"] + d["merged_writes"]
            assert moved == d["read_transactions"] + d["write_transactions"]
            pseudo = standards.load(device).organisation.pseudo_channels
            assert sum(d["bus_clocks"].values()) == d["clocks"] * channels * pseudo
            assert (
                d["row_hits"] + d["row_misses"] + d["row_conflicts"] == d["commands"]["read"] + d["commands"]["write"]
            )
            assert layer.cycles == d["simple_cycles"] + d["difference_cycles"]
            ranks = channels * pseudo
            refi = standards.load(device).timing.refi
            assert abs(d["commands"]["refresh"] - ranks * (d["clocks"] // refi)) <= ranks


@pytest.mark.parametrize("name", ["nvdla_full", "nvdla_large"])
def test_an_engine_that_does_not_ask_is_walked_again_at_the_devices_bandwidth(tmp_path, name, monkeypatch):
    monkeypatch.setattr(type(registry.get("nvdla")), "asks_device", "")
    result = run(tmp_path, name)
    assert {layer.dram["coupling"] for layer in result.simulated} == {"bandwidth"}
    assert sum(layer.dram["difference_cycles"] for layer in result.simulated) > 0
    assert any("does not ask the DRAM device is approximated: walked again" in note for note in result.notes)
    assert not any("approximated" in note for note in run(tmp_path).notes)


def test_energy_of_dram_is_that_of_its_commands_and_stays_at_other_prices(tmp_path):
    result = run(tmp_path)
    one = per_command(standards.load("ddr4-2400"))
    for layer in result.simulated:
        parts, count = layer.dram["energy_pj"], layer.dram["commands"]
        assert layer.energy_pj["dram"] == pytest.approx(sum(parts.values()))
        assert parts["activate"] == pytest.approx(1000 * one.activate_nj * count["activate"])
        assert parts["read"] == pytest.approx(1000 * one.read_nj * count["read"])
        seconds_ns = layer.cycles * 1000 / result.clock_mhz
        assert one.closed_mw * seconds_ns <= parts["background"] * 1.01
        assert parts["background"] <= 1.01 * one.open_mw * (seconds_ns + 1)
    other = repriced(result, node_nm=28)
    assert other.energy_pj["dram"] == result.energy_pj["dram"]
    assert other.energy_pj["macs"] != result.energy_pj["macs"]


def test_a_standard_without_currents_and_without_a_price_asks_for_one(tmp_path):
    with pytest.raises(accelsim.errors.PriceError, match="lpddr5"):
        run(tmp_path, device="lpddr5-6400")
    result = run(tmp_path, device="lpddr5-6400", sets=[("memory.dram.standard", "lpddr4")])
    assert result.energy_pj["dram"] == pytest.approx(8 * result.dram_bits)
    assert any("lpddr5-6400 has no currents" in note for note in result.notes)
    assert any("(unvalidated)" in note for note in run(tmp_path, device="ddr4-3200").notes)


def test_tensors_lie_by_first_use_weights_first_each_on_a_row(tmp_path):
    network = resolve(small(tmp_path), load_arch("systolic_ws").precision)
    found = layout(network, 8192)
    assert list(found.tensors) == [
        "a.weight", "b.weight", "c.weight", "a.input", "a.output", "b.input", "b.output", "c.input", "c.output"
    ]  # fmt: skip
    end = 0
    for name, (first, size) in found.tensors.items():
        assert first == -(-end // 8192) * 8192
        assert size == network.tensors[name].elements
        end = first + size
    assert found.end_byte == end
    result = run(tmp_path)
    said = {name: at for layer in result.layers for name, at in layer.dram["addresses"].items()}
    assert said == {name: first for name, (first, _) in found.tensors.items()}


def test_the_second_operand_of_a_product_without_weights_is_the_weight(tmp_path):
    (tmp_path / "m.yaml").write_text("name: m\nisolated: true\nlayers:\n- {name: x, kind: matmul, m: 4, n: 8, k: 6}\n")
    network = load_network(str(tmp_path / "m.yaml"))
    network = resolve(network, load_arch("systolic_ws").precision)
    view = network.view(network.layers[0])
    where = roles(view, layout(network, 64).tensors)
    assert where == {"input": ((0, 24),), "weight": ((64, 48),), "output": ((128, 32),)}


def test_the_report_has_the_device_and_reads_back(tmp_path):
    result = run(tmp_path, channels=2)
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    row = json.loads(path.read_text())["layers"][0]["dram"]
    assert row["bus_clocks"].keys() == {"busy", "refresh", "turnaround", "bank", "bus", "idle"}
    again = read_report(path)
    assert to_markdown(again) == to_markdown(result)
    assert "## DRAM" in to_markdown(result)
    assert "bytes per clock" in to_html(result)
    assert "dram" not in json.loads(to_json(accelsim.simulate("systolic_ws", small(tmp_path))))["layers"][0]


def test_the_same_bytes_whatever_the_workers(tmp_path):
    assert to_json(run(tmp_path, workers=4)) == to_json(run(tmp_path))


def test_layers_alike_but_for_their_addresses_are_as_if_each_were_walked(tmp_path):
    """One process keeps mapping and walk of the first one; processes of their own cannot."""
    same = "{name: %s, kind: conv2d, c: 16, h: 9, w: 9, k: 16, r: 3, s: 3, pad: 1}"
    (tmp_path / "n.yaml").write_text(
        "name: n\nisolated: true\nlayers:\n" + "".join(f"- {same % name}\n" for name in ("a", "b", "c"))
    )
    network = load_network(str(tmp_path / "n.yaml"))
    arch = load_arch("systolic_ws", [(DEVICE, "hbm2-2000")])
    alone = accelsim.simulate(arch, network)
    assert to_json(alone) == to_json(accelsim.simulate(arch, network, workers=3))
    assert len({layer.dram["addresses"]["a.input" if layer.name == "a" else f"{layer.name}.input"]
                for layer in alone.layers}) == 3  # fmt: skip


def test_a_trace_read_back_takes_the_same_clocks(tmp_path):
    small(tmp_path)
    trace, out = tmp_path / "t.trace", tmp_path / "out"
    for channels, extra in ((1, []), (2, ["--set", "memory.dram.mapping=RoBaRaCoBgCh"])):
        sets = ["--set", f"{DEVICE}=ddr4-2400", "--set", f"{CHANNELS}={channels}", *extra]
        files = ["-o", str(out), "--no-pictures", "--dram-trace", str(trace)]
        asked = ["run", "systolic_ws", str(tmp_path / "n.yaml"), "--layers", "b", *sets, *files]
        assert CliRunner().invoke(app, asked, catch_exceptions=False).exit_code == 0
        ours = next(x for x in json.loads((out / "report.json").read_text())["layers"] if x["name"] == "b")["dram"]
        mapping = ["--mapping", "RoBaRaCoBgCh"] if extra else []
        read = CliRunner().invoke(
            app, ["dram", "ddr4-2400", "--channels", str(channels), *mapping, "--trace", str(trace), "--format", "json"]
        )
        theirs = json.loads(read.output)
        assert (theirs["cycles"], theirs["served_cycles"]) == (ours["taken_clock"], ours["last_data_clock"])
        assert theirs["requests"] == ours["read_transactions"] + ours["write_transactions"]
        assert theirs["commands"]["read"] == ours["commands"]["read"]


def test_a_trace_needs_a_device(tmp_path):
    small(tmp_path)
    done = CliRunner().invoke(
        app,
        [
            "run",
            "systolic_ws",
            str(tmp_path / "n.yaml"),
            "-o",
            str(tmp_path / "o"),
            "--dram-trace",
            str(tmp_path / "t"),
        ],
    )
    assert done.exit_code == 2
    assert "--dram-trace needs a DRAM device" in done.output


def test_equal_traffic_is_served_once_and_whole_rows_of_addresses_do_not_count():
    device = Device(standards.load("ddr4-2400"))
    coupling = Coupling(device, machine.Fraction(3, 2))
    tile = (Step((Transfer("input", "read", 4096, 3),), 50, (Transfer("output", "write", 512),)),) * 3
    span = device.addresses.capacity_bytes // device.standard.organisation.rows

    def serve(first, gap=8192):
        where = {"input": ((first, 4096),), "output": ((first + gap, 4096),)}
        return machine.serve(tile, coupling, Places(where, first + 10 * span))

    base = serve(0)
    assert serve(5 * span) is base
    assert serve(8192) is not base
    assert serve(0, 16384) is not base
    machine._SERVED.clear()
    fresh = serve(5 * span)
    assert fresh is not base
    assert fresh.cycles == base.cycles
    assert np.array_equal(fresh.served.channel, base.served.channel)
    assert np.array_equal(fresh.served.bus, base.served.bus)


def test_sweeps_take_the_plain_path_and_say_so(tmp_path):
    text = SWEEP.replace("axes:\n", f"axes:\n  {DEVICE}: [none, ddr4-2400]\n  {CHANNELS}: [1, 2]\n")
    text = text.replace("  params.rows: [2, 4, 8, 16]\n  params.cols: {from: 2, to: 16, factor: 2}\n", "")
    text = text[: text.index("constraints")]
    path = write(tmp_path, text)
    said = []
    for workers in (1, 4):
        store = tmp_path / f"{workers}.db"
        done = CliRunner().invoke(app, ["sweep", str(path), "--store", str(store), "--workers", str(workers)])
        assert done.exit_code == 0, done.output
        assert "2 of 4 points walk: a DRAM device" in done.output
        said.append(table(store))
    assert said[0] == said[1]
    rows = [
        dict(zip(said[0].splitlines()[0].split(","), line.split(","), strict=False))
        for line in said[0].splitlines()[1:]
    ]
    network = load_network(str(tmp_path / "tiny.yaml"))
    for row in rows:
        sets = [(DEVICE, row[DEVICE]), (CHANNELS, int(row[CHANNELS]))]
        assert int(row["cycles"]) == accelsim.simulate(load_arch("systolic_ws", sets), network).cycles
    assert len({row["cycles"] for row in rows}) == 3


def test_more_channels_are_seldom_slower_and_a_slower_core_never_takes_more_cycles_of_stalls(tmp_path):
    slow = run(tmp_path, sets=[("clocks_mhz.core", 100)])
    fast = run(tmp_path, sets=[("clocks_mhz.core", 1000)])
    assert sum(x.stall_cycles for x in slow.layers) < sum(x.stall_cycles for x in fast.layers)


def test_a_device_and_one_clock_for_a_network_are_refused_together():
    machine = accelsim.load_arch("edge_npu", [("memory.dram.device", "ddr4-2400")])
    with pytest.raises(accelsim.UserError, match=r"memory.dram.device: 'edge_npu' has a DRAM device.*device=none"):
        accelsim.simulate(machine, "onnx:squeezenet", schedule="network")


def test_a_report_says_that_a_device_keeps_a_connected_network_off_the_one_clock(tmp_path):
    (tmp_path / "joined.yaml").write_text(
        """\
name: joined
source: made up
isolated: false
inputs: [x]
layers:
  - {name: a, kind: conv2d, c: 8, h: 14, w: 14, k: 16, r: 3, s: 3, pad: 1, inputs: [x], outputs: [y]}
  - {name: b, kind: conv2d, c: 16, h: 14, w: 14, k: 24, r: 1, s: 1, inputs: [y]}
"""
    )
    joined = load_network(str(tmp_path / "joined.yaml"))
    device = load_arch("systolic_ws", [(DEVICE, "ddr4-2400")])

    def said(arch, network, **options):
        return any(
            "isolated because of the DRAM device" in note for note in accelsim.simulate(arch, network, **options).notes
        )

    assert said(device, joined)
    assert accelsim.simulate("systolic_ws", joined).schedule is not None, "what the note promises without the device"
    assert not said("systolic_ws", joined)
    assert not said(device, joined, schedule="isolated")
    assert not said(device, joined, layers="a")
    assert not said(device, small(tmp_path))
