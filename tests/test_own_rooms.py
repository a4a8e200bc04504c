"""Tensors between layers in storage that the tiles of their unit share; docs/decisions/0109-unified-rooms.md."""

import copy
import json

import numpy as np
import pytest
from click.testing import CliRunner

import accelsim
from accelsim import network_time, own_rooms, rooms, simulation
from accelsim.cli import app, main
from accelsim.errors import ConfigError, UserError
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.report.document import to_json

OWN = {"inputs": "own", "outputs": "own"}
SMALL = {
    "name": "small", "clocks_mhz": {"core": 1000}, "engine": "systolic", "rooms": OWN,
    "params": {"rows": 16, "cols": 16, "dataflow": "ws", "input_kib": 1, "weight_kib": 1, "output_kib": 4},
    "memory": {"dram": {"standard": "lpddr4", "gb_per_s": 2, "latency_ns": 0, "burst_bits": 8}},
    "technology": {"node_nm": 45}, "schedule": {"mode": "network"},
}  # fmt: skip
"""The machine of the decision: 16 bits per cycle, 8,192 bits of inputs."""


def machine(kib=1, outside=False, **more):
    values = copy.deepcopy(SMALL) | more
    values["params"]["input_kib"] = kib
    values["rooms"] = OWN | ({"outside": "own"} if outside else {})
    return values


def chain(n, count=2, homes=None, **more):
    """Return linear layers a, b, c, ... of ``n`` vectors of 16 bytes."""
    names = [chr(ord("a") + i) for i in range(count)]
    layers = [
        {"name": name, "kind": "linear", "n": n, "c": 16, "k": 16, "inputs": [f"{names[i - 1]}.output" if i else "x"]}
        for i, name in enumerate(names)
    ]
    tensors = {name: {"home": home} for name, home in (homes or {}).items()}
    return {"name": "chain", "isolated": False, "inputs": ["x"], "layers": layers, "tensors": tensors} | more


def ran(arch, network, **options):
    return accelsim.simulate(arch, network, **options)


# ------------------------------------------------------------------------------------------ by hand


def test_two_layers_of_the_decision_take_what_it_says():
    found = ran(machine(), chain(40)).schedule
    assert [(t.start_cycle, t.end_cycle, t.isolated_cycles) for t in found.layers] == [(192, 502, 768), (512, 668, 768)]
    assert (found.cycles, found.dram_bits) == (910, 14_336)
    assert (found.isolated_cycles, found.isolated_dram_bits) == (1_536, 24_576)
    assert [tuple(kept) for kept in found.kept] == [("a.output", "glb.inputs", 0, 5_120, 0, 1)]
    (buffer,) = found.buffers
    # results are written once; each tile of layer b, two of 8 outputs, reads all vectors
    assert buffer == ("glb.inputs", 8_192, 5_120, 2 * 5_120, 5_120)
    assert [time.homes for time in found.layers] == [{"a.output": "glb.inputs"}] * 2
    assert [tuple(factor) for factor in found.factors][::2] == [("layer by layer", 1_536), ("kept on the chip", 910)]
    assert found.proof == "optimal"


def test_with_what_is_outside_and_more_room_only_filters_move():
    found = ran(machine(2, outside=True), chain(40)).schedule
    assert [(t.start_cycle, t.end_cycle) for t in found.layers] == [(64, 220), (220, 376)]
    assert (found.cycles, found.dram_read_bits, found.dram_write_bits) == (376, 4_096, 0)
    assert found.buffers[0].peak_bits == 10_240
    assert {kept.storage for kept in found.kept} == {"x", "a.output", "b.output"}


def planned(arch, network, tiles="least"):
    """Return what the planner keeps, and the layers' results."""
    arch, network = accelsim.load_arch(arch), accelsim.load_network(network)
    ready = simulation.prepare(arch, network, None, None, None)
    layers = accelsim.simulate(arch, network, schedule="isolated", trace=True).layers
    return rooms.homes(arch, ready, layers, arch.schedule.residency, tiles), layers


@pytest.mark.parametrize(("vectors", "stays"), [(63, True), (64, False)])
def test_the_smallest_tiles_of_a_layer_must_fit_beside_what_lives_there(vectors, stays):
    # 63 and 64 x 128 bits, and two tiles of 8 bits, in 8,192
    assert bool(planned(machine(), chain(vectors))[0].kept) == stays


def test_what_would_cost_more_than_it_saves_gives_way():
    """Beside 63 vectors there is room for one vector at a time: the filters would come once for each."""
    found = ran(machine(), chain(63)).schedule
    assert (found.kept, found.proof) == ((), "bounded")
    assert found.cycles <= found.isolated_cycles
    pinned = [{"storage": "a.output", "buffer": "glb.inputs", "address_bits": 0}]
    values = machine(schedule={"mode": "network", "places": pinned})
    assert ran(values, chain(63)).schedule.cycles > found.cycles


def test_what_is_told_and_does_not_fit_is_an_error_by_name():
    network = chain(40, 4, {"a.output": "chip", "b.output": "chip"})
    for layer, source in zip(network["layers"], ("x", "x", "a.output", "b.output"), strict=True):
        layer["inputs"] = [source]
    with pytest.raises(ConfigError) as error:
        ran(machine(), network)
    assert str(error.value).endswith(
        "rooms: layer 'b' has a.output, b.output at home in 'glb.inputs', 10,240 bits beside tiles of 16 bits, and it "
        "has 8,192; raise that memory, or give one of them home: dram"
    )
    assert len(ran(machine(2), network).schedule.kept) == 2


def test_a_layer_needs_its_room_while_the_one_before_it_still_computes():
    """Its first tile may arrive then; what only that one needs takes room from both."""
    homes, layers = planned(machine(2), chain(40, 3))
    programs = network_time.programs_of(accelsim.load_network(chain(40, 3)), layers, homes)
    assert [program.producers for program in programs] == [(), ((0, "chip"),), ((1, "chip"),)]
    assert {kept.storage for kept in homes.kept} == {"a.output", "b.output"}
    # a.output lives at 0 and 1, b.output at 1 and 2: layer c leaves to others what is alive at 1, but for its own
    assert homes.beside_bits == {0: 0, 1: 0, 2: 5_120}


# ------------------------------------------------------------------------------------------ whose room it is


def test_second_inputs_of_a_product_stay_in_dram():
    layers = [
        {"name": "q", "kind": "linear", "n": 8, "c": 16, "k": 16, "inputs": ["x"]},
        {"name": "k", "kind": "linear", "n": 8, "c": 16, "k": 16, "inputs": ["x"]},
        {"name": "s", "kind": "matmul", "m": 8, "k": 16, "n": 8, "transpose": True,
         "inputs": ["q.output", "k.output"]},
        {"name": "o", "kind": "linear", "n": 8, "c": 8, "k": 16, "inputs": ["s.output"]},
    ]  # fmt: skip
    layers[2].pop("transpose")
    layers[1] |= {"n": 16, "k": 8}
    found = ran(machine(4, outside=True), {"name": "qk", "isolated": False, "inputs": ["x", "y"], "layers": [
        layers[0], layers[1] | {"inputs": ["y"]}, *layers[2:]]}).schedule  # fmt: skip
    assert {kept.storage for kept in found.kept} == {"x", "y", "q.output", "s.output", "o.output"}


RELU = {"name": "relu", "kind": "elementwise", "op": "relu", "shape": [40, 16], "inputs": ["a.output"]}


def with_relu():
    """Return a chain with a layer that no unit of the machine runs between its two."""
    network = chain(40)
    network["layers"].insert(1, dict(RELU))
    network["layers"][2]["inputs"] = ["relu.output"]
    return network


def test_layers_that_no_unit_runs_find_their_tensors_where_the_machine_says():
    away, there = (ran(machine(4, outside), with_relu()).schedule for outside in (False, True))
    assert away.kept == ()
    assert away.dram_bits == away.isolated_dram_bits
    assert {kept.storage for kept in there.kept} == {"x", "a.output", "relu.output", "b.output"}
    assert there.dram_bits == 2 * 2_048
    # b waits for the last computation of a, which relu hands on
    assert there.layers[1].start_cycle >= there.layers[0].end_cycle


def test_what_only_layers_that_nobody_runs_touch_takes_no_room():
    network = with_relu()
    network["layers"].insert(2, RELU | {"name": "again", "inputs": ["relu.output"]})
    network["layers"][3]["inputs"] = ["again.output"]
    found = ran(machine(4, True), network).schedule
    assert {kept.storage for kept in found.kept} == {"x", "a.output", "again.output", "b.output"}
    assert found.dram_bits == 2 * 2_048


def test_who_reads_what_a_layer_that_nobody_runs_made_waits_for_its_maker_where_that_wrote():
    """a.output goes through DRAM and relu's result is at home: b waits until a has stored all of it."""
    network = with_relu()
    values = machine(4, True)
    places = [{"storage": "relu.output", "buffer": "glb.inputs", "address_bits": 0}]
    values["schedule"] = {"mode": "network", "places": places}
    a, b = ran(values, network).schedule.layers
    assert set(b.homes) == {"relu.output"}
    assert b.start_cycle >= a.moves["dram"].end_cycle > a.end_cycle
    arch = accelsim.load_arch(values)
    ready = simulation.prepare(arch, accelsim.load_network(network), None, None, None)
    layers = accelsim.simulate(arch, network, schedule="isolated", trace=True).layers
    homes = rooms.homes(arch, ready, layers, "exact")
    assert network_time.programs_of(ready, layers, homes)[1].producers == ((0, "dram"),)


def test_what_lanes_work_on_goes_to_dram():
    unit = {"name": "array", "engine": "systolic", "params": SMALL["params"] | {"input_kib": 4},
            "rooms": OWN | {"outside": "own"}, "post_ops": {"ops": ["relu"], "lanes": 1}}  # fmt: skip
    values = {key: value for key, value in SMALL.items() if key not in ("engine", "params", "rooms")}
    found = ran(values | {"units": [unit]}, with_relu()).schedule
    assert [fold.layer for fold in found.folded] == ["relu"]
    assert {kept.storage for kept in found.kept} == {"x", "b.output"}


def test_two_units_and_one_of_them_with_storage_of_its_own():
    params = SMALL["params"] | {"input_kib": 4}
    array = {"name": "array", "engine": "systolic", "params": params, "rooms": OWN}
    vector = {"name": "vector", "engine": "vector", "params": {"lanes": 16, "buffer_kib": 8}}
    values = {key: value for key, value in SMALL.items() if key not in ("engine", "params", "rooms")}
    network = with_relu()
    network["layers"] += [{"name": "c", "kind": "linear", "n": 40, "c": 16, "k": 16, "inputs": ["b.output"]}]
    found = ran(values | {"units": [array, vector]}, network).schedule
    assert [(kept.storage, kept.buffer) for kept in found.kept] == [("b.output", "array.glb.inputs")]
    assert "array.glb.inputs" in found.energy_pj


# ------------------------------------------------------------------------------------------ at random


def random_network(rng):
    """Return linear layers that read any result before them, some at home on the chip."""
    count, layers = int(rng.integers(2, 7)), []
    widths = {"x": 8 * int(rng.integers(1, 5))}
    n = int(rng.integers(4, 49))
    for i in range(count):
        source = list(widths)[int(rng.integers(max(0, len(widths) - 3), len(widths)))]
        k = 8 * int(rng.integers(1, 5))
        layers.append(
            {"name": f"l{i}", "kind": "linear", "n": n, "c": widths[source], "k": k, "inputs": [source]}
        )  # fmt: skip
        widths[f"l{i}.output"] = k
    return {"name": "random", "isolated": False, "inputs": ["x"], "layers": layers}


@pytest.mark.parametrize("seed", range(30))
def test_no_two_live_tensors_overlap_and_tiles_and_residents_fit_at_every_layer(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    values = machine(int(rng.integers(1, 4)), bool(rng.integers(2)))
    values["schedule"] = {"mode": "network", "residency": ("exact", "greedy")[int(rng.integers(2))]}
    plans = []
    plain = network_time._at_home

    def noted(network, layers, homes, again):
        plans.append((homes, plain(network, layers, homes, again)))
        return plans[-1][1]

    monkeypatch.setattr(network_time, "_at_home", noted)
    network = random_network(rng)
    result = ran(values, network)
    capacity = values["params"]["input_kib"] * 8192
    assert result.schedule.cycles <= result.schedule.factors[1].cycles, "keeping never costs time"
    for homes, layers in plans:
        for i, one in enumerate(homes.kept):
            assert one.address_bits + one.bits <= capacity
            for other in homes.kept[:i]:
                alive = one.first <= other.last and other.first <= one.last
                apart = (
                    one.address_bits + one.bits <= other.address_bits
                    or other.address_bits + other.bits <= one.address_bits
                )
                assert apart or not alive, (one, other)
        named = {kept.storage for kept in homes.kept}
        for at, layer in enumerate(layers):
            own = {network["layers"][at]["inputs"][0], f"{layer.name}.output"} & named
            mine = sum(kept.bits for kept in homes.kept if kept.storage in own)
            tiles = layer.buffers["glb.inputs"].peak_bits - mine
            for position in {max(0, at - 1), at}:
                alive = sum(kept.bits for kept in homes.kept if kept.first <= position <= kept.last)
                assert alive + tiles <= capacity, (layer.name, position)


def test_more_room_never_keeps_less_of_what_moves():
    rng = np.random.default_rng(3)
    for _ in range(5):
        network, before = random_network(rng), -1
        sizes = {layer["name"] + ".output": layer["n"] * layer["k"] for layer in network["layers"]}
        readers = [layer["inputs"][0] for layer in network["layers"]]
        for kib in (1, 2, 3, 4, 8):
            homes, _ = planned(machine(kib), network)
            worth = sum(sizes[k.storage] * (1 + readers.count(k.storage)) for k in homes.kept)
            assert worth >= before
            before = worth
        assert before == sum(size * (1 + readers.count(name)) for name, size in sizes.items() if name in readers)


# ------------------------------------------------------------------------------------------ figures


def test_layers_alone_are_those_of_the_machine_without_such_storage():
    network = chain(40, 3)
    bare = copy.deepcopy(SMALL)
    del bare["rooms"]
    kept, plain = ran(machine(), network), ran(bare, network)
    assert kept.alone.layers == plain.alone.layers
    assert kept.alone.energy_pj == plain.alone.energy_pj
    assert (kept.isolated_cycles, kept.area_mm2) == (plain.isolated_cycles, plain.area_mm2)
    assert kept.schedule.factors[:2] == plain.schedule.factors
    assert kept.schedule.cycles < plain.schedule.cycles


def test_homes_that_the_machine_gives_are_those_that_a_network_file_can_give():
    names = ("x", "a.output", "b.output", "c.output")
    free = ran(machine(4, True), chain(40, 3)).schedule
    bare = copy.deepcopy(machine(4))
    del bare["rooms"]
    told = ran(bare, chain(40, 3, dict.fromkeys(names, "chip"))).schedule
    assert (free.cycles, free.dram_bits, free.energy_pj) == (told.cycles, told.dram_bits, told.energy_pj)
    assert free.accounts == told.accounts
    assert {kept.storage for kept in free.kept} == set(names)
    assert told.kept == ()


def test_five_layers_like_mlp0_need_no_home_on_tpu_v1():
    layers = [
        {"name": f"fc{i}", "kind": "linear", "n": 200, "c": 2000, "k": 2000,
         "inputs": [f"fc{i - 1}.output"] if i else ["x"]}
        for i in range(5)
    ]  # fmt: skip
    network = {"name": "mlp0", "isolated": False, "inputs": ["x"], "layers": layers}
    found, none = (ran("tpu_v1", network, residency=residency).schedule for residency in ("exact", "none"))
    operations = 2 * 200 * 5 * 2000 * 2000
    tops = [operations / each.cycles * 700e6 / 1e12 for each in (found, none)]
    assert tops == pytest.approx([13.251, 11.085], abs=5e-4)
    assert found.dram_write_bits == 0
    assert 1 <= found.dram_read_bits / (8 * 5 * 2000 * 2000) < 1.03  # bursts of 64 bytes


def test_energy_of_the_storage_is_that_of_its_events_once():
    result = ran(machine(2, True), chain(40))
    alone = result.alone.energy_pj["glb.inputs"]
    # all vectors pass once per tile of 8 outputs, and results are written where tiles of x were
    assert 0 < result.schedule.energy_pj["glb.inputs"] < 3 * alone
    assert set(result.schedule.energy_pj) == set(result.alone.energy_pj)


def test_a_layer_with_a_given_mapping_keeps_the_room_that_its_tiles_need():
    tiles = {"groups": 1, "n": 24, "e": 1, "f": 1, "k": 16, "c": 16, "order": "mkc"}
    free, _ = planned(machine(), chain(40))
    assert free.kept
    # two tiles of 3,072 bits beside 5,120 exceed 8,192
    values = machine(mapping={"fixed": tiles})
    assert not planned(values, chain(40))[0].kept
    assert ran(values, chain(40)).schedule.kept == ()
    assert ran(machine(), chain(40), mapping={"*": tiles}).schedule.kept == ()
    assert ran(machine(2), chain(40), mapping={"*": tiles}).schedule.kept


def test_tensors_that_a_network_file_puts_there_do_not_give_way_to_larger_tiles():
    found = ran(machine(), chain(40, homes={"a.output": "chip"}), residency="none").schedule
    assert [kept.storage for kept in found.kept] == ["a.output"]
    # layer b alone takes tiles of 24 vectors, two of 3,072 bits: too much beside 5,120
    network = chain(40, 3, {"a.output": "chip"})
    for layer, source in zip(network["layers"], ("x", "x", "a.output"), strict=True):
        layer["inputs"] = [source]
    assert [kept.storage for kept in planned(machine(), network, "alone")[0].kept] == ["a.output"]


# ------------------------------------------------------------------------------------------ files, reports, sweeps


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rooms": {"inputs": "own"}}, "rooms: a unit's own storage is for its inputs and its outputs; write outputs"),
        ({"rooms": {"outputs": "own"}}, "rooms: a unit's own storage is for its inputs and its outputs; write inputs"),
        ({"rooms": {"outside": "own"}}, "rooms.outside: one unit with own inputs and outputs can have what lives"),
        ({"rooms": {"inputs": "l2", "outputs": "l2"}}, "rooms.inputs: 'l2' is no buffer of this machine; declare it"),
        ({"rooms": OWN | {"outside": "l2"}}, "rooms.outside"),
        ({"engine": "eie", "params": {}}, "rooms.inputs: engine 'eie' has no storage that its tiles share"),
        ({"engine": None, "units": [{"name": "a", "engine": "systolic"}]}, "'rooms' belongs to one of them"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_is_named_with_its_remedy(change, told):
    values = copy.deepcopy(SMALL) | change
    if "units" in change:
        del values["engine"]
        values["units"][0]["params"] = values.pop("params")
    if change.get("engine") == "eie":
        values["params"] = accelsim.load_arch("eie").config["params"]
    with pytest.raises(UserError) as error:
        ran(values, chain(40))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_only_one_unit_can_have_what_is_outside():
    unit = {"engine": "systolic", "params": SMALL["params"], "rooms": OWN | {"outside": "own"}}
    values = {key: value for key, value in SMALL.items() if key not in ("engine", "params", "rooms")}
    with pytest.raises(ConfigError, match=r"units.1.rooms.outside: one unit with own inputs"):
        accelsim.load_arch(values | {"units": [unit | {"name": "a"}, unit | {"name": "b"}]})


def test_a_bad_key_on_the_command_line_is_one_line(capsys):
    args = ["run", "tpu_v1", "onnx:squeezenet", "--set", "rooms.inputs=null"]
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_a_machine_shows_its_rooms_and_an_override_can_take_them_back():
    assert accelsim.load_arch("tpu_v1").config["rooms"] == OWN | {"outside": "own"}
    assert "rooms" not in accelsim.load_arch("systolic_ws").config
    given = accelsim.load_arch("systolic_ws", [("rooms", OWN)])
    assert given.config["rooms"] == OWN | {"outside": None}
    bare = accelsim.load_arch("tpu_v1", [("rooms", {})])
    assert own_rooms.of(bare) == ()
    values = {"base": "tpu_v1", "engine": "eie", "params": accelsim.load_arch("eie").config["params"]}
    assert "rooms" not in accelsim.load_arch(values).config


def test_the_schedule_of_a_report_reproduces_it(tmp_path):
    path = tmp_path / "report.json"
    arch, network = tmp_path / "m.yaml", tmp_path / "n.yaml"
    arch.write_text(json.dumps(machine(2)))
    network.write_text(json.dumps(chain(40, 4)))

    def run(*more):
        found = CliRunner().invoke(app, ["run", str(arch), str(network), "--format", "json", *map(str, more)])
        assert found.exit_code == 0, found.stderr
        return found.stdout

    path.write_text(run())
    before, again = json.loads(path.read_text()), json.loads(run("--schedule", path))
    assert before["schedule"]["kept"]
    assert (before["schedule"].pop("proof"), again["schedule"].pop("proof")) == ("optimal", "pinned")
    assert again["schedule"] == before["schedule"]
    assert again["totals"] == before["totals"]


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([{"storage": "a.output", "buffer": "l2", "address_bits": 0}],
         "'l2' is no buffer; this machine has glb.inputs"),
        ([{"storage": "x", "buffer": "glb.inputs", "address_bits": 0}], "'x' cannot live in 'glb.inputs'"),
        ([{"storage": "a.output", "buffer": "glb.inputs", "address_bits": 4096}], "lies from 4,096 to 12,288"),
        ([{"storage": "a.output", "buffer": "glb.inputs", "address_bits": 0}],
         "schedule.places: layer 'a': a.output take 8,192 bits of 'glb.inputs', tiles 16; it has 8,192: leave one"),
    ],
)  # fmt: skip
def test_a_pinned_place_that_cannot_be_is_named(places, told):
    values = machine(schedule={"mode": "network", "places": places})
    with pytest.raises(ConfigError) as error:
        ran(values, chain(64))
    assert told in str(error.value)


def test_a_pinned_schedule_has_to_name_what_is_at_home_on_the_chip():
    values = machine(schedule={"mode": "network", "places": []})
    with pytest.raises(ConfigError, match=r"schedule.places: 'a.output' is at home on the chip, and has no place"):
        ran(values, chain(40, homes={"a.output": "chip"}))


def test_reports_are_the_same_for_any_number_of_workers_and_say_where_tensors_live():
    one, four = (accelsim.simulate(machine(2), chain(40, 4), workers=workers) for workers in (1, 4))
    assert to_json(one) == to_json(four)
    text = CliRunner().invoke(app, ["run", "tpu_v1", "onnx:squeezenet", "--network"]).stdout
    assert "live there between layers beside the tiles of its unit, up to" in " ".join(text.split())


def test_rows_of_a_sweep_are_those_of_simulate():
    arch, network = accelsim.load_arch(machine(2, True)), accelsim.load_network(chain(40, 4))
    context = evaluate.Context({"m": arch.document}, {"n": network}, None)
    for kib in (1, 2, 4, 1):
        for rows in (8, 16):
            sets = (("params.input_kib", kib), ("params.rows", rows))
            found = evaluate.run_point(context, evaluate.Job(f"{sets}", "m", "n", sets, OptionsSpec()))
            alone = ran(arch.replaced(sets), network)
            assert found.reason is None
            told = [found.totals[key] for key in ("cycles", "dram_bits", "total_energy_pj")]
            assert told == [alone.cycles, alone.dram_bits, alone.total_energy_pj]
