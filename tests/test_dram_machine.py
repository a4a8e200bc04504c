"""Tiles on a DRAM device: the kernel, the reference that steps, an example by hand, addresses of tiles."""

from dataclasses import replace
from fractions import Fraction

import dram_streams
import numpy as np
import pytest
from nests import random_tiling

from accelsim.activity import Flow, Loop, Step, Transfer, flatten
from accelsim.config.dram import standard as standards
from accelsim.config.dram.mapping import Mapping
from accelsim.mapping.loopnest import ROLES, Widths
from accelsim.memory.device import kernel as k
from accelsim.memory.device import machine, machine_reference
from accelsim.memory.device.channel import Device
from accelsim.memory.device.machine import Coupling, Places
from accelsim.memory.device.machine_kernel import CHUNK


def streams(schedule, coupling, places):
    """Return the tiles of a schedule as requests, each stream going on where it stopped: written down once more."""
    tx = coupling.device.standard.organisation.tx_bytes
    row = coupling.device.standard.organisation.row_bytes
    pieces, gone = {}, {}
    whole = {}
    for step in flatten(schedule):
        for t in (*step.loads, *step.before, *step.stores, *step.after):
            flow = Flow("dram", t.tensor, t.direction)
            whole[flow] = whole.get(flow, 0) + t.runs * -(-t.run_bits // (8 * tx))
    free = places.free_byte
    order = list(dict.fromkeys(
        t.tensor for step in every_step(schedule) for t in (*step.loads, *step.before, *step.stores, *step.after)
    ))  # fmt: skip
    for tensor in order:
        own = [piece for piece in places.tensors.get(tensor, ()) if piece[1]]
        if not own:
            first = -(-free // row) * row
            size = max(n for flow, n in whole.items() if flow.tensor == tensor) * tx
            own, free = [(first, size)], first + size
        pieces[tensor] = [t for first, size in own for t in range(first // tx, first // tx + -(-size // tx))]

    def runs(t):
        mine = pieces[t.tensor]
        for _ in range(t.runs):
            at = gone.get((t.tensor, t.direction), 0)
            count = -(-t.run_bits // (8 * tx))
            gone[t.tensor, t.direction] = at + count
            yield [mine[(at + i) % len(mine)] for i in range(count)]

    def requests(part):
        listed = [[list(run) for run in runs(t)] for t in part]
        ways = {tx_: t.direction == "write" for t, each in zip(part, listed, strict=True) for r in each for tx_ in r}
        return [(t * tx, ways[t]) for t in machine_reference.turns(listed, -(-coupling.turn_bytes // tx))]

    found = []
    steps = flatten(schedule)
    todo = {}
    for i in range(len(steps) + 1):  # streams advance in the order of offers
        for part, tile in (("loads", i), ("stores", i - 1), ("after", i - 1), ("before", i)):
            if 0 <= tile < len(steps):
                todo[part, tile] = requests(getattr(steps[tile], part))
    for i, step in enumerate(steps):
        found.append(machine_reference.Tile(
            todo["loads", i], step.compute_cycles, todo["stores", i], todo["before", i], todo["after", i]
        ))  # fmt: skip
    return found


def every_step(items):
    for item in items:
        if isinstance(item, Loop):
            if item.repeat:
                yield from every_step(item.body)
        else:
            yield item


def schedule_of(draw):
    """Return a random schedule: loops, tiles without loads or stores, transfers that nothing hides."""

    def transfers(way, most):
        names = ("input", "weight", "psum") if way == "read" else ("output", "psum")
        picked = draw.choice(names, draw.integers(0, most + 1), replace=False)
        return tuple(
            Transfer(str(name), way, int(draw.choice([24, 512, 4096, 33000])), int(draw.integers(1, 4)))
            for name in picked
        )

    def step():
        alone = draw.random() < 0.3
        return Step(
            transfers("read", 2), int(draw.choice([0, 3, 90, 800])), transfers("write", 1),
            transfers("read", 1) if alone else (), transfers("write", 1) if alone else (),
        )  # fmt: skip

    items = []
    for _ in range(draw.integers(1, 4)):
        body = tuple(step() for _ in range(draw.integers(1, 3)))
        items.append(Loop(int(draw.integers(0, 4)), body) if draw.random() < 0.6 else body[0])
    return tuple(items)


def setting(name, seed):
    draw = np.random.default_rng([seed, 7])
    one = dram_streams.device(name, seed)
    device = Device(one.standard, int(draw.choice([1, 1, 2, 4])), one.mapping, one.controller)
    ratio = Fraction(int(draw.integers(1, 40)), int(draw.integers(1, 20)))
    coupling = Coupling(device, ratio, int(draw.choice([0, 0, 64, 300])))
    row = one.standard.organisation.row_bytes
    places = {
        "input": ((3 * row, 5000), (9 * row, 700)), "weight": ((20 * row, 40000),), "output": ((50 * row, 2000),),
    }  # fmt: skip
    if draw.random() < 0.3:
        del places["output"]
    return schedule_of(draw), coupling, Places(places, 60 * row)


def compare(name, seed):
    schedule, coupling, places = setting(name, seed)
    tiles = streams(schedule, coupling, places)
    stepped = machine_reference.run(coupling.device, coupling.clocks_per_cycle, tiles)
    ours = machine.serve(schedule, coupling, places)
    assert ours.cycles == stepped.cycles
    ratio = coupling.clocks_per_cycle
    assert ours.served.end == -(-ours.cycles * ratio.numerator // ratio.denominator)
    requests = [(w,) for s in stepped.channels for w in s.coming]
    assert ours.reads + ours.writes == len(requests)
    for c, stepper in enumerate(stepped.channels):
        commands = [entry.kind for entry in stepper.out.log]
        row = ours.served.channel[c]
        assert [row[k.ACTS], row[k.PRES], row[k.ALL_PRES], row[k.RDS], row[k.WRS], row[k.REFS]] == [
            commands.count(kind) for kind in (k.ACT, k.PRE, k.ALL_PRE, k.RD, k.WR, k.REF)
        ]
        found = [request.found for request in stepper.coming]
        assert [row[k.HITS], row[k.MISSES], row[k.CONFLICTS]] == [
            found.count(kind) for kind in (k.HIT, k.MISS, k.CONFLICT)
        ]
        assert row[k.FORWARDED] + row[k.MERGED] == found.count(k.DIRECT)


@pytest.mark.parametrize("name", standards.names())
def test_the_kernel_is_the_machine_that_steps_every_clock(name):
    for seed in (*range(8), 48):  # the last: one channel takes a request in the clock in which another may offer
        compare(name, seed)


def test_no_channel_runs_ahead_of_what_moves_before_a_tile():
    """A channel without a share in what moves before the tile takes the next load when that may begin, not sooner."""
    compare("hbm2-2000", 370)


def test_a_request_that_moves_to_the_front_keeps_its_bank():
    """A bank knows the request that opened its row by number; request 5 becomes 0."""
    state = machine.channels_of(Device(standards.load("ddr4-2400")))
    requests = state.requests[0]
    requests[machine.kernel.AT, 5], state.fill[0] = 3, 6
    state.queue[0, k.ACTIVE_QUEUE, 0], state.channel[0, k.ACTIVE], state.bank[0, k.B_OWNER, 3] = 5, 1, 5
    machine.kernel.compact(0, 6, np.zeros(machine.kernel.MACHINE, np.int64), state)
    assert (state.fill[0], state.queue[0, k.ACTIVE_QUEUE, 0], state.bank[0, k.B_OWNER, 3]) == (1, 0, 0)


def test_two_tiles_by_hand():
    """The example of decision 0088: a miss and a hit, read and written, on DDR4-2400 at the device's own clock."""
    device = Device(standards.load("ddr4-2400"))
    row = device.standard.organisation.row_bytes
    tile = Step((Transfer("input", "read", 512),), 100, (Transfer("output", "write", 512),))
    places = Places({"input": ((0, 1024),), "output": ((row, 1024),)}, 2 * row)
    found = machine.serve((Loop(2, (tile,)),), Coupling(device, Fraction(1)), places)
    assert (found.cycles, found.compute_cycles) == (254, 200)
    counts = found.served.channel[0]
    assert [counts[i] for i in (k.HITS, k.MISSES, k.CONFLICTS, k.ACTS, k.RDS, k.WRS)] == [2, 2, 0, 2, 2, 2]
    stepped = machine_reference.run(
        device, Fraction(1), streams((Loop(2, (tile,)),), Coupling(device, Fraction(1)), places)
    )
    assert stepped.cycles == 254


@pytest.mark.parametrize("text", dram_streams.MAPPINGS)
def test_a_transactions_place_follows_from_its_bits_alone(text):
    from accelsim.memory.device.machine_kernel import place

    for name in standards.names():
        addresses = Mapping(text, standards.load(name).organisation, 4)
        draw = np.random.default_rng(3)
        tx = addresses.organisation.tx_bytes
        some = draw.integers(0, addresses.capacity_bytes // tx, 60)
        where = addresses.decode(some * tx)
        table = machine.pieces(addresses)
        for i, t in enumerate(some):
            assert place(t, table) == (where.channel[i], where.bank[i], where.row[i])


def elements_of(nest, span, tensor):
    """Return the flat places of a tile's elements in DRAM, each from its indices."""
    conv, (g0, g, n0, n, e0, e, f0, f, k0, kk, c0, c) = nest.conv, span
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    if tensor == "weight":
        return [
            ((((group * kg + k_) * cg + ch) * conv.r + r) * conv.s) + s
            for group in range(g0, g0 + g) for k_ in range(k0, k0 + kk) for ch in range(c0, c0 + c)
            for r in range(conv.r) for s in range(conv.s)
        ]  # fmt: skip
    if tensor in ("output", "psum"):
        return [
            ((i * conv.e + y) * conv.f + x) * conv.k + group * kg + k_
            for i in range(n0, n0 + n) for y in range(e0, e0 + e) for x in range(f0, f0 + f)
            for group in range(g0, g0 + g) for k_ in range(k0, k0 + kk)
        ]  # fmt: skip

    def under(first, count, stride, pad, taps, dilation, size):
        low, high = first * stride - pad, (first + count - 1) * stride - pad + (taps - 1) * dilation
        return range(max(0, low), min(size - 1, high) + 1)

    rows = under(e0, e, conv.stride[0], conv.pad[0], conv.r, conv.dilation[0], conv.h)
    columns = under(f0, f, conv.stride[1], conv.pad[1], conv.s, conv.dilation[1], conv.w)
    return [
        ((i * conv.h + y) * conv.w + x) * conv.c + group * cg + ch
        for i in range(n0, n0 + n) for y in rows for x in columns for group in range(g0, g0 + g)
        for ch in range(c0, c0 + c)
    ]  # fmt: skip


def runs_of(elements, width, base, tx):
    """Return runs of neighbouring elements as the transactions that they touch."""
    found, elements = [], sorted(elements)
    first = 0
    for i in range(1, len(elements) + 1):
        if i == len(elements) or elements[i] != elements[i - 1] + 1:
            low, high = base * 8 + elements[first] * width, base * 8 + (elements[i - 1] + 1) * width - 1
            found.append(list(range(low // (8 * tx), high // (8 * tx) + 1)))
            first = i
    return found


def random_nest(seed):
    draw = np.random.default_rng([seed, 11])
    return replace(random_tiling(seed), widths=Widths(*(int(draw.choice([5, 8, 16])) for _ in range(3)), 32))


def test_tiles_of_a_cut_layer_lie_where_their_elements_do():
    """Every run of every tile, from the indices of its elements; and the machine with these requests that steps."""
    tiles = 0
    for seed in range(60):
        nest = random_nest(seed)
        device = Device(standards.load("hbm2-2000" if seed % 2 else "ddr4-2400"))
        tx, row = device.standard.organisation.tx_bytes, device.standard.organisation.row_bytes
        cycles = np.arange(len(nest.steps), dtype=np.int64) * 7 % 50
        schedule = nest.schedule(cycles)
        base = {name: row * (1 + 400 * i) for i, name in enumerate((*ROLES, "psum"))}
        places = Places({name: ((base[name], 400 * row),) for name in ROLES}, base["psum"])
        width = nest.widths._asdict()
        wanted = []
        for span, step in zip(nest.spans(), flatten(schedule), strict=True):
            parts = []
            for part in (step.loads, step.stores):
                listed = [runs_of(elements_of(nest, span, t.tensor), width[t.tensor], base[t.tensor], tx) for t in part]
                assert [(len(runs)) for runs in listed] == [t.runs for t in part]
                ways = [t.direction == "write" for t in part]
                parts.append([(t * tx, any(ways)) for t in machine_reference.turns(listed)])
            wanted.append(machine_reference.Tile(parts[0], step.compute_cycles, parts[1]))
        tiles += len(wanted)
        ours = machine.serve(schedule, Coupling(device, Fraction(3, 2)), places, trace=True)
        order = []
        for i in range(len(wanted) + 1):
            order += wanted[i].loads if i < len(wanted) else ()
            order += wanted[i - 1].stores if i else ()
        assert [(t * tx, bool(w)) for _, t, w in ours.trace.tolist()] == order
        if sum(cycles) < 1500:
            assert ours.cycles == machine_reference.run(device, Fraction(3, 2), wanted).cycles
    assert tiles > 1000


@pytest.mark.parametrize("seed", range(6))
def test_a_layer_of_many_requests_is_served_as_if_all_were_held_at_once(seed):
    """Requests that wait move to the front where the kernel holds no more: the channel, given all, does the same."""
    from accelsim.memory.device.channel import Requests, serve

    draw = np.random.default_rng([seed, 5])
    one = dram_streams.device(("ddr4-2400", "hbm2-2000", "ddr3-1600")[seed % 3], seed)
    device = Device(one.standard, 1 + seed % 2, one.mapping, one.controller)
    reads = tuple(Transfer(name, "read", 512 * int(draw.choice([3, 900])), 2) for name in ("input", "weight"))
    steps = (Step(reads, int(draw.integers(0, 2000)), (Transfer("output", "write", 512 * 40, 9),)),)
    where = {"input": ((0, 1 << 20),), "weight": ((3 << 20, 1 << 20),), "output": ((7 << 20, 1 << 18),)}
    places = Places(where, 1 << 24)
    repeat = 12000 // sum(t.runs * t.run_bits // 512 for t in (*steps[0].loads, *steps[0].stores))
    found = machine.serve((Loop(repeat, steps),), Coupling(device, Fraction(5, 3), 64 * 20), places, trace=True)
    clock, number, write = found.trace.T
    assert len(number) > 3 * CHUNK
    tx = device.standard.organisation.tx_bytes
    alone = serve(device, Requests(number * tx, write.astype(bool), np.maximum.accumulate(clock)))
    assert (found.taken_clock, int(found.served.channel[:, k.LAST].max())) == (
        alone.cycles, int(alone.channel[:, k.LAST].max())
    )  # fmt: skip
    counts = [k.HITS, k.MISSES, k.CONFLICTS, k.ACTS, k.RDS, k.WRS, k.FORWARDED, k.MERGED, k.LATENCY]
    assert np.array_equal(found.served.channel[:, counts], alone.channel[:, counts])


def test_a_tile_without_a_load_waits_for_the_buffer_half_that_is_still_being_stored():
    """Store 0 has 500 transactions on a bus that takes four clocks each; compute 2 writes where they come from."""
    device = Device(standards.load("ddr4-2400"))
    store = (Transfer("output", "write", 512 * 500),)
    tiles = (Step((), 1, store), Step((), 1, ()), Step((), 5000, ()))
    found = machine.serve(tiles, Coupling(device, Fraction(1)), Places({"output": ((0, 1 << 20),)}, 1 << 20))
    assert found.cycles > 5000 + 4 * (500 - 2 * 32)
