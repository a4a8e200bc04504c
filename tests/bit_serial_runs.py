"""Runs one layer with given numbers on a bit-serial or bit-fused machine: what these tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
from contract import MACHINE

from accelsim.activity import Activity
from accelsim.engines import registry
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Linear, Shape

KIB = {"input_kib": 64, "weight_kib": 64, "output_kib": 64}
GRID = {"lanes": 2, "columns": 2, "rows": 2, "tiles": 1, **KIB}
MACHINES: dict[str, tuple[str, dict[str, Any]]] = {
    "dadiannao": ("bitserial", {**GRID, "machine": "dadiannao", "columns": 1}),
    "stripes": ("bitserial", {**GRID, "machine": "stripes"}),
    "stripes, 4-bit lanes": ("bitserial", {**GRID, "machine": "stripes", "columns": 4, "rows": 4, "pe_bits": 4}),
    "stripes, trimmed": ("bitserial", {**GRID, "machine": "stripes", "trim": "activations"}),
    "loom": ("bitserial", {**GRID, "machine": "loom"}),
    "loom, 2 bits": ("bitserial", {**GRID, "machine": "loom", "activation_bits_per_cycle": 2}),
    "loom, trimmed": ("bitserial", {**GRID, "machine": "loom", "trim": "both"}),
    "pragmatic": ("bitserial", {**GRID, "machine": "pragmatic"}),
    "pragmatic, recoded": ("bitserial", {**GRID, "machine": "pragmatic", "recoding": "naf"}),
    "laconic": ("bitserial", {**GRID, "machine": "laconic", "recoding": "booth"}),
    "bitfusion": ("bitfusion", {"rows": 2, "cols": 2, **KIB}),
    "unpu": ("unpu", {"units": 2, "outputs": 2, **KIB}),
    "bismo": ("bismo", {"dm": 2, "dk": 32, "dn": 2, "operand_bits": 16}),
}
"""Small machines, one per kind: engine and parameters."""


def view(shape: Shape, a: tuple[int, bool], w: tuple[int, bool]) -> LayerView:
    """Return a layer whose operands have (bits, signed)."""
    return LayerView(
        "layer",
        shape,
        (Tensor("input", shape.input_shapes[0], *a),),
        (Tensor("weight", shape.weight_shape, *w, weight=True),),  # type: ignore[union-attr]
        (Tensor("output", shape.output_shape, 16),),
    )


def whole(shape: Shape) -> dict[str, Any]:
    """Return the mapping that cuts nothing."""
    conv = shape.as_conv()  # type: ignore[union-attr]
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    return {"groups": conv.groups, "n": conv.n, "e": conv.e, "f": conv.f, "k": kg, "c": cg, "order": "mkc"}


def run(
    name: str,
    x: Any,
    w: Any,
    a: tuple[int, bool] = (8, True),
    b: tuple[int, bool] = (8, True),
    mapping: dict[str, Any] | None = None,
    **params: Any,
) -> Activity | None:
    """Return what a machine of `MACHINES` does with x (n, c) times w (k, c); None where it refuses the widths.

    Values are checked against NumPy on the way.
    """
    x, w = np.array(x, dtype=np.int64), np.array(w, dtype=np.int64)
    shape = Linear(n=x.shape[0], c=x.shape[1], k=w.shape[0])
    engine_name, given = MACHINES[name]
    engine = registry.get(engine_name)
    schema = engine.params_schema.model_validate({**given, **params})
    layer = view(shape, a, b)
    if engine.refuses(layer, schema) is not None:
        return None
    operands = of(layer, given={"input": x, "weight": w})
    fields = {} if engine_name == "bismo" else whole(shape) | (mapping or {})
    plan = engine.plan(layer, operands, schema, engine.mapping_schema.model_validate(fields), MACHINE)
    activity = engine.run(plan, operands)
    activity.check(engine.units(schema))
    np.testing.assert_array_equal(activity.values, golden(operands), err_msg=f"{name} {a} {b}")
    return activity
