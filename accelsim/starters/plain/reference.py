"""The unit stepped plainly: blind to the plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedWhole
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    layer = SteppedWhole(view, operands, params, machine.dram, ("busy", "zero", "padding"))
    conv, bits, cycles = layer.conv, layer.bits, 0
    taps = list(product(range(conv.c // conv.groups), range(conv.r), range(conv.s)))
    for n, k, e, f in product(*map(range, conv.output_shape)):
        for first in range(0, len(taps), params.lanes):
            now = taps[first : first + params.lanes]
            cycles += 1
            layer.causes["padding"] += params.lanes - len(now)
            for tap in now:
                layer.take((n, e, f), k, tap)
                layer.add("glb", "input", "read", bits["input"])
                layer.add("glb", "weight", "read", bits["weight"])
        layer.add("glb", "output", "write", bits["output"])
    return layer.finish(
        "lanes", cycles, dict.fromkeys(("input", "weight", "output"), ("glb", params.buffer_kib * 8192))
    )
