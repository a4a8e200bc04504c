"""SCALE-Sim's report files, digit for digit, and the rows they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from accelsim.errors import ConfigError
from accelsim.outputs import write

COMPUTE_HEADER = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, "
    "Mapping Efficiency %, Compute Util %,"
)
_OPERANDS = ("IFMAP", "FILTER", "OFMAP")


class Port(NamedTuple):
    """One memory port over a layer: first cycle, last cycle, words (a float in sparse ws)."""

    start_cycle: int
    stop_cycle: int
    words: int | float

    @property
    def words_per_cycle(self) -> float:
        """SCALE-Sim's average DRAM bandwidth."""
        return self.words / (self.stop_cycle - self.start_cycle + 1)


class SparseRow(NamedTuple):
    """The storage columns of SPARSE_REPORT.csv, in words."""

    representation: str
    original_words: int
    stored_words: float
    metadata_words: float


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """Compute and SRAM counts of a layer by closed form: no stalls, no DRAM. Percentages are SCALE-Sim's."""

    total_cycles: int
    overall_util: float
    mapping_efficiency: float
    compute_util: float
    ifmap_sram_reads: int | float
    filter_sram_reads: int
    ofmap_sram_writes: int


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One layer in SCALE-Sim's columns.

    ``ports`` are SRAM ifmap, filter, ofmap, then DRAM ifmap, filter, ofmap; ``sparse`` is None for dense
    runs.
    """

    total_cycles: int
    stall_cycles: int
    macs: int
    mac_units: int
    mapping_efficiency: float
    compute_util: float
    ports: tuple[Port, Port, Port, Port, Port, Port]
    sparse: SparseRow | None = None

    @property
    def cycles_with_prefetch(self) -> int:
        """Total Cycles (incl. prefetch): from the first DRAM read to the last DRAM write, one short."""
        ifmap, weights, ofmap = self.ports[3:]
        return ofmap.stop_cycle - min(ifmap.start_cycle, weights.start_cycle)

    @property
    def overall_util(self) -> float:
        """Dense MACs over array x Total Cycles, in percent: above 100 is possible when sparse."""
        return self.macs * 100 / (self.total_cycles * self.mac_units)

    def compute_items(self) -> list[int | float]:
        """Return the columns of COMPUTE_REPORT.csv after the layer's number."""
        cycles = [self.cycles_with_prefetch, self.total_cycles, self.stall_cycles]
        return [*cycles, self.overall_util, self.mapping_efficiency, self.compute_util]

    def bandwidth_items(self) -> list[int | float]:
        """Return the columns of BANDWIDTH_REPORT.csv after the layer's number: words per cycle."""
        sram = [port.words / self.total_cycles for port in self.ports[:3]]
        if self.sparse is not None:
            sram.insert(2, self.sparse.metadata_words / self.total_cycles)
        return [*sram, *(port.words_per_cycle for port in self.ports[3:])]

    def detail_items(self) -> list[int | float]:
        """Return the columns of DETAILED_ACCESS_REPORT.csv after the layer's number."""
        items: list[int | float] = []
        for port in self.ports:
            items += [float(port.start_cycle), float(port.stop_cycle), port.words]
        return items

    def sparse_items(self) -> list[int | float | str]:
        """Return the columns of SPARSE_REPORT.csv after the layer's number; empty when dense."""
        if self.sparse is None:
            return []
        return [*self.sparse, self.sparse.metadata_words / self.total_cycles]


def write_reports(rows: Iterable[ReportRow], folder: str | Path) -> tuple[Path, ...]:
    """Write SCALE-Sim's reports of ``rows`` into ``folder`` (made if absent); return the files written.

    COMPUTE_REPORT.csv, BANDWIDTH_REPORT.csv, DETAILED_ACCESS_REPORT.csv, and SPARSE_REPORT.csv when sparse.
    Each file appears under its name only once it is whole.

    Raises
    ------
    ConfigError
        The folder cannot be written.
    """
    kept = list(rows)
    sparse = any(row.sparse is not None for row in kept)
    tables: dict[str, tuple[str, Callable[[ReportRow], list[int | float] | list[int | float | str]]]] = {
        "COMPUTE_REPORT.csv": (COMPUTE_HEADER, ReportRow.compute_items),
        "BANDWIDTH_REPORT.csv": (_bandwidth_header(sparse), ReportRow.bandwidth_items),
        "DETAILED_ACCESS_REPORT.csv": (_detail_header(), ReportRow.detail_items),
    }
    if sparse:
        tables["SPARSE_REPORT.csv"] = (_SPARSE_HEADER, ReportRow.sparse_items)
    folder = Path(folder)
    written = []
    for name, (header, items) in tables.items():
        lines = [header]
        for number, row in enumerate(kept):
            lines.append(", ".join(str(x) for x in [number, *items(row)]) + ",")
        written.append(_write_whole(folder / name, "\n".join(lines) + "\n"))
    return tuple(written)


def _bandwidth_header(sparse: bool) -> str:
    sram = [f"Avg {name} SRAM BW" for name in _OPERANDS]
    if sparse:
        sram.insert(2, "Avg FILTER Metadata SRAM BW")
    return ", ".join(["LayerID", *sram, *(f"Avg {name} DRAM BW" for name in _OPERANDS)]) + ","


def _detail_header() -> str:
    columns = ["LayerID"]
    for memory in ("SRAM", "DRAM"):
        for name, access in (("IFMAP", "Reads"), ("Filter", "Reads"), ("OFMAP", "Writes")):
            columns += [f"{memory} {name} {what}" for what in ("Start Cycle", "Stop Cycle", access)]
    return ", ".join(columns) + ","


_SPARSE_HEADER = (
    "LayerID, Sparsity Representation, Original Filter Storage, New Storage (Filter+Metadata), "
    "Filter Metadata Storage, Avg FILTER Metadata SRAM BW, "
)


def _write_whole(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        problem = f"cannot be written ({(failure.strerror or str(failure)).lower()})"
        raise ConfigError(problem, "choose another output folder", file=str(path)) from None
    write(path, text, "choose another output folder")
    return path
