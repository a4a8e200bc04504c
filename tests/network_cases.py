"""The eleven timeline cases whose ends are given, and random networks."""

from fractions import Fraction
from random import Random

from accelsim.activity import Loop, Step, Transfer
from accelsim.memory.dram import DramModel
from accelsim.memory.network import Edge, Program

ON_CHIP = "chip"


def buses(latency=0, port=None):
    """Return DRAM of one bit in a cycle, and a buffer."""
    return {"dram": DramModel(Fraction(1), latency, 1), ON_CHIP: port}


def moved(bits, tensor, direction="read", place="dram"):
    return (Transfer(tensor, direction, bits, place=place),) if bits else ()


def tile(w, x, c, s):
    return Step(moved(w, "weight") + moved(x, "input"), c, moved(s, "output", "write"))


def layer(unit, producers, *tiles, after=(), resident=False):
    """Return a program; ``tiles`` are weights, activations, computation and stores, each in cycles."""
    edges = tuple(Edge(p, ON_CHIP if resident else "dram") for p in producers)
    return Program(unit, unit, tuple(tile(*each) for each in tiles), edges, after)


def r(unit, producers, *tiles, after=()):
    return layer(unit, producers, *tiles, after=after, resident=True)


def hidden(w):
    return (layer("A", (), (3, 9, 20, 0)), r("A", (0,), (w, 0, 20, 0)), r("A", (1,), (w, 0, 20, 4)))


BUS = (layer("A", (), *[(5, 5, 4, 5)] * 3), layer("V", (), *[(0, 7, 3, 7)] * 3))


def room(after):
    edge = (1,) if after else ()
    return (
        layer("A", (), (2, 4, 6, 0)), r("V", (0,), (0, 0, 20, 4)), r("A", (0,), (5, 0, 8, 0), after=edge),
        r("A", (2,), (5, 0, 8, 3)),
    )  # fmt: skip


def ring(after):
    one, two = ((1,), (3,)) if after else ((), ())
    return (
        layer("A", (), (3, 5, 7, 0)), r("V", (0,), (0, 0, 9, 0)), layer("A", (), (3, 5, 7, 0), after=one),
        r("V", (2,), (0, 0, 9, 0)), layer("A", (), (3, 5, 7, 0), after=two), r("V", (4,), (0, 0, 9, 2)),
    )  # fmt: skip


CASES = {
    "one_unit_chain": ((layer("A", (), *[(4, 6, 10, 5)] * 2), layer("A", (0,), (8, 5, 6, 3))), 0, 52),
    "one_unit_resident": ((layer("A", (), *[(4, 6, 10, 0)] * 2), r("A", (0,), (8, 0, 6, 3))), 0, 39),
    "prefetch_hidden": (hidden(15), 0, 76),
    "prefetch_not_hidden": (hidden(30), 0, 96),
    "branch_two_units": (
        (layer("A", (), (2, 4, 6, 3)), layer("A", (0,), (5, 3, 12, 3)), layer("V", (0,), (0, 3, 9, 3)),
         layer("A", (1, 2), (4, 6, 8, 6))), 0, 56,
    ),
    "branch_resident": (
        (layer("A", (), (2, 4, 6, 0)), r("A", (0,), (5, 0, 12, 0)), r("V", (0,), (0, 0, 9, 0)),
         r("A", (1, 2), (4, 0, 8, 6))), 0, 38,
    ),
    "bus_contention": (BUS, 0, 87),
    "bus_contention_late": (BUS, 3, 87),
    "weights_ahead_of_wait": ((layer("V", (), (0, 10, 15, 10)), layer("A", (0,), (12, 10, 8, 5))), 0, 58),
    "room_edge": (room(True), 0, 51),
    "room_edge_ring": (ring(True), 0, 58),
    "no_room_edge": (room(False), 0, 36),
    "no_room_edge_ring": (ring(False), 0, 44),
}  # fmt: skip
"""Name -> programs, latency in cycles, end."""

ISOLATED = {
    "one_unit_chain": 57,
    "one_unit_resident": 47,
    "prefetch_hidden": 106,
    "prefetch_not_hidden": 136,
    "branch_two_units": 77,
    "branch_resident": 56,
    "bus_contention": 87,
    "bus_contention_late": 89,
    "weights_ahead_of_wait": 70,
}
"""Sum of the isolated layers."""


def random_network(seed, rounds=6):
    """Return (programs, buses, prefetch): one to three units, loops up to ``rounds``, latencies, places, rooms."""
    rng = Random(seed)
    units = "AVX"[: rng.randint(1, 3)]
    latency = rng.choice((0, 0, 3, 11))
    port = rng.choice((None, None, DramModel(Fraction(2), rng.choice((0, 2)), 1)))
    rate = Fraction(rng.choice((1, 2, 3)), rng.choice((1, 2)))
    ports = {"dram": DramModel(rate, latency, rng.choice((1, 4))), ON_CHIP: port}
    prefetch = rng.choice(("tile", "tile", "tile", "none", Fraction(rng.choice((6, 10, 25, 60)), 8192)))

    def some(most, share=0.6):
        return rng.randint(1, most) if rng.random() < share else 0

    def place():
        return ON_CHIP if rng.random() < 0.25 else "dram"

    def step():
        loads = moved(some(9), "weight", place=place()) + moved(some(9), "input", place=place())
        loads += moved(some(5, 0.1), "psum")
        seldom = moved(some(6, 0.1), rng.choice(("input", "weight"))), moved(some(6, 0.1), "psum", "write", place())
        return Step(loads, rng.randint(0, 12), moved(some(7, 0.5), "output", "write", place()), *seldom)

    def block(depth):
        items = [Loop(rng.randint(1, rounds), block(depth - 1)) if depth and rng.random() < 0.4 else step()
                 for _ in range(rng.randint(1, 2))]  # fmt: skip
        return tuple(items)

    programs = []
    for number in range(rng.randint(1, 6)):
        earlier = range(number)
        producers = [Edge(p, rng.choice(("dram", ON_CHIP))) for p in earlier if rng.random() < 1.2 / (number + 1)]
        after = tuple(p for p in earlier if rng.random() < 0.2)
        alone = rng.random() < 0.05
        schedule = None if alone else () if rng.random() < 0.03 else block(rng.randint(0, 2))
        unit = rng.choice(units)
        programs.append(
            Program(unit, f"{number}", schedule, tuple(producers), after, alone_cycles=rng.randint(1, 30) * alone)
        )
    return tuple(programs), ports, prefetch
