"""Prices, areas and leakage of arithmetic, by operand width.

A multiplier goes by the product of its operand widths, adders and comparators by theirs, log-log between rows. That
multipliers are proportional to the product is what Aladdin's rows give exactly, and Horowitz's with an exponent of
0.99.
"""

from __future__ import annotations

from accelsim.components import Alu, Mac
from accelsim.energy.curve import NoFigureError, Point, Reading, log_log, plus
from accelsim.energy.rows import TableSpec, WidthRow, label, weakest


def arithmetic(spec: TableSpec, unit: Mac | Alu, action: str) -> Reading:
    """Return the energy of one operation of a MAC or of a lane of a vector unit."""
    return _mac(spec, unit, action) if isinstance(unit, Mac) else _alu(spec, unit, action)


def whole(spec: TableSpec, unit: Mac | Alu, figure: str) -> Reading:
    """Return ``um2`` or ``leak_mw`` of a MAC, or of a lane: the sum of its parts."""
    if isinstance(unit, Mac):
        return _whole_mac(spec, unit, figure)
    made = plus(
        *(
            _product(spec, part, unit.bits, unit.bits, figure)
            if part == "multiplier"
            else _width(spec, part, unit.bits, figure)
            for part in unit.parts
        )
    )
    return made.times(1.0, f"a lane has a {', a '.join(unit.parts)}, assumed")._replace(status="assumed")


def _mac(spec: TableSpec, mac: Mac, action: str) -> Reading:
    if action != "gated":
        return _whole_mac(spec, mac, "pj")
    if spec.gated is None:
        raise NoFigureError("no 'gated:'")
    row = spec.gated
    kept = _whole_mac(spec, mac, "pj").times(row.share, f"{label('gated', row)} x {row.share:g}")
    return kept._replace(status=weakest((kept.status, row.status)))


def _whole_mac(spec: TableSpec, mac: Mac, figure: str) -> Reading:
    if spec.mac:
        return _product(spec, "mac", mac.input_bits, mac.weight_bits, figure)
    return plus(
        _product(spec, "multiplier", mac.input_bits, mac.weight_bits, figure),
        _width(spec, "adder", mac.accumulator_bits, figure),
    )


def _product(spec: TableSpec, section: str, left_bits: int, right_bits: int, figure: str) -> Reading:
    points = _points(spec, section, figure, power=2)
    return log_log(points, left_bits * right_bits, f"{left_bits} x {right_bits} bit")


def _width(spec: TableSpec, section: str, bits: int, figure: str) -> Reading:
    return log_log(_points(spec, section, figure, power=1), bits, f"{bits} bit")


def _points(spec: TableSpec, section: str, figure: str, power: int) -> list[Point]:
    rows: tuple[WidthRow, ...] = getattr(spec, section)
    points = []
    for row in rows:
        value: float | None = getattr(row, figure)
        if value is not None:
            text = f"{label(section, row, f'{row.bits} bit')} {figure} {value:.6g}"
            points.append(Point(row.bits**power, value, text, row.status))
    if not points:
        raise NoFigureError(f"no row of '{section}:' has {figure}")
    return points


def _alu(spec: TableSpec, alu: Alu, action: str) -> Reading:
    if action == "special":
        if spec.special is None:
            raise NoFigureError("no 'special:'")
        row = spec.special
        made = plus(
            _product(spec, "multiplier", alu.bits, alu.bits, "pj").times(row.multiplies),
            _width(spec, "adder", alu.bits, "pj").times(row.adds),
        ).times(1.0, f"{label('special', row)} {row.multiplies:g} multiplications and {row.adds:g} additions")
        return made._replace(status=weakest((made.status, row.status)))
    if action == "mul":
        return _product(spec, "multiplier", alu.bits, alu.bits, "pj")
    return _width(spec, {"add": "adder", "compare": "comparator"}[action], alu.bits, "pj")
