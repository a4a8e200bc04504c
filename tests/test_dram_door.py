"""The door of coupled engines to a DRAM device: calls, ends, and what each engine asks for."""

from fractions import Fraction

import numpy as np
import pytest

import accelsim
from accelsim.config.dram import standard as standards
from accelsim.memory.device import door as doors
from accelsim.memory.device import kernel as k
from accelsim.memory.device.channel import Device, Requests, serve
from accelsim.memory.device.door import Door
from accelsim.memory.device.machine import Coupling, Places
from accelsim.memory.runs import Runs, in_order
from accelsim.simulation import load_arch, load_network

DEVICE, CHANNELS = "memory.dram.device", "memory.dram.channels"
COUNTS = [k.HITS, k.MISSES, k.CONFLICTS, k.ACTS, k.RDS, k.WRS, k.FORWARDED, k.MERGED, k.LATENCY]


def door_of(name="ddr4-2400", channels=1, ratio=1, keep=True):
    return Door(Coupling(Device(standards.load(name), channels), Fraction(ratio)), Places(), keep)


def runs(*each):
    return Runs(*(np.array(column, np.int64) for column in zip(*each, strict=True)))


def random_runs(door, seed, count=300):
    draw = np.random.default_rng(seed)
    first = draw.integers(0, 1 << 22, count) * 8 * int(draw.choice([1, 64]))
    bits = draw.choice([0, 8, 512, 5000, 40000], count)
    return Runs(first, bits, (draw.random(count) < 0.4).astype(np.int64)), np.sort(draw.integers(0, 40000, count))


@pytest.mark.parametrize("chunk", [1, 37, 1 << 19])
@pytest.mark.parametrize("channels", [1, 2])
def test_runs_in_pieces_are_served_as_their_requests_at_once(monkeypatch, chunk, channels):
    """What waits is taken along from piece to piece; the requests that were kept, served alone, say the same."""
    monkeypatch.setattr(doors, "CHUNK", chunk)
    for seed, name in enumerate(("ddr4-2400", "hbm2-2000", "lpddr5-6400")):
        door = door_of(name, channels, Fraction(5, 3))
        asked, earliest = random_runs(door, seed)
        ends = door.serve(asked, earliest)
        found = door.end(0, 0)
        clock, number, write = found.trace.T
        tx = door.tx_bits // 8
        alone = serve(door.coupling.device, Requests(number * tx, write.astype(bool), clock))
        assert (found.taken_clock, int(found.served.channel[:, k.LAST].max())) == (
            alone.cycles, int(alone.channel[:, k.LAST].max())
        )  # fmt: skip
        assert np.array_equal(found.served.channel[:, COUNTS], alone.channel[:, COUNTS])
        assert found.reads + found.writes == number.size
        # of each run: its transactions, floor to ceiling, and the end of the last one that is read
        begin = 0
        for i in range(asked.bits.size):
            low, high = asked.first_bit[i] // (8 * tx), (asked.first_bit[i] + asked.bits[i] - 1) // (8 * tx)
            count = int(high - low + 1) if asked.bits[i] else 0
            assert number[begin : begin + count].tolist() == list(range(low, low + count))
            if count and not asked.write[i]:
                done = int(alone.done[begin : begin + count].max())
                assert ends.over[i] == -(-done * 3 // 5)
            begin += count


def test_a_read_is_over_with_its_data_and_a_write_when_it_is_taken():
    """DDR4-2400: ACT at 1, RD at 17, data until 37, as decision 0088 has it; the write is taken in the next clock."""
    ends = door_of().serve(runs((0, 512, 0), (8192 * 8, 512, 1), (0, 0, 0)), 0)
    assert ends.over.tolist() == [37, 2, 0]
    assert ends.taken.tolist() == [1, 2, 0]
    late = door_of().serve(runs((0, 512, 0)), 100)
    assert late.over.tolist() == [137]
    half = door_of().serve(runs((0, 512, 0)), 7, parts=2)  # clocks are cycles: 7 halves are clock 4, 41 is half 82
    assert half.over.tolist() == [82]


def test_a_call_goes_on_where_the_last_one_stopped():
    door = door_of()
    first = door.serve(runs((0, 512, 0)), 0)
    twin = door.mark()
    for each in (door, twin):
        again = each.serve(runs((512, 512, 0)), first.over)  # its row is open: no ACT, RD at the next clock
        assert again.over.tolist() == [37 + 1 + 20]
    assert door.end(0, 0).served.channel[0, k.HITS] == 1


def test_a_stream_moves_no_transaction_twice():
    door = door_of()
    found = door.stream(64 * 8, np.array([8, 504, 512, 520, 520, 2048]), 0)
    assert (found.first_bit // 512).tolist() == [1, 2, 2, 2, 3, 3]
    assert (found.bits // 512).tolist() == [1, 0, 0, 1, 0, 2]


def test_of_equal_keys_the_part_named_first_goes_first():
    one, two = runs((1, 1, 0), (2, 1, 0)), runs((3, 1, 0), (4, 1, 0))
    assert in_order([(one, np.array([0, 2])), (two, np.array([0, 1]))]).first_bit.tolist() == [1, 3, 4, 2]


def test_rooms_beyond_the_capacity_are_one_line():
    with pytest.raises(accelsim.errors.ConfigError, match=r"take .* bytes, 1 x ddr4-2400 hold 8,589,934,592"):
        door_of().room("psum", 1 << 40)


def network_of(tmp_path, m=40, n=36, k=50, density=0.1):
    text = (
        f"{{name: x, kind: spgemm, m: {m}, n: {n}, k: {k}, input: {{density: {density}}}, weight: {{density: 0.15}}}}"
    )
    (tmp_path / "n.yaml").write_text(f"name: n\nisolated: true\nlayers:\n- {text}\n")
    return load_network(str(tmp_path / "n.yaml"))


def run(tmp_path, name, device="ddr4-2400", channels=2, sets=(), **options):
    arch = load_arch(name, [(DEVICE, device), (CHANNELS, channels), *sets])
    return accelsim.simulate(arch, network_of(tmp_path), requests=True, **options).layers[0]


ENGINES = {
    "gamma": ("runs", ()), "sigma": ("runs", ()), "outerspace": ("runs", (("params.scratchpad_elements", 2),)),
    "sparch": ("rounds", ()),
}  # fmt: skip
VARIANTS = [(name, sets) for name, (_, sets) in ENGINES.items()] + [
    ("sparch", (("params.layers", 1),)),
    ("sparch", (("params.layers", 2), ("params.pipeline_merge", False))),
    ("sparch", (("params.layers", 2), ("params.condense", False), ("params.prefetch", False))),
]


@pytest.mark.parametrize(("name", "sets"), VARIANTS)
def test_a_coupled_engine_asks_the_device(tmp_path, name, sets):
    """Its accounts close, its traffic is whole transactions, and its requests alone come to the same counts."""
    for device in ("ddr4-2400", "hbm2-2000"):
        layer = run(tmp_path, name, device, sets=sets)
        d = layer.dram
        one = Device(standards.load(device), 2)
        tx = one.standard.organisation.tx_bytes
        assert d["coupling"] == ENGINES[name][0]
        assert sum(layer.account.values()) == layer.units * layer.cycles
        assert (layer.dram_read_bits, layer.dram_write_bits) == (
            8 * tx * d["read_transactions"], 8 * tx * d["write_transactions"]
        )  # fmt: skip
        assert layer.cycles == d["simple_cycles"] + d["difference_cycles"]
        clock, address, write = layer.requests.T
        assert np.all(np.diff(clock) >= 0)
        alone = serve(one, Requests(address, write.astype(bool), clock))
        assert (alone.cycles, int(alone.channel[:, k.LAST].max())) == (d["taken_clock"], d["last_data_clock"])
        assert alone.channel[:, k.HITS].sum() == d["row_hits"]
        core_ps, clock_ps = 10**6 / load_arch(name).clocks_mhz["core"], one.standard.timing.tck_ps
        assert layer.cycles * core_ps >= d["last_data_clock"] * clock_ps


@pytest.mark.parametrize("name", ["gamma", "outerspace", "sparch", "sigma"])
def test_values_and_workers_are_the_same_with_a_device(tmp_path, name):
    assert run(tmp_path, name, check=True).checked


def test_phases_take_the_longer_of_elements_and_device(tmp_path):
    for name in ("gamma", "sigma"):
        slow = run(tmp_path, name, channels=1)
        simple = accelsim.simulate(load_arch(name), network_of(tmp_path)).layers[0]
        idle = slow.compute_cycles
        assert idle == simple.compute_cycles
        ratio = Fraction(10**6) / load_arch(name).clocks_mhz["core"] / 833
        assert slow.cycles == max(idle, -(-slow.dram["last_data_clock"] // ratio))


def placed(layer):
    """Return the requests as (transaction, whether written)."""
    return [(int(address) // 64, int(write)) for _, address, write in layer.requests]


def matrices(tmp_path, name):
    """Return A and B as lists of rows of column numbers."""
    from accelsim.operands import handle
    from accelsim.passes.precision import resolve

    network = resolve(network_of(tmp_path), load_arch(name).precision)
    made = handle.of(network.view(network.layers[0]), 0, {})
    return [
        [m.columns[m.pointers[i] : m.pointers[i + 1]].tolist() for i in range(m.shape[0])]
        for m in (made.input.sparse, made.weight.sparse)
    ]


class Memory:
    """Requests written down by hand: rooms on rows of 8 KiB, streams that go on, runs floor to ceiling."""

    def __init__(self):
        self.free, self.found, self.gone = 0, [], {}

    def room(self, bits):
        first = self.free
        self.free = -(-(first + -(-bits // 8)) // 8192) * 8192
        return first * 8

    def run(self, first, bits, write=0):
        if bits:
            self.found += [(t, write) for t in range(first // 512, (first + bits - 1) // 512 + 1)]

    def stream(self, first, end, write=0):
        """Move a stream up to a bit."""
        begun, last = self.gone.get(first, first // 512), -(-(first + end) // 512)
        self.found += [(t, write) for t in range(begun, last)]
        self.gone[first] = last


def test_gamma_asks_row_by_row(tmp_path):
    a, b = matrices(tmp_path, "gamma")
    e, ptr = 96, 32
    mem = Memory()
    nnz = [sum(map(len, m)) for m in (a, b)]
    out = [len({c for x in row for c in b[x]}) for row in a]
    heads, rows = mem.room((len(b) + 1) * ptr), mem.room(nnz[1] * e)
    a_heads, a_at = mem.room((len(a) + 1) * ptr), mem.room(nnz[0] * e)
    c_at, c_heads = mem.room(sum(out) * e), mem.room((len(a) + 1) * ptr)
    begins = np.append(0, np.cumsum([len(row) for row in b]))
    held, entries, made = set(), 0, 0
    for i, row in enumerate(a):  # everything fits the cache
        mem.stream(a_heads, (i + 2) * ptr)
        entries += len(row)
        mem.stream(a_at, entries * e)
        new = [x for x in row if x not in held]
        for x in row:
            mem.run(heads + x * ptr, 2 * ptr if x in new and x not in held else 0)
        for x in row:
            mem.run(rows + int(begins[x]) * e, len(b[x]) * e if x not in held else 0)
            held.add(x)
        made += out[i]
        mem.stream(c_at, made * e, 1)
        mem.stream(c_heads, (i + 2) * ptr, 1)
    assert placed(run(tmp_path, "gamma")) == mem.found


def test_outerspace_finds_its_chunks_where_it_put_them(tmp_path):
    a, b = matrices(tmp_path, "outerspace")
    e = 96
    columns = [[i for i, row in enumerate(a) if x in row] for x in range(len(b))]
    layer = run(tmp_path, "outerspace")
    psum = {t for t, write in placed(layer)[: layer.dram["read_transactions"]] if write}
    put = [len(b[x]) * e for x in range(len(b)) for _ in columns[x]]
    assert len(psum) == sum(-(-bits // 512) for bits in put)
    read = [t for t, write in placed(layer) if not write]
    assert all(read.count(t) == 1 for t in psum)
    first = min(psum)
    chunk = {}
    for x in range(len(b)):
        for i in columns[x]:
            chunk[i, x] = first
            first += -(-len(b[x]) * e // 512)
    order = [
        t for i, row in enumerate(a) for x in row for t in range(chunk[i, x], chunk[i, x] + -(-len(b[x]) * e // 512))
    ]
    assert [t for t in read if t in psum] == order


def test_entries_of_a_row_side_by_side_are_one_run():
    """Entries 3, 4 and 6 of row 0, 7 of row 1: two runs and one, 96 bits an entry."""
    from accelsim.engines.sparch.asked import _joined

    found = _joined(np.array([3, 4, 6, 7]), np.array([0, 0, 0, 1]), 1000, 96)
    assert found.first_bit.tolist() == [1288, 1384, 1576, 1672]
    assert found.bits.tolist() == [192, 0, 96, 96]
