"""Kept storages in the cycles of a finished timeline: who writes over what, and when."""

import numpy as np
import pytest
import residency_reference as reference

from accelsim.activity import Step, Transfer
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program, run
from accelsim.passes.residency import Buffer, reside, room_edges
from accelsim.workload.storage import layout

BUSES = {"dram": DramModel(8, 3, 8), "l2": None}


def moves(rng, name, way, place="dram"):
    return (Transfer(name, way, int(rng.integers(1, 9)) * 8)._replace(place=place),)


def programs(found, kept, after, rng):
    """Return each layer that works with random tiles on one of two units, reading storages where they live."""
    made = []
    for at, name in enumerate(found.layers):
        edges, tiles = [], int(rng.integers(1, 4))
        for storage in found.storages:
            if at in storage.readers:
                place = "l2" if storage.name in kept.places else "dram"
                edges += [Edge(writer, place) for writer in storage.writers if writer < at]
        here = any(at in s.writers and s.name in kept.places for s in found.storages)
        steps = tuple(
            Step(moves(rng, "input", "read"), int(rng.integers(1, 30)),
                 moves(rng, "output", "write", "l2" if here else "dram"))
            for _ in range(tiles)
        )  # fmt: skip
        unit = "array" if rng.random() < 0.5 else "vector"
        made.append(Program(unit, name, steps, tuple(dict.fromkeys(edges)), after.get(at, ())))
    return made


def clashes(found, kept, spans):
    """Return pairs of kept storages that share addresses, the later written before all are done with the earlier."""
    held = sorted((s for s in found.storages if s.name in kept.places), key=lambda s: s.first)
    pairs = []
    for i, later in enumerate(held):
        for earlier in held[:i]:
            a, b = (kept.places[s.name].address_bits for s in (earlier, later))
            if a + earlier.bits <= b or b + later.bits <= a:
                continue
            done = max(spans[at].end_cycle for at in (*earlier.writers, *earlier.readers))
            if min(spans[at].start_cycle for at in later.writers) < done:
                pairs.append((earlier.name, later.name))
    return pairs


def timed(seed, overlap, edges=True):
    network, rng = reference.drawn(seed), np.random.default_rng(seed)
    found = layout(network)
    buffer = Buffer("l2", 8 * int(rng.integers(100, 900)))
    kept = reside(found.storages, [buffer], "exact", len(found.layers), overlap=overlap)
    after = room_edges(found.storages, kept) if edges else {}
    return found, kept, run(programs(found, kept, after, rng), BUSES).layers


@pytest.mark.parametrize("seed", range(500))
def test_no_two_kept_storages_are_alive_at_one_address_in_a_cycle(seed):
    for overlap in (False, True):
        assert clashes(*timed(seed, overlap)) == []


def test_without_room_edges_some_are():
    assert sum(bool(clashes(*timed(seed, False, edges=False))) for seed in range(100)) > 5
