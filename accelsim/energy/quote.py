"""What one component costs by itself: the prices that a machine pays for it, and the rows behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelsim.components import Clock, Link, Mac, RegisterFile, Registers, Sram
from accelsim.energy import sram, storage
from accelsim.energy.constants import cells
from accelsim.energy.curve import Reading
from accelsim.energy.price import Price, Table
from accelsim.energy.rows import Status, weakest
from accelsim.energy.tables import DEFAULT, at_supply, load_table


def table_at(node_nm: float, vdd_v: float | None = None) -> Table:
    """Return the packaged table that prices machines at a node, at its nominal supply or another one.

    Raises
    ------
    ConfigError
        A node that no table reaches.
    """
    table = load_table(DEFAULT, node_nm)
    return table if vdd_v is None else at_supply(table, vdd_v)


def of_sram(table: Table, size_bits: int, width_bits: int, banks: int | None) -> dict[str, Any]:
    """Return what an SRAM costs: pJ of one access of its whole port, the area of its macros and as placed, leakage.

    Raises
    ------
    PriceError
        A size or width out of reach of the rows.
    """
    unit = Sram("sram", size_bits=size_bits, width_bits=width_bits, banks=banks)
    prices = [table.price(unit, action) for action in unit.actions]
    area, leak = table.area_mm2(unit), table.leak_mw(unit)
    found = storage.banking(table.spec, unit)
    return {
        "kib": size_bits / 8192,
        "width_bits": width_bits,
        **_basis(table),
        "read_pj": prices[0].pj * width_bits,
        "write_pj": prices[1].pj * width_bits,
        "area_mm2": table.part_mm2(unit, "macros"),
        "placed_mm2": area.value,
        "leak_mw": leak.value,
        "banks": found.banks,
        "bank_bytes": found.bank_bytes,
        "bank_bits": found.bank_bits,
        **_sources(prices, area, leak),
        "source": sram.grid(table.node.nm).text,
    }


def of_register(table: Table, words: int, bits: int) -> dict[str, Any]:
    """Return what ``words`` of flip-flops cost: pJ of an access of one word, and of one bit per clock and toggle."""
    unit = RegisterFile("register", size_bits=words * bits, width_bits=bits)
    registers = Registers("register", clocked_bits=words * bits)
    prices = [table.price(unit, action) for action in unit.actions]
    cycle = table.price(Clock("clock", registers=registers), "cycle")
    data = table.price(registers, "data")
    area, leak = table.area_mm2(unit), table.leak_mw(unit)
    at, square = cells(table.node.nm), table.node.vdd_v**2 * 1e-3
    return {
        "words": words,
        "width_bits": bits,
        **_basis(table),
        "read_pj": prices[0].pj * bits,
        "write_pj": prices[1].pj * bits,
        "clock_pj_per_bit": at.clock * square,
        "clock_internal_pj_per_bit": at.internal * square,
        "clock_pin_pj_per_bit": at.pin * square,
        "toggle_pj_per_bit": at.toggle * square,
        "clock_gate_pj": (at.gate_internal + at.gate_pin) * square,
        "mux_pj_per_level": at.mux * square,
        "cycle_pj": cycle.pj,
        "data_pj": data.pj,
        "flip_flop_um2": at.flip_flop_um2,
        "area_mm2": table.part_mm2(unit, "cells"),
        "placed_mm2": area.value,
        "leak_mw": leak.value,
        **_sources([*prices, cycle, data], area, leak),
        "source": at.text,
    }


def of_mac(table: Table, input_bits: int, weight_bits: int, accumulator_bits: int) -> dict[str, Any]:
    """Return what a multiply-accumulate unit costs: pJ of one operation at random operands, and of a gated one."""
    unit = Mac("mac", 1, input_bits, weight_bits, accumulator_bits)
    prices = [table.price(unit, action) for action in unit.actions]
    area, leak = table.area_mm2(unit), table.leak_mw(unit)
    return {
        "input_bits": input_bits,
        "weight_bits": weight_bits,
        "accumulator_bits": accumulator_bits,
        **_basis(table),
        "mac_pj": prices[0].pj,
        "gated_pj": prices[1].pj,
        "activity": "random operands",
        "area_mm2": table.part_mm2(unit, "cells"),
        "placed_mm2": area.value,
        "leak_mw": leak.value,
        **_sources(prices, area, leak),
        "source": prices[0].steps[0],
    }


def of_wire(table: Table, length_mm: float, bits: int) -> dict[str, Any]:
    """Return what a transfer of ``bits`` over a wire costs."""
    price = table.price(Link("wire", width_bits=bits, length_mm=length_mm), "transfer")
    found = {"length_mm": length_mm, "bits": bits, **_basis(table), "transfer_pj": price.pj * bits}
    return found | _sources([price]) | {"source": price.steps[0]}


def _basis(table: Table) -> dict[str, Any]:
    return {"table": table.name, "node_nm": table.node.nm, "vdd_v": table.node.vdd_v}


def _sources(prices: Sequence[Price], *others: Reading) -> dict[str, Any]:
    """Return the status of the energies, and the steps of all figures."""
    status: Status = weakest(price.status for price in prices)
    steps = [step for price in prices for step in price.steps]
    steps += [step for figure in others for step in figure.steps]
    return {"status": status, "steps": list(dict.fromkeys(steps))}
