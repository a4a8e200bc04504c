"""Fully connected layers on the same arrays, output by output."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.stepped import Ledger
from accelsim.workload.layers import LayerView


def linear(view: LayerView, operands: Operands, p: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    book = Ledger(machine.dram)
    x, w = operands.conv_arrays()
    n, c, k = x.shape[0], x.shape[1], w.shape[0]
    m, bits = p.multipliers, p.operand_bits
    out = np.zeros((n, k, 1, 1), np.int64)
    accounts = {unit: dict.fromkeys(("busy", "padding", "fill_drain", "imbalance"), 0) for unit in ("qk", "pv")}
    macs = dict.fromkeys(accounts, 0)
    capacity = p.buffer_kib * 8192 // p.buffer_halves
    fits = 0
    while (fits + 1) * c * bits <= capacity:
        fits += 1
    most = 0

    def word(width: int) -> int:
        return min(b for b in p.word_bits if b >= width) if p.word_bits else width

    left, stores = list(range(k)), []
    while left:
        block, left = left[: 2 * fits], left[2 * fits :]
        halves = {"qk": block[: (len(block) + 1) // 2], "pv": block[(len(block) + 1) // 2 :]}
        most = max(most, len(halves["qk"]))
        weights = book.move("weight", "read", len(block) * c * word(view.weight.width))
        loads = book.move("input", "read", n * c * word(view.input.width))
        cycles = {}
        for unit, buffer in (("qk", "glb.keys"), ("pv", "glb.values")):
            rows = list(halves[unit])
            book.add(buffer, "weight", "write", len(rows) * c * bits)
            lines = 0
            while rows:
                rows = rows[max(1, m // c) :]
                lines += -(-c // m)
            cycles[unit] = n * lines
            book.add(buffer, "weight", "read", n * lines * m * bits)
            for i in range(n):
                for j in halves[unit]:
                    out[i, j] = sum(int(a) * int(b) for a, b in zip(x[i].ravel(), w[j].ravel(), strict=True))
            macs[unit] += n * len(halves[unit]) * c
            accounts[unit]["padding"] += n * lines * m - n * len(halves[unit]) * c
        for unit in accounts:
            accounts[unit]["imbalance"] += (max(cycles.values()) - cycles[unit]) * m
        book.add("pe.queries", "input", "write", n * c * bits)
        book.add("pe.queries", "input", "read", n * c * bits)
        stores = book.move("output", "write", n * len(block) * view.output.width)
        if p.buffer_halves == 2:
            book.step(weights + loads, max(cycles.values()), stores if left else [])
        else:
            book.step(loads, max(cycles.values()), stores if left else [], before=weights)
    book.step([], 11, stores)
    for unit, account in accounts.items():
        account["busy"], account["fill_drain"] = macs[unit], 11 * m
    size = p.buffer_kib * 8192
    held = min(size, most * c * bits * p.buffer_halves)
    return Activity(
        compute_cycles=sum(step.compute_cycles for step in book.steps), accounts=accounts, traffic=book.flows,
        events={Event(unit, "mac"): count for unit, count in macs.items()}, schedule=tuple(book.steps),
        buffers={"glb.keys": (size, held), "glb.values": (size, held)}, performed_macs=sum(macs.values()),
        values=from_conv_output(view, out),
    )  # fmt: skip
