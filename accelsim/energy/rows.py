"""The schema of an energy table: rows of figures, each with its source and how far it can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from accelsim.config.schema import Flavour, NotNegative, Positive, Strict

Status: TypeAlias = Literal["read", "computed", "recalled", "carried", "assumed"]
STATUSES: tuple[Status, ...] = ("read", "computed", "recalled", "carried", "assumed")
"""From the strongest to the weakest: in a source, a tool's or our output, from memory, of another process, chosen
without a source.
"""


def weakest(statuses: Iterable[Status]) -> Status:
    """Return the status of what was made from figures of these statuses."""
    return max(statuses, key=STATUSES.index)


class PriceRow(Strict):
    """What every row carries beside its figures."""

    status: Status
    source: str = Field(min_length=1, description="key of the table's 'sources'")
    note: str = Field("", description="how the figure follows from the source's, if it is not verbatim")
    from_table: str = Field("", description="set by loading: the table in which the row is written")


def label(section: str, row: PriceRow, place: str = "") -> str:
    """Return how a trace names a row: its table, section and place, status, source and derivation."""
    where = (f"{row.from_table}:" if row.from_table else "") + section + (f"[{place}]" if place else "")
    note = f"; {row.note}" if row.note else ""
    return f"{where} ({row.status}, {row.source}{note})"


class WidthRow(PriceRow):
    """Arithmetic at one operand width. A multiplier or MAC of ``bits`` has two operands of that width."""

    bits: int = Field(ge=1, le=64)
    pj: Positive | None = Field(None, description="energy per operation")
    um2: Positive | None = Field(None, description="area")
    leak_mw: NotNegative | None = Field(None, description="leakage power")


class SramRow(PriceRow):
    """An SRAM of one size with a port of ``port_bits``; energies per access of the whole port."""

    kib: Positive
    port_bits: int = Field(64, ge=1, le=1 << 20)
    read_pj: Positive | None = None
    write_pj: Positive | None = None
    mm2: Positive | None = None
    leak_mw: NotNegative | None = None


class AccessRow(PriceRow):
    """Storage with one price whatever its size: ``pj`` per access of ``per_bits``, read or written."""

    pj: Positive
    per_bits: int = Field(1, ge=1, le=1 << 20)
    um2_per_bit: Positive | None = None
    leak_mw_per_bit: NotNegative | None = None


class LinkRow(PriceRow):
    """A wire: ``pj`` for ``per_bits`` over ``per_mm``, or over one hop where ``per_mm`` is absent."""

    pj: Positive
    per_bits: int = Field(1, ge=1, le=1 << 20)
    per_mm: Positive | None = None


class HopRow(PriceRow):
    """The distance between neighbours that a link without a length is taken to have."""

    mm: Positive


class DramRow(PriceRow):
    """Off-chip memory, both directions: ``pj`` for ``per_bits`` on the bus; ``any`` stands for every standard."""

    standard: str = Field(pattern=r"^[a-z0-9_]+$")
    pj: Positive
    per_bits: int = Field(1, ge=1, le=1 << 20)


class SpecialRow(PriceRow):
    """A special function (exp, reciprocal, square root) as multiplications and additions of its width."""

    multiplies: NotNegative
    adds: NotNegative


class GatedRow(PriceRow):
    """What is left of a multiply-accumulate's energy when a zero operand gates it, as a share of it."""

    share: float = Field(ge=0, le=1)


class StaticRow(PriceRow):
    """Power of the whole chip that no component accounts for."""

    mw: Positive


class NamedRow(PriceRow):
    """The price of one action of the component of one name: goes before every other section."""

    component: str
    action: str
    pj: NotNegative
    per_bits: int = Field(1, ge=1, le=1 << 20, description="bits of that access; 1 for arithmetic")


class NamedAreaRow(PriceRow):
    """Area, as placed, and leakage of one instance of the component of one name: go before every other section."""

    component: str
    um2: Positive | None = None
    leak_mw: NotNegative | None = None


class ModelRow(PriceRow):
    """What the packaged macros or cells give at the table's node and supply, with no figure of its own."""


class NodeRow(PriceRow):
    """The process that the prices are for."""

    nm: Positive
    vdd_v: Positive


class UnitRow(PriceRow):
    """A relative table's unit, and the pJ as which reports show one of it."""

    name: str
    pj: Positive


class Inherit(Strict):
    """Sections taken over from another table, with ``scaled`` carried to this table's node and voltage."""

    table: str
    sections: tuple[str, ...] = Field(strict=False, min_length=1)
    scaled: bool = False


class TableSpec(Strict):
    """One table file."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    title: str
    unit: UnitRow | None = Field(None, description="absent: pJ")
    node: NodeRow
    sources: dict[str, str]
    not_modelled: tuple[str, ...] = Field((), strict=False)
    inherits: tuple[Inherit, ...] = Field((), strict=False)

    named: tuple[NamedRow, ...] = Field((), strict=False)
    named_area: tuple[NamedAreaRow, ...] = Field((), strict=False)
    mac: tuple[WidthRow, ...] = Field((), strict=False, description="whole MACs; absent: multiplier plus adder")
    multiplier: tuple[WidthRow, ...] = Field((), strict=False)
    adder: tuple[WidthRow, ...] = Field((), strict=False)
    comparator: tuple[WidthRow, ...] = Field((), strict=False)
    special: SpecialRow | None = None
    gated: GatedRow | None = None
    macros: ModelRow | None = Field(None, description="SRAM as the cheapest banking of computed macros; placed areas")
    cells: ModelRow | None = Field(None, description="registers, clock and leakage of logic from open cell libraries")
    flavour: Flavour = Field("general_purpose", description="of the process, for the leakage of 'cells'")
    register_file: AccessRow | None = Field(
        None, description="a register file, whatever its size; beside 'sram' or 'buffer' all storage up to 0.5 KiB"
    )
    sram: tuple[SramRow, ...] = Field((), strict=False, description="storage from 0.5 KiB by size")
    buffer: AccessRow | None = Field(None, description="storage from 0.5 KiB, one price for all sizes")
    link: tuple[LinkRow, ...] = Field((), strict=False)
    hop: HopRow | None = None
    dram: tuple[DramRow, ...] = Field((), strict=False)
    static: StaticRow | None = None

    @model_validator(mode="after")
    def _coherent(self) -> TableSpec:
        if sum(map(bool, (self.sram, self.buffer, self.macros))) > 1:
            raise ValueError("a table has one of 'macros', 'sram' and 'buffer'; keep one of them")
        if self.cells and self.register_file:
            raise ValueError("a table has either 'cells' or 'register_file'; keep one of them")
        for section in ("mac", "multiplier", "adder", "comparator"):
            for figure in ("pj", "um2", "leak_mw"):
                _once(section, "bits", (r.bits for r in getattr(self, section) if getattr(r, figure) is not None))
        for figure in ("read_pj", "write_pj", "mm2", "leak_mw"):
            _once("sram", "KiB", (r.kib for r in self.sram if getattr(r, figure) is not None))
        if len({row.port_bits for row in self.sram}) > 1:
            raise ValueError("'sram' has rows with different port_bits; give all for one port")
        _once("dram", "as standard", (r.standard for r in self.dram))
        _once("named", "as component and action", ((r.component, r.action) for r in self.named))
        _once("named_area", "as component", (r.component for r in self.named_area))
        _once("link", "as a length given or not", (r.per_mm is not None for r in self.link))
        return self


SECTIONS = (
    "named", "named_area", "mac", "multiplier", "adder", "comparator", "special", "gated", "macros", "cells",
    "register_file", "sram", "buffer", "link", "hop", "dram", "static",
)  # fmt: skip
"""The parts of a table that another table can inherit."""


def _once(section: str, word: str, keys: Iterable[object]) -> None:
    twice = [key for key, n in Counter(keys).items() if n > 1]
    if twice:
        raise ValueError(f"'{section}' has two rows with {twice[0]} {word}; keep one of them")
