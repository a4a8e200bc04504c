"""The mappings that fit, in machine code: every break-point of the loop counts, with the largest m."""

from __future__ import annotations

from accelsim.jit import kernel, lean
from accelsim.mapping.nest_kernel import ceil_div

LAYER = ("channels", "filters", "images", "height", "width", "rows", "columns", "stride", "strip_words")
"""A layer: channels and filters of a group, images, output and filter sizes, vertical stride, words of an ifmap row."""
CHANNELS, FILTERS, IMAGES, E, F, R, S, STRIDE, STRIP_WORDS = range(9)

MACHINE = (
    "shelves", "cols", "max_images", "filter_spad", "ifmap_spad", "psum_spad", "fmap_banks", "filter_words",
    "bank_words",
)  # fmt: skip
"""A machine: how often r R rows fit on the array, its columns, spads in words, banks, words of the filter banks."""
SHELVES, COLS, MAX_IMAGES, FILTER_SPAD, IFMAP_SPAD, PSUM_SPAD, FMAP_BANKS, FILTER_WORDS, BANK_WORDS = range(9)


@lean
def after(factor, size, most):  # type: ignore[no-untyped-def]
    """Return the smallest factor of which fewer make up ``size``; beyond ``most`` if there is none."""
    count = ceil_div(size, factor)
    return most + 1 if count == 1 else ceil_div(size, count - 1)


@lean
def shelves_needed(e, t, cols):  # type: ignore[no-untyped-def]
    """Return what `cut.shelves_needed` says."""
    full, rest = e // cols, e % cols
    return t * full + (ceil_div(t, cols // rest) if rest else 0)


@kernel
def listed(layer, machine, r, rows):  # type: ignore[no-untyped-def]
    """Return how many mappings with ``r`` fit, and write them (m, n, e, p, q, r, t) as far as ``rows`` has room.

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
                            if number < len(rows):
                                rows[number, 0], rows[number, 1], rows[number, 2], rows[number, 3] = m, n, e, p
                                rows[number, 4], rows[number, 5], rows[number, 6] = q, r, t
                            number += 1
                        q = after(q, of_channels, most_q)
                    p = after(p, of_filters, most_p)
                n = after(n, layer[IMAGES], most_n)
            e = after(e, layer[E], most_e)
        t = after(t, filters, min(filters, width))
    return number
