"""What each technique of SpArch saves: DRAM bytes and GFLOP/s, beside the factors of the paper.

    python examples/spgemm_ablation/ablation.py [FOLDER [MATRIX...]]     writes FOLDER/sparch_ablation.md

Z. Zhang et al., "SpArch", HPCA 2020, abstract: matrix condensing 5.4x, Huffman scheduler 1.8x and row prefetcher 1.5x
less DRAM access, in all 2.8x less than OuterSPACE and 4x faster. Averages over twenty matrices, most of them not at
hand. ``matrix:...`` needs ACCELSIM_DATA; matrices that are not there are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import accelsim
from accelsim.workload.matrix_names import PREFIX, find_data

MATRICES = {
    "wiki-Vote": "matrix:wiki-Vote",
    "p2p-Gnutella31": "matrix:p2p-Gnutella31",
    "R-MAT": "rmat:n=20000,nnz=160000,seed=1",
    "uniform": "uniform:n=20000,nnz=160000,seed=1",
    "uniform, large": "uniform:n=200200,nnz=800800,seed=1",
}
"""The last is as large as the paper's m133-b3, which is not at hand."""
ORDER = ("pipeline_merge", "condense", "huffman", "prefetch")
STEPS = {
    "outer product through the tree": 0,
    "+ pipelined merge": 1,
    "+ condensing": 2,
    "+ Huffman scheduler": 3,
    "+ row prefetcher": 4,
}
"""Row -> how many techniques of ``ORDER`` are on."""
PUBLISHED = {
    "+ pipelined merge": "5.2x more than OuterSPACE (derived)",
    "+ condensing": "5.4x less",
    "+ Huffman scheduler": "1.8x less",
    "+ row prefetcher": "1.5x less",
}


class Point(NamedTuple):
    """One run: DRAM traffic by source in bytes, seconds, GFLOP/s."""

    traffic: dict[str, float]
    seconds: float
    gflops: float

    @property
    def megabytes(self) -> float:
        return sum(self.traffic.values()) / 1e6


def at_hand(names=()):
    """Return label -> network name of the matrices that can be read."""
    found = {label: name for label, name in MATRICES.items() if not names or label in names}
    return {
        label: name
        for label, name in found.items()
        if not name.startswith(PREFIX) or find_data(name.removeprefix(PREFIX))
    }


def point(machine, network, **params):
    """Simulate a product; traffic that whole bursts move beyond the elements is left out, as in the paper."""
    arch = accelsim.load_arch(machine)
    for key, value in params.items():
        arch = arch.replace(f"params.{key}", value)
    result = accelsim.simulate(arch, network)
    traffic: dict[str, float] = {}
    for row in result.layers[0].traffic:
        if row.boundary == "dram" and row.tensor != "other":
            source = f"{row.tensor} {row.direction}" if row.tensor == "psum" else row.tensor
            traffic[source] = traffic.get(source, 0) + row.bits / 8
    return Point(traffic, result.time_s, 1e3 * result.effective_tops)


def steps(network, **params):
    """Return row -> point, techniques switched on one after another."""
    return {
        name: point("sparch", network, **{key: i < on for i, key in enumerate(ORDER)}, **params)
        for name, on in STEPS.items()
    }


def tables(chosen):
    """Return the tables as lines."""
    nets = {label: accelsim.load_network(name) for label, name in chosen.items()}
    fresh = {label: steps(net) for label, net in nets.items()}
    running = {label: steps(net, plain_schedule="running") for label, net in nets.items() if label != "uniform, large"}
    outer = {label: point("outerspace", net) for label, net in nets.items()}
    yield from _table("Rounds of the oldest nodes (`plain_schedule: fresh`)", fresh, outer)
    yield from _table("New columns and the running result (`plain_schedule: running`)", running, outer)
    yield "## Whole machines"
    yield ""
    yield "| | " + " | ".join(nets) + " | published |"
    yield "|---|" + "--:|" * (len(nets) + 1)
    last = {label: points["+ row prefetcher"] for label, points in fresh.items()}
    cells = [f"{outer[label].megabytes / last[label].megabytes:.2f}x" for label in nets]
    yield "| DRAM bytes, OuterSPACE over SpArch | " + " | ".join(cells) + " | 2.8x |"
    cells = [f"{outer[label].seconds / last[label].seconds:.1f}x" for label in nets]
    yield "| time, OuterSPACE over SpArch | " + " | ".join(cells) + " | 4x |"


def _table(title, found, outer):
    yield f"## {title}"
    yield ""
    yield "| technique | " + " | ".join(found) + " | published |"
    yield "|---|" + "--:|" * (len(found) + 1)
    cells = [f"{outer[label].megabytes:,.1f} MB, {outer[label].gflops:.2f}" for label in found]
    yield "| OuterSPACE | " + " | ".join(cells) + " | |"
    before: dict[str, float] = {}
    for name in STEPS:
        cells = []
        for label, points in found.items():
            here = points[name]
            gain = f" ({before[label] / here.megabytes:.2f}x)" if label in before else ""
            cells.append(f"{here.megabytes:,.1f} MB{gain}, {here.gflops:.2f}")
            before[label] = here.megabytes
        yield f"| {name} | " + " | ".join(cells) + f" | {PUBLISHED.get(name, '')} |"
    cells = [f"{found[label]['+ pipelined merge'].megabytes / outer[label].megabytes:.2f}x" for label in found]
    yield "| pipelined merge alone over OuterSPACE | " + " | ".join(cells) + " | 5.2x (derived) |"
    yield ""


def write(folder: Path, names=()) -> Path:
    """Write the report and return its path."""
    here = Path(__file__).parent
    text = (here / "head.md").read_text() + "\n".join(tables(at_hand(names))) + "\n\n" + (here / "why.md").read_text()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sparch_ablation.md"
    path.write_text(text)
    return path


if __name__ == "__main__":
    target, *wanted = sys.argv[1:] or ["reports/out"]
    print(write(Path(target), wanted))
