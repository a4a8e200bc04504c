"""SCNN stepped product by product and cycle by cycle, in plain Python and blind to any plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from accelsim.activity import Activity, Direction, Event, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Pass(NamedTuple):
    image: int
    outputs: range
    tiles: list[tuple[list[int], list[int]]]
    owned: list[tuple[list[int], list[int]]]
    reached: list[tuple[list[int], list[int]]]


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        causes = ("busy", "zero", "padding", "conflict", "imbalance", "control", "fill_drain", "unmapped")
        super().__init__(view, operands, params, machine.dram, causes)
        self.nonzero = self.described(operands)
        self.details = dict.fromkeys(("steps", "dropped_products", "placeholder_products", "empty_slots"), 0)
        self.products = 0
        self.pes = params.pe_rows * params.pe_cols
        self.phases = list(product(range(self.conv.stride[0]), range(self.conv.stride[1])))

    def run(self) -> Activity:
        p, conv = self.p, self.conv
        passes, kc, resident = self._passes()
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        groups = [
            (range(g * cg, g * cg + cg), range(g * kg + k, g * kg + min(k + kc, kg)))
            for g in range(conv.groups)
            for k in range(0, kg, kc)
        ]
        drain = 0
        for one in passes:
            inputs = self._input_sizes(one)
            if not resident[0]:
                for tensor, bits in zip(("input", "index"), inputs[:2], strict=True):
                    self.add("pe.iaram", tensor, "write", bits)
            for index, (channels, kernels) in enumerate(groups):
                cycles = self._group(one, channels, kernels)
                length = max(cycles, drain)
                drain = self._drain(one, len(kernels))
                if (one, index) == (passes[-1], len(groups) - 1):
                    length += drain
                mapped = sum(1 for rows, cols in one.tiles if rows and cols)
                self.causes["fill_drain"] += (length - cycles) * mapped * p.f * p.i
                self.causes["unmapped"] += length * (self.pes - mapped) * p.f * p.i
                loads = [] if resident[0] or index else self._dram("input", "read", inputs)
                loads += self._dram("weight", "read", self._weight_size(channels, kernels, kc))
                outputs = self._output_sizes(one, kernels)
                stores = [] if resident[1] else self._dram("output", "write", outputs)
                for tensor, bits in zip(("output", "index"), outputs[:2], strict=True):
                    self.add("pe.oaram", tensor, "write", bits)
                    self.add("pe.oaram", tensor, "read", 0 if resident[1] else bits)
                self.step(loads, length, stores)
        self.details |= {"kc": kc, "passes": len(passes)}
        self.details |= {"inputs_stay": int(resident[0]), "outputs_stay": int(resident[1])}
        self.details["input_bits"] = sum(sum(self._input_sizes(one)[:2]) for one in passes)
        self.details["output_bits"] = sum(sum(self._output_sizes(one, range(conv.k))[:2]) for one in passes)
        self.details["weight_bits"] = sum(sum(self._weight_size(c, k, kc)[:2]) for c, k in groups)
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): self.products},
            buffers=self._buffers(passes, groups, kc, resident),
            details=self.details,
            performed_macs=self.products,
        )

    def _passes(self) -> tuple[list[_Pass], int, tuple[bool, bool]]:
        """Try every height of band: fewest tile rows first, then fewest bands."""
        p, conv = self.p, self.conv
        found = []
        for height in range(1, conv.e + 1):
            starts = range(0, conv.e, height)
            passes = [self._cut(n, range(e, min(e + height, conv.e))) for n in range(conv.n) for e in starts]
            area = self._area(passes)
            kc = min(conv.k // conv.groups, p.accumulator_entries // max(1, area))
            kc = min(kc, p.kc) if isinstance(p.kc, int) else kc
            rows = sum(max(len(rows) for rows, _ in one.tiles) for one in passes)
            if kc:
                found.append((rows, len(passes), passes, kc))
        for _, _, passes, kc in sorted(found, key=lambda item: item[:2]):
            held = [self._input_sizes(one)[2] for one in passes]
            if max(held) <= p.iaram_kib * 8192:
                made = sum(self._output_sizes(one, range(conv.k))[2] for one in passes)
                stay_in = len(passes) == conv.n and sum(held) <= p.iaram_kib * 8192
                stay_out = made <= p.oaram_kib * 8192
                return passes, kc, (p.activations_stay and stay_in, p.activations_stay and stay_out)
        raise AssertionError("the sample does not fit")

    def _cut(self, image: int, outputs: range) -> _Pass:
        conv, p = self.conv, self.p

        def axis(d: int, outs: range, parts: int) -> list[tuple[list[int], list[int], list[int]]]:
            size, taps = ((conv.h, conv.r), (conv.w, conv.s))[d]
            stride, pad, dilation = conv.stride[d], conv.pad[d], conv.dilation[d]
            touched = [o * stride - pad + t * dilation for o in outs for t in range(taps)]
            inside = [y for y in range(min(touched), max(touched) + 1) if 0 <= y < size]
            tile, keep = -(-len(inside) // parts), -(-len(outs) // parts)
            found = []
            for i in range(parts):
                mine = inside[i * tile : (i + 1) * tile]
                near = [
                    o
                    for o in outs
                    if mine and o * stride - pad <= mine[-1] and o * stride - pad + (taps - 1) * dilation >= mine[0]
                ]
                found.append((mine, list(outs)[i * keep : (i + 1) * keep], near))
            return found

        rows, cols = axis(0, outputs, p.pe_rows), axis(1, range(conv.f), p.pe_cols)
        pairs = list(product(rows, cols))
        return _Pass(image, outputs, *([(a[i], b[i]) for a, b in pairs] for i in range(3)))

    def _encode(self, flags: Iterator[tuple[bool, Any]]) -> list[Any]:
        """Return the entries of a block in order: places, or None for a placeholder."""
        entries: list[Any] = []
        zeros = 0
        for flag, place in flags:
            if not flag:
                zeros += 1
                continue
            entries += [None] * (zeros // 2**self.p.run_bits)
            entries.append(place)
            zeros = 0
        return entries

    def _tile(self, one: _Pass, pe: int, c: int, phase: tuple[int, int]) -> list[Any]:
        conv = self.conv
        rows, cols = one.tiles[pe]
        return self._encode(
            (bool(self.x[one.image, c, y, x]), (y, x))
            for y in rows
            for x in cols
            if ((y + conv.pad[0]) % conv.stride[0], (x + conv.pad[1]) % conv.stride[1]) == phase
        )

    def _weights(self, c: int, kernels: range, phase: tuple[int, int]) -> list[Any]:
        conv = self.conv
        return self._encode(
            (bool(self.w[k, c % (conv.c // conv.groups), r, s]), (k, r, s))
            for r in range(conv.r)
            for s in range(conv.s)
            if (r * conv.dilation[0] % conv.stride[0], s * conv.dilation[1] % conv.stride[1]) == phase
            for k in kernels
        )

    def _sizes(self, per_pe: list[int], blocks: int, largest: int, bits: int) -> tuple[int, int, int]:
        run, count = self.p.run_bits, len(f"{largest:b}") if largest else 0
        index = sum(per_pe) * run + len(per_pe) * blocks * count
        return sum(per_pe) * bits, index, max(per_pe) * (bits + run)

    def _input_sizes(self, one: _Pass) -> tuple[int, int, int]:
        everything = list(product(range(self.conv.c), self.phases))
        per_pe = [sum(len(self._tile(one, pe, c, ph)) for c, ph in everything) for pe in range(self.pes)]
        largest = max(len(rows) * len(cols) for rows, cols in one.tiles)
        return self._sizes(per_pe, len(everything), largest, self.view.input.width)

    def _output_sizes(self, one: _Pass, kernels: range) -> tuple[int, int, int]:
        per_pe = []
        for rows, cols in one.owned:
            blocks = (
                self._encode((bool(self.nonzero[one.image, k, e, f]), 0) for e in rows for f in cols) for k in kernels
            )
            per_pe.append(sum(map(len, blocks)))
        largest = max(len(rows) * len(cols) for rows, cols in one.owned)
        return self._sizes(per_pe, len(kernels), largest, self.view.output.width)

    def _weight_size(self, channels: range, kernels: range, kc: int) -> tuple[int, int, int]:
        blocks = list(product(channels, self.phases))
        entries = sum(len(self._weights(c, kernels, ph)) for c, ph in blocks)
        return self._sizes([entries], len(blocks), kc * self.conv.r * self.conv.s, self.view.weight.width)

    def _group(self, one: _Pass, channels: range, kernels: range) -> int:
        """Step all PEs through a channel group; return when the last one is done."""
        p = self.p
        mapped = [pe for pe, (rows, cols) in enumerate(one.tiles) if rows and cols]
        clock = dict.fromkeys(mapped, 0)
        waiting = {pe: [0] * p.banks for pe in mapped}
        for c in channels:
            weights = {phase: self._weights(c, kernels, phase) for phase in self.phases}
            for phase in self.phases:
                self._word("pe.weights", "weight", "write", len(weights[phase]) * self.pes)
            for pe in mapped:
                worked = False
                for phase in self.phases:
                    tile = self._tile(one, pe, c, phase)
                    if tile and weights[phase]:
                        worked = True
                        self._word("pe.iaram", "input", "read", len(tile))
                        clock[pe] += self._block(one, c, tile, weights[phase], waiting[pe])
                if not worked and p.empty_costs_a_cycle:
                    clock[pe] += 1
                    self.causes["control"] += p.f * p.i
                    self._tick(waiting[pe])
            if p.barrier == "channel" and mapped:
                self._meet(clock, waiting)
        for pe in mapped:
            while any(waiting[pe]):
                self._tick(waiting[pe])
                clock[pe] += 1
                self.causes["conflict"] += p.f * p.i
        return self._meet(clock, waiting) if mapped else 0

    def _meet(self, clock: dict[int, int], waiting: dict[int, list[int]]) -> int:
        level = max(clock.values())
        for pe in clock:
            while clock[pe] < level:
                clock[pe] += 1
                self._tick(waiting[pe])
                self.causes["imbalance"] += self.p.f * self.p.i
        return level

    @staticmethod
    def _tick(banks: list[int]) -> None:
        for bank, queue in enumerate(banks):
            banks[bank] = max(0, queue - 1)

    def _block(self, one: _Pass, c: int, tile: list[Any], weights: list[Any], waiting: list[int]) -> int:
        """Step through the vectors of a tile and a weight block; return the cycles."""
        p, slots = self.p, self.p.f * self.p.i
        limit = float("inf") if p.queue_depth == "unlimited" else p.queue_depth
        cycles = 0
        for a in range(0, len(tile), p.i):
            for b in range(0, len(weights), p.f):
                pairs = list(product(tile[a : a + p.i], weights[b : b + p.f]))
                self._word("pe.weights", "weight", "read", len(weights[b : b + p.f]))
                self.details["steps"] += 1
                self.details["empty_slots"] += slots - len(pairs)
                self.causes["padding"] += slots - len(pairs)
                self.products += len(pairs)
                for activation, weight in pairs:
                    bank = self._multiply(one, c, activation, weight)
                    if bank is not None and limit != float("inf"):
                        waiting[bank] += 1
                self._tick(waiting)
                cycles += 1
                while max(waiting) > limit:
                    self._tick(waiting)
                    cycles += 1
                    self.causes["conflict"] += slots
        return cycles

    def _multiply(self, one: _Pass, c: int, activation: Any, weight: Any) -> int | None:
        """Multiply, accumulate what lands, and return the bank that it goes to."""
        conv = self.conv
        if activation is None or weight is None:
            self.causes["zero"] += 1
            self.details["placeholder_products"] += 1
            return None
        (y, x), (k, r, s) = activation, weight
        up = y + conv.pad[0] - r * conv.dilation[0]
        left = x + conv.pad[1] - s * conv.dilation[1]
        e, f = up // conv.stride[0], left // conv.stride[1]
        assert (up % conv.stride[0], left % conv.stride[1]) == (0, 0)
        if e not in one.outputs or f not in range(conv.f):
            self.causes["padding"] += 1
            self.details["dropped_products"] += 1
            return None
        self.causes["busy"] += 1
        w = self.w[k, c % (conv.c // conv.groups), r, s]
        self.out[one.image, k, e, f] += self.x[one.image, c, y, x] * w
        acc = self.p.accumulator_bits
        self.add("array", "psum", "read", acc)
        for way in WAYS:
            self.add("pe.accumulators", "psum", way, acc)
        bank = k % 4 + 4 * (e % 2) + 8 * (f % 2) + 16 * ((k // 4 + e // 2 + f // 2) % 2)
        return int(bank % self.p.banks)

    def _halo(self, one: _Pass) -> list[int]:
        foreign = []
        for (rows, cols), (own_rows, own_cols) in zip(one.reached, one.owned, strict=True):
            kept = set(product(own_rows, own_cols))
            foreign.append(sum(place not in kept for place in product(rows, cols)))
        return foreign

    def _drain(self, one: _Pass, kernels: int) -> int:
        """Move a group's accumulators out; return the cycles of the slowest PE."""
        p, acc = self.p, self.p.accumulator_bits
        reached = [len(rows) * len(cols) for rows, cols in one.reached]
        foreign = self._halo(one)
        self.add("array", "psum", "write", sum(foreign) * kernels * acc)
        self.add("pe.accumulators", "psum", "read", (sum(reached) + sum(foreign)) * kernels * acc)
        self.add("pe.accumulators", "psum", "write", sum(foreign) * kernels * acc)
        halo = -(-max(foreign) * kernels // p.halo_entries_per_cycle)
        return halo + -(-max(reached) * kernels // p.drain_entries_per_cycle)

    def _dram(self, tensor: str, direction: Direction, size: tuple[int, ...]) -> list[Transfer]:
        return self.move(tensor, direction, size[0]) + self.move("index", direction, size[1])

    def _word(self, boundary: str, tensor: str, direction: Direction, entries: int) -> None:
        self.add(boundary, tensor, direction, entries * self.bits[tensor])
        self.add(boundary, "index", direction, entries * self.p.run_bits)

    def _area(self, passes: list[_Pass]) -> int:
        """Return the accumulators that an output channel takes in the fullest PE."""
        tiles = [pe for one in passes for pe in (one.owned if self.p.kc == "own_tile" else one.reached)]
        return max(len(rows) * len(cols) for rows, cols in tiles)

    def _buffers(
        self, passes: list[_Pass], groups: list[Any], kc: int, resident: tuple[bool, bool]
    ) -> dict[str, tuple[int, int]]:
        p = self.p
        inputs = [self._input_sizes(one)[2] for one in passes]
        outputs = [self._output_sizes(one, range(self.conv.k))[2] for one in passes]
        by_group = [self._output_sizes(one, kernels)[2] for one in passes for _, kernels in groups]
        peaks = [sum(inputs) if resident[0] else max(inputs), sum(outputs) if resident[1] else max(by_group)]
        area = self._area(passes)
        halves = 2 if len(passes) * len(groups) > 1 else 1
        return {
            "pe.iaram": (p.iaram_kib * 8192, peaks[0]),
            "pe.oaram": (p.oaram_kib * 8192, peaks[1]),
            "pe.accumulators": (
                2 * p.accumulator_entries * p.accumulator_bits,
                kc * area * p.accumulator_bits * halves,
            ),
        }
