"""Random cases of an engine, ready to run: what the contract tests share."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from accelsim.engine import Engine, Machine
from accelsim.engines import registry
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import Operands, of
from accelsim.workload.layers import LayerView, Tensor

MACHINE = Machine({"core": Fraction(200)}, DramModel(Fraction(96, 5), 7, 64))
MACHINES = (
    MACHINE,
    Machine({"core": Fraction(1000)}, DramModel(Fraction(512, 7), 0, 512)),
    Machine({"core": Fraction(700)}, DramModel(Fraction(3, 2), 100, 256)),
    Machine({"core": Fraction(50)}, DramModel(Fraction(4000), 1, 1)),
)
"""Slow and fast DRAMs, with and without latency, of four bursts; most rates are no whole number."""


class Case(NamedTuple):
    engine: Engine[Any, Any]
    view: LayerView
    operands: Operands
    params: Any
    mapping: Any
    machine: Machine

    def on(self, view: LayerView) -> Case:
        """Return the case with another layer, its operands from the same seed."""
        return self._replace(view=view, operands=of(view, self.operands.input.seed))

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
    return Case(engine, view, of(view, seed), params, mapping, MACHINES[seed % len(MACHINES)])


def at_home(case: Case, role: str) -> Case:
    """Return the case with one of its tensors at home on the chip: "input", "input2", "weight" or "output"."""
    part, place = {"input": ("inputs", 0), "input2": ("inputs", 1)}.get(role, (f"{role}s", 0))
    tensors = list(getattr(case.view, part))
    tensors[place] = replace(tensors[place], home="chip")
    return case.on(replace(case.view, **{part: tuple(tensors)}))


def reshaped(case: Case, flat: bool) -> Case:
    """Return the case with inputs in other shapes of as many elements, as their producers may leave them.

    ``flat`` gives all dimensions behind the first one as one; else there is one more in front and one behind.
    """

    def other(given: Tensor) -> tuple[int, ...]:
        return (given.shape[0], given.elements // given.shape[0]) if flat else (1, *given.shape, 1)

    return case.on(replace(case.view, inputs=tuple(replace(t, shape=other(t)) for t in case.view.inputs)))


def reference_of(case: Case) -> Any:
    module = import_module(registry.modules()[case.engine.name].rsplit(".", 1)[0] + ".reference")
    return module.reference(case.view, case.operands, case.params, case.mapping, case.machine)
