"""The machine stepped row by row and line by line in plain Python: blind to the plan."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.engines.attention_stream.reference_select import greedy, topk_rounds
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Linear

LEFT_OUT = -math.inf


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    if isinstance(view.shape, Linear):
        from accelsim.engines.attention_stream.reference_linear import linear

        return linear(view, operands, params, machine)
    return _Stream(view, operands, params, mapping, machine).step_all()


class _Stream(Ledger):
    """The layer while it is stepped."""

    def __init__(self, view: LayerView, operands: Operands, params: Any, pick: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        a: Any = view.shape
        self.view, self.a, self.p, self.pick = view, a, params, pick
        q, k, v = (operand.values for operand in operands.inputs[:3])
        self.q = q.reshape(a.batch, a.q, a.heads, a.head_dim).tolist()
        self.k, self.v = (x.reshape(a.batch, a.kv, a.kv_heads, a.head_dim).tolist() for x in (k, v))
        self.out = np.zeros((a.batch, a.q, a.heads, a.head_dim))
        self.accounts = {u: dict.fromkeys(("busy", "padding", "refetch", "fill_drain", "imbalance"), 0)
                         for u in ("qk", "pv")}  # fmt: skip
        self.ops: dict[Event, int] = {}
        self.most = dict.fromkeys(("glb.keys", "glb.values"), 0)
        self.facts = dict.fromkeys(
            ("candidates", "exponentials", "values_used", "refetched_rows", "select_cycles", "qk_cycles",
             "softmax_cycles", "topk_cycles", "pv_cycles", "topk_wait_cycles"), 0,
        )  # fmt: skip
        self.row = 0
        self.rows = a.batch * a.heads * a.q

    def step_all(self) -> Activity:
        a, p = self.a, self.p
        capacity = p.buffer_kib * 8192 // p.buffer_halves
        fits = self.fetched(a.kv) * a.head_dim * p.operand_bits <= capacity or p.softmax == "lazy"
        steps: list[tuple[Any, Any]] = []
        waiting: list[tuple[int, int, int, int]] = []
        room = p.buffer_rows // p.buffer_halves
        for b in range(a.batch):
            for g in range(a.kv_heads):
                shared = a.heads // a.kv_heads
                heads = [g * shared + s for s in range(shared)]
                places = [(b, g, h, i) for h in heads for i in range(a.q)]
                if fits and len(places) == 1:
                    held = self.fetched(a.kv) * a.head_dim * p.operand_bits
                    if waiting and (len(waiting) == room or (len(waiting) + 1) * held > capacity):
                        steps.append(self.block(waiting, True))
                        waiting = []
                    waiting += places
                elif fits:
                    steps.append(self.block(places, False))
                else:
                    steps += [self.block([place], True) for place in places]
        if waiting:
            steps.append(self.block(waiting, True))
        held = self.lines(min(a.kv, p.chunk_keys) if p.softmax == "lazy" else a.kv)
        drain = p.latency_cycles + p.stages_behind * held
        for account in self.accounts.values():
            account["fill_drain"] += drain * p.multipliers
        for main, second in steps[:-1]:
            self.step(*main)
            if second:
                self.step(*second)
        (main, second) = steps[-1]
        loads, cycles, stores, before = main
        self.step(loads, cycles, [], before)
        if second:
            self.step(*second)
        self.step([], drain, stores)
        size = p.buffer_kib * 8192
        busy = sum(account["busy"] for account in self.accounts.values())
        again = self.ops.pop(Event("again", "mac"), 0)
        return Activity(
            compute_cycles=sum(s.compute_cycles for s in self.steps),
            accounts=self.accounts, traffic=self.flows, events=self.ops, schedule=tuple(self.steps),
            buffers={name: (size, min(size, most * p.buffer_halves)) for name, most in self.most.items()},
            details=self.facts, performed_macs=busy + again,
            values=self.out.reshape(self.view.shape.output_shape),
        )  # fmt: skip

    # sizes

    def per_line(self) -> int:
        return max(1, self.p.multipliers // self.a.head_dim)

    def lines(self, vectors: int) -> int:
        """Step through the buffer's lines."""
        cycles, left = 0, vectors
        while left > 0:
            left -= self.per_line()
            part = self.a.head_dim
            while part > 0:
                part -= self.p.multipliers
                cycles += 1
        return cycles

    def fetched(self, vectors: int) -> int:
        return -(-vectors // self.per_line()) * self.per_line()

    def count(self, component: str, action: str, times: int) -> None:
        self.ops[Event(component, action)] = self.ops.get(Event(component, action), 0) + times

    # a block of rows: what is fetched together

    def block(self, places: list[tuple[int, int, int, int]], alone: bool) -> tuple[Any, Any]:
        a, p, view = self.a, self.p, self.view
        rows = [self.step_row(*place) for place in places]
        d, bits = a.head_dim, [self.stored(tensor.width) for tensor in view.inputs[:3]]
        bits[1] = self.stored(view.inputs[1].width - p.low_bits)
        keys = sum(self.fetched(row["keys"]) for row in rows) if alone else self.fetched(a.kv)
        values = keys
        if alone and not p.fetch_skipped:
            values = sum(self.fetched(row["values"]) for row in rows)
        low = sum(self.fetched(row["keys"]) for row in rows if row["again"])
        ahead = self.move("weight", "read", keys * d * bits[1]) + self.move("weight", "read", values * d * bits[2])
        loads = self.move("input", "read", len(rows) * d * bits[0])
        stores = self.move("output", "write", len(rows) * d * view.output.width)
        if p.softmax == "two_pass":
            scores = sum(row["keys"] for row in rows) * p.score_bits
            loads += self.move("psum", "read", scores)
            stores += self.move("psum", "write", scores)
        for name, vectors in (("glb.keys", keys), ("glb.values", values)):
            self.add(name, "weight", "write", vectors * d * p.operand_bits)
            self.most[name] = max(self.most[name], vectors * d * p.operand_bits)
        self.add("glb.keys", "weight", "write", low * d * p.low_bits)
        self.add("pe.queries", "input", "write", len(rows) * d * p.operand_bits)
        if p.select == "greedy":
            self.add("glb.sorted", "index", "write", keys * d * (p.operand_bits + 16))
        main = [loads, sum(row["first"] for row in rows), stores, ahead]
        if p.buffer_halves == 2:
            main[0], main[3] = ahead + loads, []
        again = sum(row["second"] for row in rows)
        second = None
        if any(row["again"] for row in rows):
            second = [[], again, [], self.move("weight", "read", low * d * p.low_bits)]
        return main, second

    def stored(self, bits: int) -> int:
        return min(word for word in self.p.word_bits if word >= bits) if self.p.word_bits else bits

    # a row

    def step_row(self, b: int, g: int, h: int, i: int) -> dict[str, Any]:
        a, p = self.a, self.p
        seen = a.kv if a.causal == "none" else a.kv - a.q + i + 1
        n = seen if a.causal == "skip" else a.kv
        query = self.q[b][i][h]
        low = [[self.k[b][j][g][c] for c in range(a.head_dim)] for j in range(n)]
        high = [[(x >> p.low_bits) << p.low_bits for x in key] for key in low]
        steps, mine = (0, list(range(n)))
        if p.select == "greedy":
            steps, mine = greedy(query, high, n, seen, Fraction(str(p.iterations)))
        scores = self.scores(query, high, mine, seen)
        again = False
        if p.low_bits:
            again = self.again(scores)
            if again:
                scores = self.scores(query, low, mine, seen)
        used, outputs, exponentials = self.weigh(scores, mine, [self.v[b][j][g] for j in range(n)], n)
        self.out[b, i, h] = outputs
        passes = 2 if again else 1
        qk, soft = self.lines(len(mine)), -(-exponentials // p.softmax_lanes)
        topk = 0
        if p.select == "topk" and used < n:
            rounds, compared = topk_rounds(n, used, p, self.row)
            topk = rounds + -(-n // p.softmax_lanes) + 1  # rounds, fill and handover
            self.count("topk", "compare", compared)
        pv = self.lines(used)
        first = max(qk, soft, steps)
        stages = max(qk * passes, soft * passes, steps, pv)
        whole = max(stages, topk) if p.topk == "serial" else stages
        self.facts["topk_wait_cycles"] += whole - stages
        first = first if again else whole
        self.charge(n, len(mine), exponentials, used, passes, whole, qk, pv, steps)
        for name, cycles in (("select", steps), ("qk", qk * passes), ("softmax", soft * passes), ("topk", topk),
                             ("pv", pv)):  # fmt: skip
            self.facts[f"{name}_cycles"] += cycles
        self.facts["candidates"] += len(mine)
        self.facts["exponentials"] += exponentials
        self.facts["values_used"] += used
        self.facts["refetched_rows"] += again
        self.row += 1
        return {"keys": n, "values": used, "again": again, "first": first + p.row_cycles, "second": whole - first}

    def charge(self, n: int, mine: int, exps: int, used: int, passes: int, whole: int, qk: int, pv: int,
               steps: int) -> None:  # fmt: skip
        p, d, m = self.p, self.a.head_dim, self.p.multipliers
        first, second = self.accounts["qk"], self.accounts["pv"]
        first["busy"] += mine * d
        first["padding"] += qk * m - mine * d
        first["refetch"] += (passes - 1) * qk * m
        first["imbalance"] += (whole - qk * passes) * m
        second["busy"] += used * d
        second["padding"] += pv * m - used * d
        second["imbalance"] += (whole - pv) * m
        for account in (first, second):
            account["fill_drain"] += p.row_cycles * m
        self.count("qk", "mac", mine * d * passes)
        self.count("again", "mac", mine * d * (passes - 1))
        self.count("pv", "mac", used * d)
        self.count("softmax", "special", exps * passes + used)
        self.count("softmax", "add", exps * passes)
        self.count("softmax", "compare", exps * passes)
        if steps:
            self.count("select", "mul", 2 * steps)
            self.count("select", "add", 2 * steps)
            self.count("select", "compare", 2 * steps * d)
            self.add("glb.sorted", "index", "read", 2 * steps * (p.operand_bits + 16))
        self.add("pe.queries", "input", "read", passes * qk * d * p.operand_bits)
        self.add("glb.keys", "weight", "read", passes * qk * m * p.operand_bits)
        self.add("glb.values", "weight", "read", pv * m * p.operand_bits)
        self.add("pe.scores", "psum", "write", passes * mine * p.score_bits)
        self.add("pe.scores", "psum", "read", passes * mine * p.score_bits)

    def scores(self, query: list[int], keys: list[list[int]], mine: list[int], seen: int) -> dict[int, float]:
        scale = math.sqrt(self.a.head_dim) * 2**self.p.score_shift
        dots = {j: sum(x * y for x, y in zip(query, keys[j], strict=True)) for j in mine}
        return {j: dot / scale if j < seen else LEFT_OUT for j, dot in dots.items()}

    def again(self, scores: dict[int, float]) -> bool:
        if self.pick.refetched is not None:
            share = self.pick.refetched
            return (self.row + 1) * share // self.rows > self.row * share // self.rows
        top = max(scores.values())
        return 1 / sum(math.exp(s - top) for s in scores.values()) < self.p.refetch_threshold

    def weigh(self, scores: dict[int, float], mine: list[int], values: list[list[int]], n: int
              ) -> tuple[int, np.ndarray, int]:  # fmt: skip
        p = self.p
        if p.softmax == "lazy":
            return self.lazily(scores, values)
        top = max(scores.values())
        kept = list(mine)
        if p.select == "greedy":
            kept = [j for j in mine if math.exp(scores[j] - top) >= p.post_threshold]
        shares = {j: math.exp(scores[j] - top) for j in kept}
        total = sum(shares.values())
        shares = {j: share / total for j, share in shares.items()}
        used = kept
        if p.select == "topk":
            k = self.pick.values or max(1, math.floor(Fraction(str(p.keep_values)) * n))
            ranked = sorted(kept, key=lambda j: (-scores[j], j))[: min(k, len(kept))]
            used = sorted(ranked)
        if p.select == "threshold":
            used = [j for j in kept if shares[j] >= p.threshold]
        out = sum((shares[j] * np.array(values[j], float) for j in used), np.zeros(self.a.head_dim))
        return len(used), out, len(kept)

    def lazily(self, scores: dict[int, float], values: list[list[int]]) -> tuple[int, np.ndarray, int]:
        p, top, total, used = self.p, LEFT_OUT, 0.0, 0
        out = np.zeros(self.a.head_dim)
        keys = list(scores)
        for at in range(0, len(keys), p.chunk_keys):
            chunk = keys[at : at + p.chunk_keys]
            new = max(top, *(scores[j] for j in chunk))
            shrink = math.exp(top - new)
            top, total, out = new, total * shrink, out * shrink
            shares = {j: math.exp(scores[j] - top) for j in chunk}
            total += sum(shares.values())
            for j, share in shares.items():
                if p.select != "threshold" or share >= p.threshold * total:
                    out += share * np.array(values[j], float)
                    used += 1
        return used, out / total, len(keys)
