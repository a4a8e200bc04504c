"""The five designs, phase by phase and cycle by cycle: blind to the plan."""

from __future__ import annotations

from typing import Any

from accelsim.activity import Activity
from accelsim.engine import Machine
from accelsim.engines.fused_attention.reference_stepped import Stepped, Tile
from accelsim.operands.handle import Operands
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    s = Stepped(view, operands, params, mapping, machine)
    if not params.fused:
        _unfused(s)
    elif params.softmax == "three_pass":
        _flat(s)
    else:
        _one_pass(s)
    peak = s.needed(s.together)
    if "scores" in params.keep:
        longest = max(len(s.tiles(0, 0, block)) for block in s.blocks)
        peak += s.together * longest * params.rows * params.cols * s.bits["s"]
    tiles = [tile for n, kept in s.heads() for block in s.blocks for tile in s.tiles(n, kept, block)]
    return Activity(
        compute_cycles=s.cycles,
        accounts=s.cause,
        traffic=s.flows,
        events=s.ops,
        schedule=tuple(s.steps),
        buffers={"glb": (params.buffer_kib * 8192, min(peak, params.buffer_kib * 8192))},
        details={
            "tiles": len(tiles), "query_blocks": s.together, "array_cycles": s.array_cycles,
            "lane_cycles": s.lane_cycles,
        },
        performed_macs=2 * s.e * sum(len(tile.pairs) for tile in tiles),
        values=s.out.reshape(view.shape.output_shape),
    )  # fmt: skip


def _by_key_block(s: Stepped, n: int, kept: int, group: list[int]) -> list[list[Tile]]:
    """Return the tiles of a group, a list for each key block."""
    lists = [s.tiles(n, kept, block) for block in group]
    return [[tiles[at] for tiles in lists if at < len(tiles)] for at in range(max(map(len, lists)))]


def _unfused(s: Stepped) -> None:
    e, b = s.e, s.bits
    for n, kept in s.heads():
        for group in s.groups():
            for at, tiles in enumerate(_by_key_block(s, n, kept, group)):
                loads = [] if at else s.fetch("input", "read", e * b["q"], sum(len(s.queries(x)) for x in group))
                loads += s.fetch("weight", "read", e * b["k"], len(tiles[0].keys))
                queries = sum(len(tile.queries) for tile in tiles)
                cycles = sum(s.phase(s.multiply(tile, e), []) for tile in tiles)
                s.step(loads, cycles, s.fetch("psum", "write", len(tiles[0].keys) * b["s"], queries))
                for tile in tiles:
                    s.near(tile)
                    s.keep_scores(tile)
    for n, kept in s.heads():
        for block in s.blocks:
            tiles = s.tiles(n, kept, block)
            row = sum(len(tile.keys) for tile in tiles) * b["s"]
            loads = s.fetch("psum", "read", row, len(s.queries(block)))
            cycles = sum(s.phase([], s.by_row(tile, 4)) for tile in tiles)
            s.step(loads, cycles, s.fetch("psum", "write", row, len(s.queries(block))))
    for n, kept in s.heads():
        for group in s.groups():
            key_blocks = _by_key_block(s, n, kept, group)
            for at, tiles in enumerate(key_blocks):
                keys, queries = len(tiles[0].keys), sum(len(tile.queries) for tile in tiles)
                loads = s.fetch("weight", "read", e * b["v"], keys) + s.fetch("psum", "read", keys * b["s"], queries)
                cycles = sum(s.phase(s.multiply(tile, e), []) for tile in tiles)
                s.step(loads, cycles, s.outputs(group) if at == len(key_blocks) - 1 else [])
        for head in range(s.a.heads):
            s.finish(n, kept, head) if head * s.a.kv_heads // s.a.heads == kept else None


def _flat(s: Stepped) -> None:
    e, b, keep = s.e, s.bits, s.p.keep
    slots = [(n, kept, group) for n, kept in s.heads() for group in s.groups()]
    tiles = [[tile for block in group for tile in s.tiles(n, kept, block)] for n, kept, group in slots]
    per_head = len(s.groups())

    def keys(i: int, name: str) -> int:
        if name in keep:
            return s.a.kv if i % per_head == 0 else 0
        return len({key for tile in tiles[i] for key in tile.keys})

    def scores(i: int) -> list[Any]:
        many = sum(len(tile.queries) for tile in tiles[i] if "q" not in keep or tile.ends)
        return s.fetch("input", "read", e * b["q"], many) + s.fetch("weight", "read", e * b["k"], keys(i, "k"))

    def work(i: int) -> list[int]:
        return [pairs for tile in tiles[i] for pairs in s.multiply(tile, e)]

    def spill(i: int) -> tuple[int, int, int]:
        if "scores" not in keep:
            return sum(len(tile.queries) * len(tile.keys) for tile in tiles[i]) * b["s"], 2, 2
        all_bits = len(tiles[i]) * s.p.rows * s.p.cols * b["s"]
        over = s.needed(len(slots[i][2])) + all_bits - s.p.buffer_kib * 8192
        return max(0, min(over, all_bits)), 4, 3

    loads = scores(0)
    s.step(loads, s.phase(work(0), [], "fill_drain"))
    for i, (n, kept, _) in enumerate(slots):
        loads, stores, array = [], [], []
        if i + 1 < len(slots):
            loads, array = scores(i + 1), work(i + 1)
        if i:
            loads += s.fetch("weight", "read", e * b["v"], keys(i - 1, "v"))
            stores, array = s.outputs(slots[i - 1][2]), array + work(i - 1)
        bits, reads, writes = spill(i)
        loads += s.fetch("psum", "read", bits, reads)
        stores += s.fetch("psum", "write", bits, writes)
        s.step(loads, s.phase(array, [x for tile in tiles[i] for x in s.by_row(tile, 4)]), stores)
        for tile in tiles[i]:
            s.near(tile)
            s.keep_scores(tile)
        for head in {tile.head for tile in tiles[i]}:
            s.finish(n, kept, head)
    loads = s.fetch("weight", "read", e * b["v"], keys(len(slots) - 1, "v"))
    s.step(loads, s.phase(work(-1), [], "fill_drain"), s.outputs(slots[-1][2]))


def _one_pass(s: Stepped) -> None:
    e, b = s.e, s.bits
    held = [
        (n, kept, group, at, row)
        for n, kept in s.heads()
        for group in s.groups()
        for at, row in enumerate(_by_key_block(s, n, kept, group))
    ]
    order = [tile for *_, row in held for tile in row]
    took = (_on_lanes if s.p.pe == "mac" else _in_pes)(s, order)
    done = 0
    running: dict[tuple[int, int], list[Any]] = {}
    for n, kept, group, at, row in held:
        loads = [] if at else s.fetch("input", "read", e * b["q"], sum(len(s.queries(x)) for x in group))
        for name in "kv":
            loads += s.fetch("weight", "read", e * b[name], len(row[0].keys))
        ends = at == len(_by_key_block(s, n, kept, group)) - 1
        s.step(loads, sum(took[done : done + len(row)]), s.outputs(group) if ends else [])
        done += len(row)
        for tile in row:
            s.near(tile)
            s.run_on(tile, running)
        if ends:
            running = {key: kept for key, kept in running.items() if key[0] not in {tile.head for tile in row}}


def _on_lanes(s: Stepped, order: list[Tile]) -> list[int]:
    """+Cascade: softmax on the lanes; return the cycles charged to each tile."""
    e, took = s.e, [0] * len(order)

    def numerator(tile: Tile) -> list[int]:
        return s.per_query(tile, 2 * e + e * tile.ends)

    took[0] += s.phase(s.multiply(order[0], e), [], "fill_drain")
    for t, tile in enumerate(order):
        array = s.multiply(order[t - 1], e) if t else []
        array += s.multiply(order[t + 1], e) if t + 1 < len(order) else []
        lanes = s.by_row(tile, 4) + s.per_query(tile, 5)
        if t:  # what of the array's work is left goes on beside the numerator
            softmax = max(len(lanes), e)
            took[t] += s.phase(array[:softmax], lanes, lasting=e)
            took[t - 1] += s.phase(array[softmax:], numerator(order[t - 1]))
        else:
            took[t] += s.phase(array, lanes, lasting=e)
    took[-1] += s.phase(s.multiply(order[-1], e), [], "fill_drain")
    took[-1] += s.phase([], numerator(order[-1]), "fill_drain")
    return took


def _in_pes(s: Stepped, order: list[Tile]) -> list[int]:
    """+Architecture and +Binding: maxima, exponentials and sums in the PEs; return the cycles of each tile."""
    e, took = s.e, [0] * len(order)
    maximum, exponential, correction, inserted = 1, 6 + 1 + 1, 6 + 1 + 1, s.p.interleave
    took[0] += s.phase(s.multiply(order[0], e + maximum), [], "fill_drain")
    if inserted:
        took[0] += s.phase([], [], "fill_drain", lasting=s.p.rows)
    for t, tile in enumerate(order):
        if not inserted:
            took[t] += s.phase([], [], "starved", lasting=s.p.rows)
        took[t] += s.phase([], s.per_query(tile, 1))
        took[t] += s.phase(s.multiply(tile, exponential), s.per_query(tile, correction))
        took[t] += s.phase(s.multiply(tile, e), s.per_query(tile, e if inserted else 2 * e))
        behind = s.per_query(tile, 1 + (e if inserted else 0) + (e if tile.ends else 0))
        if t + 1 < len(order):
            took[t] += s.phase(s.multiply(order[t + 1], e + maximum), behind)
        else:
            took[t] += s.phase([], behind, "fill_drain")
    return took
