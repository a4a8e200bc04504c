"""A loaded table: what an action of a component costs, and what a component occupies and leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from accelsim.components import Alu, Clock, Component, Dram, Link, Mac, RegisterFile, Registers, Sram
from accelsim.energy import arithmetic, cells, storage
from accelsim.energy.constants import constants
from accelsim.energy.curve import NoFigureError, Reading
from accelsim.energy.rows import NodeRow, Status, TableSpec, label
from accelsim.errors import PriceError

Per: TypeAlias = Literal["bit", "operation"]

AREA, CELLS, MACROS, LEAKAGE = "area", "cells", "macros", "leakage"


class Price(NamedTuple):
    """Cost of one bit or one operation, how it was found, and how far it can be trusted."""

    pj: float
    per: Per
    steps: tuple[str, ...]
    status: Status


@dataclass(frozen=True, eq=False)
class Table:
    """A loaded energy table. Its prices are remembered, so that asking again is cheap.

    Attributes
    ----------
    spec : TableSpec
        All rows, inherited ones included.
    """

    spec: TableSpec
    _prices: dict[tuple[Component, str], Price] = field(default_factory=dict, repr=False)
    _figures: dict[tuple[Component, str], Reading | PriceError] = field(default_factory=dict, repr=False)
    machines: dict[Any, tuple[Component, ...]] = field(default_factory=dict, repr=False)
    """Whatever describes a unit -> its components, kept for `accelsim.layer`."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.spec.name

    @property
    def node(self) -> NodeRow:
        """Process and supply that the prices are for."""
        return self.spec.node

    @property
    def unit(self) -> str:
        """The unit behind figures called pJ: ``pJ``, or ``MAC`` for a table of relative costs."""
        return "pJ" if self.spec.unit is None else self.spec.unit.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report must say of the table: its unit if relative, and what it does not model."""
        unit = self.spec.unit
        relative = () if unit is None else (f"energies are relative: 1 {unit.name} is shown as {unit.pj:g} pJ",)
        return relative + tuple(f"not in energy table {self.name}: {what}" for what in self.spec.not_modelled)

    def price(self, component: Component, action: str) -> Price:
        """Return the cost per bit (storage, links, DRAM) or per operation (arithmetic) of ``action``.

        Raises
        ------
        PriceError
            The table does not give it.
        """
        key = (component, action)
        if key not in self._prices:
            self._prices[key] = self._price(component, action)
        return self._prices[key]

    def area_mm2(self, component: Component) -> Reading:
        """Return the area of one instance of ``component``, or raise PriceError: placed, if the table has macros."""
        return self._known(component, AREA)

    def part_mm2(self, component: Component, part: Literal["cells", "macros"]) -> float:
        """Return the area of one instance before placing: of its gates and flip-flops, or of its SRAM macros."""
        found = self._figure(component, part)
        return 0.0 if isinstance(found, PriceError) else found.value

    def leak_mw(self, component: Component) -> Reading:
        """Return the leakage power of one instance of ``component``, or raise PriceError."""
        return self._known(component, LEAKAGE)

    def known_leak_mw(self, component: Component) -> float:
        """Return the leakage power of all instances of ``component``, 0 where the table has no figure for it."""
        found = self._figure(component, LEAKAGE)
        return 0.0 if isinstance(found, PriceError) else found.value * component.count

    def _price(self, component: Component, action: str) -> Price:
        per: Per = "bit" if component.counts_bits else "operation"
        try:
            reading = _named(self.spec, component, action) or _priced(self.spec, component, action)
        except NoFigureError as error:
            raise self._missing(component, f"price for '{action}'", str(error)) from None
        if self.spec.unit is not None:
            unit = self.spec.unit
            reading = reading.times(unit.pj, f"1 {unit.name} shown as {unit.pj:g} pJ")
        return Price(reading.value, per, reading.steps, reading.status)

    def _known(self, component: Component, what: str) -> Reading:
        found = self._figure(component, what)
        if isinstance(found, PriceError):
            raise found.with_traceback(None)
        return found

    def _figure(self, component: Component, what: str) -> Reading | PriceError:
        """Return the area or leakage of one instance, or the error that says why there is none."""
        if (component, what) not in self._figures:
            found: Reading | PriceError
            try:
                found = _named_figure(self.spec, component, what) or _FIGURES[what](self.spec, component)
            except NoFigureError as error:
                found = self._missing(component, f"figure for the {what}", str(error))
            self._figures[component, what] = found
        return self._figures[component, what]

    def _missing(self, component: Component, what: str, reason: str) -> PriceError:
        return PriceError(
            f"energy table '{self.name}' has no {what} of '{component.name}' ({component.kind}): {reason}",
            "add a row in a table of your own, or choose another one with --set energy.table=NAME",
        )


def _priced(spec: TableSpec, component: Component, action: str) -> Reading:
    if action in component.actions:
        if isinstance(component, Mac | Alu):
            return arithmetic.arithmetic(spec, component, action)
        if isinstance(component, Sram | RegisterFile):
            return storage.storage(spec, component, action)
        if isinstance(component, Registers | Clock):
            return _clocked(spec, component, action)
        if isinstance(component, Link):
            return storage.link(spec, component)
        if isinstance(component, Dram):
            return storage.dram(spec, component)
    raise NoFigureError("such components or actions are priced only by rows of 'named:'")


def _named(spec: TableSpec, component: Component, action: str) -> Reading | None:
    for row in spec.named:
        if (row.component, row.action) == (component.name, action):
            text = f"{label('named', row, f'{row.component} {row.action}')} {row.pj:g} per {row.per_bits}"
            return Reading(row.pj / row.per_bits, (text,), row.status)
    return None


def _named_figure(spec: TableSpec, component: Component, what: str) -> Reading | None:
    """Return area or leakage that a row gives the component by its name; its area is its only part before placing."""
    row = next((row for row in spec.named_area if row.component == component.name), None)
    if row is None:
        return None
    if what == LEAKAGE:
        return None if row.leak_mw is None else Reading(row.leak_mw, (label("named_area", row),), row.status)
    if row.um2 is None or ((what == MACROS) != isinstance(component, Sram) and what != AREA):
        return None
    return Reading(row.um2 * 1e-6, (label("named_area", row),), row.status)


def _clocked(spec: TableSpec, component: Registers | Clock, action: str) -> Reading:
    if spec.cells is None:
        return Reading(0.0, (f"{spec.name} does not price registers and clock",), "assumed")
    made = (
        cells.data(spec.node, component)
        if isinstance(component, Registers)
        else cells.clock(spec.node, component, action)
    )
    return made.after(label("cells", spec.cells))


def _area(spec: TableSpec, component: Component) -> Reading:
    """Return the placed area, or by a table without macros what its rows say."""
    if spec.macros is None:
        return _macros(spec, component) if isinstance(component, Sram) else _cells(spec, component)
    if isinstance(component, Sram):
        return storage.placed_mm2(spec, component)
    use = constants().utilisation
    return _cells(spec, component).times(1 / use.value, f"/ {use.value:g}: {label('constants:utilisation', use)}")


def _cells(spec: TableSpec, component: Component) -> Reading:
    if isinstance(component, Mac | Alu):
        return arithmetic.whole(spec, component, "um2").times(1e-6)
    if isinstance(component, RegisterFile):
        return storage.area_mm2(spec, component)
    if isinstance(component, Registers) and spec.cells is not None:
        return cells.flip_flops_um2(spec.node, component.clocked_bits).times(1e-6)
    raise NoFigureError("tables have none for this kind of component")


def _macros(spec: TableSpec, component: Component) -> Reading:
    if isinstance(component, Sram):
        return storage.area_mm2(spec, component)
    raise NoFigureError("it is no SRAM")


def _leak(spec: TableSpec, component: Component) -> Reading:
    if isinstance(component, Sram | RegisterFile):
        return storage.leak_mw(spec, component)
    if spec.cells is not None and isinstance(component, Mac | Alu | Registers):
        return cells.leak_of_cells(spec.node, spec.flavour, _cells(spec, component).times(1e6))
    if isinstance(component, Mac | Alu):
        return arithmetic.whole(spec, component, "leak_mw")
    raise NoFigureError("tables have none for this kind of component")


_FIGURES: dict[str, Callable[[TableSpec, Component], Reading]] = {
    AREA: _area, CELLS: _cells, MACROS: _macros, LEAKAGE: _leak,
}  # fmt: skip
