"""Random cases of an engine, ready to run: what the contract tests share."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from accelsim.engines import registry
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import Operands, of
from accelsim.seam import Engine, Machine
from accelsim.workload.network import LayerView, Tensor

MACHINE = Machine({"core": Fraction(200)}, DramModel(Fraction(96, 5), 7, 64))


class Case(NamedTuple):
    engine: Engine[Any, Any]
    view: LayerView
    operands: Operands
    params: Any
    mapping: Any
    machine: Machine

    def plan(self) -> Any:
        return self.engine.plan(self.view, self.operands, self.params, self.mapping, self.machine)


def view_of(shape: Any, rng: np.random.Generator, widest_bits: int = 8, on_chip: bool = False) -> LayerView:
    """Return a layer of ``shape`` with random widths, signs and densities."""

    def tensor(name: str, dims: tuple[int, ...], weight: bool = False) -> Tensor:
        bits = int(rng.integers(2, widest_bits + 1))
        density = float(rng.choice([1.0, 1.0, 0.5, 0.1]))
        home = "chip" if on_chip and rng.random() < 0.3 else "dram"
        return Tensor(name, dims, bits, bool(rng.integers(2)), density, weight, home)

    inputs = tuple(tensor(f"input{i}", dims) for i, dims in enumerate(shape.input_shapes))
    weight_shape = getattr(shape, "weight_shape", None)
    weights = (tensor("weight", weight_shape, True),) if weight_shape else ()
    return LayerView("layer", shape, inputs, weights, (tensor("output", shape.output_shape),))


def random_case(name: str, seed: int) -> Case:
    """Return the ``seed``-th random case of an engine; the same one every time."""
    rng = np.random.default_rng([seed, *name.encode()])
    engine = registry.get(name)
    sample = engine.sample(rng)
    params = engine.params_schema.model_validate(sample.params)
    view = view_of(sample.shape, rng, sample.widest_bits, sample.on_chip)
    words = engine.words(view, params)
    if "output" in words:
        view = replace(
            view, outputs=tuple(replace(t, bits=min(t.bits or 1, words["output"].bits)) for t in view.outputs)
        )
    mapping = engine.mapping_schema.model_validate(sample.mapping or {})
    assert engine.refuses(view, params) is None
    return Case(engine, view, of(view, seed), params, mapping, MACHINE)


def reference_of(case: Case) -> Any:
    module = import_module(registry.modules()[case.engine.name].rsplit(".", 1)[0] + ".reference")
    return module.reference(case.view, case.operands, case.params, case.mapping, case.machine)
