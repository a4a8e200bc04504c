"""The unit stepped plainly: blind to the plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    layer = SteppedConv(view, operands, params, machine.dram, ("busy", "zero", "padding"))
    conv, bits, cycles = layer.conv, layer.bits, 0
    taps = list(product(range(conv.c // conv.groups), range(conv.r), range(conv.s)))
    for n, k, e, f in product(*map(range, conv.output_shape)):
        for first in range(0, len(taps), params.lanes):
            now = taps[first : first + params.lanes]
            cycles += 1
            layer.causes["padding"] += params.lanes - len(now)
            for tap in now:
                layer.multiply((n, e, f), k, tap)
                layer.add("glb", "input", "read", bits["input"])
                layer.add("glb", "weight", "read", bits["weight"])
        layer.add("glb", "output", "write", bits["output"])
    loads, stores, held = [], [], layer.out.size * bits["output"]
    if view.output.home == "dram":
        stores = layer.move("output", "write", held)
        layer.add("glb", "output", "read", held)
    for name, tensor, array in (("input", view.input, layer.x), ("weight", view.weight, layer.w)):
        held += array.size * bits[name]
        if tensor.home == "dram":
            loads += layer.move(name, "read", array.size * bits[name])
            layer.add("glb", name, "write", array.size * bits[name])
    layer.step(loads, cycles, stores)
    products = layer.causes["busy"] + layer.causes["zero"]
    return layer.activity(
        "lanes",
        {Event("macs", "mac"): products},
        buffers={"glb": (params.buffer_kib * 8192, held)},
        performed_macs=products,
    )
