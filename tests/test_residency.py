"""Who gets room, and where: every planner beside what is written from the definition."""

import csv
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import residency_reference as reference

from accelsim.passes import addresses, residency
from accelsim.passes.addresses import Block
from accelsim.passes.choice import Item, choose
from accelsim.passes.fold import fold
from accelsim.passes.residency import PLANNERS, Buffer, arena_bits, reside, room_edges
from accelsim.planning import plan
from accelsim.workload.lifetimes import lifetime_names
from accelsim.workload.load import load_network
from accelsim.workload.storage import Storage, layout

CAPACITIES = (64, 200, 333, 512, 1024, 4096)
"""Bytes, of drawn networks."""


def storages(*rows):
    """Return storages of (bytes, first, last, moved bytes)."""
    return [Storage(f"s{i}", (f"s{i}",), 8 * size, a, b, 8 * moved) for i, (size, a, b, moved) in enumerate(rows)]


def drawn_items(rng, count, rooms):
    end = len(rooms[0])
    items = []
    for _ in range(count):
        first = int(rng.integers(end))
        size = int(rng.integers(1, 40))
        sizes = tuple(-(-size // step) * step for step in (1, 4)[: len(rooms)])
        items.append((int(rng.integers(0, 60)), first, min(end - 1, first + int(rng.integers(0, 5))), sizes))
    return items


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("count", [1, 2])
def test_the_exact_choice_is_the_best_of_all(seed, count):
    rng = np.random.default_rng(seed)
    rooms = [[int(rng.integers(10, 90)) for _ in range(8)] for _ in range(count)]
    items = drawn_items(rng, 9 if count == 1 else 6, rooms)
    found = choose([Item(*item) for item in items], rooms)
    assert found.value([Item(*item) for item in items]) == found.bound == reference.best(items, rooms)
    for b, room in enumerate(rooms):
        for position, most in enumerate(room):
            held = [item[3][b] for item, at in zip(items, found.rooms, strict=True) if at == b]
            alive = [i for i in items if i[1] <= position <= i[2]]
            held = [item[3][b] for item, at in zip(items, found.rooms, strict=True) if at == b and item in alive]
            assert sum(held) <= most


@pytest.mark.parametrize("seed", range(24))
def test_a_choice_that_only_rounding_makes_legal_is_not_taken(seed):
    """Room for all but one unit of what is worth most: sizes of 16 million are within the solver's tolerance of it."""
    rng = np.random.default_rng(seed)
    sizes = [int(size) for size in rng.integers(2**23, 2**24, 7)]
    values = [int(value) + 100 * (i < 3) for i, value in enumerate(rng.integers(1, 100, 7))]
    items = [(value, 0, 0, (size,)) for value, size in zip(values, sizes, strict=True)]
    room = [[sum(sizes[:3]) - 1]]
    found = choose([Item(*item) for item in items], room)
    assert found.value([Item(*item) for item in items]) == found.bound == reference.best(items, room)
    assert sum(size for size, at in zip(sizes, found.rooms, strict=True) if at == 0) <= room[0][0]


def test_a_search_cut_short_says_so():
    rng = np.random.default_rng(1)
    rooms = [[1000] * 40]
    items = [Item(*item) for item in drawn_items(rng, 150, rooms)]
    items = [item._replace(sizes=(item.sizes[0] * 17 + 3,), last=min(39, item.first + 12)) for item in items]
    cut, whole = choose(items, rooms, nodes=0), choose(items, rooms)
    assert cut.value(items) <= whole.value(items) == whole.bound <= cut.bound


@pytest.mark.parametrize("seed", range(150))
def test_addresses_are_exact_where_first_fit_fails(seed):
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(6):
        first = int(rng.integers(4))
        blocks.append(Block(int(rng.integers(1, 9)), first, first + int(rng.integers(3)), 0))
    peak = max(sum(b.size for b in blocks if b.first <= t <= b.last) for t in range(7))
    blocks = [block._replace(limit=peak) for block in blocks]
    found = addresses.exact(blocks)
    assert (found is not None) == reference.placeable(blocks)
    if found is not None:
        assert reference.apart(blocks, found)
    for _, fitted in addresses.attempts(blocks):
        if (whole := addresses.whole(fitted)) is not None:
            assert reference.apart(blocks, whole)


def test_an_order_of_blocks_that_rounding_made_legal_is_no_answer():
    block = Block(2, 0, 0, 3)
    assert addresses._replayed([block, block], [0.0, 1.0]) is None
    assert addresses._replayed([block, block._replace(limit=4)], [0.0, 1.9999999]) == [0, 2]


def test_a_peak_that_no_addresses_reach_is_no_optimum():
    """At most 7 are alive at once, and yet nine blocks need more: all their orders were tried."""
    lives = [(1, 4, 5), (1, 0, 2), (2, 0, 3), (3, 5, 7), (3, 3, 6), (1, 6, 6), (4, 7, 7), (2, 3, 4), (4, 2, 2)]
    assert max(sum(size for size, a, b in lives if a <= t <= b) for t in range(8)) == 7
    held = storages(*((*life, 10 + i) for i, life in enumerate(lives)))
    assert arena_bits(held, "exact", 8) == 8 * 8
    found = reside(held, [Buffer("chip", 8 * 7)], "exact", 8)
    assert found.proof == "bounded"
    assert found.bound_bits == 0
    assert found.dropped == ("s0",)
    assert found.moved_bits == 8 * 10


@pytest.mark.parametrize("seed", range(500))
def test_on_random_networks_no_two_live_storages_overlap_and_every_read_finds_what_was_written(seed):
    network = reference.drawn(seed)
    found = layout(network)
    positions = len(found.layers)
    moved = {}
    for size in CAPACITIES:
        for planner in PLANNERS:
            kept = reside(found.storages, [Buffer("chip", 8 * size)], planner, positions)
            held = [s for s in found.storages if s.name in kept.places]
            assert {s.role for s in held} <= {"inner"}
            blocks = [(s.bits, s.first, s.last, 8 * size) for s in held]
            assert reference.apart(blocks, [kept.places[s.name].address_bits for s in held])
            left = sum(s.moved_bits for s in found.storages if s.name not in kept.places)
            assert kept.moved_bits == left >= kept.bound_bits
            reference.replay(network, found, {name: place.address_bits // 8 for name, place in kept.places.items()})
            moved[size, planner] = kept
    exact = [moved[size, "exact"] for size in CAPACITIES]
    assert all(less.bound_bits <= more.bound_bits for more, less in pairwise(exact))
    assert all(less.moved_bits <= more.moved_bits for more, less in pairwise(exact))
    for size in CAPACITIES:
        for planner in ("greedy", "tflm"):
            assert moved[size, planner].moved_bits >= moved[size, "exact"].bound_bits
    assert exact[-1].proof == "optimal"
    assert exact[-1].moved_bits == sum(s.moved_bits for s in found.storages if s.role != "inner")


@pytest.mark.parametrize("seed", [seed for seed in range(220) if not layout(reference.drawn(seed)).copies])
def test_layers_in_any_order_that_keeps_room_edges_find_what_was_written(seed):
    network = reference.drawn(seed)
    found = layout(network)
    rng = np.random.default_rng(seed)
    for size in CAPACITIES:
        kept = reside(found.storages, [Buffer("chip", 8 * size)], "exact", len(found.layers))
        places = {name: place.address_bits // 8 for name, place in kept.places.items()}
        edges = room_edges(found.storages, kept)
        assert all(max(ahead) < position for position, ahead in edges.items())
        for _ in range(8):
            reference.replay(network, found, places, reference.another_order(network, edges, rng))


def test_room_edges_lead_from_all_that_touch_the_last_occupants_to_all_writers():
    def storage(name, first, last, writers, readers, size=100):
        return Storage(name, (name,), 8 * size, first, last, 1, "inner", writers, readers)

    held = [storage("a", 0, 1, (0,), (1,)), storage("b", 2, 4, (2, 3), (4,)), storage("c", 5, 6, (5,), (6,), 50),
            storage("d", 7, 8, (7,), (8,))]  # fmt: skip
    kept = reside(held, [Buffer("chip", 8 * 100)], "exact", 9)
    assert room_edges(held, kept) == {2: (0, 1), 3: (0, 1), 5: (2, 3, 4), 7: (2, 3, 4, 5, 6)}
    apart = reside(held, [Buffer("chip", 8 * 100), Buffer("other", 8 * 100)], "exact", 9)
    assert room_edges(held, apart) == room_edges(held, kept)  # all in the first
    assert room_edges(held[:2], reside(held[:1], [Buffer("chip", 8 * 100)], "exact", 9)) == {}


def test_with_overlap_storages_keep_their_addresses_as_long_as_there_is_room():
    held = [Storage("a", ("a",), 800, 0, 1, 1, "inner", (0,), (1,)),
            Storage("b", ("b",), 800, 2, 4, 1, "inner", (2, 3), (4,))]  # fmt: skip
    tight, wide = (reside(held, [Buffer("chip", 8 * size)], "exact", 5, overlap=True) for size in (100, 200))
    assert (tight.slack, wide.slack) == (0, residency.MOST_SLACK)
    assert room_edges(held, tight) == {2: (0, 1), 3: (0, 1)}
    assert room_edges(held, wide) == {}
    assert tight.moved_bits == wide.moved_bits == 0


def test_longer_lives_that_cannot_fit_are_not_tried():
    blocks = [addresses.Block(60, 0, 1, 100), addresses.Block(50, 2, 3, 100)]
    assert addresses.may_fit(blocks, 4)
    assert not addresses.may_fit([blocks[0]._replace(last=2), blocks[1]], 4)
    assert addresses.may_fit([addresses.Block(100, 0, 3, 100)], 4)
    assert not addresses.may_fit([addresses.Block(101, 0, 3, 100)], 4)
    rng = np.random.default_rng(3)
    for _ in range(200):
        some = []
        for _ in range(6):
            size, first, life = (int(n) for n in rng.integers((10, 0, 0), (60, 6, 4)))
            some.append(addresses.Block(size, first, min(first + life, 5), 100))
        if any(addresses.whole(found) for _, found in addresses.attempts(some)):
            assert addresses.may_fit(some, 6)


@pytest.mark.parametrize(("size", "slack"), [(1_161_600, 0), (1_355_199, 0), (1_355_200, 1)])
def test_googlenet_has_slack_where_the_room_is_as_another_planner_found(size, slack):
    found = layout(fold(load_network("onnx:inception_v1")).network)
    kept = reside(found.storages, [Buffer("chip", 8 * size)], "exact", len(found.layers), overlap=True)
    assert kept.slack == slack
    blocks = [(s.bits, s.first, min(s.last + slack, 74), 8 * size) for s in found.storages if s.name in kept.places]
    assert len(blocks) == 47
    held = [s for s in found.storages if s.name in kept.places]
    assert reference.apart(blocks, [kept.places[s.name].address_bits for s in held])


@pytest.mark.parametrize("seed", range(40))
def test_the_exact_plan_of_a_random_network_is_the_best_of_all_subsets(seed):
    found = layout(reference.drawn(seed, layers=7))
    wanted = [s for s in found.storages if s.role == "inner"][:10]
    positions = len(found.layers)
    for size in CAPACITIES:
        items = [(s.moved_bits, s.first, s.last, (s.bits,)) for s in wanted]
        kept = reside(wanted, [Buffer("chip", 8 * size)], "exact", positions)
        most = sum(s.moved_bits for s in wanted)
        assert kept.bound_bits == most - reference.best(items, [[8 * size] * positions])


def test_the_example_of_the_decision():
    a, d = (100, 0, 2, 300), (200, 1, 3, 400)
    kept = {size: reside(storages(a, d), [Buffer("chip", 8 * size)], "exact", 4) for size in (99, 100, 200, 300)}
    assert {size: set(found.places) for size, found in kept.items()} == {
        99: set(), 100: {"s0"}, 200: {"s1"}, 300: {"s0", "s1"},
    }  # fmt: skip
    assert [found.moved_bits // 8 for found in kept.values()] == [700, 400, 300, 0]


def test_greedy_takes_the_best_per_byte_and_position():
    held = storages((60, 0, 0, 120), (50, 0, 0, 110), (50, 0, 0, 105))
    assert set(reside(held, [Buffer("chip", 8 * 100)], "greedy", 1).places) == {"s1", "s2"}
    held = storages((100, 0, 1, 220), (100, 1, 1, 200))
    assert set(reside(held, [Buffer("chip", 8 * 100)], "greedy", 2).places) == {"s1"}


def test_several_buffers_share_what_fits_none_of_them_alone():
    held = storages((60, 0, 0, 6), (50, 0, 0, 5), (40, 0, 0, 4))
    buffers = [Buffer("a", 8 * 90), Buffer("b", 8 * 60)]
    found = reside(held, buffers, "exact", 1)
    assert found.moved_bits == 0
    assert {name: place.buffer for name, place in found.places.items()} == {"s0": "b", "s1": "a", "s2": "a"}
    assert residency.used_bits(held, found, buffers[0]) == 8 * 90
    assert reside(held, buffers, "greedy", 1).moved_bits == 8 * 4  # the first filled the larger one


def test_what_is_set_aside_for_tiles_lies_above_what_stays():
    held = storages((60, 0, 1, 6), (40, 1, 2, 4))
    buffer = Buffer("ub", 8 * 100, reserved_bits=(0, 0, 8 * 50))
    found = reside(held, [buffer], "exact", 3)
    assert found.places["s0"].address_bits == 8 * 40
    assert found.places["s1"].address_bits == 0
    tight = Buffer("ub", 8 * 100, reserved_bits=(0, 0, 8 * 61))
    assert set(reside(held, [tight], "exact", 3).places) == {"s0"}


def test_addresses_and_sizes_keep_the_alignment_of_a_buffer():
    held = storages((10, 0, 0, 1), (10, 0, 0, 1), (10, 0, 0, 1))
    found = reside(held, [Buffer("chip", 8 * 40, align_bits=128)], "exact", 1)
    assert sorted(place.address_bits for place in found.places.values()) == [0, 128]


@pytest.mark.parametrize("seed", range(100))
def test_the_arena_of_tflm_is_the_one_of_its_text(seed):
    rng = np.random.default_rng(seed)
    rows = [(int(rng.integers(1, 90)), int(a := rng.integers(9)), int(a + rng.integers(4)), 1) for _ in range(12)]
    arena = reference.tflm_arena([r[0] for r in rows], [r[1:3] for r in rows])
    assert arena_bits(storages(*rows), "tflm", 13) == 8 * arena


def test_the_greedy_arena_of_vww96_wastes_a_third():
    assert "lifetimes:mlperf_tiny_vww96" in lifetime_names()
    sizes = [plan("lifetimes:mlperf_tiny_vww96", capacity_kib=64, planner=p).peak_bits // 8 for p in ("tflm", "exact")]
    assert sizes == [73_728, 55_296]


def test_first_fit_starts_again_with_what_found_no_place():
    found = plan("net:mobilenet_v2", capacity_kib=256, fold="unary")
    assert found.residency.addresses == "first fit, largest, repaired"
    assert found.proof == "optimal"


def test_exact_addresses_come_after_first_fit(monkeypatch):
    monkeypatch.setattr(addresses, "ROUNDS", 0)
    found = plan("net:mobilenet_v2", capacity_kib=256, fold="unary")
    assert found.residency.addresses == residency.EXACT
    assert found.proof == "optimal"
    blocks = [(s.bits, s.first, s.last, found.capacity_bits) for s in found.kept]
    assert reference.apart(blocks, [found.residency.places[s.name].address_bits for s in found.kept])


def shared_lifetimes():
    folder = os.environ.get("ACCELSIM_DATA")
    path = Path(folder, "network_lifetimes.csv") if folder else None
    if path is None or not path.is_file():
        pytest.skip("ACCELSIM_DATA does not name a folder with network_lifetimes.csv")
    return path


@pytest.mark.parametrize("name", ["net:mobilenet_v2", "onnx:resnet50", "onnx:inception_v1", "onnx:squeezenet"])
def test_storages_are_those_that_another_planner_found(name):
    rows = csv.DictReader(shared_lifetimes().read_text().splitlines())
    known = {"net:mobilenet_v2": "mobilenet_v2_connected"}.get(name, name)
    columns = ("bytes", "first", "last", "moved_bytes", "is_network_input_or_output")
    theirs = sorted(tuple(int(row[c]) for c in columns) for row in rows if row["network"] == known)
    found = plan(name, capacity_kib=1, fold="unary").storages
    ours = [(s.bits // 8, s.first, s.last, s.moved_bits // 8, int(s.role != "inner")) for s in found]
    assert sorted(ours) == theirs


def test_the_packaged_table_is_that_of_the_shared_data():
    path = shared_lifetimes()
    for name in lifetime_names():
        ours = plan(name, capacity_kib=64)
        theirs = plan(str(path), capacity_kib=64, only=name.removeprefix("lifetimes:"))
        assert ours.storages == theirs.storages
