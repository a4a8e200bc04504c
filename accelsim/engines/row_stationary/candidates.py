"""Which mappings are worth trying, and what the mapper's objective needs of each, as columns.

Between two break-points of a loop count a smaller factor makes the same passes with less to move, so only the
smallest factor of each count is kept. Candidates are walked in the order of `least`, until that rules out the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np

from accelsim.config.schema import MappingSpec
from accelsim.engines.row_stationary import least, traffic
from accelsim.engines.row_stationary.cut import MOST_PASSES, Cut
from accelsim.engines.row_stationary.fmaps import Fmap
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf, choose, dynamic_pj, keys_of
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d

FIELDS = ("m", "n", "e", "p", "q", "r", "t")
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096)
"""Into how many blocks of m the filters are cut."""
AT_A_TIME = 8192
"""Mappings whose bounds are computed together."""
SEEDS = 16
"""Candidates that are walked first, to tell which others need no better look."""
MOST_WALKED, MOST_OF_SMALL = 256, 2048
"""Candidates that are walked at most: each takes milliseconds, or some tenths of one where multiplications are few."""
SMALL_MACS = 1 << 22


@cache
def breakpoints(size: int, most: int) -> tuple[int, ...]:
    """Return the smallest factor for each value of ``ceil(size / factor)``, in ascending order, up to ``most``."""
    return tuple(f for f in range(1, min(size, most) + 1) if ceil_div(size, ceil_div(size, f)) == f)


def mappings(conv: Conv2d, params: Params) -> Candidates:
    """Return the mappings that fit, those with more PEs in use first. Filters are cut evenly, as `SPLITS` says.

    More banks only add to them.

    Raises
    ------
    MappingError
        Nothing fits: says what the smallest mapping lacks.
    """
    return _in_order(np.concatenate([_even(conv, filled) for filled in _filled(conv, params)]))


def best(
    conv: Conv2d, params: Params, dram: DramModel, objective: str, price: PriceOf = lambda *_: 0.0,
    leak_pj_per_cycle: float = 0.0,
) -> Choice:  # fmt: skip
    """Return the best of `mappings`, of which only the most promising are kept.

    Under the authors' objective, which prefers the largest m that fits, those with that m are the list.
    """
    if objective == "engine":
        return _of_own(conv, params)
    spec = MappingSpec.model_validate({"objective": objective})
    if objective != "cycles" and objective != "dram":
        return _of_energy(conv, params, dram, spec, price, leak_pj_per_cycle)
    found = _filled(conv, params)
    floors = [_floor(conv, params, dram, objective, rows) for rows in found]
    order = np.argsort(np.concatenate(floors), kind="stable")
    kept = _promising(conv, params, dram, objective, np.concatenate(found)[order[:SEEDS]])
    enough = kept[:1, 0]  # what the best is no worse than
    if objective == "cycles":
        enough = _timed(conv, params, dram, _columns(kept[:SEEDS, 2:]), np.arange(len(kept[:SEEDS])))
    for rows, floor in zip(found, floors, strict=True):
        if not (good := floor <= enough.min()).any():
            continue
        some = _promising(conv, params, dram, objective, rows[good])
        kept = np.concatenate([kept, some[some[:, 0] <= enough.min()]])
        kept = np.unique(kept, axis=0)[: most_walked(conv) + 1]
    columns = _in_order(kept[:, 2:])
    others = sum(len(_even(conv, rows)) for rows in found) - len(kept)
    return choose(columns, bounds(conv, params, dram, columns)._replace(others=others), spec, lambda *_: 0.0)


@lru_cache(maxsize=4096)
def _of_own(conv: Conv2d, params: Params) -> Choice:
    """Return the best by the authors' objective, which knows no DRAM; of the others only the next is kept."""
    from accelsim.engines.row_stationary.list_kernel import listed

    rows, scores = np.zeros((2, len(FIELDS)), dtype=np.int64), np.full(2, np.inf)
    layer, number = layer_row(conv), 0
    for r, machine in _machines(conv, params):
        number += listed(layer, machine, r, rows, scores)
    if not number:
        raise _nothing_fits(conv, params)
    columns = _columns(rows[:number])
    nothing = np.zeros(len(rows[:number]), dtype=np.int64)
    told = Bounds(nothing, nothing, {}, own(conv, params, columns))
    spec = MappingSpec.model_validate({"objective": "engine"})
    return choose(columns, told, spec, lambda *_: 0.0)._replace(candidates=number)


@lru_cache(maxsize=256)
def best_of_own(layers: bytes, params: Params) -> tuple[tuple[int, ...], ...]:
    """Return the best of each layer by the authors' objective, in the order of `FIELDS`; zeros where none fits.

    ``layers`` are the bytes of their `layer_row`, one behind the other.
    """
    from accelsim.engines.row_stationary.list_kernel import LAYER
    from accelsim.engines.row_stationary.own_kernel import best_of_own as kernel

    rows = np.frombuffer(layers, dtype=np.int64).reshape(-1, len(LAYER))
    found = np.empty((len(rows), len(FIELDS)), dtype=np.int64)
    kernel(rows, _machine(params, 0), params.rows, found)
    return tuple(map(tuple, found.tolist()))


def _of_energy(
    conv: Conv2d, params: Params, dram: DramModel, spec: MappingSpec, price: PriceOf, leak_pj_per_cycle: float
) -> Choice:
    """Return the best under an energy objective: `choose` among all, of which those are kept that it may walk."""
    number, wide = 0, len(FIELDS)
    kept = np.empty((0, wide + 5))  # mapping, score, cycles, DRAM bits, PEs not in use, place before these count
    some: Iterable[tuple[np.ndarray, np.ndarray]]
    if spec.objective == "energy" and not leak_pj_per_cycle:  # then no speed of DRAM decides, ties apart
        any_speed = DramModel(Fraction(1), 0, dram.burst_bits)
        prices = tuple((key, price(*key)) for key in _priced(conv, params, any_speed))
        rows, places, number = _cheapest(conv, params, any_speed, prices)
        some = ((rows, places),)
    else:
        some = _numbered(conv, params)
    for rows, places in some:
        told = bounds(conv, params, dram, columns := _columns(rows))
        keys = keys_of(told, spec.objective, price, leak_pj_per_cycle)(np.arange(len(rows)), told.cycles)
        unused = -columns["e"] * columns["r"] * columns["t"]
        kept = np.concatenate([kept, np.column_stack([rows, keys[:, :3], unused, places])])
        kept = kept[np.lexsort(kept[:, wide:].T[::-1])[: most_walked(conv) + 1]]
        number = max(number, int(places[-1]) + 1)
    columns = _in_order(kept[np.argsort(kept[:, -1]), :wide].astype(np.int64))
    told = bounds(conv, params, dram, columns)._replace(others=number - len(kept))
    return choose(columns, told, spec, price, leak_pj_per_cycle)


def _numbered(conv: Conv2d, params: Params) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all candidates, some thousand at a time, and their places in the list."""
    number = 0
    for filled in _filled(conv, params):
        rows = _even(conv, filled)
        yield rows, number + np.arange(len(rows))
        number += len(rows)


@lru_cache(maxsize=1024)
def _priced(conv: Conv2d, params: Params, dram: DramModel) -> tuple[tuple[str, str], ...]:
    """Return what an energy objective asks the prices of."""
    told = bounds(conv, params, dram, _columns(np.ones((1, len(FIELDS)), dtype=np.int64)))
    return (*told.traffic, *told.events)


@lru_cache(maxsize=1024)
def _cheapest(
    conv: Conv2d, params: Params, dram: DramModel, prices: tuple[tuple[tuple[str, str], float], ...]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the candidates of least energy, as many as may be walked and all that cost as little, in the list's order.

    Returns
    -------
    tuple
        Rows, their places in the list, and how many candidates there are. Of ``dram`` only whole bursts count.
    """
    known, most = dict(prices), most_walked(conv) + 1
    kept, places, scores, number = np.empty((0, len(FIELDS)), np.int64), np.empty(0, np.int64), np.empty(0), 0
    limit = np.inf  # more than the last of those that may be walked costs nothing that is kept

    def energy(columns: Candidates, read: np.ndarray, write: np.ndarray) -> np.ndarray:
        return dynamic_pj(traffic.charged(conv, params, columns, read, write), lambda *key: known[key])

    for rows, mine in _numbered(conv, params):
        number += len(rows)
        columns = _columns(rows)
        floors = energy(columns, *traffic.least_moved(conv, params, columns))
        hopeful = np.flatnonzero(floors <= limit)
        if len(hopeful) > most:
            hopeful = hopeful[np.argpartition(floors[hopeful], most)]
        for some in (hopeful[:most], hopeful[most:]):  # what the first cost rules out most of the others
            some = some[floors[some] <= limit]
            if not len(some):
                continue
            columns = _columns(rows[some])
            told = traffic.moved(conv, params, dram, columns)
            kept, places = np.concatenate([kept, rows[some]]), np.concatenate([places, mine[some]])
            scores = np.concatenate([scores, energy(columns, told.weights + told.inputs, told.outputs)])
            if len(scores) > most:
                limit = np.partition(scores, most - 1)[most - 1]
                good = scores <= limit
                kept, places, scores = kept[good], places[good], scores[good]
    order = np.argsort(places)
    return kept[order], places[order], number


def most_walked(conv: Conv2d) -> int:
    """Return how many candidates of a layer are walked at most."""
    return MOST_WALKED if conv.macs > SMALL_MACS else MOST_OF_SMALL


def _promising(conv: Conv2d, params: Params, dram: DramModel, objective: str, filled: np.ndarray) -> np.ndarray:
    """Return the even cuts with the least bounds of some mappings, best first: score, the other figure, mapping."""
    rows = _even(conv, filled)
    *bits, alone = traffic.moved(conv, params, dram, columns := _columns(rows))
    figures = [least.layer_cycles(conv, params, dram, columns, alone), sum(bits)]
    if objective == "dram":
        figures.reverse()
    return np.unique(np.column_stack([*figures, rows]), axis=0)[: most_walked(conv) + 1]


def _floor(conv: Conv2d, params: Params, dram: DramModel, objective: str, rows: np.ndarray) -> np.ndarray:
    """Return the cycles or DRAM bits that mappings do not undercut however the filters are cut into blocks."""
    columns = _columns(rows) | {"m": np.full(len(rows), conv.k // conv.groups)}
    weights, inputs, _, alone = traffic.moved(conv, params, dram, columns)
    of_maps = inputs + conv.n * conv.k * conv.e * conv.f * params.word_bits
    if objective == "dram":
        return of_maps + weights
    return least.floor_cycles(conv, params, dram, columns, alone.loads, of_maps, of_maps + weights)


def _columns(rows: np.ndarray) -> Candidates:
    return dict(zip(FIELDS, rows.T.copy(), strict=True))


def _in_order(rows: np.ndarray) -> Candidates:
    """Return rows as columns, those with more PEs in use first."""
    used = rows[:, 2] * rows[:, 5] * rows[:, 6]
    return _columns(rows[np.argsort(-used, kind="stable")])


def _even(conv: Conv2d, filled: np.ndarray) -> np.ndarray:
    """Return for mappings with the largest m that fits those with each m that cuts the filters evenly, as rows."""
    filters, step = conv.k // conv.groups, filled[:, 3] * filled[:, 6]
    passes, before, found = -(-filters // step), np.zeros_like(step), []
    for blocks in SPLITS:
        if (before == 1).all():  # each block is one pass
            break
        of_block = -(-passes // blocks)
        m = np.minimum(of_block * step, filters)
        rows = np.flatnonzero((m <= filled[:, 0]) & (of_block != before))
        found.append(filled[rows])
        found[-1][:, 0], before = m[rows], of_block
    return np.concatenate(found)


def _filled(conv: Conv2d, params: Params) -> list[np.ndarray]:
    """Return the mappings that fit, with the largest m, as rows, some thousand at a time; MappingError if none fits."""
    rows = np.concatenate(list(_listed(conv, params)))
    return np.array_split(rows, ceil_div(len(rows), AT_A_TIME))


def _listed(conv: Conv2d, params: Params) -> Iterator[np.ndarray]:
    """Yield the mappings that fit, with the largest m, as rows, those of one r at a time; MappingError if none fits."""
    from accelsim.engines.row_stationary.list_kernel import listed

    layer, none = layer_row(conv), True
    for r, machine in _machines(conv, params):
        rows = np.empty((listed(layer, machine, r, np.empty((0, 7), dtype=np.int64), None), 7), dtype=np.int64)
        listed(layer, machine, r, rows, None)
        if len(rows):
            none = False
            yield rows
    if none:
        raise _nothing_fits(conv, params)


def layer_row(conv: Conv2d) -> np.ndarray:
    """Return a layer as `list_kernel` takes it."""
    strip_words = conv.stride[1] * (conv.f - 1) + conv.s
    return np.array(
        [conv.c // conv.groups, conv.k // conv.groups, conv.n, conv.e, conv.f, conv.r, conv.s, conv.stride[0],
         strip_words, conv.groups], dtype=np.int64,
    )  # fmt: skip


def _machines(conv: Conv2d, params: Params) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each r worth trying, and the machine with it as `list_kernel` takes it."""
    for r in breakpoints(conv.c // conv.groups, params.rows // conv.r):
        yield r, _machine(params, params.rows // (conv.r * r))


def _machine(params: Params, shelves: int) -> np.ndarray:
    bank_words = params.bank_kib * KIB_BITS // params.word_bits
    return np.array(
        [shelves, params.cols, params.max_images, params.filter_spad_words,
         params.ifmap_spad_words, params.psum_spad_words, params.fmap_banks, params.filter_banks * bank_words,
         bank_words, params.filter_words_per_cycle, params.ifmap_words_per_cycle, params.psum_words_per_cycle,
         params.psum_counting == "every_pass"], dtype=np.int64,
    )  # fmt: skip


def _smallest(conv: Conv2d, params: Params) -> Cut:
    return Cut(conv, params, Mapping(m=1, n=1, e=1, p=1, q=1, r=1, t=1))


def _nothing_fits(conv: Conv2d, params: Params) -> MappingError:
    lack = _smallest(conv, params).misfits()
    return MappingError("no mapping fits" + (f": even the smallest needs {lack[0]}" if lack else ""), "")


def own(conv: Conv2d, params: Params, columns: Candidates) -> tuple[str, np.ndarray]:
    """Return the authors' objective in words, and its value for each candidate: `list_kernel.own`, as columns."""
    from accelsim.engines.row_stationary.list_kernel import DRAM_WORD, GLB_WORD

    m, n, e, p, q, r, t = (columns[name] for name in FIELDS)
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    strip_rows = conv.stride[0] * (e - 1) + conv.r
    strip_words = conv.stride[1] * (conv.f - 1) + conv.s
    strips, images, blocks = -(-conv.e // e), -(-conv.n // n), -(-filters // m)
    channel_passes, filter_passes = -(-channels // (q * r)), -(-filters // (p * t))
    passes = conv.groups * channel_passes * filter_passes * strips * images
    ifmap, outputs = conv.n * conv.c * strips * strip_rows * strip_words, conv.n * conv.k * conv.e * conv.f
    kept = outputs * (channel_passes if params.psum_counting == "every_pass" else channel_passes - 1)
    load = p * t * q * r * conv.r * conv.s / params.filter_words_per_cycle
    steady = np.maximum(
        p * q * conv.s * conv.f * n, n * q * r * strip_rows * strip_words / params.ifmap_words_per_cycle
    )
    steady = np.maximum(steady, p * t * e * conv.f * n / params.psum_words_per_cycle)
    dram_words = conv.groups * filters * channels * conv.r * conv.s * images * strips + ifmap * blocks + outputs
    score = (DRAM_WORD * dram_words + GLB_WORD * (ifmap * filter_passes + 2 * kept)) * (passes * (steady + load))
    return f"({DRAM_WORD} DRAM words + {GLB_WORD} buffer words) x cycles", score.astype(np.float64)


def bounds(conv: Conv2d, params: Params, dram: DramModel, columns: Candidates) -> Bounds:
    """Return for each candidate what `choose` needs: exact traffic of uncoded maps, and cycles that none undercuts."""
    moved = traffic.moved(conv, params, dram, columns)
    return traffic.charged(conv, params, columns, moved.weights + moved.inputs, moved.outputs)._replace(
        cycles=least.layer_cycles(conv, params, dram, columns, moved.alone),
        own=own(conv, params, columns),
        timed=lambda places: _timed(conv, params, dram, columns, places),
        most=most_walked(conv),
    )


def _timed(conv: Conv2d, params: Params, dram: DramModel, columns: Candidates, places: np.ndarray) -> np.ndarray:
    """Return the cycles of some candidates, with feature maps as they are without a code."""
    from accelsim.engines.row_stationary import schedule, walk

    found = []
    source = Fmap("input", (conv.n, conv.c, conv.h, conv.w), params.word_bits, None)
    sink = Fmap("output", (conv.n, conv.k, conv.e, conv.f), params.word_bits, None)
    for place in places.tolist():
        cut = Cut(conv, params, Mapping(**{name: int(columns[name][place]) for name in FIELDS}))
        if cut.passes > MOST_PASSES:
            found.append(np.iinfo(np.int64).max)
            continue
        steps = schedule.schedule(cut, walk.walk(cut).cycles, source, sink)
        found.append(timeline.run(steps, dram).cycles)
    return np.array(found, dtype=np.int64)
