"""One run by every energy table: how far apart they put it, and which comparisons do not survive a change of table.

Tables of this field disagree by several times, for arithmetic alone by four or five. A conclusion that only one of
them supports is one about the table. What was counted stays; mappings are those of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from accelsim.comparison import Comparison, Flip
from accelsim.energy import load_table, table_names
from accelsim.errors import ConfigError, UserError
from accelsim.repricing import repriced
from accelsim.results import NetworkResult, TablePrice

ALL = "all"
OPTION = "--energy-tables"
FIGURES = ("total_energy_pj", "edp_pj_s")
"""What tables may rank differently."""


def tables_named(text: str) -> tuple[str, ...]:
    """Return the tables that ``--energy-tables`` asks for: all packaged ones, or names and paths between commas.

    Raises
    ------
    ConfigError
        A table that does not exist or is wrong.
    """
    names = tuple(table_names()) if text == ALL else tuple(dict.fromkeys(filter(None, text.split(","))))
    if not names:
        raise ConfigError("no energy table is named", f"write {ALL}, or names between commas", file=OPTION)
    for name in names:
        try:
            load_table(name)
        except ConfigError as error:
            raise ConfigError(error.problem, error.remedy, file=error.file or OPTION, line=error.line) from None
    return names


def by_tables(result: NetworkResult, tables: Iterable[str]) -> tuple[TablePrice, ...]:
    """Return the run by each table; one that lacks a price, or is of relative costs, says so and has no figures."""
    return tuple(_by_table(result, name) for name in tables)


def _by_table(result: NetworkResult, name: str) -> TablePrice:
    table = load_table(name)
    known = (table.name, table.node.nm, table.node.vdd_v)
    if table.spec.unit is not None:
        return TablePrice(*known, reason=f"normalised: in units of a {table.unit}")
    try:
        found = repriced(result, name)
    except UserError as error:
        return TablePrice(*known, reason=str(error))
    energy = found.energy_pj
    largest = max(energy, key=lambda part: energy[part], default="")
    dram = sum(pj for part, pj in energy.items() if part == "dram")
    return TablePrice(
        *known, float(found.total_energy_pj), float(found.total_energy_pj - dram), float(found.edp_pj_s), largest
    )


def compared(comparison: Comparison, tables: Iterable[str]) -> Comparison:
    """Return a comparison with every machine by every table, over the layers that are compared, and what flips."""
    names = tuple(tables)
    rows = tuple(
        replace(row, over=replace(row.over, energy_tables=by_tables(row.over, names))) if row.over is not None else row
        for row in comparison.rows
    )
    found = replace(comparison, rows=rows)
    return replace(found, flips=tuple(flip for name in found.by_network for flip in flips(found, name)))


def flips(comparison: Comparison, network: str) -> list[Flip]:
    """Return every pair of machines whose order depends on the table, by energy and by energy-delay product.

    A table that does not price both takes no side, nor does one by which they are equal.
    """
    ranked = {row.arch: row.over for row in comparison.by_network[network] if row.over is not None and row.ranks}
    known = {arch: {price.table: price for price in over.energy_tables} for arch, over in ranked.items()}
    found = []
    for figure in FIGURES:
        for one, other in combinations(known, 2):
            sides: tuple[list[str], list[str]] = ([], [])
            for table in known[one]:
                a, b = (getattr(known[arch][table], figure) for arch in (one, other))
                if a is not None and b is not None and a != b:
                    sides[a > b].append(table)
            if all(sides):
                found.append(Flip(network, figure, one, other, tuple(sides[0]), tuple(sides[1])))
    return found
