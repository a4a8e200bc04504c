"""NVDLA stepped cycle by cycle: port, array and post-processing, in plain Python and blind to any plan."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.engine import Machine
from accelsim.engines.nvdla.reference_post import behind, up
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.layers import LayerView

SUM_BITS = 34


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    if view.kind in ("conv2d", "linear", "matmul"):
        return _Convolution(view, operands, params, mapping, machine).run()
    return behind(view, operands, params, mapping, machine)


class _Piece:
    """A hardware layer: what it fetches, in beats, and the packages that it issues."""

    def __init__(self, n: int, groups: range, rows: range, lines: int) -> None:
        self.n, self.groups, self.rows, self.lines = n, groups, rows, lines
        self.beats: list[
            tuple[str, int, int]
        ] = []  # ("data", surfaces that it ends or 0, their beats), ("weight", number, 0)
        self.ends: list[int] = []  # weight beats up to each group of kernels
        self.later = 0  # weight beats that wait for room of this layer's own
        self.held_bytes = 0
        self.arrived: dict[int, int] = {}
        self.released: dict[int, int] = {}
        self.written = 0
        self.first = self.last = self.done = self.loaded = -1
        self.left = self.data_beats = self.weight_beats = 0


class _Convolution:
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        self.view, self.p, self.mapping, self.dram = view, params, mapping, machine.dram
        conv = view.conv
        self.x, self.w = operands.conv_arrays()
        self.stride, self.dilation, self.pad = conv.stride, conv.dilation, conv.pad
        self.matrix = view.kind != "conv2d"
        if self.matrix:
            self.x = self.x[:, :, 0, 0].T[None, :, :, None]
        self.images, self.c, self.h, self.width = self.x.shape
        self.k, self.cg, self.r, self.s = self.w.shape
        self.out = np.zeros((self.images, self.k, conv.n if self.matrix else conv.e, conv.f), dtype=np.int64)
        self.e, self.f = self.out.shape[2:]
        self.sections = self.c // self.cg
        self.kg = self.k // self.sections
        self.wide = 2 if max(view.input.width, view.weight.width) > 8 else 1
        self.at_a_time = params.wide_kernels if self.wide == 2 else params.kernels
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(
            ("busy", "zero", "padding", "unmapped", "memory", "starved", "conflict", "fill_drain"), 0
        )
        self.waits = dict.fromkeys(
            ("mac", "load_wait", "weight_wait", "stripe_floor", "drain_credit", "fill", "end"), 0
        )
        self.packages = 0

    # what is cut how

    def _entry_bytes(self, channels: int) -> int:
        """Return what a line of the input takes in the buffer."""
        entry = self.p.channels * self.wide
        if self.mapping.image:
            return up(self.width * 4 * self.wide, entry)
        total = 0
        for low in range(0, channels, self.p.channels):
            atoms = -(-min(self.p.channels, channels - low) * self.wide // self.p.atom_bytes)
            size = self.p.atom_bytes
            while size < atoms * self.p.atom_bytes:
                size *= 2
            if channels - low >= self.p.channels:
                size = entry
            total += up(self.width * min(entry, size), entry)
        return total

    def _pieces(self) -> list[_Piece]:
        p = self.p
        bundle = 1
        while (
            (bundle + 1) * self.cg <= p.channels and (bundle + 1) * self.kg <= self.at_a_time
            and bundle < self.sections
        ):  # fmt: skip
            bundle += 1
        depth = 4 if self.mapping.image else bundle * self.cg
        kernel = depth * self.r * self.s * self.wide
        every = up(bundle * self.kg * kernel, 128)
        group = min(self.at_a_time, bundle * self.kg) * kernel
        bank, line = p.bank_kib * 1024, self._entry_bytes(depth)
        reach = (self.r - 1) * self.dilation[0] + 1
        found = None
        for groups in (2, 1):
            weights = -(-min(every, groups * group + 128) // bank)
            lines = max(0, p.banks - weights) * bank // line
            for rows in range(self.e, 0, -1):
                if (rows == self.e and self.h <= lines) or (rows - 1) * self.stride[0] + reach <= lines:
                    found = found or (rows, rows == self.e and self.h <= lines)
        assert found is not None
        rows, whole = found
        bands = -(-self.e // rows)
        rows = -(-self.e // bands)
        pieces = []
        for n, low, top in product(range(self.images), range(0, self.sections, bundle), range(0, self.e, rows)):
            mine = range(top, min(top + rows, self.e))
            needed = {
                y for e, r in product(mine, range(self.r))
                if 0 <= (y := e * self.stride[0] + r * self.dilation[0] - self.pad[0]) < self.h
            }  # fmt: skip
            ends = mine[0] * self.stride[0] - self.pad[0], mine[-1] * self.stride[0] - self.pad[0] + reach - 1
            span = max(1, min(ends[1], self.h - 1) - min(max(0, ends[0]), self.h - 1) + 1)
            assert not needed or max(needed) - min(needed) < span
            pieces.append(_Piece(n, range(low, min(low + bundle, self.sections)), mine, self.h if whole else span))
        self.data_banks = -(-max(piece.lines for piece in pieces) * line // bank)
        self.weight_banks = p.banks - self.data_banks
        self.room, self.ring = self.data_banks * bank, self.weight_banks * bank // p.port_bytes
        for piece in pieces:
            self._list_beats(piece)
        return pieces

    def _list_beats(self, piece: _Piece) -> None:
        """List data and weights in the order in which the port takes them."""
        p = self.p
        channels = len(piece.groups) * self.cg
        if self.mapping.image:
            surfaces, wide = 1, -(-self.width * 4 * self.wide // p.port_bytes)
        else:
            surfaces, wide = -(-channels * self.wide // p.atom_bytes), -(-self.width * p.atom_bytes // p.port_bytes)
            if self.h == self.width == 1 and not p.line_buffer:
                surfaces, wide = 1, -(-surfaces * p.atom_bytes // p.port_bytes)
        data: list[tuple[str, int, int]] = []
        for _ in range(piece.lines):
            for low in range(0, surfaces, 4):
                together = min(4, surfaces - low)
                data += [("data", 0, 0)] * (together * wide - 1) + [("data", together, wide)]
        kernel = (4 if self.mapping.image else channels) * self.r * self.s * self.wide
        kernels, bytes_ = len(piece.groups) * self.kg, 0
        for low in range(0, kernels, self.at_a_time):
            bytes_ += min(self.at_a_time, kernels - low) * kernel
            piece.ends.append(-(-bytes_ // p.port_bytes))
        piece.ends[-1] = -(-up(bytes_, 128) // p.port_bytes)
        weights = [("weight", i, 0) for i in range(piece.ends[-1])]
        ready, piece.later = weights[: self.ring], len(weights[self.ring :])
        order: list[Any] = []
        order, ready = ready[: p.weight_beats_first], ready[p.weight_beats_first :]
        while data or ready:
            if data:
                order.append(data.pop(0))
            if ready:
                order.append(ready.pop(0))
        piece.beats = order + weights[self.ring :]
        piece.held_bytes = piece.lines * self._entry_bytes(4 if self.mapping.image else channels)
        piece.data_beats, piece.weight_beats = len(piece.beats) - len(weights), len(weights)

    # what happens in a cycle

    def run(self) -> Activity:
        self.pieces = self._pieces()
        self.time = 0
        self.slot = Fraction(0)
        self.sent: list[int] = []
        self.allowed: int | None = None
        self.loading, self.begin = 0, self.p.request_cycles + self.dram.latency_cycles
        self.queue = list(self.pieces[0].beats)
        self.work = self._issue()
        self.results: list[tuple[int, _Piece, bool]] = []
        self.returns: list[int] = []
        self.issued = self.post_free = 0
        next(self.work)
        while self.pieces[-1].done < 0:
            self._array()
            self._post()
            while self._port():
                pass
            self.time += 1
        return self._report()

    def _port(self) -> bool:
        """Let one beat come in this cycle if it may; return whether it did."""
        p, t, latency = self.p, self.time, self.dram.latency_cycles
        if self.loading >= len(self.pieces):
            return False
        piece = self.pieces[self.loading]
        if not self.queue:
            return False
        kind, number, wide = self.queue[0]
        free = t >= self.begin
        if len(self.sent) >= p.outstanding_beats:
            free = free and t >= self.sent[-p.outstanding_beats] + latency + p.outstanding_cycles
        if kind == "data":
            held = piece.held_bytes
            for other in reversed(self.pieces[: self.loading]):
                held += other.held_bytes
                if held > self.room:
                    free = free and 0 <= other.last <= t - latency
                    break
        else:
            before = sum(each.ends[-1] for each in self.pieces[: self.loading])
            place = before + number - self.ring
            for each in self.pieces[: self.loading + 1]:
                if 0 <= place < each.ends[-1]:
                    group = next(g for g, end in enumerate(each.ends) if place < end)
                    free = free and group in each.released and each.released[group] + latency <= t
                    break
                place -= each.ends[-1]
                if place < 0:
                    break
        if not free:
            return False
        if self.allowed is None:
            self.allowed = t
        if max(self.slot, Fraction(self.allowed)) > t:
            return False
        beat = max(Fraction(1), Fraction(8 * p.port_bytes) / self.dram.bits_per_cycle)
        self.slot = max(self.slot, Fraction(self.allowed)) + beat
        self.allowed = None
        self.sent.append(t)
        self.queue.pop(0)
        if kind == "weight":
            for group, end in enumerate(piece.ends):
                if end == number + 1:
                    piece.arrived[group] = t + p.weight_ready_cycles
        elif not p.line_buffer:
            self.port_free = piece.written = t + p.data_write_cycles
        elif number:
            cycles = {1: wide + 1, 2: 2 * wide + 2, 3: 2 * wide + 2 + 3 * -(-wide // 2), 4: 5 * wide + 2}[number]
            through = t + p.data_write_cycles + (p.wide_line_cycles if number >= 3 else 0)
            self.port_free = piece.written = max(getattr(self, "port_free", 0) + cycles, through)

        if not self.queue:
            piece.loaded = t
        return True

    def _next_load(self) -> None:
        """Start to load the next hardware layer when the registers are free."""
        i, p = self.loading, self.p
        if self.queue or i + 1 >= len(self.pieces):
            return
        if i >= 1 and self.pieces[i - 1].done < 0:
            return
        after = max(self.pieces[i].loaded, self.pieces[i - 1].done if i >= 1 else 0)
        self.begin = after + p.request_cycles + self.dram.latency_cycles
        self.loading += 1
        self.queue = list(self.pieces[i + 1].beats)

    def _array(self) -> None:
        next(self.work)

    def _issue(self) -> Any:
        """Issue package after package; a step is a cycle."""
        p = self.p
        yield
        idle = 0
        for i, piece in enumerate(self.pieces):
            before = self.pieces[i - 1] if i else None
            while not self._may_start(piece, before):
                yield
            first = piece.first = self.time
            data, weights = piece.written + p.data_ready_cycles, piece.arrived[0]
            fill = p.data_ready_cycles if data >= weights else p.weight_ready_cycles
            if before is not None and before.last + p.turn_cycles >= max(data, weights):
                fill = first - idle
            fill = min(fill, first - idle)
            self._wait("fill", "fill_drain", fill)
            self._wait("load_wait", "memory", first - idle - fill)
            kernels = [g * self.kg + k for g in piece.groups for k in range(self.kg)]
            groups = [kernels[low : low + self.at_a_time] for low in range(0, len(kernels), self.at_a_time)]
            stripes = self._stripes(piece)
            for g, group in enumerate(groups):
                while piece.arrived.get(g, self.time + 1) > self.time:
                    self._wait("weight_wait", "memory", 1)
                    yield
                for number, stripe in enumerate(stripes):
                    packages = self._taps(piece)
                    for at, taps in enumerate(packages):
                        last = at == len(packages) - 1
                        if last:
                            while self._credits() < len(stripe):
                                self._wait("drain_credit", "conflict", 1)
                                yield
                            self.issued += len(stripe)
                            end = g == len(groups) - 1 and number == len(stripes) - 1
                            for j in range(len(stripe)):
                                self.results.append(
                                    (self.time + p.result_cycles + j, piece, end and j == len(stripe) - 1)
                                )
                            if number == len(stripes) - 1:
                                piece.released[g] = self.time
                        self._products(piece, group, stripe, taps)
                        following = group if not (last and number == len(stripes) - 1) else groups[g + 1 : g + 2]
                        coming = len(following[0]) if following and isinstance(following[0], list) else len(following)
                        self._wait("mac", "", len(stripe))
                        if last and number == len(stripes) - 1 and g == len(groups) - 1:
                            for _ in range(len(stripe) - 1):
                                yield
                            piece.last = self.time
                            yield
                            continue
                        slot = max(p.package_cycles, len(stripe), coming)
                        self._wait("stripe_floor", "starved", slot - len(stripe))
                        for _ in range(slot):
                            yield
            idle = piece.last + 1
        while True:
            yield

    def _may_start(self, piece: _Piece, before: _Piece | None) -> bool:
        loaded = piece.written > 0 or not self.p.line_buffer
        whole = loaded and not piece.left and len(piece.arrived) > 0 and 0 in piece.arrived and self._all_data(piece)
        if not whole or self.time < max(piece.written + self.p.data_ready_cycles, piece.arrived[0]):
            return False
        return before is None or self.time >= before.last + self.p.turn_cycles

    def _all_data(self, piece: _Piece) -> bool:
        return self.pieces.index(piece) < self.loading or (
            self.pieces.index(piece) == self.loading and not any(kind == "data" for kind, _, _ in self.queue)
        )

    def _wait(self, name: str, cause: str, cycles: int) -> None:
        self.waits[name] += cycles
        if cause:
            self.causes[cause] += cycles * self.p.channels * self.p.kernels

    def _credits(self) -> int:
        return self.p.credits - self.issued + sum(at <= self.time for at in self.returns)

    def _post(self) -> None:
        """Take the next result."""
        p = self.p
        if self.results and self.results[0][0] <= self.time and self.post_free <= self.time:
            _, piece, last = self.results.pop(0)
            elements = -(-self.at_a_time // p.post_elements)
            self.post_free = self.time + elements + p.gap_cycles
            self.returns.append(self.post_free + p.credit_cycles)
            if last:
                piece.done = self.time + elements - 1 + p.end_cycles
        self._next_load()

    # what is computed

    def _stripes(self, piece: _Piece) -> list[list[tuple[int, int]]]:
        stripes = []
        if self.mapping.image:
            for e in piece.rows:
                for low in range(0, self.f, self.p.image_stripe):
                    stripes.append([(e, f) for f in range(low, min(low + self.p.image_stripe, self.f))])
            return stripes
        pixels = [(e, f) for e in piece.rows for f in range(self.f)]
        while pixels:
            most = self.p.stripe
            size = most if len(pixels) >= 2 * most else len(pixels) if len(pixels) <= most else most // 2
            stripes.append(pixels[:size])
            pixels = pixels[size:]
        return stripes

    def _taps(self, piece: _Piece) -> list[list[tuple[int, int, int]]]:
        """Return the packages of a stripe: the (channel, row, column) that each multiplies."""
        at_a_time, packages = self.p.channels, []
        if self.mapping.image:
            line = [(c, s) for s in range(self.s) for c in range(4)]
            for low, r in product(range(0, len(line), at_a_time), range(self.r)):
                packages.append([(c, r, s) for c, s in line[low : low + at_a_time]])
            return packages
        channels = [g * self.cg + c for g in piece.groups for c in range(self.cg)]
        for low, r, s in product(range(0, len(channels), at_a_time), range(self.r), range(self.s)):
            packages.append([(c, r, s) for c in channels[low : low + at_a_time]])
        return packages

    def _products(self, piece: _Piece, group: list[int], stripe: list[tuple[int, int]], taps: list[Any]) -> None:
        p, wide = self.p, self.wide
        lanes = p.channels * wide
        self.packages += 1
        self._add("pe.weights", "weight", "write", len(group) * lanes * 8)
        self._add("glb.cbuf", "weight", "read", len(group) * lanes * 8)
        for e, f in stripe:
            self._add("glb.cbuf", "input", "read", lanes * 8)
            self._add("pe.weights", "weight", "read", len(group) * lanes * 8)
            for way in ("read", "write"):
                self._add("pe.sums", "psum", way, self.at_a_time * SUM_BITS)
            self.causes["unmapped"] += (
                p.channels * p.kernels - self.at_a_time * lanes + (self.at_a_time - len(group)) * lanes
            )
            for k in group:
                real = 0
                for c, r, s in taps:
                    if c >= self.c or c // self.cg != k // self.kg:
                        continue
                    real += wide
                    y = e * self.stride[0] + r * self.dilation[0] - self.pad[0]
                    z = f * self.stride[1] + s * self.dilation[1] - self.pad[1]
                    inside = 0 <= y < self.h and 0 <= z < self.width
                    a = int(self.x[piece.n, c, y, z]) if inside else 0
                    b = int(self.w[k, c % self.cg, r, s])
                    self.causes["busy" if a and b else "zero"] += wide
                    self.out[piece.n, k, e, f] += a * b
                self.causes["padding"] += lanes - real

    def _add(self, boundary: str, tensor: str, way: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, way)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def _stream(self, tensor: str, way: Any, useful: int, moved: int) -> None:
        self._add("dram", tensor, way, useful)
        self._add("dram", "other", way, up(moved, self.dram.burst_bits) - useful)

    def _report(self) -> Activity:
        p, view = self.p, self.view
        cycles = self.pieces[-1].done
        self._wait("end", "fill_drain", cycles - self.pieces[-1].last - 1)
        for piece in self.pieces:
            kernels, pixels = len(piece.groups) * self.kg, len(piece.rows) * self.f
            used = len(piece.groups) * self.cg * piece.lines * self.width * view.input.width
            self._stream("input", "read", used, piece.data_beats * p.port_bytes * 8)
            used = kernels * self.cg * self.r * self.s * view.weight.width
            self._stream("weight", "read", used, piece.weight_beats * p.port_bytes * 8)
            whole = up(kernels * self.wide, p.atom_bytes) * pixels * 8
            self._stream("output", "write", kernels * pixels * view.output.width,
                         max(whole, kernels * pixels * up(view.output.width, 8)))  # fmt: skip
            self._add("glb.cbuf", "input", "write", piece.data_beats * p.port_bytes * 8)
            self._add("glb.cbuf", "weight", "write", piece.weight_beats * p.port_bytes * 8)
        products = (self.causes["busy"] + self.causes["zero"]) // self.wide
        held = max(piece.held_bytes for piece in self.pieces)
        ring = max(min(piece.ends[-1], self.ring) for piece in self.pieces) * p.port_bytes
        out = self.out
        if self.matrix:
            out = self.out[0, :, :, 0].T[:, :, None, None]
        return Activity(
            compute_cycles=cycles,
            accounts={
                "macs": self.causes,
                "sdp": {"busy": out.size, "starved": cycles * p.post_elements - out.size},
                "pdp": {"unmapped": cycles * p.post_elements},
                "cdp": {"unmapped": cycles * p.post_elements},
            },
            traffic=self.flows,
            events={Event("macs", "mac"): products * self.wide, Event("post", "add"): out.size},
            schedule=None,
            stall_cycles=self.waits["load_wait"] + self.waits["weight_wait"],
            buffers={"glb.cbuf": (p.banks * p.bank_kib * 8192, 8 * (held + ring))},
            details={
                "hardware_layers": len(self.pieces),
                "data_banks": self.data_banks,
                "weight_banks": self.weight_banks,
                "image_mode": int(self.mapping.image),
                "packages": self.packages,
                "first_mac": self.pieces[0].first,
                "last_mac": self.pieces[-1].last,
                "last_data_write": self.pieces[-1].written,
                **{f"{name}_cycles": cycles for name, cycles in self.waits.items()},
            },
            performed_macs=products,
            values=from_conv_output(view, np.ascontiguousarray(out)),
        )
