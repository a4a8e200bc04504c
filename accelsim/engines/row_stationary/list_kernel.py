"""The mappings that fit, in machine code: every break-point of the loop counts, with the largest m."""

from __future__ import annotations

from accelsim.jit import kernel, lean
from accelsim.mapping.nest_kernel import ceil_div

LAYER = ("channels", "filters", "images", "height", "width", "rows", "columns", "stride", "strip_words", "groups")
"""A layer: channels and filters of a group, images, output and filter sizes, vertical stride, words of an ifmap row."""
CHANNELS, FILTERS, IMAGES, E, F, R, S, STRIDE, STRIP_WORDS, GROUPS = range(10)

MACHINE = (
    "shelves", "cols", "max_images", "filter_spad", "ifmap_spad", "psum_spad", "fmap_banks", "filter_words",
    "bank_words", "filter_rate", "ifmap_rate", "psum_rate", "every_pass",
)  # fmt: skip
"""A machine: how often r R rows fit on the array, its columns, spads in words, banks, words of the filter banks; words
per cycle, and whether each pass reads psums. The last four are asked for by the authors' objective only."""
SHELVES, COLS, MAX_IMAGES, FILTER_SPAD, IFMAP_SPAD, PSUM_SPAD, FMAP_BANKS, FILTER_WORDS, BANK_WORDS = range(9)
FILTER_RATE, IFMAP_RATE, PSUM_RATE, EVERY_PASS = range(9, 13)

DRAM_WORD, GLB_WORD = 200, 6
"""Energy of an access relative to a multiplication: ISCA 2016, table IV. Of the authors' objective only."""


@lean
def after(factor, size, most):  # type: ignore[no-untyped-def]
    """Return the smallest factor of which fewer make up ``size``; beyond ``most`` if there is none."""
    count = ceil_div(size, factor)
    return most + 1 if count == 1 else ceil_div(size, count - 1)


@lean
def shelves_needed(e, t, cols):  # type: ignore[no-untyped-def]
    """Return how many times the array's width t stacks take: full segments alone, what is left over side by side."""
    full, rest = e // cols, e % cols
    return t * full + (ceil_div(t, cols // rest) if rest else 0)


@lean
def own(layer, machine, m, n, e, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return the authors' objective of a mapping: `candidates.own`, the same operations in the same order."""
    channels, filters, taps = layer[CHANNELS], layer[FILTERS], layer[R] * layer[S]
    strips, images = ceil_div(layer[E], e), ceil_div(layer[IMAGES], n)
    channel_passes, filter_passes = ceil_div(channels, q * r), ceil_div(filters, p * t)
    passes = layer[GROUPS] * channel_passes * filter_passes * strips * images
    strip = (layer[STRIDE] * (e - 1) + layer[R]) * layer[STRIP_WORDS]
    ifmap = layer[IMAGES] * layer[GROUPS] * channels * strips * strip
    outputs = layer[IMAGES] * layer[GROUPS] * filters * layer[E] * layer[F]
    kept = outputs * (channel_passes - 1 + machine[EVERY_PASS])
    load = p * t * q * r * taps / machine[FILTER_RATE]
    steady = max(float(p * q * layer[S] * layer[F] * n), n * q * r * strip / machine[IFMAP_RATE])
    steady = max(steady, p * t * e * layer[F] * n / machine[PSUM_RATE])
    dram_words = layer[GROUPS] * filters * channels * taps * images * strips + ifmap * ceil_div(filters, m) + outputs
    words = DRAM_WORD * dram_words + GLB_WORD * (ifmap * filter_passes + 2 * kept)
    return float(words) * (float(passes) * (steady + load))


@lean
def rank(score, mapping, best, scores):  # type: ignore[no-untyped-def]
    """Let a mapping be the first or the second of the ``best``: by score, PEs in use, and what came before."""
    place = 2
    while place > 0:
        above, used = best[place - 1], mapping[2] * mapping[5] * mapping[6]
        if scores[place - 1] < score or (scores[place - 1] == score and above[2] * above[5] * above[6] >= used):
            break
        if place < 2:
            scores[place] = scores[place - 1]
            for i in range(7):
                best[place, i] = above[i]
        place -= 1
    if place < 2:
        scores[place] = score
        for i in range(7):
            best[place, i] = mapping[i]


@kernel
def listed(layer, machine, r, rows, scores):  # type: ignore[no-untyped-def]
    """Return how many mappings with ``r`` fit, and write them (m, n, e, p, q, r, t) as far as ``rows`` has room.

    With ``scores``, infinite at first, ``rows`` are the two best by the authors' objective (`own`).

    The order is that of t, e, n, p, q, each in ascending order, q the innermost.
    """
    channels, filters, bank_words = layer[CHANNELS], layer[FILTERS], machine[BANK_WORDS]
    width = machine[SHELVES] * machine[COLS]
    most_e, most_n = min(layer[E], width), min(layer[IMAGES], machine[MAX_IMAGES])
    number = 0
    t = 1
    while t <= min(filters, width):
        of_filters, of_channels = ceil_div(filters, t), ceil_div(channels, r)
        most_p, most_q = min(of_filters, machine[PSUM_SPAD]), min(of_channels, machine[IFMAP_SPAD] // layer[S])
        e = 1
        while e <= most_e:
            n = 1 if shelves_needed(e, t, machine[COLS]) <= machine[SHELVES] else most_n + 1
            strip_words = (layer[STRIDE] * (e - 1) + layer[R]) * layer[STRIP_WORDS]
            while n <= most_n:
                p = 1
                while p <= most_p:
                    q = 1
                    while q <= most_q:
                        banks = ceil_div(n * q * r * strip_words, bank_words)
                        room = max(machine[FMAP_BANKS] - banks, 0) * bank_words // (n * e * layer[F])
                        m = filters if room >= filters else room // (p * t) * (p * t)
                        words = p * q * layer[S]
                        if (
                            m > 0
                            and words <= machine[FILTER_SPAD]
                            and words * t * r * layer[R] <= machine[FILTER_WORDS]
                        ):
                            if scores is not None:  # known when this compiles
                                rank(own(layer, machine, m, n, e, p, q, r, t), (m, n, e, p, q, r, t), rows, scores)
                            elif number < len(rows):
                                rows[number, 0], rows[number, 1], rows[number, 2], rows[number, 3] = m, n, e, p
                                rows[number, 4], rows[number, 5], rows[number, 6] = q, r, t
                            number += 1
                        q = after(q, of_channels, most_q)
                    p = after(p, of_filters, most_p)
                n = after(n, layer[IMAGES], most_n)
            e = after(e, layer[E], most_e)
        t = after(t, filters, min(filters, width))
    return number
