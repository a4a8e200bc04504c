"""Fully connected layers on the arrays of the pipeline: rows of the weights are keys, half of them in each buffer."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.activity import Activity, Event, Flow, Loop, Step, Transfer
from accelsim.engine import Machine
from accelsim.engines.attention_stream.params import Params
from accelsim.errors import MappingError
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView

LATENCY_CYCLES = 11
"""Of a dot product: SRAM, multiplier, reduction tree, as in the released BERT model."""


class Plan(NamedTuple):
    """What a walk needs: vectors of ``inputs`` elements, ``outputs`` of each, ``in_block`` of them at a time."""

    view: LayerView
    params: Params
    machine: Machine
    vectors: int
    inputs: int
    outputs: int
    in_block: int


def plan(view: LayerView, params: Params, machine: Machine) -> Plan:
    """Return the plan; MappingError if the buffers do not hold a row of weights each."""
    conv, p = view.conv, params
    rows = p.half_bits // (conv.c * p.operand_bits)
    if not rows:
        need = ceil_div(conv.c * p.operand_bits * p.buffer_halves, KIB_BITS)
        problem = f"layer '{view.name}': {conv.c:,} weights of an output do not fit a buffer"
        raise MappingError(problem, f"raise params.buffer_kib to {need}")
    return Plan(view, p, machine, conv.n, conv.c, conv.k, min(conv.k, 2 * rows))


def run(plan: Plan, operands: Operands | None) -> Activity:
    """Walk the blocks of weights, all vectors through each; with operands, compute them."""
    from accelsim.engines.attention_stream.linear_kernel import multiply, walk

    view, p, n, c = plan.view, plan.params, plan.vectors, plan.inputs
    first, second = walk(n, c, plan.outputs, plan.in_block, p.multipliers)
    schedule = _schedule(plan)
    cycles, m, bits = int(first) + LATENCY_CYCLES, p.multipliers, p.operand_bits
    whole, rest = divmod(plan.outputs, plan.in_block)
    mine = {"qk": whole * ceil_div(plan.in_block, 2) + ceil_div(rest, 2)}
    mine["pv"] = plan.outputs - mine["qk"]
    accounts, traffic = {}, dram_traffic(schedule, plan.machine.dram)
    for unit, buffer, took in (("qk", "glb.keys", int(first)), ("pv", "glb.values", int(second))):
        busy = n * mine[unit] * c
        accounts[unit] = {
            "busy": busy, "padding": took * m - busy, "fill_drain": LATENCY_CYCLES * m,
            "imbalance": (int(first) - took) * m,
        }  # fmt: skip
        traffic[Flow(buffer, "weight", "write")] = mine[unit] * c * bits
        traffic[Flow(buffer, "weight", "read")] = took * m * bits
    blocks = whole + (rest > 0)
    traffic[Flow("pe.queries", "input", "write")] = traffic[Flow("pe.queries", "input", "read")] = blocks * n * c * bits
    values = None
    if operands is not None:
        x, w = operands.conv_arrays()
        found = multiply(x.reshape(n, c), w.reshape(-1, c))
        values = from_conv_output(view, found.reshape(n, -1, 1, 1))
    size = p.buffer_kib * KIB_BITS
    held = min(size, ceil_div(plan.in_block, 2) * c * bits * p.buffer_halves)
    return Activity(
        compute_cycles=cycles,
        accounts=accounts,
        traffic=traffic,
        events={Event(unit, "mac"): n * rows * c for unit, rows in mine.items()},
        schedule=schedule,
        buffers={"glb.keys": (size, held), "glb.values": (size, held)},
        performed_macs=n * plan.outputs * c,
        values=values,
    )


def _schedule(plan: Plan) -> tuple[Step | Loop, ...]:
    whole, rest = divmod(plan.outputs, plan.in_block)
    last = rest or plan.in_block
    main = _step(plan, last)
    ahead = whole - (rest == 0)
    before = (Loop(ahead, (_step(plan, plan.in_block),)),) if ahead else ()
    return (*before, main._replace(stores=()), Step((), LATENCY_CYCLES, main.stores))


def _step(plan: Plan, rows: int) -> Step:
    view, p, n = plan.view, plan.params, plan.vectors
    word = p.stored_bits
    loads = (
        Transfer("weight", "read", rows * plan.inputs * (word(view.weight.width) or 0)),
        Transfer("input", "read", n * plan.inputs * (word(view.input.width) or 0)),
    )
    per_line = max(1, p.multipliers // plan.inputs)
    cycles = n * ceil_div(ceil_div(rows, 2), per_line) * ceil_div(plan.inputs, p.multipliers)
    stores = (Transfer("output", "write", n * rows * view.output.width),)
    return Step(loads if p.buffer_halves == 2 else loads[1:], cycles, stores, () if p.buffer_halves == 2 else loads[:1])
