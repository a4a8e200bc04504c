"""Eyeriss v2 stepped plainly: each PE's two stages cycle by cycle, words of routers as sets; blind to any plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView

CAUSES = ("busy", "zero", "padding", "unmapped", "fill_drain", "imbalance", "conflict", "starved")
Pixel = tuple[int, int, int]


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Chip(view, operands, params, machine).run()


def up(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return (a + b - 1) // b


class _Way(NamedTuple):
    """Channels of a PE, what a cluster's columns take (0 blocks, 1 groups, 2 positions), and clusters of each."""

    m0: int
    c0: int
    columns: int
    kq: int
    km: int
    kg: int
    kt: int


class _Pe(NamedTuple):
    """The work of a PE: piece of the reduction, block, group and run of positions."""

    q: int
    m: int
    g: int
    t: int


class _Chip(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, CAUSES)
        conv = self.conv
        self.cg, self.kg = conv.c // conv.groups, conv.k // conv.groups
        self.clusters = params.cluster_rows * params.cluster_cols
        self.pes = self.clusters * params.pe_rows * params.pe_cols
        self.pixels = list(product(range(conv.n), range(conv.e), range(conv.f)))
        no_zero = (self.x != 0).all() and (self.w != 0).all()
        self.dense = bool(not params.sparse or self.cg == self.kg == 1 or no_zero)
        self.span = 2**params.count_bits
        self.segment = min(conv.s, conv.stride[1], self.span)
        self.port = params.port_words if self.dense else params.port_pairs
        self.flat = params.network == "flat"
        made = self.described(operands)
        self.made, self.plain_outputs = made, bool(not params.sparse or made.all())
        self.macs = self.gated = self.passes = 0
        self.most = [0, 0, 0]  # words of an input router, of a weight router, of a psum column, in one pass
        self.stored_pairs: dict[tuple[int, int, int, int], int] = {}

    # ---- what a PE holds

    def outputs(self, g: int, m: int, m0: int) -> list[int]:
        return list(range(g * self.kg + m * m0, g * self.kg + min((m + 1) * m0, self.kg)))

    def column(self, g: int, m: int, m0: int, c: int, r: int, s: int) -> list[tuple[int, int]]:
        """Return the pairs of a column: (output, weight), output -1 for a pair that only stands for zeros."""
        if self.dense:
            return [(k, int(self.w[k, c, r, s])) for k in self.outputs(g, m, m0)]
        pairs, zeros = [], 0
        for k in self.outputs(g, m, m0):
            if not self.w[k, c, r, s]:
                zeros += 1
                continue
            while zeros >= self.span:
                pairs.append((-1, 0))
                zeros -= self.span
            pairs.append((k, int(self.w[k, c, r, s])))
            zeros = 0
        return pairs

    def words(self, g: int, m: int, q: int, m0: int, c0: int) -> int:
        """Return the words of weights that a PE stores."""
        chunk, r = divmod(q, self.conv.r)
        total, unit = 0, 1 if self.dense else self.p.simd
        for c, s in product(range(chunk * c0, min((chunk + 1) * c0, self.cg)), range(self.conv.s)):
            total += up(len(self.column(g, m, m0, c, r, s)), unit) * unit
        return total

    # ---- how the loops lie

    def parts(self, way: _Way) -> tuple[int, int, int, int]:
        """Return pieces, blocks, groups and runs of positions at once."""
        over = [self.p.pe_cols if way.columns == i else 1 for i in range(3)]
        return self.p.pe_rows * way.kq, over[0] * way.km, over[1] * way.kg, over[2] * way.kt

    def counts(self, way: _Way) -> tuple[int, int]:
        """Return pieces and blocks of the layer."""
        return self.conv.r * up(self.cg, way.c0), up(self.kg, way.m0)

    def band(self, way: _Way) -> int:
        strip = up(len(self.pixels), self.parts(way)[3])
        if up(self.counts(way)[0], self.parts(way)[0]) == 1:
            return strip
        return min(strip, self.p.psum_bank_bytes * 8 // self.p.accumulator_bits // way.m0)

    def estimate(self, way: _Way) -> int:
        p, conv = self.p, self.conv
        q_at, m_at, g_at, t_at = self.parts(way)
        pieces, blocks = self.counts(way)
        band = self.band(way)
        passes = up(pieces, q_at) * up(blocks, m_at) * up(conv.groups, g_at) * up(up(len(self.pixels), t_at), band)
        nonzeros, every = (1, 1) if self.dense else (int((self.w != 0).sum()), self.w.size)
        weights = way.c0 * conv.s * (way.m0 if self.dense else up(way.m0, p.simd) * p.simd)
        weights = up(weights * nonzeros, every)
        inputs, psums = band * way.c0 * min(conv.s, conv.stride[1]), band * way.m0
        pieces_now, blocks_now, groups_now = min(q_at, pieces), min(m_at, blocks), min(g_at, conv.groups)
        if self.flat:
            weights *= pieces_now * blocks_now * groups_now
            inputs *= pieces_now * groups_now * t_at
            psums *= blocks_now * groups_now * t_at
        else:
            inputs *= min(p.pe_rows, pieces)
            if way.columns == 0:
                weights *= min(p.pe_cols, blocks)
            if way.columns == 1:
                weights *= min(p.pe_cols, conv.groups)
                inputs *= min(p.pe_cols, conv.groups)
            if way.columns == 2:
                inputs *= p.pe_cols
        stream = up(band * way.c0 * conv.s * up(way.m0, p.simd) * nonzeros, every)
        slowest = max(stream, up(inputs, p.input_routers * self.port), up(psums, p.psum_words))
        return passes * (up(weights, self.port) + slowest)

    def ways(self) -> Iterator[_Way]:
        p, conv = self.p, self.conv
        sizes = sorted({min(m0, self.kg) for m0 in (1, 2, 4, 8, 12, 16, 24, 32)})[::-1]
        for m0 in sizes:
            if m0 > p.spad_psums or m0 * p.accumulator_bits > p.psum_bank_bytes * 8:
                continue
            for c0 in range(self.cg, 0, -1):
                if c0 * conv.s > p.spad_inputs or c0 * self.segment > self.span or not self.fits(m0, c0):
                    continue
                for columns, kq, km, kg in product(range(3), *[range(1, self.clusters + 1)] * 3):
                    if self.clusters % (kq * km * kg) == 0 and p.cluster_rows % kq == 0:
                        yield _Way(m0, c0, columns, kq, km, kg, self.clusters // (kq * km * kg))

    def fits(self, m0: int, c0: int) -> bool:
        """Whether all PEs hold their weights."""
        pieces, blocks = self.conv.r * up(self.cg, c0), up(self.kg, m0)
        if self.dense:
            return bool(m0 * c0 * self.conv.s <= self.p.spad_weights)
        every = product(range(self.conv.groups), range(blocks), range(pieces))
        return all(self.words(g, m, q, m0, c0) <= self.p.spad_weights for g, m, q in every)

    # ---- the layer

    def run(self) -> Activity:
        way = min(self.ways(), key=self.estimate)
        q_at, m_at, g_at, t_at = self.parts(way)
        pieces, blocks = self.counts(way)
        band = self.band(way)
        room = self.clusters * self.p.input_bytes * 8
        held = sum(sum(self.input_bits(g, way)) for g in range(self.conv.groups))
        for g0, m0 in product(range(0, self.conv.groups, g_at), range(0, blocks, m_at)):
            groups, block = range(g0, min(g0 + g_at, self.conv.groups)), range(m0, min(m0 + m_at, blocks))
            loads = []
            if m0 == 0 or held > room:
                value, index = map(sum, zip(*(self.input_bits(g, way) for g in groups), strict=True))
                self.add("glb.inputs", "input", "write", value)
                self.add("glb.inputs", "index", "write", index)
                loads += self.move("input", "read", value) + self.move("index", "read", index)
            cycles, weights, addresses = 0, 0, 0
            for b in range(up(up(len(self.pixels), t_at), band)):
                for q0 in range(0, pieces, q_at):
                    now = range(q0, min(q0 + q_at, pieces))
                    cycles += self.one_pass(way, now, block, groups, b)
                    for g, m, q in product(groups, block, now):
                        weights += self.words(g, m, q, way.m0, way.c0)
                        addresses += (min(way.c0, self.cg - q // self.conv.r * way.c0) * self.conv.s) + 1
            loads += self.move("weight", "read", weights * self.bits["weight"])
            if not self.dense:
                loads += self.move("index", "read", weights * self.p.count_bits + addresses * self.p.address_bits)
            self.step(loads, cycles, self.leave(way, groups, block))
        details = {
            "passes": self.passes,
            "outputs_per_pe": way.m0,
            "channels_per_pe": way.c0,
            "input_sharers": min(way.km, up(blocks, m_at // way.km)),
            "weight_sharers": min(way.kt, len(self.pixels)),
            "input_router_words": self.most[0],
            "weight_router_words": self.most[1],
            "psum_column_words": self.most[2],
        }
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): self.macs, Event("macs", "gated"): self.gated},
            buffers={"glb.inputs": (room, min(room, held))},
            details=details,
            performed_macs=self.macs,
        )

    def input_bits(self, g: int, way: _Way) -> tuple[int, int]:
        """Return bits of values and index of a group's inputs."""
        found = self.x[:, g * self.cg : (g + 1) * self.cg]
        if self.dense:
            return found.size * self.bits["input"], 0
        segments = self.conv.n * self.conv.h * up(self.conv.w, self.segment) * up(self.cg, way.c0)
        nonzeros = int((found != 0).sum())
        return nonzeros * self.bits["input"], (nonzeros + segments) * self.p.count_bits

    def leave(self, way: _Way, groups: range, blocks: range) -> list[Any]:
        """Send outputs off."""
        values = index = 0
        for g, m in product(groups, blocks):
            channels = self.outputs(g, m, way.m0)
            for n, e, f in self.pixels:
                found = sum(bool(self.made[n, k, e, f]) for k in channels)
                values += len(channels) if self.plain_outputs else found
                index += 0 if self.plain_outputs else found + up(len(channels), self.span)
        return self.move("output", "write", values * self.bits["output"]) + self.move(
            "index", "write", index * self.p.count_bits
        )

    # ---- a pass

    def positions(self, t: int, b: int, way: _Way) -> list[Pixel]:
        t_at, band = self.parts(way)[3], self.band(way)
        whole = self.pixels[len(self.pixels) * t // t_at : len(self.pixels) * (t + 1) // t_at]
        return whole[b * band : (b + 1) * band]

    def needed(self, q: int, g: int, where: list[Pixel], c0: int) -> set[tuple[int, ...]]:
        """Return the inputs that a PE needs: image, channel, row, column; of compressed ones, the non-zero ones."""
        chunk, r = divmod(q, self.conv.r)
        found: set[tuple[int, ...]] = set()
        for (n, e, f), s in product(where, range(self.conv.s)):
            y, x = self.place(e, f, r, s)
            if 0 <= y < self.conv.h and 0 <= x < self.conv.w:
                for c in range(g * self.cg + chunk * c0, g * self.cg + min((chunk + 1) * c0, self.cg)):
                    if self.dense or self.x[n, c, y, x]:
                        found.add((n, c, y, x))
        return found

    def one_pass(self, way: _Way, pieces: range, blocks: range, groups: range, b: int) -> int:
        p, t_at = self.p, self.parts(way)[3]
        runs = {t: self.positions(t, b, way) for t in range(t_at)}
        pes = [_Pe(*at) for at in product(pieces, blocks, groups, range(t_at)) if runs[at[3]]]
        inputs: dict[Any, set[Any]] = {}
        readers: dict[Any, set[Any]] = {}
        weights: dict[Any, dict[Any, int]] = {}
        psums: dict[Any, int] = {}
        ends = []
        for pe in pes:
            where = runs[pe.t]
            mine = self.needed(pe.q, pe.g, where, way.c0)
            words = self.words(pe.g, pe.m, pe.q, way.m0, way.c0)
            moved = len(where) * len(self.outputs(pe.g, pe.m, way.m0))
            cols = [p.pe_cols if way.columns == i else 1 for i in range(3)]
            at_q, at_m = (pe.q - pieces[0]) // p.pe_rows, (pe.m - blocks[0]) // cols[0]
            at_g, at_t = (pe.g - groups[0]) // cols[1], pe.t // cols[2]
            # with one network everything shares a router
            router: tuple[int, ...] = () if self.flat else (at_q, at_g, at_t)
            inputs.setdefault(router, set()).update(mine)
            readers.setdefault(router, set()).add(() if self.flat else at_m)
            router = () if self.flat else (pe.q, at_m, at_g, at_t)
            weights.setdefault(router, {})[pe.q, pe.m, pe.g] = words
            router = () if self.flat else (pe.m, pe.g, pe.t)
            if pe.q == pieces[0]:
                psums[router] = psums.get(router, 0) + moved
            self.count("pe.inputs", "input", "write", len(mine))
            self.count("pe.weights", "weight", "write", words)
            self.add("array", "psum", "write", moved * p.accumulator_bits)
            if pieces[-1] + 1 < self.counts(way)[0] and pe.q == pieces[0]:
                self.add("glb.psums", "psum", "write", moved * p.accumulator_bits)
            if pieces[0] > 0 and pe.q == pieces[0]:
                self.add("glb.psums", "psum", "read", moved * p.accumulator_bits)
            ends.append(self.stream(pe, where, way))
        for router, found in inputs.items():
            self.count("glb.inputs", "input", "read", len(found))
            self.count("array", "input", "read", len(found) * len(readers[router]))
        for held in weights.values():
            self.count("array", "weight", "read", sum(held.values()))
        share = max(up(len(found), p.input_routers) for found in inputs.values())
        heaviest, tallest = max(sum(held.values()) for held in weights.values()), max(psums.values())
        self.most = [max(pair) for pair in zip(self.most, (share, heaviest, tallest), strict=True)]
        load, arriving, leaving = up(heaviest, self.port), up(share, self.port), up(tallest, p.psum_words)
        computing = max(ends) + p.stages
        taken = max(computing, arriving, leaving)
        for end in ends:
            self.causes["imbalance"] += (max(ends) - end) * p.simd
            self.causes["fill_drain"] += (p.stages + load) * p.simd
            self.causes["conflict" if leaving > arriving else "starved"] += (taken - computing) * p.simd
        self.causes["unmapped"] += (self.pes - len(pes)) * (load + taken) * p.simd
        self.passes += 1
        return load + taken

    def count(self, boundary: str, tensor: str, direction: Any, words: int) -> None:
        """Count words across a boundary, with their index if they are compressed."""
        self.add(boundary, tensor, direction, words * self.bits[tensor])
        self.add(boundary, "index", direction, 0 if self.dense else words * self.p.count_bits)

    def stream(self, pe: _Pe, where: list[Pixel], way: _Way) -> int:
        """Step a PE cycle by cycle: an input register, and a stage that multiplies; return the cycles."""
        chunk, r = divmod(pe.q, self.conv.r)
        channels = range(chunk * way.c0, min((chunk + 1) * way.c0, self.cg))
        queue = []
        for (n, e, f), s, c in product(where, range(self.conv.s), channels):
            value = self.value(n, pe.g * self.cg + c, e, f, r, s)
            if value or self.dense:
                queue.append(((n, e, f), value, self.column(pe.g, pe.m, way.m0, c, r, s)))
        self.count("pe.inputs", "input", "read", len(queue))
        if not self.dense:  # where the column begins and ends
            self.add("pe.addresses", "index", "read", 2 * len(queue) * self.p.address_bits)
        register: Any = None
        multiplying: list[tuple[Pixel, int, list[tuple[int, int]]]] = []  # a batch per cycle
        cycle = 0
        while queue or register or multiplying:
            if register and not register[2]:
                register = None  # meets no weight
            if register and not multiplying:
                pixel, value, pairs = register
                multiplying = [(pixel, value, pairs[i : i + self.p.simd]) for i in range(0, len(pairs), self.p.simd)]
                register = None
            if not register and queue:
                register = queue.pop(0)
            if not (queue or register or multiplying):
                break
            if multiplying:
                self.multiply_all(*multiplying.pop(0))
            else:
                self.causes["starved"] += self.p.simd
            cycle += 1
        return cycle

    def multiply_all(self, pixel: Pixel, value: int, pairs: list[tuple[int, int]]) -> None:
        """Multiply an input by a word of weights in one cycle."""
        n, e, f = pixel
        self.causes["padding"] += self.p.simd - len(pairs)
        if not self.dense:
            self.count("pe.weights", "weight", "read", self.p.simd)
        for k, weight in pairs:
            self.causes["busy" if value and weight else "zero"] += 1
            if self.dense and not value:
                self.gated += 1
                continue
            self.macs += 1
            if self.dense:
                self.count("pe.weights", "weight", "read", 1)
            for direction in ("read", "write"):
                self.add("pe.psums", "psum", direction, self.p.accumulator_bits)
            if k >= 0:
                self.out[n, k, e, f] += value * weight
