"""Places of the kernel's counts, and what it is given; nothing here is compiled."""

from __future__ import annotations

from typing import NamedTuple

(
    WORK, WAITED, PRODUCTS, FETCHED, RAN, LOADING, SLACK, STARVED, CONFLICT, ABSENT, BUFFER_READS, DELIVERED, PE_INPUTS,
    PE_WEIGHTS, WEIGHTS_DELIVERED, PSUM_HOPS, PSUMS_KEPT, PSUMS_BACK, PASSES, MOST_INPUTS, MOST_WEIGHTS, MOST_PSUMS,
) = range(22)  # fmt: skip
COUNTS = 22
"""PE-cycles of the weight stage, of its waiting, products, inputs fetched; streams, PE-cycles of loading, behind the
slowest, for words and for psums, without work; words read from the buffer, delivered to clusters, written into PEs; of
weights into PEs and clusters; psums moved up, kept and fetched again; passes; the most that a router carries in one."""

BLOCKS, GROUPS, POSITIONS = 0, 1, 2
"""What the columns of a cluster take."""


class Shape(NamedTuple):
    """The convolution; ``c`` and ``k`` of a group."""

    n: int
    groups: int
    c: int
    k: int
    h: int
    w: int
    r: int
    s: int
    e: int
    f: int
    sy: int
    sx: int
    top: int
    left: int
    dy: int
    dx: int


class Cut(NamedTuple):
    """Channels of a PE, clusters over reduction, blocks, groups and positions, the columns, positions of a band."""

    m0: int
    c0: int
    columns: int
    kq: int
    km: int
    kg: int
    kt: int
    band: int


class Array(NamedTuple):
    """PEs of a cluster; rates: words per cycle of a cluster's input routers, of a weight router, psums of a column."""

    rows: int
    cols: int
    simd: int
    stages: int
    flat: bool
    dense: bool
    input_routers: int
    port: int
    psums: int
