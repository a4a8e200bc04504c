"""``python -m benchmarks.peers.scalesim [LAYERS]``: SCALE-Sim 3.0.0 against the replica and against the engine.

Installs the peer into an environment of its own beside this file, runs it on the first LAYERS layers (all of them
without) of the AlexNet topology in tests/data/scalesim on a 32 x 32 output-stationary array, checks that its three
reports are the replica's to the byte, and compares CPU times.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import accelsim
from accelsim.replicas import scalesim

DATA = Path(__file__).parents[2] / "tests" / "data" / "scalesim"
PEER = Path(__file__).parent / ".venv-scalesim"
PACKAGES = ("scalesim==3.0.0", "numpy<2.4")
CONFIG, TOPOLOGY = DATA / "configs" / "os_32.cfg", DATA / "alexnet.csv"
TURNS = 5


class Figures(NamedTuple):
    """CPU seconds: of the peer's command; of the replica's three reports and of its closed forms, in the process and
    warm; of the replica's command; of the engine on the same layers, warm.
    """

    layers: int
    peer_s: float
    reports_s: float
    closed_s: float
    command_s: float
    engine_s: float
    same: bool

    def lines(self) -> list[tuple[str, float, float | None]]:
        """Return (what, CPU seconds, times less than the peer)."""
        return [
            ("SCALE-Sim 3.0.0, its command", self.peer_s, None),
            ("replica, three reports with DRAM counts, in the process", self.reports_s, self.peer_s / self.reports_s),
            ("replica, its command", self.command_s, self.peer_s / self.command_s),
            ("replica, compute and SRAM counts by closed form, without DRAM", self.closed_s,
             self.peer_s / self.closed_s),
            ("engine `systolic_os`, DRAM, energy and account included", self.engine_s, self.peer_s / self.engine_s),
        ]  # fmt: skip


def python() -> Path:
    """Return the peer's interpreter, its environment made if need be."""
    found = PEER / "bin" / "python"
    if not (PEER / "made").exists():
        venv.create(PEER, with_pip=True, clear=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (PEER / "made").touch()
    return found


def measure(count: int | None = None) -> Figures:
    """Run both on the first ``count`` layers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head, *rows = [line for line in TOPOLOGY.read_text().splitlines() if line.strip()]
        topology = folder / "topology.csv"
        topology.write_text("\n".join([head, *rows[:count]]) + "\n")
        peer_s = _child_s([str(python()), str(DATA / "run_peer.py"), str(CONFIG), str(topology), str(folder / "peer")])
        config, network = scalesim.read_config(CONFIG), scalesim.read_topology(topology, gemm=False)
        ours = folder / "ours"
        reports_s = _warm_s(lambda: scalesim.write_reports(scalesim.run(config, network), ours))
        theirs = folder / "peer" / CONFIG.stem
        same = all((ours / path.name).read_bytes() == path.read_bytes() for path in theirs.glob("*REPORT.csv"))
        closed_s = _warm_s(lambda: list(scalesim.closed(config, network)))
        same &= _closed_agrees(list(scalesim.closed(config, network)), theirs)
        script = shutil.which("accelsim", path=str(Path(sys.executable).parent)) or "accelsim"
        command = [script, "replica", "scalesim", str(CONFIG), str(topology), "-o", str(folder / "command")]
        command_s = min(_child_s(command) for _ in range(3))
        arch, layers = accelsim.load_arch("systolic_os"), accelsim.load_network(str(topology))
        same &= layers.macs == sum(row.macs for row in scalesim.run(config, network))
        engine_s = _warm_s(lambda: accelsim.simulate(arch, layers))
    return Figures(len(rows[:count]), peer_s, reports_s, closed_s, command_s, engine_s, same)


def _closed_agrees(rows: list[scalesim.ClosedRow], theirs: Path) -> bool:
    """Whether the closed forms' SRAM counts are those of the peer's detailed report."""
    head, *lines = (theirs / "DETAILED_ACCESS_REPORT.csv").read_text().splitlines()
    names = [name.strip() for name in head.split(",")]
    at = [names.index(f"SRAM {what}") for what in ("IFMAP Reads", "Filter Reads", "OFMAP Writes")]
    found = [[float(line.split(",")[i]) for i in at] for line in lines]
    return found == [[row.ifmap_sram_reads, row.filter_sram_reads, row.ofmap_sram_writes] for row in rows]


def _child_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _warm_s(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(TURNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    for what, seconds, ratio in found.lines():
        print(f"{seconds:12.6f} s  {'' if ratio is None else f'{ratio:,.0f} times less  '}{what}")
    print("same counts" if found.same else "COUNTS DIFFER")
    sys.exit(not found.same)
