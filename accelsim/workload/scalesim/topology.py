"""Reads a SCALE-Sim topology (convolutions) or GEMM table into typed rows.

Source: SCALE-Sim 3.0.0, ``topology_utils.py``. A row that SCALE-Sim can read is read as SCALE-Sim reads it; a
row it stops at is read forgivingly. Whatever was odd is a `accelsim.config.scalesim.cells.Note`, so that an importer
can decide otherwise: nothing is guessed in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accelsim.config.scalesim.cells import MAX_NUMBER, Note, read_text, whole, whole_or_float
from accelsim.errors import WorkloadError

CONV_COLUMNS = (
    *("IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width"),
    *("Channels", "Num Filter", "Strides"),
)
GEMM_COLUMNS = ("M", "N", "K")


@dataclass(frozen=True, slots=True)
class TopologyRow:
    """One layer as the file gives it.

    A GEMM row ``M, N, K`` is kept as SCALE-Sim turns it into a convolution: an ifmap of M x K, N filters of 1
    x K. ``depthwise`` names the convention recognised: ``expanded`` ('DP' in the name: one layer per
    channel), ``one_filter`` (all channels, a single filter), ``one_channel`` (a single channel, a single
    filter) or None. ``n_of_m`` is the sparsity column (N:M), 1:1 when absent.
    """

    name: str
    line: int
    ifmap_h: int
    ifmap_w: int
    filter_h: int
    filter_w: int
    channels: int
    filters: int
    stride_h: int
    stride_w: int
    n_of_m: tuple[int, int] = (1, 1)
    batch: int = 1
    depthwise: str | None = None

    @property
    def out_h(self) -> int:
        """Output rows in SCALE-Sim, which rounds up: the last may lie partly outside the ifmap."""
        return -(-(self.ifmap_h - self.filter_h + self.stride_h) // self.stride_h)

    @property
    def out_w(self) -> int:
        """Output columns in SCALE-Sim, rounded up."""
        return -(-(self.ifmap_w - self.filter_w + self.stride_w) // self.stride_w)

    @property
    def stride_fits(self) -> bool:
        """Whether no window lies partly outside the ifmap."""
        tall = (self.ifmap_h - self.filter_h) % self.stride_h
        return not tall and not (self.ifmap_w - self.filter_w) % self.stride_w

    @property
    def same_out(self) -> tuple[int, int]:
        """Output (rows, columns) of the layer with 'same' padding, which SCALE-Sim does not have."""
        return -(-self.ifmap_h // self.stride_h), -(-self.ifmap_w // self.stride_w)


@dataclass(frozen=True, slots=True)
class Topology:
    """The rows of one file, and the notes about it."""

    name: str
    rows: tuple[TopologyRow, ...]
    gemm: bool
    file: str = ""
    notes: tuple[Note, ...] = ()


def read_topology(path: str | Path, *, gemm: bool | None = False, shown: str | None = None) -> Topology:
    """Read the topology at ``path``, which messages call ``shown``.

    ``gemm`` says that its columns are M, N, K; with None the header decides.

    Raises
    ------
    WorkloadError
        The file cannot be read, has no layers, or a row cannot be understood.
    """
    file = shown or str(path)
    text = read_text(path, WorkloadError, file)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # as open() does: no other line ends
    reader = _Reader(file, _says_gemm(lines[0]) if gemm is None else gemm)
    for number, line in enumerate(lines, 1):
        reader.take(number, line)
    if not reader.rows:
        raise WorkloadError("no layers", "the first line is a header and is never read", file=file)
    return Topology(Path(path).stem, tuple(reader.rows), reader.gemm, file, tuple(reader.notes))


class _Reader:
    """The rows and notes of one file, taken line by line."""

    def __init__(self, file: str, gemm: bool) -> None:
        self.file, self.gemm = file, gemm
        self.columns = GEMM_COLUMNS if gemm else CONV_COLUMNS
        self.header: list[str] = []
        self.rows: list[TopologyRow] = []
        self.notes: list[Note] = []

    def take(self, number: int, line: str) -> None:
        fields = _split(line)
        if number == 1:
            self.header = [field.strip().lower() for field in fields]
            if self._as_scalesim(fields) is not None:
                text = "the first line looks like a layer; SCALE-Sim takes it for the header and drops it"
                self._note(number, "header", text)
            self._check_header()
            return
        if not line.strip():
            return
        if not any(field.strip() for field in fields):
            self._note(number, "empty_row", "a row without values, at which SCALE-Sim stops; skipped", stops=True)
            return
        row = self._read_as_scalesim(number, fields) or self._read_forgivingly(number, fields)
        if row is not None:
            self._check(row)
            self.rows.append(row)
            self._note_row(row)

    def _check_header(self) -> None:
        """Note a title that belongs to another column: SCALE-Sim goes by position whatever the header says."""
        for title, column in zip(self.header[1:], self.columns, strict=False):
            if _canonical(title) != _canonical(column) and _canonical(title) in map(_canonical, self.columns):
                text = f"the header calls the column of {column} {_shown(title)}; columns are read by position"
                self._note(1, "header_order", text)

    def _note(self, line: int, kind: str, text: str, stops: bool = False) -> None:
        self.notes.append(Note(self.file, line, kind, text, stops))

    def _as_scalesim(self, fields: list[str]) -> list[int] | None:
        """Return the integers SCALE-Sim takes from a row (sizes, strides, N, M), or None if it stops."""
        cells = fields[:-1]
        if self.gemm:
            if len(cells) < 4:
                return None
            m, n, k = cells[1:4]
            numbers = [m, k, "1", k, "1", n, "1", "1"]
            ratio = cells[4] if len(cells) > 4 else "1:1"
        else:
            if len(cells) < 8:
                return None
            numbers = [*cells[1:8], cells[7], *cells[8:]]
            ratio = numbers.pop() if len(numbers) > 8 else "1:1"
        parts = ratio.strip().split(":")
        if len(parts) < 2:
            return None
        try:
            return [whole(cell) for cell in [*numbers, *parts[:2]]]
        except ValueError:
            return None

    def _read_as_scalesim(self, number: int, fields: list[str]) -> TopologyRow | None:
        values = self._as_scalesim(fields)
        if values is None:
            return None
        dropped = fields[-1].strip()
        if dropped and not dropped.startswith("#"):
            what = "sparsity" if ":" in dropped else "field"
            text = f"{_shown(dropped)} after the last comma is dropped by SCALE-Sim"
            self._note(number, f"dropped_{what}", text)
        if len(values) > 10:
            text = "columns between the stride and the sparsity shift the sparsity that SCALE-Sim reads"
            self._note(number, "extra_column", text)
        n, m = values[8:10]
        return self._row(number, fields, values[:8], (n, m))

    def _read_forgivingly(self, number: int, fields: list[str]) -> TopologyRow | None:
        written = fields
        while fields and (not fields[-1].strip() or fields[-1].strip().startswith("#")):
            fields = fields[:-1]
        if len(fields) == 1:
            text = f"only a name ({_shown(fields[0].strip())}), at which SCALE-Sim stops; skipped"
            self._note(number, "title", text, stops=True)
            return None
        need = len(self.columns)
        self._check_count(number, len(fields) - 1)
        values = [self._cell(number, c, f) for c, f in zip(self.columns, fields[1:], strict=False)]
        self._note(number, "not_readable", "SCALE-Sim stops at this row; read by position here", stops=True)
        if self.gemm:
            m, n, k = values
            values = [m, k, 1, k, 1, n, 1]
        ratio, batch, stride_w = (1, 1), 1, values[6]
        for index, cell in enumerate(fields[need + 1 :], need + 1):
            title = self.header[index] if index < len(self.header) else ""
            if ":" in cell:
                ratio = self._ratio(number, cell)
            elif "batch" in title:
                batch = self._cell(number, "Batch", cell)
                self._note(number, "batch", f"batch {batch} is kept in the row; the replica runs batch 1")
            elif "stride" in title and "stride" in self.header[index - 1] and not self.gemm:
                stride_w = self._cell(number, "Stride width", cell)
            elif cell.strip():
                self._note(number, "extra_column", f"column {index + 1} ({_shown(cell.strip())}) is ignored")
        return self._row(number, written, [*values, stride_w], ratio, batch)

    def _check_count(self, number: int, count: int) -> None:
        need = len(self.columns)
        if count < need:
            kind = "a GEMM" if self.gemm else "a convolution"
            remedy = f"give {', '.join(self.columns)}"
            if not self.gemm and count in (3, 4):
                remedy += " (a table of M, N, K needs that header, or --gemm)"
            problem = f"{count} numbers where {kind} needs {need}"
            raise WorkloadError(problem, remedy, file=self.file, line=number)
        if self.gemm and count >= len(CONV_COLUMNS):
            problem = f"{count} numbers in a GEMM row"
            raise WorkloadError(problem, "a table of convolutions goes without --gemm", file=self.file, line=number)

    def _cell(self, number: int, column: str, text: str) -> int:
        try:
            value, as_float = whole_or_float(text)
        except (ValueError, OverflowError):
            what = "is blank" if not text.strip() else f"{_shown(text.strip())} is not a whole number"
            problem = f"{column}: {what}"
            raise WorkloadError(problem, "write a whole number", file=self.file, line=number) from None
        if as_float:
            self._note(number, "float", f"{column} is a float, at which SCALE-Sim stops", stops=True)
        return value

    def _ratio(self, number: int, text: str) -> tuple[int, int]:
        n, _, m = text.partition(":")
        return self._cell(number, "Sparsity", n), self._cell(number, "Sparsity", m)

    def _row(
        self, number: int, fields: list[str], values: list[int], ratio: tuple[int, int], batch: int = 1
    ) -> TopologyRow:
        name = fields[0].strip()
        depthwise = None if self.gemm else _depthwise(name, fields[-1], values)
        h, w, r, s, channels, filters, stride_h, stride_w = values[:8]
        sizes = (h, w, r, s, channels, filters)
        return TopologyRow(name, number, *sizes, stride_h, stride_w, ratio, batch, depthwise)

    def _check(self, row: TopologyRow) -> None:
        where = {"file": self.file, "line": row.line, "key": row.name or None}
        sizes = (row.ifmap_h, row.ifmap_w, row.filter_h, row.filter_w, row.channels, row.filters)
        for value in (*sizes, row.stride_h, row.stride_w, row.batch):
            if not 1 <= value <= MAX_NUMBER:
                raise WorkloadError(f"{value} is out of range", f"use 1 to {MAX_NUMBER}", **where)  # type: ignore[arg-type]
        if row.filter_h > row.ifmap_h or row.filter_w > row.ifmap_w:
            problem = f"a {row.filter_h}x{row.filter_w} filter on a {row.ifmap_h}x{row.ifmap_w} ifmap"
            remedy = "enlarge the ifmap by the padding: SCALE-Sim pads nothing"
            raise WorkloadError(problem, remedy, **where)  # type: ignore[arg-type]

    def _note_row(self, row: TopologyRow) -> None:
        if row.depthwise:
            self._note(row.line, f"depthwise_{row.depthwise}", _DEPTHWISE[row.depthwise].format(row=row))
        if not row.stride_fits:
            text = f"the stride does not fit: {row.out_h}x{row.out_w} windows, the last partly outside the ifmap"
            self._note(row.line, "stride", text)


_DEPTHWISE = {
    "expanded": "'DP' in the name: {row.channels} layers of one channel and {row.filters} filters",
    "one_filter": "one filter over {row.channels} channels: if this is depthwise, its outputs are "
    "{row.channels} times as many",
    "one_channel": "one channel of a depthwise layer: SCALE-Sim counts no other",
}


def _depthwise(name: str, comment: str, values: list[int]) -> str | None:
    """Name the depthwise convention of a row, if it follows one of the three that are about."""
    marks = f"{name} {comment}".lower() if comment.strip().startswith("#") else name.lower()
    filter_h, filter_w, channels, filters = values[2:6]
    if "DP" in name:
        return "expanded"
    if filters == 1 and channels == 1 and ("dw" in marks or "depthwise" in marks):
        return "one_channel"
    if filters == 1 and channels > 1 and filter_h * filter_w > 1:
        return "one_filter"
    return None


def _canonical(title: str) -> str:
    """Return a title without what differs between files: case, spaces, plurals."""
    return "".join(title.lower().split()).rstrip("s")


def _says_gemm(header: str) -> bool:
    return sorted(_canonical(title) for title in _split(header)[1:4]) == ["k", "m", "n"]


def _split(line: str) -> list[str]:
    """Return the fields of a line: commas as SCALE-Sim has it, tabs where there is no comma at all."""
    line = line.strip()
    if "," not in line and "\t" in line:
        return line.split("\t")
    return line.split(",")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
