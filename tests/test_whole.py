"""Engines that hold a layer whole: columns say what walks say, and what does not fit is one line."""

from fractions import Fraction

import numpy as np
import pytest

from accelsim import contract
from accelsim.activity import Event
from accelsim.charges import events
from accelsim.components import Dram
from accelsim.config.schema import MappingSpec
from accelsim.engine import Machine
from accelsim.errors import MappingError
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.operands import handle
from accelsim.starters.plain.engine import ENGINE
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Linear, Pool

MACHINES = [
    Machine({"core": Fraction(200)}, DramModel(Fraction(rate), latency, burst))
    for rate, latency, burst in (("96/5", 7, 64), ("1/3", 0, 24), ("4000", 100, 512))
]


def row_of(many, at):
    names = ("known", "cycles", "read", "write", "macs", *many.causes, *many.events)
    return {name: value for name, value in zip(names, many.table[at].tolist(), strict=True) if value}


@pytest.mark.parametrize("machine", MACHINES)
def test_columns_are_what_walks_and_the_timeline_say(machine):
    params = ENGINE.params_schema(lanes=3)
    cases = [contract.random_case(ENGINE, seed) for seed in range(40)]
    rows = [ENGINE.encode(case.view, case.operands.effective_macs) for case in cases]
    many = ENGINE.closed_form_many(np.array(rows), params, machine, MappingSpec(), None, 0.0)
    for at, case in enumerate(cases):
        walked = ENGINE.run(case._replace(params=params, machine=machine).plan())
        cycles = timeline.run(walked.schedule, machine.dram)
        moved = {flow: bits for flow, bits in walked.traffic.items() if flow.boundary == "dram"}
        expected = {
            "known": 1, "cycles": cycles.cycles, "macs": walked.performed_macs, "memory": 3 * cycles.stall_cycles,
            **{way: sum(bits for flow, bits in moved.items() if flow.direction == way) for way in ("read", "write")},
            **walked.accounts["lanes"],
        }  # fmt: skip
        parts = (*ENGINE.components(params), Dram("dram", standard="lpddr4"))
        priced = {e: n for e, n in events(parts, walked).items() if e.component != "dram"}
        assert row_of(many, at) == {name: n for name, n in (expected | priced).items() if n}, case.view
    assert Event("glb", "read") in many.events


def linear(c, bits=8):
    shape = Linear(n=1, c=c, k=2)
    tensors = (Tensor("x", (1, c), bits), Tensor("w", (2, c), bits, weight=True), Tensor("y", (1, 2), bits))
    return LayerView("fc", shape, *((tensor,) for tensor in tensors))


def test_what_does_not_fit_is_refused_and_declined_by_columns():
    params = ENGINE.params_schema(buffer_kib=1)
    fits, large = linear(340), linear(341)  # 3 x 341 + 2 bytes of 1,024
    many = ENGINE.closed_form_many(
        np.array([ENGINE.encode(view, 1) for view in (fits, large)]), params, MACHINES[0], MappingSpec(), None, 0.0
    )
    assert many.table[:, 0].tolist() == [1, 0]
    with pytest.raises(MappingError) as caught:
        ENGINE.plan(large, handle.of(large), params, None, MACHINES[0])
    assert str(caught.value) == (
        "layer 'fc': 8,200 bits of input and weight and output, and 'glb' holds 8,192; raise params.buffer_kib to 2"
    )


def test_rows_that_64_bits_do_not_hold_are_left_to_the_plain_path():
    assert ENGINE.encode(linear(2**30), 1) is not None
    assert ENGINE.encode(linear(8, bits=None), 1) is None
    shape = Linear(n=2**20, c=2**20, k=2**20)
    tensors = [Tensor(name, (2**20, 2**20), 8) for name in "xwy"]
    assert ENGINE.encode(LayerView("fc", shape, *((tensor,) for tensor in tensors)), 1) is None


def test_the_windows_of_pooling_are_those_of_a_convolution_of_each_channel_with_itself():
    rng = np.random.default_rng(3)
    for _ in range(200):
        r, s = (int(size) for size in rng.integers(1, 4, 2))
        pad = tuple(int(rng.integers(0, size)) for size in (r, s, r, s))
        h, w, across, down = (int(size) for size in (*rng.integers(4, 10, 2), *rng.integers(1, 4, 2)))
        pool = Pool("max", 2, 3, h, w, r, s, (across, down), pad, bool(rng.integers(2)))
        conv = pool.windows()
        assert conv.output_shape == pool.output_shape
        assert (conv.input_shapes, conv.groups, conv.pad[:2]) == (pool.input_shapes, 3, pool.pad[:2])
