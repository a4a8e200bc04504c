"""Running many points on any executor: chunks of about a second, a bounded window, and workers that may die.

When workers die, everything in flight is suspect and is run again, one chunk at a time. A chunk that dies alone is
halved until the point is found that kills its worker; that point gets a row which says so, all others get theirs.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import count
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

from accelsim.errors import ConfigError, UserError
from accelsim.explore.sweep.evaluate import Job, run_chunk
from accelsim.explore.sweep.pool import abandon
from accelsim.explore.sweep.store import Row
from accelsim.text import quoted

CHUNK_S = 1.0
"""Seconds that a chunk should take: what a kill may lose, and long against the cost of sending it."""
MAX_CHUNK = 512
TRIES = 2
"""A point that ends its worker this often, alone, is given up."""
PROBES = 8
"""Points simulated first, spread over the sweep, for the estimate of its duration."""
GRACE_S = 10.0
"""Seconds that running chunks have to end after Ctrl-C."""

Chunk: TypeAlias = tuple[Job, ...]
Write: TypeAlias = Callable[[list[Row]], None]


class Pace(NamedTuple):
    """How a run stands: points done and left, points per second, seconds to go (None until known).

    ``walked`` says by engine in how many of the points done it had to walk a layer.
    """

    done: int
    left: int
    per_s: float
    eta_s: float | None
    walked: Mapping[str, int] = {}


class Runner:
    """One run over some points; with `extend`, `drain` and `close` over several batches, in the same workers.

    Parameters
    ----------
    make_executor : callable
        Returns a new executor, also after one has broken.
    width : int
        Chunks that run at the same time; twice as many are in flight.
    write : callable
        Takes the rows of a finished chunk.
    tick : callable
        Called with the `Pace` after every chunk and at least twice a second.
    """

    def __init__(
        self,
        packed: bytes,
        jobs: Sequence[Job],
        make_executor: Callable[[], Executor],
        width: int,
        write: Write,
        tick: Callable[[Pace], None],
    ) -> None:
        self._packed, self._width, self._make = packed, max(1, width), make_executor
        self._write, self._tick = write, tick
        self._probes, self._jobs = _probes(jobs, self._width)
        self._suspects: deque[Chunk] = deque()
        self._deaths: dict[str, int] = {}
        self._flying: dict[Future[Any], Chunk] = {}
        self._total, self._done, self._seconds = len(jobs), 0, 0.0
        self._walked: Counter[str] = Counter()
        self._began = monotonic()
        self._open: Executor | None = None

    def run(self) -> None:
        """Run all points, then let the workers go."""
        try:
            self.drain()
        finally:
            self.close()

    def extend(self, jobs: Sequence[Job]) -> None:
        """Add points, to be run by the next `drain`."""
        self._jobs.extend(jobs)
        self._total += len(jobs)

    def drain(self) -> None:
        """Run all points. On Ctrl-C, chunks that are running are waited for and written before it is passed on."""
        try:
            while self._probes or self._jobs or self._suspects or self._flying:
                self._fill()
                finished, _ = wait(self._flying, timeout=0.5, return_when=FIRST_COMPLETED)
                self._land(finished)
                self._tick(self.pace())
        except KeyboardInterrupt:
            self._rescue()
            raise

    def close(self) -> None:
        """End the workers at once."""
        if self._open is not None:
            abandon(self._open)
            self._open = None

    @property
    def _executor(self) -> Executor:
        if self._open is None:
            self._open = self._fresh()
        return self._open

    def pace(self) -> Pace:
        """Return how the run stands."""
        left = self._total - self._done
        elapsed = monotonic() - self._began
        eta = self._seconds / self._done * left / self._width if self._done and not self._probes else None
        return Pace(self._done, left, self._done / elapsed if elapsed else 0.0, eta, dict(self._walked))

    def _fill(self) -> None:
        """Send chunks until the window is full; a suspect flies alone."""
        while True:
            if self._suspects:
                if self._flying:
                    return
                chunk = self._suspects.popleft()
            elif self._probes and len(self._flying) < 2 * self._width:
                chunk = (self._probes.popleft(),)
            elif self._jobs and len(self._flying) < 2 * self._width:
                chunk = self._take()
            else:
                return
            try:
                self._flying[self._executor.submit(run_chunk, self._packed, chunk)] = chunk
            except BrokenExecutor:
                self._suspects.appendleft(chunk)
                self._recover()
                return

    def _take(self) -> Chunk:
        """Cut the next chunk; points that share a machine stay together where that makes it no more than double."""
        each = self._seconds / self._done if self._done else CHUNK_S
        size = int(min(CHUNK_S / max(each, 1e-6), MAX_CHUNK, -(-len(self._jobs) // (2 * self._width))))
        chunk = [self._jobs.popleft()]
        while self._jobs and len(chunk) < max(1, size) * 2:
            if len(chunk) >= size and not _same_machine(chunk[-1], self._jobs[0]):
                break
            chunk.append(self._jobs.popleft())
        return tuple(chunk)

    def _land(self, finished: set[Future[Any]]) -> None:
        broken = False
        for future in finished:
            chunk = self._flying.pop(future)
            # who cancels besides us is an executor that lost its workers
            error = BrokenExecutor("cancelled") if future.cancelled() else future.exception()
            if error is None:
                self._keep(*future.result())
            elif isinstance(error, UserError):  # points never raise one: these workers must not be used
                raise error
            else:
                broken = broken or isinstance(error, BrokenExecutor)
                self._suspect(chunk, error, alone=not self._flying and len(finished) == 1)
        if broken:
            self._recover()

    def _keep(self, rows: list[Row], seconds: float, walked: Mapping[str, int]) -> None:
        self._write(rows)
        self._walked.update(walked)
        self._done += len(rows)
        self._seconds += seconds

    def _suspect(self, chunk: Chunk, error: BaseException, *, alone: bool) -> None:
        """Run a lost chunk again alone; halve it if it was alone; give a point up that keeps dying alone."""
        if not alone:
            self._suspects.append(chunk)
        elif len(chunk) > 1:
            half = len(chunk) // 2
            self._suspects.extendleft((chunk[half:], chunk[:half]))
        else:
            key = chunk[0].key
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] < TRIES:
                self._suspects.appendleft(chunk)
                return
            reason = f"its worker died {TRIES} times on this point alone ({type(error).__name__})"
            self._keep([Row(key, "failed", reason)], 0.0, {})

    def _recover(self) -> None:
        """Take what was in flight as suspect and replace the executor."""
        for future, chunk in self._flying.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._keep(*future.result())
            else:
                self._suspects.append(chunk)
        self._flying = {}
        self.close()

    def _fresh(self) -> Executor:
        """Return an executor that has answered once."""
        for attempt in count(1):
            executor = self._make()
            try:
                executor.submit(_ready).result()
                return executor
            except BrokenExecutor as error:
                abandon(executor)
                if attempt == 3:
                    problem = f"worker processes die before they do anything ({quoted(error)})"
                    raise ConfigError(problem, "use '--workers 0' to run in this process") from None
            except BaseException:
                abandon(executor)
                raise
        raise AssertionError

    def _rescue(self) -> None:
        """Write what running chunks still give within `GRACE_S`."""
        running = {future for future in self._flying if not future.cancel()}
        finished, _ = wait(running, timeout=GRACE_S)
        for future in finished:
            if future.exception() is None:
                self._keep(*future.result())


def _ready() -> bool:
    return True


def _same_machine(a: Job, b: Job) -> bool:
    return a.machine == b.machine and a.sets == b.sets


def _probes(jobs: Sequence[Job], width: int) -> tuple[deque[Job], deque[Job]]:
    """Return a few jobs spread over all, and the others in their order."""
    if len(jobs) < 4 * PROBES:
        return deque(), deque(jobs)
    number = max(PROBES, 2 * width)
    chosen = sorted({i * len(jobs) // number for i in range(number)})
    picked = set(chosen)
    return deque(jobs[i] for i in chosen), deque(job for i, job in enumerate(jobs) if i not in picked)
