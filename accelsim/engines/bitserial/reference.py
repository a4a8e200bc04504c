"""The grid stepped cycle by cycle, lane by lane: slow, plain, and blind to any plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.engines.bitserial.reference_jobs import Job, Product, make_jobs
from accelsim.mapping.brute import BruteNest
from accelsim.mapping.loopnest import Tiling
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


class _Window(NamedTuple):
    n: int
    e: int
    f: int


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        causes = ("busy", "zero", "unmapped", "imbalance", "starved", "fill_drain")
        super().__init__(view, operands, params, machine.dram, causes)
        self.mapping = mapping
        self.a_bits, self.w_bits = view.input.width, view.weight.width
        self.stored = {name: max(bits, params.word_bits) for name, bits in self.bits.items()}
        self.stored["psum"] = self.stored["output"]
        tiling = Tiling(**mapping.model_dump(exclude={"columns"}))
        self.nest = BruteNest(self.conv, tiling, self.stored, self)
        wide_a, wide_w = -(-self.a_bits // params.pe_bits), -(-self.w_bits // params.pe_bits)
        self.per_product = wide_a * wide_w
        self.columns, self.rows = params.columns // wide_a, params.rows // wide_w
        self.column_units = params.lanes * params.rows * params.tiles * wide_a
        self.all_units = params.lanes * params.rows * params.tiles * params.columns
        self.depthwise = self.conv.groups > 1 and self.conv.groups == self.conv.c == self.conv.k
        self.lane_steps = list(self._lane_steps())

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            cycles.append(self._tile(tile))
        p, conv = self.p, self.conv
        outputs = conv.n * conv.k * conv.e * conv.f * self.stored["output"]
        self.add("glb.outputs", "output", "write", outputs)
        work = self.causes["busy"] + self.causes["zero"]
        event = Event("macs", "mac") if p.machine == "dadiannao" else Event("lanes", "add")
        return self.activity(
            "lanes",
            {event: work},
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={"tiles": len(self.nest.tiles), "steps": len(self.lane_steps)},
            performed_macs=conv.macs,
        )

    def _lane_steps(self) -> Iterator[list[tuple[int, int, int]]]:
        """Yield what the lanes hold in each step: (channel, filter row, filter column)."""
        conv = self.conv
        cg = conv.c // conv.groups
        stride = 1
        if self.p.space_to_depth and cg == conv.c == 3 and conv.dilation == (1, 1):
            stride = conv.stride[0] if conv.stride[0] == conv.stride[1] else 1
        for r, s in product(range(0, conv.r, stride), range(0, conv.s, stride)):
            places = [(c, r + i, s + j) for i, j, c in product(range(stride), range(stride), range(cg))]
            for at in range(0, len(places), self.p.lanes):
                group = places[at : at + self.p.lanes]
                yield [place for place in group if place[1] < conv.r and place[2] < conv.s]

    def _tile(self, tile: dict[str, range]) -> int:
        """Run one tile; return its cycles."""
        windows = [_Window(*at) for at in product(tile["n"], tile["e"], tile["f"])]
        if self.mapping.columns == "windows":
            return sum(
                self._pass(groups, filters, windows[i : i + self.columns])
                for groups, filters in self._sets(tile, self.rows * self.p.tiles)
                for i in range(0, len(windows), self.columns)
            )
        if self.mapping.columns == "steps":
            sets = self._sets(tile, self.rows * self.p.tiles)
            return self._in_turn([(g, f, w, step) for g, f in sets for w in windows for step in self.lane_steps])
        sets = self._sets(tile, self.rows * self.p.tiles * self.columns)
        return self._by_filters([(g, f, w, step) for g, f in sets for w in windows for step in self.lane_steps])

    def _sets(self, tile: dict[str, range], size: int) -> list[tuple[list[int], range]]:
        """Return (groups, filters of a group) that run together."""
        if self.depthwise:
            size = min(self.p.lanes, self.rows) * self.p.tiles
            groups = list(tile["g"])
            return [(groups[i : i + size], range(1)) for i in range(0, len(groups), size)]
        filters = tile["k"]
        return [([g], filters[i : i + size]) for g in tile["g"] for i in range(0, len(filters), size)]

    def _products(self, groups: list[int], filters: range, window: _Window, step: Any) -> list[list[Product]]:
        """Return per lane the products of one step: the lane's activation with every filter."""
        kg, lanes = self.conv.k // self.conv.groups, []
        for tap in step:
            for g in groups:
                places = [(window.n, g * kg + k, window.e, window.f) for k in filters]
                lanes.append([Product(*self.pair(window, place[1], tap), place) for place in places])
        return lanes

    def _jobs(self, lanes_by_column: list[list[list[Product]]]) -> list[Job]:
        view = self.view
        return make_jobs(self.p, lanes_by_column, (self.a_bits, view.input.signed), (self.w_bits, view.weight.signed))

    def _read(self, groups: list[int], filters: range, windows: int, step: Any) -> None:
        self.add("glb.inputs", "input", "read", len(step) * len(groups) * windows * self.stored["input"])
        self.add("glb.weights", "weight", "read", len(step) * len(groups) * len(filters) * self.stored["weight"])

    def _pass(self, groups: list[int], filters: range, windows: list[_Window]) -> int:
        """Run all steps on a set of windows; columns wait for each other, give or take their registers."""
        work: list[list[Job]] = [[] for _ in windows]
        for step in self.lane_steps:
            self._read(groups, filters, len(windows), step)
            for column, job in enumerate(self._jobs([self._products(groups, filters, w, step) for w in windows])):
                work[column].append(job)
        done = [0] * len(windows)
        now = 0
        while min(done) < len(self.lane_steps):
            finished = min(done)
            runs = [
                d < len(self.lane_steps) and (d <= finished + self.p.column_registers or work[c][d].started)
                for c, d in enumerate(done)
            ]
            for column, running in enumerate(runs):
                if not running:
                    self.causes["imbalance"] += self.column_units
                    continue
                self._tick(work[column][done[column]])
                if work[column][done[column]].finished:
                    done[column] += 1
            self.causes["unmapped"] += self.all_units - len(windows) * self.column_units
            now += 1
        return now

    def _in_turn(self, work: list[Any]) -> int:
        """Issue one step per cycle to the columns in turn; a busy column holds up the issue."""
        columns: list[Job | None] = [None] * self.columns
        issued = now = 0
        while issued < len(work) or any(columns):
            turn = issued % self.columns
            if issued < len(work) and columns[turn] is None:
                groups, filters, window, step = work[issued]
                self._read(groups, filters, 1, step)
                columns[turn] = self._jobs([self._products(groups, filters, window, step)])[0]
                issued += 1
            for c, job in enumerate(columns):
                if job is None:
                    self.causes["starved"] += self.column_units
                    continue
                self._tick(job)
                columns[c] = None if job.finished else job
            self.causes["unmapped"] += self.all_units - self.columns * self.column_units
            now += 1
        return now

    def _by_filters(self, work: list[Any]) -> int:
        """Run steps with more filters in the columns, whose weights come one column and one bit plane per cycle."""
        now = 0
        spare = self.all_units - self.columns * self.column_units
        for groups, filters, window, step in work:
            self._read(groups, filters, 1, step)
            lanes = self._products(groups, filters, window, step)
            job = self._jobs([lanes])[0]
            products = sum(map(len, lanes)) * self.per_product
            idle = self.columns * self.column_units - products + spare
            for _plane in range(job.weight_cycles):
                for column in range(max(self.columns, job.activation_cycles)):
                    now += 1
                    self.causes["unmapped"] += idle
                    if column < job.activation_cycles:
                        self._fire(job)
                    else:
                        self.causes["starved"] += products
        for _ in range(self.columns - 1):
            now += 1
            self.causes["fill_drain"] += self.columns * self.column_units
            self.causes["unmapped"] += spare
        return now

    def _tick(self, job: Job) -> None:
        """Let one column work for one cycle."""
        self.causes["unmapped"] += self.column_units - job.size * self.per_product
        self._fire(job)

    def _fire(self, job: Job) -> None:
        for cause, place, value in job.tick():
            self.causes[cause] += self.per_product
            self.out[place] += value
