"""Prices, areas and leakage of storage, links and off-chip memory.

By a table of macros and cells a memory is what the machine says it is: an SRAM of macros, a register file of
flip-flops, whatever their size. By a table that has rows of its own an access is priced by size: up to 0.5 KiB at the
register-file figures, above it from the SRAM rows, log-log in size; linear in the port width above 32 bits, below them
like one of 32 bits. Its area and leakage follow the kind: flip-flops per bit, or SRAM rows whatever the port.
"""

from __future__ import annotations

from accelsim.components import Dram, Link, RegisterFile, Sram
from accelsim.energy import cells, constants, sram
from accelsim.energy.curve import NoFigureError, Point, Reading, linear, log_log
from accelsim.energy.rows import AccessRow, Status, TableSpec, label, weakest
from accelsim.units import KIB_BITS

REGISTER_LIMIT_BITS = KIB_BITS // 2
"""Accesses to storage up to this size cost as in a register file; an SRAM of just this size has a row of its own."""
NARROW_BITS = 32
"""A port narrower than this costs as much per access as one of this width."""


def storage(spec: TableSpec, unit: Sram | RegisterFile, action: str) -> Reading:
    """Return the energy per bit of reading or writing a memory."""
    size_bits = _size_bits(unit)
    if spec.macros is not None and isinstance(unit, Sram):
        return _of_macros(spec, unit, f"{action}_pj").times(1 / unit.width_bits, f"/ {unit.width_bits} bit")
    if spec.cells is not None and isinstance(unit, RegisterFile):
        return cells.register_file(spec.node, unit, action).after(label("cells", spec.cells))
    if spec.macros is not None:
        return _of_registers(spec)
    if size_bits < REGISTER_LIMIT_BITS or (size_bits == REGISTER_LIMIT_BITS and isinstance(unit, RegisterFile)):
        return _of_registers(spec)
    if spec.buffer is not None:
        return _per_bit("buffer", spec.buffer, spec.buffer.pj, spec.buffer.per_bits)
    access = _by_size(spec, unit, f"{action}_pj")
    port_bits, width = spec.sram[0].port_bits, unit.width_bits
    if width >= NARROW_BITS:
        return access.times(1 / port_bits, f"/ {port_bits} bit: linear in the width of the port ({width} bit)")
    why = f"x {NARROW_BITS} / {port_bits} / {width}: a port of {width} bit costs as much as one of {NARROW_BITS} bit"
    return access.times(NARROW_BITS / port_bits / width, why)


def _of_registers(spec: TableSpec) -> Reading:
    if spec.register_file is None:
        raise NoFigureError("no 'register_file:'")
    return _per_bit("register_file", spec.register_file, spec.register_file.pj, spec.register_file.per_bits)


def _of_macros(spec: TableSpec, unit: Sram, figure: str) -> Reading:
    """Return the energy of an access of the whole port, or the area of the macros, at the table's node and supply."""
    if spec.macros is None:
        raise NoFigureError("no 'macros:'")
    at, found = sram.grid(spec.node.nm), banking(spec, unit, figure)
    how = f"{found.banks} x {found.bank_bytes:g} B of {found.bank_bits:g} bit"
    status: Status = "assumed" if found.beyond and at.status == "computed" else at.status
    steps = (
        f"{label('macros', spec.macros)}: {at.text}",
        f"{how}{': beyond the rows, assumed' if found.beyond else ''}",
    )
    if figure == "mm2":
        return Reading(found.value, steps, status)
    volts = spec.node.vdd_v
    return Reading(found.value * volts**2, (*steps, f"{found.value:.6g} pJ at 1 V x {volts:g}^2 V^2"), status)


def banking(spec: TableSpec, unit: Sram, figure: str = "read_pj") -> sram.Banked:
    """Return the macros of an SRAM, and a figure of all of them at 1 V."""
    return sram.banked(spec.node.nm, figure, _size_bits(unit), unit.width_bits, unit.banks)


def placed_mm2(spec: TableSpec, unit: Sram) -> Reading:
    """Return the area of an SRAM as it is placed: of its bit cells with what surrounds them, or of its macros."""
    macros = _of_macros(spec, unit, "mm2")
    banks = banking(spec, unit).banks
    cell, factor = constants.cells(spec.node.nm).bit_um2, constants.overhead(unit.size_bits / banks)
    whole = unit.size_bits * cell * factor / constants.UM2_PER_MM2
    if whole <= macros.value:
        return macros
    step = f"{unit.size_bits} bit x {cell:.4g} um2 x {factor:.4g} (constants: bit_cell_area, macro_overhead)"
    return Reading(whole, (*macros.steps[1:], step), weakest((macros.status, "recalled")))


def area_mm2(spec: TableSpec, unit: Sram | RegisterFile) -> Reading:
    """Return the area of one memory: of its macros or its cells."""
    if isinstance(unit, Sram) and spec.macros is not None:
        return _of_macros(spec, unit, "mm2")
    if isinstance(unit, RegisterFile) and spec.cells is not None:
        return cells.flip_flops_um2(spec.node, _own_bits(unit)).times(1e-6)
    if isinstance(unit, Sram):
        return _by_size(spec, unit, "mm2")
    return _flip_flops(spec, unit, "um2_per_bit").times(1e-6)


def leak_mw(spec: TableSpec, unit: Sram | RegisterFile) -> Reading:
    """Return the leakage power of one memory."""
    if isinstance(unit, Sram) and spec.macros is not None:
        value, volts, status, text = sram.leak_mw(spec.node.nm, _size_bits(unit))
        return Reading(value * spec.node.vdd_v / volts, (text, f"x {spec.node.vdd_v:g} / {volts:g} V"), status)
    if isinstance(unit, RegisterFile) and spec.cells is not None:
        return cells.leak_of_cells(spec.node, spec.flavour, cells.flip_flops_um2(spec.node, _own_bits(unit)))
    if isinstance(unit, Sram):
        return _by_size(spec, unit, "leak_mw")
    return _flip_flops(spec, unit, "leak_mw_per_bit")


def _by_size(spec: TableSpec, unit: Sram | RegisterFile, figure: str) -> Reading:
    kib = _size_bits(unit) / KIB_BITS
    points = []
    for row in spec.sram:
        value: float | None = getattr(row, figure)
        if value is not None:
            text = f"{label('sram', row, f'{row.kib:g} KiB')} {figure} {value:.6g}"
            points.append(Point(row.kib, value, text, row.status))
    if not points:
        raise NoFigureError(f"no row of 'sram:' has {figure}")
    read = linear if figure == "leak_mw" else log_log
    return read(points, kib, f"{kib:g} KiB")


def _flip_flops(spec: TableSpec, unit: RegisterFile, figure: str) -> Reading:
    row, bits = spec.register_file, _size_bits(unit)
    if row is None:
        raise NoFigureError("no 'register_file:'")
    return _per_bit("register_file", row, getattr(row, figure)).times(bits, f"x {bits} bit")


def _per_bit(section: str, row: AccessRow, value: float | None, bits: int = 1) -> Reading:
    if value is None:
        raise NoFigureError(f"'{section}:' does not give it")
    return Reading(value / bits, (f"{label(section, row)} {value:g} per {bits} bit",), row.status)


def _size_bits(unit: Sram | RegisterFile) -> int:
    if unit.size_bits <= 0:
        raise NoFigureError("its size_bits is not given")
    return unit.size_bits


def _own_bits(unit: RegisterFile) -> int:
    """Return the flip-flops that no `Registers` have named."""
    return 0 if unit.clocked else _size_bits(unit)


def link(spec: TableSpec, wire: Link) -> Reading:
    """Return the energy per bit moved: by length where both know one, else per hop."""
    per_mm = next((row for row in spec.link if row.per_mm is not None), None)
    per_hop = next((row for row in spec.link if row.per_mm is None), None)
    if per_mm is not None and per_mm.per_mm is not None:
        row = f"{label('link', per_mm)} {per_mm.pj:g} per {per_mm.per_bits} bit and {per_mm.per_mm:g} mm"
        one_mm = Reading(per_mm.pj / per_mm.per_bits / per_mm.per_mm, (row,), per_mm.status)
        if wire.length_mm > 0:
            why = ", from the placed area" if wire.placed else ""
            return one_mm.times(wire.length_mm, f"x {wire.length_mm:.4g} mm{why}")
        if per_hop is None and spec.hop is not None:
            near = one_mm.times(spec.hop.mm, f"{label('hop', spec.hop)} x {spec.hop.mm:g} mm: no length_mm given")
            return near._replace(status=weakest((near.status, spec.hop.status)))
    if per_hop is not None:
        row = f"{label('link', per_hop)} {per_hop.pj:g} per {per_hop.per_bits} bit and hop, whatever its length"
        return Reading(per_hop.pj / per_hop.per_bits, (row,), per_hop.status)
    raise NoFigureError("its length_mm is not given and there is no 'hop:'" if spec.link else "no 'link:'")


def dram(spec: TableSpec, memory: Dram) -> Reading:
    """Return the energy per bit on the bus, from the row of the memory's standard."""
    for row in spec.dram:
        if row.standard in (memory.standard.lower(), "any"):
            text = f"{label('dram', row, row.standard)} {row.pj:g} per {row.per_bits} bit"
            return Reading(row.pj / row.per_bits, (text,), row.status)
    known = ", ".join(row.standard for row in spec.dram) or "none"
    raise NoFigureError(f"DRAM standard '{memory.standard}' is not among its rows ({known})")
