"""Rates and totals that were promised: SCNN on VGG-16, terms of operands in the bit-serial machines."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

import accelsim

from .c.cases import LARGE, Case, Stream
from .c.record import copied, kernels_seen_by

TURNS = 3


class Vgg(NamedTuple):
    machine: str
    seconds: float
    cycles: int


def scnn_vgg16(machine: str) -> Vgg:
    """Simulate the 13 convolutions of VGG-16 with SCNN, values off; kernels are compiled before."""
    arch, network = accelsim.load_arch(machine), accelsim.load_network("vgg16")
    accelsim.simulate(arch, network, layers="conv5_1")
    start = time.process_time()
    result = accelsim.simulate(arch, network, layers="conv*")
    return Vgg(machine, time.process_time() - start, result.cycles)


def terms_per_second(machine: str) -> float:
    """Return the operand terms that a bit-serial machine's kernel takes in a CPU second.

    Counted are the non-zero terms of the activations, once for every window and set of filters that they enter: not
    once for each of the filters that share them.
    """
    seen: list[tuple[Any, tuple[Any, ...]]] = []

    def see(name: str, kernel: Any, args: tuple[Any, ...]) -> Any:
        del name
        seen.append((kernel, copied(args)))
        return kernel(*args)

    case = Case("bitserial", machine, LARGE)
    with kernels_seen_by(see, "bitserial", {"walk_tile"}):
        case.run()
    terms = seconds = 0.0
    for kernel, args in seen:
        terms += _terms(args)
        used = []
        for _ in range(TURNS):
            start = time.process_time()
            kernel(*args)
            used.append(time.process_time() - start)
        seconds += min(used)
    return terms / seconds


def _terms(args: tuple[Any, ...]) -> int:
    grid, span, shape, marks = args[0], args[1], args[2], args[7]
    (_, _, n0, images, e0, rows, f0, cols, _, filters, *_), (_, _, r, s) = span, shape[:4]
    assert shape[4:] == (1, 1, 1, 1)
    each = np.bitwise_count(marks) if grid.mode == 2 else marks  # masks of bits, or counts of terms
    terms = 0
    for y in range(e0, e0 + r):
        for x in range(f0, f0 + s):
            terms += int(each[n0 : n0 + images, :, y : y + rows, x : x + cols].sum())
    return terms * -(-filters // grid.filters)


def dram_requests_per_second(standard: str, pattern: str) -> float:
    """Return the requests of a stream that the DRAM kernel takes in a CPU second, decoding of addresses included."""
    stream = Stream(standard, pattern)
    stream.run()
    times = []
    for _ in range(TURNS):
        start = time.process_time()
        stream.run()
        times.append(time.process_time() - start)
    return stream.count / min(times)
