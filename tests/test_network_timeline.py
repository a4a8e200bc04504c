"""The network's one clock: given cases, the stepper, the timeline of one layer, accounts and the critical path."""

from dataclasses import replace
from fractions import Fraction

import pytest
from network_cases import CASES, ISOLATED, buses, layer, r, random_network

import accelsim
from accelsim.activity import Loop
from accelsim.errors import WorkloadError
from accelsim.memory import network, network_path, timeline
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program
from accelsim.memory.network_reference import stepped


@pytest.mark.parametrize("name", CASES)
def test_stepper_and_events_end_where_the_given_cases_end(name):
    programs, latency, end = CASES[name]
    assert stepped(programs, buses(latency)).cycles == end
    assert network.run(programs, buses(latency)).cycles == end


@pytest.mark.parametrize("name", ISOLATED)
def test_layer_by_layer_the_given_cases_take_what_is_given(name):
    programs, latency, _ = CASES[name]
    dram = buses(latency)["dram"]
    assert sum(timeline.run(program.schedule, dram).cycles for program in programs) == ISOLATED[name]
    alone = [[replace(program, producers=(), after=())] for program in programs]
    assert sum(stepped(one, buses(latency)).cycles for one in alone) == ISOLATED[name]
    assert sum(network.run(one, buses(latency)).cycles for one in alone) == ISOLATED[name]


@pytest.mark.parametrize("seed", range(120))
def test_events_are_what_stepping_gives(seed):
    programs, ports, prefetch = random_network(seed)
    assert network.run(programs, ports, prefetch) == stepped(programs, ports, prefetch)


@pytest.mark.parametrize("seed", range(120, 180))
def test_accounts_close_and_the_critical_path_sums_to_the_makespan(seed):
    programs, ports, prefetch = random_network(seed, rounds=60)
    found = network.run(programs, ports, prefetch)
    for unit in network.units_of(programs):
        mine = [span for program, span in zip(programs, found.layers, strict=True) if program.unit == unit]
        now = 0
        for span in mine:  # one behind the other, without a gap; what is left is the unit's tail
            assert span.begin_cycle == now
            waits = span.memory_cycles + span.conflict_cycles + span.idle_cycles
            assert span.cycles == span.work_cycles + waits
            assert min(span) >= 0
            now = span.end_cycle
        assert now <= found.cycles
        assert found.busy_cycles[unit] == sum(span.work_cycles for span in mine)
    assert found.cycles >= found.bound_cycles
    assert network_path.critical(programs, ports, prefetch).cycles == found.cycles


@pytest.mark.parametrize("seed", range(180, 210))
def test_a_path_is_the_same_in_small_windows(seed, monkeypatch):
    case = random_network(seed, rounds=60)
    whole = network_path.critical(*case)
    for name, size in (("WINDOW", 200), ("MARGIN", 100), ("JUMPS", 2)):
        monkeypatch.setattr(network_path, name, size)
    assert network_path.critical(*case) == whole


@pytest.mark.parametrize("seed", range(60))
def test_one_unit_layer_after_layer_is_one_schedule_of_all_tiles(seed):
    # without edges nothing but the unit's own order holds a tile up: the serial recurrence of one long layer
    programs, ports, _ = random_network(seed)
    ports = {"dram": ports["dram"]}
    plain = [_at_home(p) for p in programs if p.schedule]
    whole = tuple(item for program in plain for item in program.schedule)
    found = network.run(plain, ports)
    assert found.cycles == timeline.run(whole, ports["dram"]).cycles
    assert network.run(plain, ports, overlap=False) == found


def _at_home(program):
    """Return a program on unit A that reads no result and moves everything over DRAM."""

    def home(item):
        if isinstance(item, Loop):
            return Loop(item.repeat, tuple(map(home, item.body)))
        return item._replace(**{name: tuple(t._replace(place="dram") for t in getattr(item, name))
                                for name in ("loads", "before", "stores", "after")})  # fmt: skip

    return Program("A", program.layer, tuple(map(home, program.schedule)))


@pytest.mark.parametrize(
    ("machine", "net"),
    [("edge_npu", "mobilenet_v2"), ("edge_npu", "onnx:bvlc_alexnet"), ("eyeriss", "alexnet"), ("tpu_v1", "resnet50"),
     ("bitfusion", "bitfusion_cifar10"), ("eie", "eie_benchmarks")],
)  # fmt: skip
def test_each_layer_of_a_machine_alone_takes_as_long_as_its_own_timeline(machine, net):
    result = accelsim.simulate(machine, net, trace=True)
    for one in result.simulated:
        for prefetch in ("tile", "none"):
            found = network.run([Program("u", one.name, one.tiles.schedule)], {"dram": one.tiles.dram}, prefetch)
            assert found.cycles == one.cycles, one.name
            assert found.layers[0].work_cycles == one.compute_cycles


def test_a_resident_result_is_there_when_it_is_computed_and_another_when_it_is_stored():
    make = layer("A", (), (2, 4, 6, 30))
    assert network.run([make, layer("V", (0,), (0, 3, 9, 0))], buses()).layers[1].start_cycle == 6 + 6 + 30 + 3
    assert network.run([make, r("V", (0,), (0, 0, 9, 0))], buses()).layers[1].start_cycle == 6 + 6


def test_a_result_in_a_buffer_with_a_port_is_there_when_the_port_has_taken_it():
    port = DramModel(Fraction(1), 0, 1)
    make = layer("A", (), (2, 4, 6, 30))
    stores = make.schedule[0].stores[0]._replace(place="chip", run_bits=7)
    make = replace(make, schedule=(make.schedule[0]._replace(stores=(stores,)),))
    take = r("V", (0,), (0, 0, 9, 0))
    assert network.run([make, take], buses(port=port)).layers[1].start_cycle == 12 + 7
    assert network.run([make, take], buses()).layers[1].start_cycle == 12


def test_prefetch_of_constants_stops_at_the_room_they_have():
    # three tiles of 8,192 bits of constants and 20,000 cycles each behind a first layer of 30,000
    first = layer("A", (), (0, 0, 30_000, 0))
    rest = layer("A", (0,), *[(8192, 0, 20_000, 0)] * 3)

    def started(prefetch):
        return network.run([first, rest], buses(), prefetch).busy_cycles["dram"], [
            network.run([first, replace(rest, schedule=rest.schedule[:n])], buses(), prefetch).cycles for n in (1, 2, 3)
        ]

    assert started("none") == (3 * 8192, [58_192, 78_192, 98_192])
    assert started("tile") == (3 * 8192, [50_000, 70_000, 90_000])
    slow = {"dram": DramModel(Fraction(1, 2), 0, 1)}  # 16,384 cycles each: a second one fits under the first layer
    assert network.run([first, rest], slow, 1).cycles == 30_000 + 20_000 + 2 * (16_384 + 20_000)
    assert network.run([first, rest], slow, 3).cycles == 90_000


def test_an_engine_that_models_its_memory_has_machine_and_buses_for_itself():
    programs = [
        layer("A", (), (2, 4, 6, 3)), Program("B", "b", None, (Edge(0),), alone_cycles=100),
        layer("A", (1,), (5, 3, 12, 3)),
    ]  # fmt: skip
    found = network.run(programs, buses())
    assert found == stepped(programs, buses())
    assert [span.start_cycle for span in found.layers] == [6, 15, 115 + 8]
    assert found.layers[2].producer_cycles == 115 - 12
    assert network_path.critical(programs, buses()).by_resource() == {"A": 6 + 12, "dram": 6 + 3 + 8 + 3, "B": 100}


def test_side_by_side_more_than_a_hundred_million_tiles_are_refused_with_the_remedy():
    many = Loop(10**8, layer("A", (), (1, 1, 5, 1)).schedule)
    programs = [Program("A", "a", (many,)), layer("V", (), (1, 1, 5, 1))]
    with pytest.raises(WorkloadError, match=r"100,000,001 tiles of 2 units .*; choose larger tiles, .*overlap: false"):
        network.run(programs, buses())
    assert network.run(programs, buses(), overlap=False).cycles > 5 * 10**8


def test_a_billion_tiles_on_one_unit_and_cycles_beyond_64_bits_are_exact():
    body = layer("A", (), (1, 2, 7, 3), (9, 0, 2, 3)).schedule
    schedule = (Loop(10**9, (Loop(1000, body), body[0])), body[1])
    found = network.run([Program("A", "a", schedule)], buses())
    assert found.cycles == timeline.run(schedule, buses()["dram"]).cycles
    huge = (Loop(10**6, (body[0]._replace(compute_cycles=2**60),)),)
    assert network.run([Program("A", "a", huge)], buses(5)).cycles == timeline.run(huge, buses(5)["dram"]).cycles


def test_the_path_of_a_billion_tiles_says_what_binds():
    def path(w, c):
        programs = [Program("A", "a", (Loop(10**9, layer("A", (), (w, 0, c, 0)).schedule),))]
        return network_path.critical(programs, buses()).by_resource()

    assert path(3, 7) == {"A": 7 * 10**9, "dram": 3}
    assert path(7, 3) == {"A": 3, "dram": 7 * 10**9}
