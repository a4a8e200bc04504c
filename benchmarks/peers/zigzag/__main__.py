"""``python -m benchmarks.peers.zigzag``: layers per second and core of ZigZag and of accelsim, in one run.

The distinct layers of ResNet-18, one image, on a weight-stationary array of 32 x 32 with three scratchpads of 64 KiB
and 25.6 GB/s. What is alike and what is not stands in README.md beside this file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

from rich.console import Console

import accelsim
from accelsim.explore.sweep.evaluate import Context, Job, run_point, warm
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.layer import machine_view
from accelsim.workload.network import Network
from accelsim.workload.shapes import Conv2d, Linear

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".venv"
ROUNDS = 2


class Compared(NamedTuple):
    """One layer: ZigZag's cycles, CPU seconds and mappings; accelsim's cycles and mappings."""

    name: str
    peer_cycles: float
    peer_s: float
    peer_mappings: int
    cycles: int
    mappings: int


def peer_python() -> Path:
    """Return ZigZag's Python, after creating its environment if it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".ready").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(HERE / "requirements.txt")], check=True)
        (ENVIRONMENT / ".ready").touch()
    return python


def layers() -> dict[str, Any]:
    """Return the distinct layers of ResNet-18, name -> shape of the equivalent convolution."""
    network = accelsim.load_network("resnet18")
    distinct = {layer.shape: layer.name for layer in network.layers}
    return {name: shape.as_conv() for shape, name in distinct.items() if isinstance(shape, Conv2d | Linear)}


def peer(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Return what ZigZag says of the layers."""
    described = [
        {
            "name": name, "n": c.n, "k": c.k, "c": c.c, "e": c.e, "f": c.f, "r": c.r, "s": c.s, "h": c.h, "w": c.w,
            "stride": c.stride, "pad": c.pad,
        }
        for name, c in layers().items()
    ]  # fmt: skip
    asked = json.dumps({"rounds": rounds, "layers": described})
    command = [str(peer_python()), str(HERE / "peer.py")]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def ours_s(machines: int = 200) -> float:
    """Return the CPU seconds of a layer in a sweep: points in, rows out, each on a machine of its own."""
    arch = accelsim.load_arch("systolic_ws")
    network = accelsim.load_network("resnet18")
    alone = Network("distinct", tuple(layer for layer in network.layers if layer.name in layers()), network.tensors,
                    isolated=True)  # fmt: skip
    context = Context({"m": arch.document}, {"n": alone}, HERE, columnar=True)
    warm(context.machines)
    speeds = [25.6 + i / 1000 for i in range(machines)]
    jobs = [Job(str(s), "m", "n", (("memory.dram.gb_per_s", s),), OptionsSpec()) for s in speeds]
    best = float("inf")
    for _ in range(5):
        began = process_time()
        rows = [run_point(context, job) for job in jobs]
        best = min(best, process_time() - began)
        assert all(row.status == "ok" for row in rows)
    return best / machines / len(alone.layers)


def compare() -> tuple[list[Compared], float]:
    """Return the layers, and accelsim's CPU seconds per layer."""
    arch, network = accelsim.load_arch("systolic_ws"), accelsim.load_network("resnet18")
    mine = {layer.name: layer for layer in accelsim.simulate(arch, network).layers}
    rows = [
        Compared(p["name"], p["cycles"], p["cpu_s"], p["mappings"], mine[p["name"]].cycles,
                 mine[p["name"]].details["mapping_candidates"])
        for p in peer()
    ]  # fmt: skip
    return rows, ours_s()


def main() -> int:
    console = Console(highlight=False, soft_wrap=True)
    rows, mine_s = compare()
    bus = float(machine_view(accelsim.load_arch("systolic_ws")).dram.bits_per_cycle)
    console.print(f"weight-stationary 32 x 32, 3 x 64 KiB, {bus:.4g} bits of DRAM per cycle; CPU seconds of one core")
    console.print(f"{'layer':24}{'ZigZag s':>10}{'mappings':>10}{'cycles':>12}{'accelsim cycles':>17}{'mappings':>10}")
    for row in rows:
        console.print(f"{row.name:24}{row.peer_s:>10.3f}{row.peer_mappings:>10,}{row.peer_cycles:>12,.0f}"
                      f"{row.cycles:>17,}{row.mappings:>10,}")  # fmt: skip
    theirs = len(rows) / sum(row.peer_s for row in rows)
    console.print(
        f"ZigZag {theirs:,.2f} layers per second and core, accelsim {1 / mine_s:,.0f}: x {1 / mine_s / theirs:,.0f}"
    )
    theirs = sum(row.peer_mappings for row in rows) / sum(row.peer_s for row in rows)
    ours = sum(row.mappings for row in rows) / len(rows) / mine_s
    console.print(f"mappings per second and core: ZigZag {theirs:,.0f}, accelsim {ours:,.0f}: x {ours / theirs:,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
