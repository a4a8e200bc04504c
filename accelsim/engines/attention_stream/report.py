"""The report of a walk: accounts, traffic, operations and tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accelsim.activity import Activity, Event, Flow, Loop, Step, Transfer
from accelsim.engines.attention_stream.params import Params
from accelsim.engines.attention_stream.plan import Plan
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS, ceil_div


def activity(plan: Plan, blocks: np.ndarray, totals: list[int], values: np.ndarray | None) -> Activity:
    """Return the activity of a layer; ``blocks`` and ``totals`` are what `kernel.walk` found."""
    from accelsim.engines.attention_stream.kernel import FIRST, KEYS, LOW, ROWS, SECOND, VALUES

    a, p = plan.shape, plan.params
    (candidates, products, exponentials, exps, used, refetched, select, qk, again, soft, topk, pv, wait,
     compared) = totals  # fmt: skip
    d, m, bits = a.head_dim, p.multipliers, p.operand_bits
    count = a.batch * a.heads * a.q
    held = min(a.kv, p.chunk_keys) if p.softmax == "lazy" else a.kv
    drain = p.latency_cycles + p.stages_behind * _lines(held, d, m)
    schedule = _schedule(plan, blocks, drain)
    cycles = int(blocks[:, FIRST].sum() + blocks[:, SECOND].sum()) + drain
    idle = (drain + count * p.row_cycles) * m
    accounts = {
        "qk": {"busy": candidates * d, "padding": qk * m - candidates * d, "refetch": again * m, "fill_drain": idle,
               "imbalance": (cycles - qk - again) * m - idle},
        "pv": {"busy": used * d, "padding": pv * m - used * d, "fill_drain": idle,
               "imbalance": (cycles - pv) * m - idle},
    }  # fmt: skip
    events = {
        Event("qk", "mac"): products * d,
        Event("pv", "mac"): used * d,
        Event("softmax", "special"): exps + used,
        Event("softmax", "add"): exps,
        Event("softmax", "compare"): exps,
    }
    keys, fetched, low = (int(blocks[:, column].sum()) for column in (KEYS, VALUES, LOW))
    traffic = {
        **dram_traffic(schedule, plan.machine.dram),
        Flow("glb.keys", "weight", "write"): keys * d * bits + low * d * p.low_bits,
        Flow("glb.keys", "weight", "read"): (qk + again) * m * bits,
        Flow("glb.values", "weight", "write"): fetched * d * bits,
        Flow("glb.values", "weight", "read"): pv * m * bits,
        Flow("pe.queries", "input", "write"): int(blocks[:, ROWS].sum()) * d * bits,
        Flow("pe.queries", "input", "read"): (qk + again) * d * bits,
        Flow("pe.scores", "psum", "write"): products * p.score_bits,
        Flow("pe.scores", "psum", "read"): products * p.score_bits,
    }
    if p.select == "topk":
        events[Event("topk", "compare")] = compared
    if p.select == "greedy":
        events |= {Event("select", action): 2 * select for action in ("mul", "add")}
        events[Event("select", "compare")] = 2 * select * d
        traffic[Flow("glb.sorted", "index", "write")] = keys * d * (bits + 16)
        traffic[Flow("glb.sorted", "index", "read")] = 2 * select * (bits + 16)
    size = p.buffer_kib * KIB_BITS
    most_keys, most_values = (int(blocks[:, column].max()) for column in (KEYS, VALUES))
    return Activity(
        compute_cycles=cycles,
        accounts=accounts,
        traffic=traffic,
        events=events,
        schedule=schedule,
        buffers={
            "glb.keys": (size, min(size, most_keys * d * bits * p.buffer_halves)),
            "glb.values": (size, min(size, most_values * d * bits * p.buffer_halves)),
        },
        details={
            "candidates": candidates, "exponentials": exponentials, "values_used": used, "refetched_rows": refetched,
            "select_cycles": select, "qk_cycles": qk + again, "softmax_cycles": soft, "topk_cycles": topk,
            "pv_cycles": pv, "topk_wait_cycles": wait,
        },
        performed_macs=(products + used) * d,
        values=values,
    )  # fmt: skip


def _lines(vectors: int, dim: int, multipliers: int) -> int:
    return ceil_div(vectors, max(1, multipliers // dim)) * ceil_div(dim, multipliers)


def _schedule(plan: Plan, blocks: np.ndarray, drain: int) -> tuple[Step | Loop, ...]:
    """Return the tiles; the outputs of the last one leave when the pipeline has run empty."""
    period = _period(plan, blocks)
    part = blocks[:period]
    starts = np.flatnonzero(np.any(np.diff(part, axis=0, prepend=-1), axis=1))
    runs = [
        (int(end - start), tuple(_steps(plan, part[start].tolist())))
        for start, end in zip(starts, [*starts[1:], period], strict=True)
    ]
    *before, (repeat, (main, *second)) = runs
    again = (Loop(len(blocks) // period - 1, _items(runs)),) if period < len(blocks) else ()
    ends = (main._replace(stores=()), *second, Step((), drain, main.stores))
    return (*again, *_items([*before, (repeat - 1, (main, *second))]), *ends)


def _period(plan: Plan, blocks: np.ndarray) -> int:
    """Return after how many blocks they repeat: those of a head's queries, where these differ and all heads do not."""
    period, over = divmod(plan.shape.q, plan.in_block)
    if over or period < 2 or len(blocks) == period:
        return len(blocks)
    whole = blocks.reshape(-1, period, blocks.shape[1])
    return period if (whole == whole[0]).all() and (whole[0] != whole[0, 0]).any() else len(blocks)


def _items(runs: Sequence[tuple[int, tuple[Step, ...]]]) -> tuple[Step | Loop, ...]:
    """Return steps, each run of them as often as its number says."""
    items: list[Step | Loop] = []
    for repeat, steps in runs:
        items += [Loop(repeat, steps)] if repeat > 1 else steps * repeat
    return tuple(items)


def _steps(plan: Plan, block: list[int]) -> list[Step]:
    """Return a block's tile, and the one in which rows are multiplied again."""
    rows, first, second, keys, values, low, scores = block
    p, view, d = plan.params, plan.view, plan.shape.head_dim
    query, key, value = (tensor.width for tensor in view.inputs[:3])
    ahead = _moves(
        ("weight", keys * d * _stored(p, key - p.low_bits)),
        ("weight", values * d * _stored(p, value)),
        direction="read",
    )
    loads = _moves(("input", rows * d * _stored(p, query)), direction="read")
    stores = _moves(("output", rows * d * view.output.width), direction="write")
    if p.softmax == "two_pass":
        loads += _moves(("psum", scores * p.score_bits), direction="read")
        stores += _moves(("psum", scores * p.score_bits), direction="write")
    halves = p.buffer_halves == 2
    steps = [Step(ahead + loads if halves else loads, first, stores, () if halves else ahead)]
    if low:
        steps.append(Step((), second, (), _moves(("weight", low * d * p.low_bits), direction="read")))
    return steps


def _stored(p: Params, bits: int) -> int:
    return p.stored_bits(bits) or bits


def _moves(*parts: tuple[str, int], direction: str) -> tuple[Transfer, ...]:
    return tuple(Transfer(tensor, direction, bits) for tensor, bits in parts if bits)  # type: ignore[arg-type]
