"""Times kernels and twins on the same arguments, turn by turn, after their results were found equal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .cases import CASES, Case, Stream
from .record import copied, kernels_seen_by
from .twins import Twin, difference, flat

ROUNDS, LEAST_S = 7, 0.0003
"""Turns of each; calls shorter than this are too short to compare and are left out."""


class Row(NamedTuple):
    """CPU seconds of the longest call of a kernel in a case, and of its twin."""

    engine: str
    kernel: str
    case: str
    ours_s: float
    c_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / self.c_s


def rows(engines: list[str] | None = None) -> Iterator[Row]:
    """Yield every kernel of every case."""
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if not engines or case.engine in engines:
                twin = Twin(case.engine, Path(folder))
                for name, (kernel, args) in longest(case, twin).items():
                    ours, theirs = compare(twin, name, kernel, args)
                    yield Row(case.engine, name, case.label, ours, theirs)


def longest(case: Case | Stream, twin: Twin) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return each kernel and the arguments of its longest call, seen on a second run (the first may compile)."""
    found: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    times: dict[str, float] = {}

    def see(name: str, kernel: Any, args: tuple[Any, ...]) -> Any:
        before = copied(args)
        start = time.process_time()
        returned = kernel(*args)
        used = time.process_time() - start
        if used > max(times.get(name, 0), LEAST_S):
            times[name], found[name] = used, (kernel, before)
        return returned

    case.run()
    with kernels_seen_by(see, case.engine, set(twin.functions)):
        case.run()
    return found


def compare(twin: Twin, name: str, kernel: Any, args: tuple[Any, ...]) -> tuple[float, float]:
    """Return the CPU seconds of kernel and twin; raise if what they leave behind differs."""
    ours, theirs = copied(args), copied(args)
    expected = flat(kernel(*ours))
    go, result = twin.call(name, theirs, expected.size)
    go()
    np.testing.assert_array_equal(result, expected, err_msg=name)
    if (where := difference(ours, theirs)) is not None:
        raise AssertionError(f"{twin.engine}: {name}: {where} differs between kernel and twin")

    def kernel_call(fresh: tuple[Any, ...]) -> Callable[[], Any]:
        return lambda: kernel(*fresh)

    def twin_call(fresh: tuple[Any, ...]) -> Callable[[], Any]:
        return twin.call(name, fresh, expected.size)[0]

    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for i, make in enumerate((kernel_call, twin_call)):
            call = make(copied(args))
            start = time.process_time()
            call()
            best[i] = min(best[i], time.process_time() - start)
    return float(best[0]), float(best[1])
