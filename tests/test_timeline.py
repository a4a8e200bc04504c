"""The double-buffered timeline against a plain simulation of its rules, and its exact jumps."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.activity import Loop, Step, Transfer, flatten
from accelsim.memory.dram import DramModel
from accelsim.memory.timeline import needed_bits_per_cycle, run


def dram(bits_per_cycle=8, latency=0, burst=8):
    return DramModel(Fraction(bits_per_cycle), latency, burst)


def step(load_bits, cycles, store_bits, before_bits=0, after_bits=0):
    def transfer(tensor, direction, bits):
        return (Transfer(tensor, direction, bits),) if bits else ()

    return Step(
        transfer("weight", "read", load_bits),
        cycles,
        transfer("psum", "write", store_bits),
        transfer("input", "read", before_bits),
        transfer("output", "write", after_bits),
    )


def naive(steps, model):
    """Recompute every time from the written rules, all of them from the start of the list."""
    free = 0
    loaded, computed, stored = {}, {}, {}

    def transfer(transfers, ready):
        nonlocal free
        start = max(free, ready)
        free = start + model.bus_cycles(transfers)
        return free

    for i, s in enumerate(steps):
        if s.loads:
            loaded[i] = transfer(s.loads, computed.get(i - 2, 0)) + model.latency_cycles
        if i and steps[i - 1].stores:
            stored[i - 1] = transfer(steps[i - 1].stores, computed[i - 1])
        done = computed.get(i - 1, 0)
        if i and steps[i - 1].after:
            done = transfer(steps[i - 1].after, done)
        fed = transfer(s.before, done) + model.latency_cycles if s.before else done
        computed[i] = max(loaded.get(i, 0), fed, stored.get(i - 2, 0)) + s.compute_cycles
    last = len(steps) - 1
    end = computed[last]
    if steps[last].stores:
        stored[last] = transfer(steps[last].stores, computed[last])
    if steps[last].after:
        end = transfer(steps[last].after, computed[last])
    end = max([end, *stored.values()])
    return end, end - sum(s.compute_cycles for s in steps)


def test_one_tile_pays_its_load_and_its_store():
    stalls = run((step(80, 100, 16),), dram())
    assert stalls == (10 + 100 + 2, 12)


def test_latency_is_paid_before_data_arrive_but_leaves_the_bus_free():
    # loads occupy 0..10 and 10..20; the second arrives at 25, before compute 0 ends at 115
    stalls = run((step(80, 100, 0), step(80, 100, 0)), dram(latency=5))
    assert stalls == (15 + 200, 15)


def test_a_load_waits_for_its_half_of_the_buffer():
    # load 2 may start only when compute 0 ends: at 1 + 50
    stalls = run((step(8, 50, 0), step(8, 1, 0), step(800, 1, 0)), dram())
    assert stalls.cycles == 51 + 100 + 1


def test_partial_bursts_occupy_whole_ones():
    model = dram(bits_per_cycle=64, burst=512)
    assert model.bus_cycles((Transfer("input", "read", 8, runs=3),)) == 3 * 8


def test_a_computation_waits_for_the_store_two_tiles_back():
    # computations at 0 and 10; store 0 keeps the bus from 10 to 110, and only then has tile 2 a buffer to write to
    assert run((step(0, 10, 800), step(0, 10, 0), step(0, 10, 0)), dram()) == (110 + 10, 90)
    # five such tiles: computation i waits for store i - 2, the bus stores without a pause from 10 to 510
    each = step(0, 10, 800)
    assert run((each,) * 5, dram()) == (510, 460)
    assert run((Loop(5, (each,)),), dram()) == (510, 460)
    # without a store at the end: the fifth computes when store 2 is over, at 310
    assert run((Loop(3, (each,)), step(0, 10, 0), step(0, 10, 0)), dram()).cycles == 310 + 10


def test_what_is_moved_before_and_after_computing_overlaps_no_computation():
    # 10 in, 100, 2 out; then the same again, and nothing is hidden
    alone = step(0, 100, 0, before_bits=80, after_bits=16)
    assert run((alone, alone), dram()) == (2 * 112, 24)


def test_a_prefetch_goes_under_the_computation_in_front_of_a_dump():
    # load 0: 0..10, before 0: 10..15, compute 0: 15..35 with load 1 at 15..25, after 0: 35..37, compute 1: 37..57
    first, second = step(80, 20, 0, before_bits=40, after_bits=16), step(80, 20, 0)
    assert run((first, second), dram()) == (57, 17)


times = st.integers(0, 12)
some = times.map(lambda n: 8 * n)
seldom = st.one_of(st.just(0), some)
steps = st.builds(step, some, st.integers(1, 12), some, seldom, seldom)
blocks = st.recursive(
    st.lists(steps, min_size=1, max_size=3).map(tuple),
    lambda inner: st.tuples(st.integers(1, 40), inner).map(lambda pair: (Loop(*pair),)),
    max_leaves=4,
)
schedules = st.lists(blocks, min_size=1, max_size=3).map(lambda parts: tuple(item for part in parts for item in part))


@given(schedules, st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_jumps_give_what_walking_gives(schedule, latency):
    model = dram(latency=latency)
    assert run(schedule, model) == naive(flatten(schedule), model)


@given(schedules, st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_more_bandwidth_is_never_slower(schedule, a, b):
    slow, fast = sorted((a, b))
    assert run(schedule, dram(fast)).cycles <= run(schedule, dram(slow)).cycles


def test_a_billion_tiles_take_no_longer_than_a_few():
    loop = Loop(10**9, (Loop(1000, (step(80, 7, 8),)), step(8, 100, 0)))
    stalls = run((loop,), dram())
    assert stalls.cycles - stalls.stall_cycles == 10**9 * (7 * 1000 + 100)


@given(schedules)
@settings(max_examples=150, deadline=None)
def test_at_the_needed_bandwidth_only_the_ends_stall(schedule):
    model = dram()
    needed = needed_bits_per_cycle(schedule, model)
    plain = flatten(schedule)
    if not needed:
        return
    # bits as cycles: a DRAM that is exactly fast enough, in units where bus cycles are whole
    fast = DramModel(needed.limit_denominator(10**6) * 10**6, 0, 8)
    longest_load = max(fast.bus_cycles(s.loads) for s in plain)
    longest_store = max(fast.bus_cycles(s.stores) for s in plain)
    exposed = sum(fast.bus_cycles(s.before) + fast.bus_cycles(s.after) for s in plain)
    assert run(schedule, fast).stall_cycles <= longest_load + 2 * longest_store + exposed + len(plain)


def test_the_needed_bandwidth_of_a_loop_is_that_of_three_tiles_in_a_row():
    # while a tile computes (10 cycles): the load of the next one (80 bits) and the store of the one before (40)
    for repeat in (3, 4, 1000):
        assert needed_bits_per_cycle((Loop(repeat, (step(80, 10, 40),)),), dram()) == 12
    # of two tiles there is no such triple: only a load
    assert needed_bits_per_cycle((Loop(2, (step(80, 10, 40),)),), dram()) == 8


def test_the_needed_bandwidth_is_the_worst_neighbourhood():
    schedule = (step(8, 10, 16), step(8, 20, 8), step(104, 5, 8))
    # while tile 1 computes (20 cycles): load 2 (104) and store 0 (16)
    assert needed_bits_per_cycle(schedule, dram()) == Fraction(120, 20)
    assert np.isfinite(float(needed_bits_per_cycle((step(8, 0, 0),) * 2, dram())))
