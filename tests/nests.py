"""Random small nests and tilings: what the tests and benchmarks/accept share."""

from __future__ import annotations

import random
from math import prod

from accelsim.mapping.brute import KEYS, BruteNest
from accelsim.mapping.loopnest import ORDERS, LoopNest, Tile, Tiling, Widths
from accelsim.stepped import Ledger
from accelsim.tiled.nest import DIMS, Cut, Factor, Level, Mapping, Nest, Problem
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d


class Stepped(BruteNest):
    """A cut layer stepped tile by tile; tensors at home do not move. ``known`` is shared by all cuts of a layer."""

    def __init__(self, conv, mapping, widths, dram, resident, known):
        self.known = known
        super().__init__(conv, mapping, widths._asdict(), Ledger(dram), resident)

    def schedule(self, cycles):
        """Return every step; ``cycles`` are those of a `Tile`, whose input region nobody asks for."""
        for tile, computed in self.walk():
            computed.append(cycles(Tile(*(len(tile[axis]) for axis in "gnefkc"), 0, 0)))
        return tuple(self.ledger.steps)

    def largest_bits(self):
        """Return the bits of the largest tile of inputs, of weights and of sums."""
        for _ in self.walk():
            pass
        return {tensor: max(bits) for tensor, bits in self._peak.items()}

    def _addresses(self, tensor, tile):
        key = (tensor, *(tile[axis] for axis in KEYS[tensor]))
        if key not in self.known:
            self.known[key] = super()._addresses(tensor, tile)
        return self.known[key]


MOST_STEPS = 3000


def steps(nest: Nest) -> int:
    """Return how many innermost steps, over all instances, a nest takes at most: what brute force costs."""
    return prod(x.times for cut in nest.mapping.cuts for x in (*cut.loops, *cut.spatial))


def random_nest(seed: int) -> Nest:
    """Return a small nest of two to four levels; factors need not divide, tensors may be kept anywhere."""
    rng = random.Random(seed)
    while True:
        nest = _nest(rng)
        if steps(nest) <= MOST_STEPS:
            return nest


def _nest(rng: random.Random) -> Nest:
    number = rng.randint(2, 4)
    sizes = {dim: rng.randint(1, 6) for dim in rng.sample(DIMS, rng.randint(1, 5))}
    timed: list[list[Factor]] = [[] for _ in range(number)]
    spread: list[list[Factor]] = [[] for _ in range(number)]
    for dim, size in sizes.items():
        slots = sorted(rng.choices(range(2 * number), k=rng.randint(1, 3)))
        for i, slot in enumerate(slots):
            factor = size if i == len(slots) - 1 else rng.randint(1, min(size, 3))
            size = ceil_div(size, factor)
            (spread if slot % 2 else timed)[slot // 2].append(Factor(dim, factor))
    levels, cuts = [], []
    for i in range(number):
        rng.shuffle(timed[i])
        rng.shuffle(spread[i])
        keeps = "".join(t for t in "WIO" if i == 0 or rng.random() < 0.75)
        levels.append(
            Level(f"L{i}", (10**6,), halo=rng.choice(("keep", "refetch")), multicast=rng.random() < 0.7,
                  neighbours=rng.random() < 0.4, reduce=rng.random() < 0.7)
        )  # fmt: skip
        cuts.append(Cut(tuple(timed[i]), tuple(spread[i]), keeps))
    pairs = [(rng.randint(1, 3), rng.randint(1, 3)) for _ in range(2)]
    image = ((rng.randint(0, 3), rng.randint(1, 10)), (rng.randint(0, 3), rng.randint(1, 10)))
    problem = Problem(
        **{dim.lower(): size for dim, size in sizes.items()}, stride=pairs[0], dilation=pairs[1],
        image=image if rng.random() < 0.5 else None,
    )  # fmt: skip
    return Nest(problem, tuple(levels), Mapping(tuple(cuts)))


def random_tiling(seed: int) -> LoopNest:
    """Return a random convolution, cut at random, its elements one bit wide."""
    rng = random.Random(seed)
    r = rng.randint
    while True:
        groups = rng.choice((1, 1, 1, 2, 3))
        conv = Conv2d(
            n=r(1, 4), c=groups * r(1, 9), k=groups * r(1, 9), h=r(3, 14), w=r(3, 14), r=r(1, 4), s=r(1, 4),
            groups=groups, stride=(r(1, 3), r(1, 3)), pad=(r(0, 3), r(0, 3), r(0, 3), r(0, 3)),
            dilation=(r(1, 2), r(1, 2)),
        )  # fmt: skip
        if conv.e > 0 and conv.f > 0:
            break
    kg, cg, whole = conv.k // groups, conv.c // groups, rng.random() < 0.2
    tiling = Tiling(
        groups=r(1, groups) if whole else 1, n=r(1, conv.n), e=r(1, conv.e), f=r(1, conv.f),
        k=kg if whole else r(1, kg), c=cg if whole else r(1, cg), order=rng.choice(ORDERS),
    )  # fmt: skip
    return LoopNest(conv, tiling, Widths(1, 1, 1, 1))
