"""The replica's kernels and short cuts against a plain restatement of SCALE-Sim that walks word by word."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from accelsim.errors import WorkloadError
from accelsim.replicas.scalesim import Config
from accelsim.replicas.scalesim.layer import Layer
from accelsim.replicas.scalesim.simulate import run_layer


def operands(layer):
    """A[m][k] and B[k][n]: word addresses, None outside the ifmap."""
    a = []
    for m in range(layer.pixels):
        row, col = m // layer.out_w * layer.stride_h, m % layer.out_w * layer.stride_w
        a.append([])
        for k in range(layer.window):
            kr, kc = k // layer.channels // layer.filter_w, k // layer.channels % layer.filter_w
            inside = row + kr < layer.ifmap_h and col + kc < layer.ifmap_w
            word = ((row + kr) * layer.ifmap_w + col + kc) * layer.channels + k % layer.channels
            a[m].append(word if inside else None)
    b = [[n * layer.window + k for n in range(layer.filters)] for k in range(layer.window)]
    return a, b


def get(matrix, i, j):
    return matrix[i][j] if 0 <= i < len(matrix) and 0 <= j < len(matrix[0]) else None


def demand(config, a, b):
    """Yield, line by line, the ifmap words, the filter words and the number of ofmap words."""
    r, c, flow = config.rows, config.cols, config.dataflow
    m, k, n = len(a), len(b), len(b[0])
    sr, sc, t_end = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[flow]
    for fc in range(math.ceil(sc / c)):
        for fr in range(math.ceil(sr / r)):
            for t in range(t_end + (1 if flow == "os" else 2) * r + c - 2):
                rows, cols = range(fr * r, fr * r + r), range(fc * c, fc * c + c)
                if flow == "os":
                    ifmap = [get(a, i, t - p) for p, i in enumerate(rows)]
                    weights = [get(b, t - p, j) for p, j in enumerate(cols)]
                    out = [(fr * r + r - 1 - q, j) for p, j in enumerate(cols) if 0 <= (q := t - p - k + 1) < r]
                    yield ifmap, weights, sum(i < m and j < n for i, j in out)
                    continue
                load = fr * r + r - 1 - t
                if flow == "ws":
                    ifmap = [get(a, t - r - p, i) for p, i in enumerate(rows)]
                    weights = [get(b, load, j) for j in cols] if t < r else []
                else:
                    ifmap = [get(a, j, load) for j in cols] if t < r else []
                    weights = [get(b, i, t - r - p) for p, i in enumerate(rows)]
                yield (
                    ifmap,
                    weights,
                    sum(0 <= t - p - 2 * r + 1 < t_end and j < sc for p, j in enumerate(cols)),
                )


def fetched(config, matrix, times_first, width, skewed):
    """The words of a matrix in the order in which USER mode fetches them, and their number with padding."""
    if not times_first:
        matrix = list(zip(*matrix, strict=True))
    tiles = range(0, len(matrix[0]), width)
    stack = [[get(matrix, t, p + i) for i in range(width)] for p in tiles for t in range(len(matrix))]
    if skewed:
        cells = [(i + j, j, stack[i][j]) for i in range(len(stack)) for j in range(width)]
        flat = [word for _, _, word in sorted(cells, key=lambda cell: cell[:2])]
    else:
        flat = [word for row in stack for word in row]
    return [word for word in flat if word is not None], len(flat)


class EstimatedReads:
    def __init__(self, kib):
        self.size, self.half = 1024 * kib // 100, 50 * (1024 * kib // 100)
        self.held, self.words, self.flushes, self.first = set(), 0, [], None

    def serve(self, cycle, words):
        for word in words:
            self.first = cycle if self.first is None else self.first
            if word not in self.held:
                self.held.add(word)
                self.words += 1
                if len(self.held) == self.half:
                    self.held = set()
                    self.flushes.append(cycle)
        return 1

    def port(self):
        if not self.flushes:
            return -math.ceil(math.ceil(self.words / self.size) * self.size / 10), -1, self.words
        if any(x == y for x, y in pairwise(self.flushes)):
            raise ZeroDivisionError
        return self.first - math.ceil(self.half / 10), self.flushes[-1] + 1, self.words


class UserReads:
    def __init__(self, kib, words_per_cycle, stream, padded):
        total = 1024 * kib
        size, self.words_per_cycle = math.ceil(total / 100), words_per_cycle
        self.half = total // 2
        self.sets = [set(stream[i : i + size]) for i in range(0, len(stream), size)]
        if len(stream) % size == 0:
            self.sets.append(set())
        self.held = min(len(self.sets), math.ceil(self.half / size))
        self.step = min(len(self.sets) - self.held, math.ceil(self.half / size))
        self.start, self.last = 0, -1
        self.lines = min(math.ceil(self.half / words_per_cycle), math.ceil(padded / words_per_cycle))
        self.words = self.lines * words_per_cycle

    def serve(self, cycle, words):
        offset = 1
        for word in words:
            while not any(word in self.sets[(self.start + i) % len(self.sets)] for i in range(self.held)):
                self.start = (self.start + self.step) % len(self.sets)
                lines = math.ceil(self.half / self.words_per_cycle)
                self.words += lines * self.words_per_cycle
                self.last += lines + 1
                late = self.last - (cycle + offset)
                offset += late + max(late, 0)
        return offset

    def port(self):
        return -self.lines, self.last, self.words


class Writes:
    def __init__(self, kib, words_per_cycle):
        self.free = self.total = 1024 * kib
        self.width, self.rows, self.filling = words_per_cycle, [], 0
        self.busy_until, self.cycles, self.words = 0, [], 0

    def serve(self, cycle, count):
        now = cycle
        for _ in range(count):
            self.filling += 1
            self.free -= 1
            if self.filling == self.width:
                self.rows.append(self.width)
                self.filling = 0
            if now < self.busy_until:
                if self.free <= 0:
                    now = self.busy_until
            elif self.free < self.total - self.total // 2:
                self.busy_until = self.drain(now)
        return now

    def drain(self, now):
        if self.filling:
            self.rows.append(self.filling)
            self.filling = 0
        sent, self.rows = np.split(self.rows, [math.ceil(self.total // 2 / self.width)])
        self.rows = list(self.rows)
        words = (len(sent) - 1) * self.width + int(sent[-1])
        self.words += words
        self.free += words
        self.cycles += range(now, now + len(sent))
        return now + len(sent) - 1

    def port(self, now):
        while self.rows or self.filling:
            now = self.drain(now) + 1
        return min(self.cycles), max(self.cycles), self.words


def reference(config, layer):
    """Total and stall cycles, then (start, stop, words) of SRAM (words left out) and DRAM ports."""
    a, b = operands(layer)
    if config.user_bandwidth:
        width = {
            "os": (config.rows, config.cols),
            "ws": (config.rows, config.cols),
            "is": (config.cols, config.rows),
        }
        i_width, f_width = width[config.dataflow]
        i_stream = fetched(config, a, config.dataflow == "ws", i_width, config.dataflow != "is")
        f_stream = fetched(config, b, config.dataflow != "is", f_width, config.dataflow != "ws")
        ifmap = UserReads(config.ifmap_kib, config.ifmap_words_per_cycle, *i_stream)
        weights = UserReads(config.filter_kib, config.filter_words_per_cycle, *f_stream)
        ofmap = Writes(config.ofmap_kib, config.ofmap_words_per_cycle)
    else:
        ifmap, weights = EstimatedReads(config.ifmap_kib), EstimatedReads(config.filter_kib)
        ofmap = Writes(config.ofmap_kib, config.cols)
    stalls, served = 0, ([], [], [])
    for line, (i_words, f_words, count) in enumerate(demand(config, a, b)):
        i_words, f_words = ([w for w in words if w is not None] for words in (i_words, f_words))
        cycle = line + stalls
        replies = (
            cycle + ifmap.serve(cycle, i_words),
            cycle + weights.serve(cycle, f_words),
            ofmap.serve(cycle, count),
        )
        for seen, words, reply in zip(served, (i_words, f_words, count), replies, strict=True):
            if words:
                seen.append(reply)
        stalls += max(replies[0] - cycle - 1, replies[1] - cycle - 1, replies[2] - cycle)
    sram = [(seen[0], seen[-1]) for seen in served]
    return replies[2], stalls, sram, [ifmap.port(), weights.port(), ofmap.port(replies[2])]


def replica(config, layer):
    row = run_layer(config, layer)
    sram = [(port.start_cycle, port.stop_cycle) for port in row.ports[:3]]
    return row.total_cycles, row.stall_cycles, sram, [tuple(port) for port in row.ports[3:]]


def a_config(rng, user):
    return Config(
        *("case", rng.choice([1, 2, 3, 4, 8]), rng.choice([2, 3, 5, 8])),
        *(rng.choice([1, 1, 2]), rng.choice([1, 1, 2]), 1, 0, 0, 0),
        rng.choice(["os", "ws", "is"]),
        user,
        ofmap_words_per_cycle=rng.choice([1, 2, 5, 16]),
        ifmap_words_per_cycle=rng.choice([1, 4, 10, 33]),
        filter_words_per_cycle=rng.choice([1, 4, 10, 33]),
    )


def a_layer(rng):
    h, w = rng.randint(1, 12), rng.randint(1, 12)
    filter_h, filter_w = rng.randint(1, min(h, 4)), rng.randint(1, min(w, 4))
    channels, filters = rng.choice([1, 2, 5, 12, 60]), rng.choice([1, 3, 8, 25])
    return Layer(h, w, filter_h, filter_w, channels, filters, rng.randint(1, 3), rng.randint(1, 3))


@pytest.mark.parametrize("user", [False, True])
def test_random_layers_run_as_the_word_by_word_walk_says(user):
    rng = random.Random(f"scalesim {user}")
    flushed = stalled = 0
    for _ in range(60):
        config, layer = a_config(rng, user), a_layer(rng)
        if layer.pixels * layer.window * layer.filters > 60_000 or layer.pixels * layer.window < 2:
            continue
        expected = reference(config, layer)
        assert replica(config, layer) == expected, (config, layer)
        flushed += any(stop > 0 for _, stop, _ in expected[3][:2])
        stalled += expected[1] > 0
    assert flushed > 3
    assert (stalled > 3) == user


@pytest.mark.parametrize("flow", ["os", "ws", "is"])
@pytest.mark.parametrize("filters", [8, 9, 19])
@pytest.mark.parametrize("window", [60, 64, 70, 200])
def test_the_closed_form_of_a_filter_larger_than_its_buffer_is_the_walk(flow, filters, window):
    config = Config("case", 4, 8, 1, 1, 1, 0, 0, 0, flow, False)
    layer = Layer(3, 5, 1, 1, window, filters, 1, 1)
    assert replica(config, layer) == reference(config, layer)


def test_filling_half_a_buffer_twice_in_one_line_is_refused_as_scalesim_divides_by_zero():
    config, layer = Config("case", 4, 1200, 1, 1, 1, 0, 0, 0, "ws", False), Layer(2, 2, 1, 1, 4, 1200, 1, 1)
    with pytest.raises(ZeroDivisionError):
        reference(config, layer)
    with pytest.raises(WorkloadError, match="divides by zero"):
        replica(config, layer)
