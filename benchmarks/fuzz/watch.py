"""Runs inputs in a child process with limits on time and memory, and says what came of each."""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 10.0
"""Processor time of one input; a defect if it takes longer. Other processes of the machine do not count."""
HANGS_S = 60.0
"""Wall time without any work after which an input that waits for something is given up, which is a defect too."""
LIMIT_BYTES = 3 << 29
"""Memory of one input beyond the most that the process has held before; a defect if it needs more."""
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "socket.connect")
"""Audit events that no file may cause."""


class Defect(NamedTuple):
    """An input that gave neither a result nor a message: its index and what happened."""

    index: int
    what: str


class Outcome(NamedTuple):
    """What came of all inputs: how often each kind of end, and the defects."""

    ends: Counter[str]
    defects: list[Defect]


class _TooLong(BaseException):
    """Raised by the alarm; not an Exception, so that nothing swallows it."""


def run(use: Callable[[Path], object], inputs: Iterator[bytes], path: Path) -> Outcome:
    """Write each input to ``path`` and call ``use`` on it, in a child that is replaced when it dies."""
    ends: Counter[str] = Counter()
    defects: list[Defect] = []
    bodies = list(inputs)
    at = 0
    while at < len(bodies):
        for index, end in _child(use, bodies, at, path):
            at = index + 1
            ends[end.split(":")[0]] += 1
            if not end.startswith(("result", "message")):
                defects.append(Defect(index, end))
    return Outcome(ends, defects)


def _child(use: Callable[[Path], object], bodies: list[bytes], first: int, path: Path) -> Iterator[tuple[int, str]]:
    """Yield (index, end) of the inputs from ``first`` on, up to one that takes the child with it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            _work(use, bodies, first, path, write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    index = first
    with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            yield index, line.rstrip("\n")
            index += 1
    _, status = os.waitpid(pid, 0)
    if status and index < len(bodies):
        yield index, f"the process ended with status {status}"


def _work(use: Callable[[Path], object], bodies: list[bytes], first: int, path: Path, write: int) -> None:
    _quiet()
    caught: list[str] = []
    allowed = _allowed(path)

    def audit(event: str, args: tuple[object, ...]) -> None:
        if event in FORBIDDEN:
            caught.append(f"{event} {args!r:.80}")
        elif event == "open" and isinstance(args[0], str) and not args[0].startswith(allowed):
            caught.append(f"opened {args[0]:.80}")

    sys.addaudithook(audit)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + LIMIT_BYTES, mapped + LIMIT_BYTES))
    before = peak_bytes()
    signal.signal(signal.SIGPROF, _alarm)
    for body in bodies[first:]:
        path.write_bytes(body)
        caught.clear()
        end = _one(use, path)
        end = f"forbidden: {caught[0]}" if caught else end
        greedy = peak_bytes() - before > LIMIT_BYTES  # where the limit is not enforced
        if greedy:
            end = f"asked for more than {_size()}"
        os.write(write, f"{end}\n".encode("utf-8", "replace"))
        if greedy:
            return  # the peak of a process never falls: a fresh one goes on


def _one(use: Callable[[Path], object], path: Path) -> str:
    from accelsim.errors import UserError

    worked = time.process_time()

    def idle(*_: object) -> None:
        nonlocal worked
        before, worked = worked, time.process_time()
        if worked - before < HANGS_S / 1000:  # else others have the processor, and it goes on
            _alarm()

    signal.signal(signal.SIGALRM, idle)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    signal.setitimer(signal.ITIMER_REAL, HANGS_S, HANGS_S)
    try:
        use(path)
    except UserError as error:
        text = str(error)
        unclear = not error.problem.strip() or "\n" in text or not text.isprintable() or len(text) > 1000
        return f"unclear message: {text[:200]!r}" if unclear else "message"
    except _TooLong:
        return f"took more than {LIMIT_S:g} s: {_where()}"
    except MemoryError:
        return f"asked for more than {_size()}: {_where()}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:100]!r} {_where()}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "result"


def _size() -> str:
    return f"{LIMIT_BYTES / 2**20:g} MiB"


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _where() -> str:
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [f for f in frames if "accelsim" in f.filename] or frames
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-4:]))


def _alarm(*_: object) -> None:
    raise _TooLong


def _quiet() -> None:
    """Send what libraries print into nothing, as a terminal would not read it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _allowed(path: Path) -> tuple[str, ...]:
    """Return the folders that reading ``path`` may open: its own, accelsim's and Python's."""
    root = str(Path(__file__).resolve().parents[2])
    python = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {p for p in sys.path if p}
    caches = [os.environ.get("ACCELSIM_CACHE_DIR", str(Path("~/.cache/accelsim").expanduser()))]
    caches += [os.environ.get("MPLCONFIGDIR", str(Path("~/.cache/matplotlib").expanduser()))]
    return (str(path.parent) + os.sep, root, *python, sys.base_prefix, "/proc/", "/sys/", os.devnull, *caches)
