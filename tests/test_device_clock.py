"""A network on one clock with a DRAM device: the stepper, a layer alone, an example by hand, machines that have one."""

import json
from dataclasses import replace
from fractions import Fraction

import device_clock
import dram_streams
import numpy as np
import pytest
from click.testing import CliRunner
from test_dram_machine import elements_of, random_nest, runs_of
from test_dram_machine import setting as layer_setting

import accelsim
from accelsim import network_dram, rooms
from accelsim.activity import Loop, Step, Transfer, flatten
from accelsim.cli import app
from accelsim.config.dram import standard as standards
from accelsim.errors import ConfigError, WorkloadError
from accelsim.mapping.loopnest import ROLES
from accelsim.memory import network
from accelsim.memory.device import kernel as k
from accelsim.memory.device import machine
from accelsim.memory.device.channel import Controller, Device
from accelsim.memory.device.energy import per_command
from accelsim.memory.device.machine import Coupling, Places
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program
from accelsim.memory.network_device import Lies, SharedDevice
from accelsim.passes import dram_layout
from accelsim.report.document import to_json
from accelsim.report.reader import read_report
from accelsim.repricing import repriced
from accelsim.served import row_bytes
from accelsim.simulation import load_arch

DEVICE = "memory.dram.device"
COUNTS = (k.ACTS, k.PRES, k.ALL_PRES, k.RDS, k.WRS, k.REFS)
LOGGED = (k.ACT, k.PRE, k.ALL_PRE, k.RD, k.WR, k.REF)


def bus(coupling):
    """Return what tells a layout that there is DRAM, and how large its transactions are."""
    return {"dram": DramModel(Fraction(8), 3, 8 * coupling.device.standard.organisation.tx_bytes)}


def alone(schedule, coupling, places, prefetch="tile"):
    """Return (cycles, what the device did) of a layer alone on the clock."""
    device = SharedDevice(coupling, [Lies(schedule, places.tensors)], places.free_byte)
    found = network.run([Program("u", "l", schedule)], bus(coupling), prefetch, device=device)
    return found.cycles, device.did[0]


def same(cycles, did, layer):
    """Return whether the clock and `machine.serve` did the same to a layer."""
    counts = np.array_equal(did.served.channel, layer.served.channel) and np.array_equal(
        did.served.bus, layer.served.bus
    )
    opened = np.array_equal(did.served.open_clocks, layer.served.open_clocks)
    return cycles == layer.cycles and (did.reads, did.writes) == (layer.reads, layer.writes) and counts and opened


@pytest.mark.parametrize("name", standards.names())
def test_a_layer_alone_on_the_clock_is_served_as_it_is_without_one(name):
    for seed in range(30):
        schedule, coupling, places = layer_setting(name, seed)
        layer = machine.serve(schedule, coupling, places)
        assert same(*alone(*layer_setting(name, seed)), layer), seed


def nest_case(seed):
    """Return tiles of a random cut layer, where their tensors lie, and a device."""
    nest = random_nest(seed)
    schedule = nest.schedule(np.arange(len(nest.steps), dtype=np.int64) * 7 % 50)
    device = Device(standards.load("hbm2-2000" if seed % 2 else "ddr4-2400"), 1 + seed % 2)
    row = device.standard.organisation.row_bytes
    base = {name: row * (1 + 400 * i) for i, name in enumerate((*ROLES, "psum"))}
    places = Places({name: ((base[name], 400 * row),) for name in ROLES}, base["psum"])
    return schedule, Coupling(device, Fraction(3, 2)), places


def test_a_cut_layer_alone_on_the_clock_moves_the_transactions_of_its_tiles():
    for seed in range(60):
        layer = machine.serve(*nest_case(seed))
        assert same(*alone(*nest_case(seed)), layer), seed


def test_what_of_a_cut_layer_lives_in_a_buffer_does_not_cross_the_device():
    """Inputs come from a buffer: what is read are the transactions of weights and partial sums, element by element."""
    for seed in range(20):
        schedule, coupling, places = nest_case(seed)
        nest, tx, steps = schedule.nest, coupling.device.standard.organisation.tx_bytes, flatten(schedule)
        base = {name: own[0][0] for name, own in places.tensors.items()} | {"psum": places.free_byte}
        expected = sum(
            len(run)
            for span, step in zip(nest.spans(), steps, strict=True)
            for t in step.loads
            if t.tensor != "input"
            for run in runs_of(elements_of(nest, span, t.tensor), nest.widths._asdict()[t.tensor], base[t.tensor], tx)
        )
        kept = tuple(
            step._replace(loads=tuple(t._replace(place="l2.read") if t.tensor == "input" else t for t in step.loads))
            for step in steps
        )
        device = SharedDevice(coupling, [Lies(schedule, places.tensors, {("input", "read")})], places.free_byte)
        program = Program("u", "l", _shaped(schedule, iter(kept)))
        network.run([program], {**bus(coupling), "l2.read": None}, device=device)
        assert device.did[0].reads == expected
        assert device.did[0].writes == machine.serve(*nest_case(seed)).writes


def _shaped(items, steps):
    """Return other steps, in turn, in the loops of a schedule; those of a loop once for all its rounds."""
    found = []
    for item in items:
        if isinstance(item, Loop):
            body = _shaped(item.body, steps)
            for _ in range((item.repeat - 1) * len(flatten(item.body))):
                next(steps)
            found.append(Loop(item.repeat, body))
        else:
            found.append(next(steps))
    return tuple(found)


def coupling_of(seed, queue=None):
    """Return any device beside any core clock."""
    draw = np.random.default_rng([seed, 13])
    one = dram_streams.device(standards.names()[seed % len(standards.names())], seed)
    controller = one.controller if queue is None else Controller(queue=queue)
    device = Device(one.standard, int(draw.choice([1, 1, 2, 4])), one.mapping, controller)
    ratio = Fraction(int(draw.integers(1, 30)), int(draw.integers(1, 20)))
    return Coupling(device, ratio, int(draw.choice([0, 0, 64, 300])))


def compare(programs, ports, prefetch, coupling, tensors, free_byte):
    """Hold the events against the stepper; return both."""
    stepped = device_clock.Machine(programs, ports, prefetch, coupling, tensors, free_byte).run()
    lies = [Lies(program.schedule, where) for program, where in zip(programs, tensors, strict=True)]
    device = SharedDevice(coupling, lies, free_byte)
    found = network.run(programs, ports, prefetch, device=device)
    assert found.cycles == stepped.end
    for number, (program, span) in enumerate(zip(programs, found.layers, strict=True)):
        mine = [tile for tile in stepped.tiles[program.unit] if tile.layer == number]
        assert (span.start_cycle, span.end_cycle) == (mine[0].start, mine[-1].end)
        assert list(span[5:]) == stepped.waited[number]
        assert found.moves[number] == stepped.moves(number)
    for c, channel in enumerate(stepped.channels):
        commands, row = [entry.kind for entry in channel.out.log], device.did[0].served.channel[c]
        assert [row[at] for at in COUNTS] == [commands.count(kind) for kind in LOGGED]
        kinds = [request.found for request in channel.coming]
        assert [row[k.HITS], row[k.MISSES], row[k.CONFLICTS]] == [
            kinds.count(kind) for kind in (k.HIT, k.MISS, k.CONFLICT)
        ]
    return found, stepped, device


@pytest.mark.parametrize("first", range(0, 300, 10))
def test_events_are_what_stepping_every_device_clock_gives(first):
    for seed in range(first, first + 10):
        compare(*device_clock.random_case(seed, coupling_of))


def moved(tensor, transactions, way="read"):
    return (Transfer(tensor, way, 512 * transactions),)


def by_hand():
    """Return the programs of decision 0110's example, where they lie, and the device."""
    coupling = Coupling(Device(standards.load("ddr4-2400")), Fraction(1))
    row = coupling.device.standard.organisation.row_bytes
    programs = [
        Program("A", "0", (Step(moved("input", 1), 100, moved("output", 1, "write")),)),
        Program("V", "1", (Step(moved("input", 1), 10, ()),), (Edge(0),)),
        Program("A", "2", (Step(moved("weight", 1), 20, ()),)),
    ]
    tensors = [{"input": ((0, 64),), "output": ((row, 64),)}, {"input": ((row, 64),)}, {"weight": ((64, 64),)}]
    return programs, bus(coupling), "tile", coupling, tensors, 2 * row


def test_three_layers_on_two_units_by_hand():
    found, stepped, device = compare(*by_hand())
    assert found.cycles == stepped.end == 209
    assert [(s.start_cycle, s.end_cycle, s.stored_cycle) for s in found.layers] == [
        (37, 137, 138), (199, 209, 209), (137, 157, 157)
    ]  # fmt: skip
    assert found.layers[1].producer_cycles == 138
    assert found.layers[1].memory_cycles == 61
    assert [device.did[0].served.channel[0, at] for at in (k.HITS, k.MISSES)] == [2, 2]
    programs, _, _, coupling, tensors, free = by_hand()
    each = zip(programs, tensors, strict=True)
    assert [machine.serve(p.schedule, coupling, Places(t, free)).cycles for p, t in each] == [170, 47, 57]


def test_a_channel_that_gets_nothing_for_long_goes_on_when_it_has_taken_its_share():
    """Channels in the highest bits: a tile's transactions are all of one, then all of the other; more than are held."""
    device = Device(standards.load("ddr4-2400"), 2, "ChRoBaRaCo")
    half = device.addresses.capacity_bytes // 2
    coupling = Coupling(device, Fraction(2, 3))
    pieces = ((half - 64 * 4500, 64 * 4500), (half, 64 * 400))
    programs = [
        Program("A", "0", (Step(moved("input", 4900), 10, moved("output", 2, "write")),)),
        Program("V", "1", (Step(moved("weight", 3), 10, ()),)),
    ]
    compare(programs, bus(coupling), "tile", coupling, [{"input": pieces}, {}], half + (1 << 20))


def test_not_more_than_64_requests_are_under_way():
    one = Coupling(Device(standards.load("ddr4-2400"), 1, "RoBaRaCoCh", Controller(queue=256)), Fraction(1, 2))
    tiles = (Step((), 900, ()), *[Step(moved("weight", 1), 3, ())] * 150)
    programs = [
        Program("A", "0", (Step(moved("weight", 1), 900, ()),)), Program("A", "1", tiles, (Edge(0),)),
        Program("V", "2", (Step(moved("weight", 40), 3, ()),) * 3),
    ]  # fmt: skip
    stepped = compare(programs, bus(one), 1000, one, [{}, {}, {}], 1 << 20)[1]
    most = max(
        sum(1 for r in stepped.granted if r.granted <= clock and r.over * one.clocks_per_cycle > clock)
        for clock in range(0, 400)
    )
    assert most > 60, "the rule was met"


def test_an_engine_that_asks_by_itself_stands_between_two_stretches_of_the_device():
    programs, ports, _, coupling, tensors, free = by_hand()
    lies = [Lies(p.schedule, t) for p, t in zip(programs, tensors, strict=True)]
    device = SharedDevice(coupling, [lies[0], None, lies[1]], free)
    between = [programs[0], Program("S", "s", None, (Edge(0),), alone_cycles=1000),
               replace(programs[1], producers=(Edge(1),))]  # fmt: skip
    found = network.run(between, ports, device=device)
    assert [did.cycles for did in device.did] == [170, 47]
    assert found.cycles == 170 + 1000 + 47
    assert [s.start_cycle for s in found.layers] == [37, 170, 1170 + 37]
    assert found.moves[2]["dram"].start_cycle == 1170
    assert device.transactions == [2, 0, 1]
    assert sum(did.served.end for did in device.did) + 1000 == found.cycles


def test_tiles_beyond_a_hundred_million_are_refused_with_the_remedy():
    programs, ports, prefetch, coupling, tensors, free = by_hand()
    many = [replace(programs[0], schedule=(Loop(10**8 + 1, programs[0].schedule),))]
    device = SharedDevice(coupling, [Lies(many[0].schedule, tensors[0])], free)
    with pytest.raises(
        WorkloadError, match=r"100,000,001 tiles that meet in a DRAM device; choose larger tiles, .*isol"
    ):
        network.run(many, ports, prefetch, device=device)


def test_partial_sums_of_all_layers_must_have_room():
    programs, ports, prefetch, coupling, _, _ = by_hand()
    device = SharedDevice(
        coupling, [Lies(programs[2].schedule, {})] * 2, coupling.device.addresses.capacity_bytes - 100
    )
    with pytest.raises(
        ConfigError, match=r"all layers take [\d,]+ bytes, 1 x ddr4-2400 hold .*schedule.mode: isolated"
    ):
        network.run([programs[2]] * 2, ports, prefetch, device=device)


def on_device(name="edge_npu", net="onnx:squeezenet", device="ddr4-2400", sets=(), **options):
    return accelsim.simulate(load_arch(name, [(DEVICE, device), *sets]), net, **options)


@pytest.fixture(scope="module")
def timed():
    return on_device()


def test_a_device_is_no_reason_to_leave_the_one_clock_and_bits_are_those_of_the_layers(timed):
    assert timed.schedule is not None
    assert timed.dram_bits == sum(layer.dram_bits for layer in timed.layers)
    assert sum(layer.dram_bits for layer in timed.schedule.layers) == timed.dram_bits
    plain = on_device(schedule="isolated")
    assert timed.alone.cycles == plain.cycles
    assert timed.alone.layers == plain.layers
    assert timed.alone.energy_pj == plain.energy_pj
    did, tx = timed.schedule.dram, 512
    assert (did["read_transactions"] + did["write_transactions"]) * tx == timed.dram_bits
    for unit in timed.schedule.accounts.values():
        for account in unit.values():
            assert sum(account.causes.values()) == account.units * timed.cycles
    assert timed.schedule.lower_bound_cycles <= timed.cycles
    assert timed.schedule.factors[-1].cycles == timed.cycles
    for layer in timed.schedule.layers:
        for moves in layer.moves.values():
            assert 0 <= moves.start_cycle <= moves.end_cycle <= timed.cycles
            assert moves.busy_cycles <= moves.end_cycle - moves.start_cycle
    assert any("share the DRAM device" in note and "no critical path" in note for note in timed.notes)
    assert timed.schedule.critical == ()


def test_energy_of_dram_is_of_the_network_s_time_once(timed):
    one, did = per_command(standards.load("ddr4-2400")), timed.schedule.dram
    assert timed.energy_pj["dram"] == pytest.approx(sum(did["energy_pj"].values()), rel=1e-12)
    timing = standards.load("ddr4-2400").timing
    clocks = did["clocks"]
    assert 0 <= clocks - timed.cycles * Fraction(10**6) / Fraction(timed.clock_mhz) / timing.tck_ps < 1
    assert abs(did["commands"]["refresh"] - clocks // timing.refi) <= 1
    time_ns = clocks * timing.tck_ps / 1000
    assert one.closed_mw * time_ns <= did["energy_pj"]["background"] <= one.open_mw * time_ns
    for what, nj in (("activate", one.activate_nj), ("read", one.read_nj), ("write", one.write_nj)):
        assert did["energy_pj"][what] == pytest.approx(1000 * nj * did["commands"][what])
    other = repriced(timed, node_nm=28)
    assert other.energy_pj["dram"] == timed.energy_pj["dram"]


def test_what_stays_on_the_chip_does_not_cross_the_device(timed):
    kept = on_device("edge_npu_l2")
    homes = {name for layer in kept.schedule.layers for name in layer.homes}
    assert homes
    assert kept.dram_bits < timed.dram_bits
    assert kept.schedule.dram["write_transactions"] < timed.schedule.dram["write_transactions"]
    assert [factor.what for factor in kept.schedule.factors] == [
        "layer by layer", "one clock", "kept on the chip", "units side by side"
    ]  # fmt: skip
    unkept = on_device("edge_npu_l2", residency="none")
    assert unkept.dram_bits == timed.dram_bits
    assert kept.cycles < unkept.cycles


@pytest.mark.parametrize("kept", [0, 1])
def test_of_two_inputs_of_which_one_stays_the_other_is_read_where_it_lies(kept):
    conv = {"kind": "conv2d", "n": 1, "c": 4, "k": 8, "h": 16, "w": 16, "r": 1, "s": 1, "inputs": ["x"]}
    both = {
        "name": "sum",
        "kind": "elementwise",
        "op": "add",
        "shape": [1, 8, 16, 16],
        "operand_shapes": [[1, 8, 16, 16]] * 2,
        "inputs": ["a.output", "b.output"],
    }
    homes = {"ab"[kept] + ".output": {"home": "l2"}}
    net = accelsim.load_network({"name": "two", "isolated": False, "inputs": ["x"], "tensors": homes,
                                 "layers": [{"name": "a", **conv}, {"name": "b", **conv}, both]})  # fmt: skip
    arch = load_arch("edge_npu_l2", [(DEVICE, "ddr4-2400"), ("schedule.residency", "none")])
    ready = accelsim.simulation.prepare(arch, net, None, None, None)
    layers = accelsim.simulate(arch, net, schedule="isolated", trace=True).layers
    moves = rooms.moves(ready, layers, rooms.homes(arch, ready, layers, "none").places)
    there = network_dram.shared(arch, ready, layers, moves).lies[2].tensors
    lies = dram_layout.layout(ready, row_bytes(arch.memory.dram)).tensors
    assert there["input"] == (lies["ba"[kept] + ".output"],)
    assert there["output"] == (lies["sum.output"],)


def test_prefetch_and_units_that_take_turns_work_with_a_device():
    found = {
        (prefetch, overlap): on_device(prefetch=prefetch, sets=[("schedule.overlap", overlap)])
        for prefetch in ("none", "tile", 64)
        for overlap in (True, False)
    }
    assert len({result.cycles for result in found.values()}) > 3
    assert len({result.dram_bits for result in found.values()}) == 1
    for (prefetch, overlap), result in found.items():
        assert (result.schedule.prefetch, result.schedule.overlap) == (prefetch, overlap)


def test_a_report_with_a_device_on_one_clock_reads_back(timed, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(to_json(timed))
    assert json.loads(path.read_text())["schedule"]["dram"]["commands"]["refresh"] > 0
    assert to_json(read_report(path)) == path.read_text()
    assert to_json(on_device(workers=3)) == path.read_text()


def test_a_command_prints_the_clock_s_device_and_says_what_there_is_not(tmp_path):
    asked = ["run", "edge_npu", "onnx:squeezenet", "--set", f"{DEVICE}=ddr4-2400", "-o", str(tmp_path), "--no-pictures"]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0
    assert "on one clock" in done.output
    assert "pJ a bit that moves" in done.output
    assert "layers alone: " in done.output
    assert "critical  " not in done.output
    assert "there is no critical path" in " ".join(done.output.split())


def test_an_engine_with_its_own_memory_takes_its_own_time_on_the_clock(tmp_path):
    (tmp_path / "n.yaml").write_text(
        """\
name: n
source: made up
isolated: false
inputs: [x]
layers:
  - {name: a, kind: linear, n: 8, c: 64, k: 96, inputs: [x], outputs: [y]}
  - {name: b, kind: linear, n: 8, c: 96, k: 32, inputs: [y]}
"""
    )
    result = on_device("sigma", str(tmp_path / "n.yaml"))
    assert result.schedule is not None
    assert result.cycles == sum(layer.cycles for layer in result.layers)
    assert result.dram_bits == sum(layer.dram_bits for layer in result.layers)
    assert result.energy_pj["dram"] == pytest.approx(sum(layer.energy_pj["dram"] for layer in result.layers))
    assert any("on a DRAM device of their own: a, b" in note for note in result.notes)


def test_what_is_added_to_results_on_their_way_out_lies_where_it_was_made():
    lanes = [("units.array.post_ops", {"ops": ["relu", "affine", "residual"], "lanes": 32})]
    result = on_device(net="onnx:resnet50", sets=lanes)
    adding = [layer for layer in result.layers if any(row.tensor == "residual" for row in layer.traffic)]
    made = {name: at for layer in result.layers for name, at in layer.dram.get("addresses", {}).items()}
    assert adding
    for layer in adding:
        assert len(layer.dram["addresses"]) > 3, "input, weight, output, and what is added"
        assert all(made[name] == at for name, at in layer.dram["addresses"].items())
    assert result.dram_bits == sum(layer.dram_bits for layer in result.layers)
    folded = {fold.host for fold in result.schedule.folded}
    plain = {layer.name: layer.cycles for layer in on_device(net="onnx:resnet50", fold="weights").layers}
    hosts = [layer for layer in adding if layer.name in folded and "cycles_without_post_ops" in layer.details]
    assert hosts
    for layer in hosts:  # the device's time, at other addresses
        assert layer.details["cycles_without_post_ops"] == pytest.approx(plain[layer.name], rel=0.05)
