"""One pass, cycle by cycle: what the reference steps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from accelsim.workload.shapes import Conv2d


class Work(NamedTuple):
    """Which part of the layer a pass is; ranges are indices of the whole layer's tensors."""

    images: range
    channels: range
    filters: range
    rows: range
    first_channel: int
    reads_psums: bool
    keeps_psums: bool
    lag: int


@dataclass
class _Pe:
    """One processing element.

    ``window`` is the window that it works on or has just finished; ``sums`` are that window's psums as they grow.
    """

    stack: int
    level: int
    column: int
    row: int
    channels: list[int]
    filters: list[int]
    fifo: deque[tuple[int, int, int, int]] = field(default_factory=deque)
    spad: list[tuple[int, int, int, int]] = field(default_factory=list)
    inbox: list[int] | None = None
    """Psums from below; complete, or still empty."""
    window: int = -1
    left: int = 0
    passed_on: bool = True
    sums: list[int] = field(default_factory=list)


class PassMachine:
    """The array and its networks for one pass."""

    def __init__(self, layer: Any, conv: Conv2d, params: Any, mapping: Any, work: Work) -> None:
        self.layer, self.conv, self.params, self.mapping, self.work = layer, conv, params, mapping, work
        self.width = params.word_bits
        self.causes = dict.fromkeys(("busy", "zero", "padding", "fill_drain", "starved", "conflict"), 0)
        self.events = {"mac": 0, "gated": 0}
        self.peaks = {"pe.filters": 0, "pe.inputs": 0, "pe.psums": 0}
        self.windows = list(product(range(mapping.n), range(conv.f)))
        self.stacks = [self._stack(tau) for tau in range(mapping.t)]
        self.pes = [pe for stack in self.stacks for column in stack for pe in column]
        self.stream = deque(self._ifmap_words())
        self.psum_reads = deque(self._psum_words() if work.reads_psums else [])
        self.psum_writes = deque(self._psum_words())
        self.outboxes: dict[tuple[int, int], list[int]] = {}
        self.ended = self.written = 0

    def _stack(self, tau: int) -> list[list[_Pe]]:
        """Return the columns of a stack, each from the bottom PE to the top."""
        conv, mp, work = self.conv, self.mapping, self.work
        filters = list(work.filters[tau * mp.p : (tau + 1) * mp.p])
        columns = []
        for j in range(mp.e):
            column: list[_Pe] = []
            for rho, i in product(range(mp.r), range(conv.r)):
                channels = list(work.channels[rho * mp.q : (rho + 1) * mp.q])
                column.append(_Pe(tau, len(column), j, i, channels, filters))
            columns.append(column[::-1])
        return columns

    def _ifmap_words(self) -> list[tuple[int, int, int, int]]:
        """Return the words (image, channel, row of the strip, column) in the order of the network."""
        conv, mp = self.conv, self.mapping
        columns = (conv.f - 1) * conv.stride[1] + conv.s
        rows = (mp.e - 1) * conv.stride[0] + conv.r
        order = product(self.work.images, range(columns), self.work.channels, range(rows))
        return [(n, c, y, x) for n, x, c, y in order]

    def _psum_words(self) -> list[tuple[int, int, int, int]]:
        """Return the words (window, stack, column, filter) in the order of the psum networks."""
        found = []
        for index, (image, _) in enumerate(self.windows):
            for tau, j in product(range(self.mapping.t), range(self.mapping.e)):
                if image < len(self.work.images) and j < len(self.work.rows):
                    found += [(index, tau, j, k) for k in self.stacks[tau][j][0].filters]
        return found

    def run(self) -> None:
        """Step until the PEs are done, then until the last psum is written."""
        words = len(self.work.filters) * len(self.work.channels) * self.conv.r * self.conv.s
        self._load_filters()
        filter_cycles = 0
        while filter_cycles * self.params.filter_words_per_cycle < words:
            filter_cycles += 1
        now = 0
        while not self._done() or self.psum_writes or now < self.work.lag:
            gate = now >= filter_cycles and now >= self.work.lag
            self._settle(gate)
            if self._done() and not self.ended:
                self.ended = now
            if not self.ended:
                for pe in self.pes:
                    self._spend(pe)
            if now >= filter_cycles:
                self._move_ifmap()
            if gate:
                self._move_psums_in()
            if now >= self.work.lag:
                self._move_psums_out(now)
            now += 1
        self._settle(True)
        self.ended = self.ended or now
        self.written = max(self.ended, self.written)

    def _load_filters(self) -> None:
        conv, add = self.conv, self.layer.add
        for _ in product(self.work.filters, self.work.channels, range(conv.r), range(conv.s)):
            add("glb.filters", "weight", "read", self.width)
            for _ in range(self.mapping.e):
                add("array", "weight", "read", self.width)
                add("pe.filters", "weight", "write", self.width)
        for pe in self.pes:
            held = len(pe.filters) * len(pe.channels) * conv.s
            self.peaks["pe.filters"] = max(self.peaks["pe.filters"], held)
            self.peaks["pe.psums"] = max(self.peaks["pe.psums"], len(pe.filters))

    def _done(self) -> bool:
        last = len(self.windows) - 1
        return all(pe.window == last and pe.left == 0 for pe in self.pes)

    def _settle(self, gate: bool) -> None:
        """Let everything happen that takes no time, until nothing more does."""
        changed = True
        while changed:
            changed = False
            for stack in self.stacks:
                for column in stack:
                    for place, pe in enumerate(column):
                        changed |= self._pass_on(column, place, pe)
            for pe in self.pes:
                changed |= gate and self._start(pe)

    def _pass_on(self, column: list[_Pe], place: int, pe: _Pe) -> bool:
        """Move a finished window's psums into the inbox above, or into the outbox."""
        if pe.left or pe.passed_on:
            return False
        above = column[place + 1] if place + 1 < len(column) else None
        box = (pe.stack, pe.column)
        blocked = self.outboxes.get(box) if above is None else above.inbox is not None
        below = self._from_below(column, place, pe)
        if blocked or below is None:
            return False
        total = [a + b for a, b in zip(below, pe.sums, strict=True)]
        pe.inbox, pe.passed_on = None, True
        live = self._live(pe, pe.window)
        if above is None:
            self.outboxes[box] = total if live else []
        else:
            above.inbox = total
            if live:
                self.layer.add("array", "psum", "write", len(total) * self.width)
        return True

    def _from_below(self, column: list[_Pe], place: int, pe: _Pe) -> list[int] | None:
        """Return what the psums of a PE's window are added to, or None if it has not come yet."""
        if place > 0:
            return pe.inbox
        if not pe.filters or not self.work.reads_psums or not self._live(pe, pe.window):
            return [0] * len(pe.filters)
        return pe.inbox if pe.inbox is not None and len(pe.inbox) == len(pe.filters) else None

    def _live(self, pe: _Pe, window: int) -> bool:
        """Whether a window of a PE is one of the layer's outputs."""
        return self.windows[window][0] < len(self.work.images) and pe.column < len(self.work.rows)

    def _start(self, pe: _Pe) -> bool:
        if pe.left or not pe.passed_on or pe.window == len(self.windows) - 1:
            return False
        needed = self._needed(pe, pe.window + 1)
        if not set(needed) <= {*pe.fifo, *pe.spad}:
            return False
        pe.spad = needed
        pe.fifo = deque(word for word in pe.fifo if word not in needed)
        self.peaks["pe.inputs"] = max(self.peaks["pe.inputs"], len(needed))
        pe.window += 1
        pe.left = self.mapping.p * self.mapping.q * self.conv.s
        pe.passed_on = False
        self._multiply(pe)
        return True

    def _needed(self, pe: _Pe, window: int) -> list[tuple[int, int, int, int]]:
        """Return the words of a window."""
        image, f = self.windows[window]
        if image >= len(self.work.images):
            return []
        conv = self.conv
        y = pe.column * conv.stride[0] + pe.row
        columns = range(f * conv.stride[1], f * conv.stride[1] + conv.s)
        return [(self.work.images[image], c, y, x) for x in columns for c in pe.channels]

    def _multiply(self, pe: _Pe) -> None:
        """Form a window's sums and count its slots; the time is spent in `_spend`."""
        conv, layer, work = self.conv, self.layer, self.work
        pe.sums = [0] * len(pe.filters)
        slots = self.mapping.p * self.mapping.q * conv.s
        if not self._live(pe, pe.window):
            self.causes["padding"] += slots
            return
        for (n, c, y, x), (index, k) in product(pe.spad, enumerate(pe.filters)):
            h = work.rows.start * conv.stride[0] + y - conv.pad[0]
            v = x - conv.pad[1]
            inside = 0 <= h < conv.h and 0 <= v < conv.w
            a = int(layer.x[n, c, h, v]) if inside else 0
            b = int(layer.w[k, c - work.first_channel, pe.row, x - self.windows[pe.window][1] * conv.stride[1]])
            pe.sums[index] += a * b
            self.causes["busy" if a and b else "zero"] += 1
            gated = self.params.zero_gating and a == 0
            self.events["gated" if gated else "mac"] += 1
            if not gated:
                layer.add("pe.filters", "weight", "read", self.width)
            for spad, tensor in (("pe.inputs", "input"), ("pe.psums", "psum")):
                layer.add(spad, tensor, "read", self.width)
            layer.add("pe.psums", "psum", "write", self.width)
            slots -= 1
        self.causes["padding"] += slots

    def _spend(self, pe: _Pe) -> None:
        """Spend a cycle of a PE: multiplying, or on the reason why it waits."""
        if pe.left:
            pe.left -= 1
            return
        if pe.window < 0 or pe.window == len(self.windows) - 1:
            self.causes["fill_drain"] += 1
        elif not set(self._needed(pe, pe.window + 1)) <= {*pe.fifo, *pe.spad}:
            self.causes["starved"] += 1
        else:
            self.causes["conflict"] += 1

    def _move_ifmap(self) -> None:
        """Send as many words as the network takes in a cycle; the first that cannot go holds up the others."""
        add, conv = self.layer.add, self.conv
        for _ in range(self.params.ifmap_words_per_cycle):
            if not self.stream:
                return
            _, c, y, x = word = self.stream[0]
            met = any(0 <= x - f * conv.stride[1] < conv.s for f in range(conv.f))
            takers = [pe for pe in self.pes if met and c in pe.channels and pe.column * conv.stride[0] + pe.row == y]
            if any(len(pe.fifo) >= self.params.ifmap_spad_words for pe in takers):
                return
            self.stream.popleft()
            add("glb.fmaps", "input", "read", self.width)
            for pe in takers:
                pe.fifo.append(word)
                add("array", "input", "read", self.width)
                add("pe.inputs", "input", "write", self.width)

    def _move_psums_in(self) -> None:
        for _ in range(self.params.psum_words_per_cycle):
            if not self.psum_reads:
                return
            window, tau, j, k = self.psum_reads[0]
            pe = self.stacks[tau][j][0]
            # the inbox takes one window's psums, and is free when those of the window before have gone up
            if pe.window + pe.passed_on < window:
                return
            self.psum_reads.popleft()
            image, f = self.windows[window]
            held = self.layer.out[self.work.images[image], k, self.work.rows[j], f]
            pe.inbox = [*(pe.inbox or []), int(held)]
            self.layer.add("glb.fmaps", "psum", "read", self.width)
            self.layer.add("array", "psum", "read", self.width)

    def _move_psums_out(self, now: int) -> None:
        for _ in range(self.params.psum_words_per_cycle):
            if not self.psum_writes:
                return
            window, tau, j, k = self.psum_writes[0]
            box = self.outboxes.get((tau, j))
            if not box:
                return
            self.psum_writes.popleft()
            image, f = self.windows[window]
            self.layer.out[self.work.images[image], k, self.work.rows[j], f] = box.pop(0)
            self.written = now + 1
            self.layer.add("array", "psum", "write", self.width)
            if self.work.keeps_psums:
                self.layer.add("glb.fmaps", "psum", "write", self.width)
