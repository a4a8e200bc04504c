"""SCALE-Sim's figures beside those of the machine and network that its files become here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from accelsim.config.arch import Arch
    from accelsim.replicas.scalesim import Config, ReportRow, Topology, TopologyRow
    from accelsim.results import LayerResult


class Line(NamedTuple):
    """One figure of a layer; None where one side has no such figure."""

    layer: str
    figure: str
    scalesim: float | None
    accelsim: float | None


def arch_of(config: Config) -> Arch:
    """Return the machine that a SCALE-Sim configuration becomes here.

    Raises
    ------
    ConfigError
        A size that no machine here may have.
    """
    from accelsim.config import arch
    from accelsim.config.scalesim.machine import machine
    from accelsim.engines.registry import find_params

    try:
        return arch.of_text(machine(config).text, config.file, find_params)
    except ConfigError as error:
        raise ConfigError(error.problem, error.remedy, file=config.file, key=error.key) from None


def beside(config: Config, topology: Topology) -> Iterator[Line]:
    """Yield the figures of each row of a topology, in the order of the file."""
    from accelsim.replicas import scalesim
    from accelsim.simulation import simulate
    from accelsim.workload.scalesim.network import of_topology

    reports = scalesim.run(config, topology)
    result = simulate(arch_of(config), of_topology(topology))
    for row, layer in zip(topology.rows, result.layers, strict=True):
        printed = [next(reports) for _ in range(row.channels if row.depthwise == "expanded" else 1)]
        yield from _lines(config, row, printed, layer)


def _lines(config: Config, row: TopologyRow, printed: Sequence[ReportRow], layer: LayerResult) -> Iterator[Line]:
    def total(pick: str, port: int | None = None) -> int:
        parts = [getattr(p, pick) if port is None else getattr(p.ports[port], pick) for p in printed]
        return int(sum(parts))  # words of sparse ws are whole numbers, kept as floats

    cycles, macs = total("total_cycles"), total("macs")
    size = config.rows * config.cols
    figures: tuple[tuple[str, float | None, float | None], ...] = (
        ("products", macs, layer.macs),
        ("compute cycles", cycles - total("stall_cycles"), layer.compute_cycles),
        ("stall cycles", total("stall_cycles"), layer.stall_cycles),
        ("cycles from first load to last store", total("cycles_with_prefetch"), layer.cycles),
        ("busy, % of array x compute cycles", 100 * macs / (cycles - total("stall_cycles")) / size,
         100 * layer.counted_macs / layer.compute_cycles / size),
        ("IFMAP scratchpad reads", total("words", 0), _words(layer, "glb.inputs", "input", "read", "input")),
        ("FILTER scratchpad reads", total("words", 1), _words(layer, "glb.weights", "weight", "read", "weight")),
        ("OFMAP scratchpad writes", total("words", 2), _words(layer, "glb.outputs", "psum", "write")),
        ("OFMAP scratchpad reads of partial sums", None, _words(layer, "glb.outputs", "psum", "read")),
        ("IFMAP words from DRAM", total("words", 3), _words(layer, "dram", "input", "read", "input")),
        ("FILTER words from DRAM", total("words", 4), _words(layer, "dram", "weight", "read", "weight")),
        ("OFMAP words to DRAM", total("words", 5), _words(layer, "dram", "output", "write", "output")),
        ("partial sums to DRAM and back", None, 2 * _words(layer, "dram", "psum", "read")),
    )  # fmt: skip
    for figure, theirs, ours in figures:
        yield Line(row.name, figure, theirs, ours)


PSUM_BITS = 32
"""Width of a partial sum on the imported machine, which takes it from its base."""


def _words(layer: LayerResult, boundary: str, tensor: str, direction: str, role: str | None = None) -> int:
    bits = sum(t.bits for t in layer.traffic if (t.boundary, t.tensor, t.direction) == (boundary, tensor, direction))
    width = PSUM_BITS if role is None else layer.bits[role]
    return bits // (width or 1)


def table(lines: Sequence[Line]) -> str:
    """Return the lines as aligned text, a layer's name on its first line only."""
    cells = [("layer", "figure", "SCALE-Sim", "accelsim")]
    before = None
    for line in lines:
        name = "" if line.layer == before else line.layer
        cells.append((name, line.figure, _shown(line.scalesim), _shown(line.accelsim)))
        before = line.layer
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    return "\n".join(
        f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in cells
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "not counted"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
