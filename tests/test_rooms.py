"""What lives in the buffers that units share, in a run: machine files, places, traffic, time, energy, reports."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import accelsim
from accelsim import network_time, rooms
from accelsim.activity import Step, Transfer
from accelsim.cli import app
from accelsim.config.packaged import find
from accelsim.errors import ConfigError, ModelError
from accelsim.memory import network as clock
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program
from accelsim.memory.network_reference import stepped
from accelsim.report.document import to_json
from accelsim.report.reader import read_report

L2 = yaml.safe_load(Path(find("arch_configs", "edge_npu_l2")[0]).read_text())
CHAIN = {
    "name": "chain", "isolated": False, "inputs": ["x"],
    "layers": [
        {"name": "a", "kind": "conv2d", "c": 8, "k": 16, "h": 16, "w": 16, "r": 3, "s": 3, "pad": 1, "inputs": ["x"]},
        {"name": "p", "kind": "pool", "op": "max", "c": 16, "h": 16, "w": 16, "r": 2, "s": 2, "stride": 2,
         "inputs": ["a.output"]},
        {"name": "b", "kind": "conv2d", "c": 16, "k": 8, "h": 8, "w": 8, "r": 3, "s": 3, "pad": 1,
         "inputs": ["p.output"]},
    ],
}  # fmt: skip
"""Middle tensors of 16 x 16 x 16 and 16 x 8 x 8 elements."""


def machine(**buffer):
    """Return edge_npu_l2 with another buffer."""
    values = json.loads(json.dumps(L2))
    values["memory"]["buffers"] = [{"name": "l2", "kib": 1024, **buffer}]
    return accelsim.load_arch(values)


def ran(arch="edge_npu_l2", network="onnx:squeezenet", **options):
    return accelsim.simulate(arch, network, schedule="network", **options)


# ------------------------------------------------------------------------------------------ machine files


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda v: v["units"][0]["rooms"].update(inputs="l3"),
            r"units.0.rooms.inputs: 'l3' is no buffer of this machine",
        ),
        (lambda v: [u.pop("rooms") for u in v["units"]], r"memory.buffers.0: no unit binds buffer 'l2'; write units"),
        (lambda v: v["memory"].pop("buffers"), r"'l2' is no buffer of this machine; declare it under memory.buffers"),
        (
            lambda v: v["memory"]["buffers"].append(dict(v["memory"]["buffers"][0])),
            r"two of memory.buffers share a name",
        ),
        (lambda v: v["memory"]["buffers"][0].update(kib=0), r"memory.buffers.0.kib"),
        (lambda v: v["memory"]["buffers"][0].update(name="L2"), r"memory.buffers.0.name"),
    ],
)
def test_rooms_and_buffers_that_do_not_belong_together_are_named(change, said):
    values = json.loads(json.dumps(L2))
    change(values)
    with pytest.raises(ConfigError, match=said):
        accelsim.load_arch(values)


def test_a_machine_without_buffers_shows_none_and_one_with_buffers_shows_them():
    bare, given = accelsim.load_arch("edge_npu").config, accelsim.load_arch("edge_npu_l2").config
    assert "buffers" not in bare["memory"]
    assert all("rooms" not in unit for unit in bare["units"])
    assert given["memory"]["buffers"][0]["kib"] == 1024
    assert given["units"][1]["rooms"] == {"inputs": "l2", "outputs": "l2"}


def test_a_buffer_has_area_and_leaks_and_is_of_its_size():
    small, large = (accelsim.simulate(machine(kib=kib), "onnx:squeezenet", schedule="isolated") for kib in (1024, 2048))
    assert 0 < small.area_mm2["glb.l2"] < large.area_mm2["glb.l2"]
    assert small.energy_pj["leakage"] < large.energy_pj["leakage"]


def test_a_buffer_with_the_name_of_a_memory_is_refused():
    values = {"base": "systolic_ws", "units": [{"name": "array", "engine": "systolic", "params": {
        "rows": 4, "cols": 4, "dataflow": "ws", "input_kib": 8, "weight_kib": 8, "output_kib": 8},
        "rooms": {"inputs": "inputs"}}],
        "memory": {"buffers": [{"name": "inputs", "kib": 8}]}}  # fmt: skip
    with pytest.raises(ConfigError, match=r"the machine has another 'glb.inputs'; rename the buffer"):
        accelsim.simulate(values, "onnx:squeezenet")


# ------------------------------------------------------------------------------------------ time and traffic

BY_HAND = [
    (None, None, None, 29, 128),
    ("l2", None, None, 21, 64),
    ("l2", 8, 4, 33, 64),
]


@pytest.mark.parametrize(("home", "read", "write", "end", "dram_bits"), BY_HAND)
def test_the_example_of_the_decision_takes_what_it_says(home, read, write, end, dram_bits):
    places = rooms._Places((None,), home, False), rooms._Places((home,), None, False)
    tiles = [(16, 16, 10, 32), (16, 32, 5, 16)]
    dram = DramModel(Fraction(8), 0, 8)
    ports = {
        "l2.read": read and DramModel(Fraction(read), 0, 1),
        "l2.write": write and DramModel(Fraction(write), 0, 1),
    }
    programs, moved = [], 0
    for number, ((w, x, c, s), place) in enumerate(zip(tiles, places, strict=True)):
        step = Step((Transfer("weight", "read", w), Transfer("input", "read", x)), c, (Transfer("output", "write", s),))
        step = place.step(step)
        moved += sum(t.bits for t in (*step.loads, *step.stores) if t.place == "dram")
        edges = (Edge(0, "dram" if home is None else "l2.write"),) if number else ()
        programs.append(
            Program("array", f"l{number}", (step,), edges, (), frozenset({"input"}) if number else frozenset())
        )
    buses = {"dram": dram, **ports}
    assert clock.run(programs, buses).cycles == stepped(programs, buses).cycles == end
    assert moved == dram_bits


def test_conv_pool_conv_at_home_moves_nothing_of_both_tensors_through_dram():
    result = ran(network=CHAIN)
    a, p, b = result.schedule.layers
    assert [dict(time.homes) for time in (a, p, b)] == [
        {"a.output": "l2"}, {"a.output": "l2", "p.output": "l2"}, {"p.output": "l2"},
    ]  # fmt: skip
    assert p.dram_bits == 0
    first, _, last = result.layers
    assert a.dram_bits == sum(row.bits for row in first.traffic if row[:1] == ("dram",) and row.direction == "read")
    # by hand, 8 bits: filters 8 x 16 x 9, output 8 x 8 x 8
    assert b.dram_bits == 8 * (8 * 16 * 9 + 8 * 8 * 8) < last.dram_bits
    (buffer,) = result.schedule.buffers
    assert buffer.written_bits == 8 * (16 * 16 * 16 + 16 * 8 * 8)
    assert buffer.read_bits == buffer.written_bits
    assert result.schedule.isolated_dram_bits == sum(layer.dram_bits for layer in result.layers)


def test_bits_saved_at_dram_are_those_that_move_at_the_buffer_and_bursts():
    result, bare = ran(), ran(residency="none")
    kept, none = result.schedule, bare.schedule
    (buffer,) = kept.buffers
    saved = none.dram_bits - kept.dram_bits
    assert none.dram_bits == none.isolated_dram_bits == result.schedule.isolated_dram_bits
    assert saved >= buffer.read_bits + buffer.written_bits > 0
    assert buffer.peak_bits <= buffer.capacity_bits
    assert result.alone.layers == bare.alone.layers, "a layer's own figures are of the layer alone"


def test_layers_that_are_alike_share_the_tiles_of_what_they_move():
    arch = accelsim.load_arch("edge_npu_l2")
    ready = accelsim.simulation.prepare(arch, accelsim.load_network("net:bert_base"), None, None, None)
    layers = accelsim.simulate(arch, ready, trace=True, schedule="isolated").layers
    places = rooms.homes(arch, ready, layers, "exact").places
    apart = [rooms.moved(view, result, places) for view, result in zip(rooms.views(ready), layers, strict=True)]
    together = rooms.moves(ready, layers, places)
    assert together == apart
    assert len({id(move.schedule) for move in together}) < len({id(move.schedule) for move in apart}) / 2


def test_more_room_never_moves_more_and_exact_no_more_than_greedy_by_its_own_measure():
    moved = [ran(machine(kib=kib)).schedule.dram_bits for kib in (64, 256, 1024)]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > moved[-1]
    greedy = ran(machine(kib=256), residency="greedy").schedule
    assert greedy.proof == "greedy"
    assert ran(machine(kib=256)).schedule.proof == "optimal"


def test_a_narrow_port_costs_time_and_an_unlimited_one_none():
    free = ran(machine()).schedule.cycles
    wide = ran(machine(read_bits_per_cycle=512, write_bits_per_cycle=512)).schedule.cycles
    narrow = ran(machine(read_bits_per_cycle=8, write_bits_per_cycle=8)).schedule.cycles
    assert free <= wide < narrow


@pytest.mark.parametrize("network", [CHAIN, "onnx:squeezenet", "net:mobilenet_v2"])
def test_accounts_close_with_kept_tensors_and_the_path_sums_to_the_cycles(network):
    found = ran(network=network).schedule
    for kinds in found.accounts.values():
        for account in kinds.values():
            assert sum(account.causes.values()) == account.units * found.cycles
    assert sum(part.cycles for part in found.critical) == found.cycles
    assert found.factors[0].cycles == found.isolated_cycles
    assert found.factors[-1].cycles == found.cycles


def test_two_kept_tensors_alive_at_one_layer_share_no_address():
    kept = ran(network="net:mobilenet_v2", fold="none").schedule.kept
    assert len(kept) > 100
    for i, one in enumerate(kept):
        for other in kept[:i]:
            if one.first <= other.last and other.first <= one.last:
                low, high = sorted((one, other), key=lambda each: each.address_bits)
                assert low.address_bits + low.bits <= high.address_bits


def test_who_writes_over_a_kept_tensor_waits_for_its_readers():
    network = accelsim.load_network("onnx:squeezenet")
    arch = machine(kib=640)
    layers = accelsim.simulate(arch, network, trace=True).layers
    network = accelsim.simulation.prepare(arch, network, None, None, None)
    homes = rooms.homes(arch, network, layers, "exact")
    moves = [rooms.moved(v, r, homes.places) for v, r in zip(rooms.views(network), layers, strict=True)]
    programs = network_time.programs_of(network, layers, homes, moves)
    found = clock.run(programs, {"dram": network_time.machine_view(arch).dram, **rooms.ports(arch)}).layers
    edges = [(number, before) for number, program in enumerate(programs) for before in program.after]
    assert edges
    assert all(found[number].start_cycle >= found[before].end_cycle for number, before in edges)


# ------------------------------------------------------------------------------------------ what stays in DRAM


def test_a_unit_without_rooms_keeps_its_tensors_in_dram():
    values = json.loads(json.dumps(L2))
    del values["units"][1]["rooms"]
    found = ran(values, CHAIN).schedule
    assert not found.kept
    assert found.dram_bits == found.isolated_dram_bits


def _sum(b_shape):
    one = {"kind": "conv2d", "c": 8, "k": 8, "h": 8, "w": 8, "r": 1, "s": 1, "inputs": ["x"]}
    b = one if b_shape == [1, 8, 8, 8] else {"kind": "pool", "op": "max", "c": 8, "h": 8, "w": 8, "r": 8, "s": 8,
                                             "inputs": ["x"]}  # fmt: skip
    return {
        "name": "sum", "isolated": False, "inputs": ["x"],
        "layers": [
            {"name": "a", **one},
            {"name": "b", **b},
            {"name": "c", "kind": "elementwise", "op": "add", "shape": [1, 8, 8, 8],
             "operand_shapes": [[1, 8, 8, 8], b_shape], "inputs": ["a.output", "b.output"]},
            {"name": "d", **one, "inputs": ["c.output"]},
        ],
    }  # fmt: skip


def test_of_two_inputs_each_has_its_place():
    loads = (Transfer("input", "read", 8), Transfer("input", "read", 16), Transfer("weight", "read", 4))
    step = rooms._Places((None, "l2"), None, False).step(Step(loads, 1, (Transfer("output", "write", 8),)))
    assert [t.place for t in (*step.loads, *step.stores)] == ["dram", "l2.read", "dram", "dram"]
    # 512 B each of a, b and c, alive together at c: two of them find room, each written and read once
    found = ran(machine(kib=1, word_bits=8), _sum([1, 8, 8, 8])).schedule
    assert len(found.kept) == 2
    assert found.isolated_dram_bits - found.dram_bits == 8 * 2 * (512 + 512)


def test_inputs_that_a_tile_does_not_load_side_by_side_stay_in_dram():
    found = ran(network=_sum([1, 8, 1, 1])).schedule
    assert {kept.storage for kept in found.kept} == {"c.output"}


def test_reading_what_nobody_wrote_is_an_error_of_ours():
    network = accelsim.load_network("onnx:squeezenet")
    arch = accelsim.load_arch("edge_npu_l2")
    layers = accelsim.simulate(arch, network, trace=True).layers
    network = accelsim.simulation.prepare(arch, network, None, None, None)
    homes = rooms.homes(arch, network, layers, "exact")
    moves = [rooms.moved(v, r, homes.places) for v, r in zip(rooms.views(network), layers, strict=True)]
    programs = network_time.programs_of(network, layers, homes, moves)
    assert network_time.check_written(programs, layers, moves) == ()
    lost = network_time.programs_of(network, layers)  # its edges say DRAM, what was made is in the buffer
    with pytest.raises(ModelError, match="reads from dram what"):
        network_time.check_written(lost, layers, moves)


def test_activations_that_an_engine_keeps_by_itself_and_reads_from_dram_nevertheless_are_named():
    assert ran("edge_npu").schedule.unwritten == ()
    network = accelsim.load_network("onnx:bvlc_alexnet")
    layers = accelsim.simulate("scnn", network, trace=True).layers
    network = accelsim.simulation.prepare(accelsim.load_arch("scnn"), network, None, None, None)
    programs = network_time.programs_of(network, layers)
    mine = [layer for layer in layers if layer.simulated]
    still = [rooms.Moved(p.schedule, 0, 0, {}, {}, {}) for p in programs]
    by_hand = {
        mine[number].name
        for number, p in enumerate(programs) for e in p.producers
        if not any(r[0] == "dram" and r.direction == "write" for r in mine[e.producer].traffic)
        and any(r[:3] == ("dram", "input", "read") for r in mine[number].traffic)
    }  # fmt: skip
    assert set(network_time.check_written(programs, mine, still)) == by_hand


# ------------------------------------------------------------------------------------------ energy and reports


def test_energy_of_the_network_is_that_of_the_layers_but_for_what_moved_and_how_long_it_took():
    result = ran()
    found, table = result.schedule, accelsim.energy.load_table("45nm")
    (buffer,) = found.buffers
    memory = accelsim.components.Sram("glb.l2", 1, 1024 * 8192, 256)
    by_hand = buffer.read_bits * table.price(memory, "read").pj + buffer.written_bits * table.price(memory, "write").pj
    assert found.energy_pj["glb.l2"] == pytest.approx(by_hand, rel=1e-12)
    assert found.energy_pj["dram"] == pytest.approx(8.0 * found.dram_bits, rel=1e-12)
    assert found.energy_pj["leakage"] == pytest.approx(
        result.alone.energy_pj["leakage"] * found.cycles / found.isolated_cycles, rel=1e-12
    )
    for name in ("array.macs", "array.glb.inputs", "vector.glb"):
        assert found.energy_pj[name] == pytest.approx(result.alone.energy_pj[name], rel=1e-12)
    assert found.total_energy_pj == result.total_energy_pj < result.alone.total_energy_pj


def test_reports_are_equal_for_any_number_of_workers_and_are_read_again(tmp_path):
    one, four = ran(workers=1), ran(workers=4)
    assert to_json(one) == to_json(four)
    path = tmp_path / "report.json"
    path.write_text(to_json(one))
    assert to_json(read_report(path)) == path.read_text()


def run(*args):
    return CliRunner().invoke(app, ["run", *args], catch_exceptions=False)


def test_isolated_gives_the_run_of_the_layers_alone_and_a_machine_with_buffers_the_network():
    plain = accelsim.simulate(accelsim.load_arch("edge_npu_l2", [("schedule.mode", "isolated")]), "onnx:squeezenet")
    args = ("edge_npu_l2", "onnx:squeezenet", "--format", "json")
    assert run(*args, "--isolated").output == to_json(plain)
    assert run(*args).output == to_json(accelsim.simulate("edge_npu_l2", "onnx:squeezenet"))
    none = accelsim.load_arch("edge_npu_l2", [("schedule.mode", "network"), ("schedule.residency", "none")])
    assert run(*args, "--residency", "none").output == to_json(accelsim.simulate(none, "onnx:squeezenet"))
    wrong = run(*args, "--isolated", "--residency", "none")
    assert wrong.exit_code == 2
    assert "--residency is of one clock: drop --isolated" in wrong.output
    assert run("edge_npu", *args[1:]).output == to_json(accelsim.simulate("edge_npu", "onnx:squeezenet"))


def test_the_first_line_has_both_totals_and_what_makes_the_difference():
    result = ran()
    from accelsim.report.clocked import headline, totals
    from accelsim.report.markdown import to_markdown

    first, buffer = headline(result.schedule), dict(totals(result))["l2"]
    assert "isolated layers" in first
    assert [part in first for part in ("one clock", "kept on the chip", "units side by side")] == [True] * 3
    assert "no width" not in buffer
    assert "no width of its read and write port is given" in dict(totals(ran(machine())))["l2"]
    text = to_markdown(result)
    assert f"\n{first}.\n" in text
    assert " in l2" in text


def test_residency_of_a_table_or_of_some_layers_is_refused_in_a_line():
    with pytest.raises(ConfigError, match="'resnet50' is a table of layers, isolated: no edges; use onnx:NAME"):
        run("edge_npu_l2", "resnet50", "--residency", "exact", "--format", "json")
    result = run("edge_npu_l2", "onnx:squeezenet", "--residency", "exact", "--layers", "fire2*", "--format", "json")
    assert result.exit_code == 2
    assert "--residency is of whole networks: drop --layers" in result.output
