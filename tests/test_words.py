"""No tensor is wider than the word that carries it: wider ones are refused, in the same words by every engine."""

import re
from dataclasses import replace

import numpy as np
import pytest
from contract import random_case

import accelsim
from accelsim.engine import Word, beside, too_wide
from accelsim.engines import registry
from accelsim.errors import MappingError
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Elementwise, Linear, SpGemm

engines = pytest.mark.parametrize("name", list(registry.modules()))
REFUSAL = re.compile(r"'\w+' has \d+ bits, the [\w' ]+ take \d+")


def tensors_of(view, role):
    """Return the fields and places of a role's tensors in a view."""
    if role == "output":
        return [("outputs", 0)]
    if not view.macs:
        field = {"input": "inputs", "weight": "weights"}[role]
        return [(field, i) for i in range(len(getattr(view, field)))]
    if role == "input":
        return [("inputs", 0)]
    return [("weights", 0)] if view.weights else [("inputs", 1)]


def widened(view, field, at, bits):
    found = list(getattr(view, field))
    found[at] = replace(found[at], bits=bits)
    return replace(view, **{field: tuple(found)})


@engines
def test_every_engine_says_how_wide_operands_may_be_and_refuses_wider_ones(name):
    for seed in range(20):
        case = random_case(name, seed)
        words = case.engine.words(case.view, case.params)
        assert {"input", "weight"} <= set(words)
        narrow = {f: tuple(replace(t, bits=1) for t in getattr(case.view, f)) for f in ("inputs", "weights", "outputs")}
        view = replace(case.view, **narrow)
        for role, word in words.items():
            for field, at in tensors_of(view, role):
                fits = widened(view, field, at, word.bits)
                wider = widened(view, field, at, word.bits + 1)
                tensor = getattr(wider, field)[at]
                refusal = case.engine.refuses(wider, case.params)
                assert refusal == f"'{tensor.name}' has {word.bits + 1} bits, the {word.part} take {word.bits}"
                assert REFUSAL.fullmatch(refusal)
                assert not REFUSAL.fullmatch(case.engine.refuses(fits, case.params) or "")


def touched(shape):
    """Return the elements of the input that a product reads: a stride may step over some."""
    if shape.kind != "conv2d":
        return int(np.prod(shape.input_shapes[0]))
    seen = []
    for out, taps, size, stride, pad, dilation in (
        (shape.e, shape.r, shape.h, shape.stride[0], shape.pad[0], shape.dilation[0]),
        (shape.f, shape.s, shape.w, shape.stride[1], shape.pad[2], shape.dilation[1]),
    ):
        at = np.add.outer(np.arange(out) * stride - pad, np.arange(taps) * dilation)
        seen.append(np.unique(at[(at >= 0) & (at < size)]).size)
    return shape.n * shape.c * seen[0] * seen[1]


@engines
def test_dense_operands_and_results_in_dram_move_at_least_their_bits(name):
    asked = 0
    for seed in range(40):
        case = random_case(name, seed)
        if not case.view.macs:
            continue
        dense = {
            field: tuple(replace(t, density=1.0, home="dram") for t in getattr(case.view, field))
            for field in ("inputs", "weights", "outputs")
        }
        view = replace(case.view, **dense)
        case = case._replace(view=view, operands=of(view, seed))
        activity = case.engine.run(case.plan())
        moved = {}
        for flow, bits in activity.traffic.items():
            if flow.boundary == "dram":
                moved[flow.tensor, flow.direction] = moved.get((flow.tensor, flow.direction), 0) + bits
        if getattr(case.params, "codebook_bits", 0):
            moved.pop(("weight", "read"), None)  # EIE reads codes, not weights
        if view.kind == "spgemm":
            moved.pop(("output", "write"), None)  # as many as there are, and not all
        elements = {"input": touched(view.shape), "weight": view.weight.elements, "output": view.output.elements}
        for (role, _), bits in moved.items():  # of tensors that some machines keep on the chip there is nothing here
            if role in elements:
                assert bits >= elements[role] * getattr(view, role).bits, (role, case)
                asked += 1
    assert asked or name == "vector"


def product(bits):
    layer, tensors = make_layer("a", Linear(4, 30, 8))
    return Network("n", (layer,), {k: replace(t, bits=bits) for k, t in tensors.items()}, isolated=True)


def test_sigma_does_not_multiply_tensors_wider_than_its_word():
    narrow = accelsim.load_arch("sigma", [("params.word_bits", 3)])
    refused = accelsim.simulate(narrow, product(8)).layers[0]
    assert refused.reason == "'a.input' has 8 bits, the words take 3"
    ran = accelsim.simulate(narrow, product(3)).layers[0]
    assert ran.dram_read_bits >= (4 * 30 + 30 * 8) * 3


def test_what_an_element_leaves_beside_its_indices_is_the_width_of_its_value():
    assert beside(96, 1 << 20).bits == 76
    assert beside(96, (1 << 20) + 1).bits == 75
    assert beside(128, 1, 2, 1024).bits == 128 - 0 - 1 - 10
    assert beside(4, 1 << 20).bits == 0


@pytest.mark.parametrize(
    ("machine", "key", "bits", "reason"),
    [
        ("sparch", "element_bits", 12, "'a.input' has 8 bits, the values of elements take 7"),
        ("sparch", "partial_bits", 15, "'a.output' has 8 bits, the values of elements take 5"),
        ("sparch", "output_bits", 8, "'a.output' has 8 bits, the values of elements take 3"),
        ("outerspace", "element_bits", 12, "'a.input' has 8 bits, the values of elements take 7"),
        ("gamma", "value_bits", 4, "'a.input' has 8 bits, the values take 4"),
        ("extensor", "value_bits", 4, "'a.input' has 8 bits, the values take 4"),
    ],
)
def test_sparse_machines_do_not_multiply_values_wider_than_their_elements_leave(machine, key, bits, reason):
    layer, tensors = make_layer("a", SpGemm(30, 20, 25))
    net = Network("n", (layer,), {k: replace(t, bits=8, density=0.3) for k, t in tensors.items()}, isolated=True)
    refused = accelsim.simulate(accelsim.load_arch(machine, [(f"params.{key}", bits)]), net).layers[0]
    assert refused.reason == reason


@pytest.mark.parametrize(
    ("machine", "key", "bits", "problem"),
    [
        ("gamma", "coordinate_bits", 4, "coordinates of 4 bits do not reach 24"),
        ("gamma", "pointer_bits", 5, "pointers of 5 bits do not reach"),
        ("outerspace", "pointer_bits", 5, "pointers of 5 bits do not reach"),
        ("extensor", "coordinate_bits", 4, "coordinates of 4 bits do not reach 29"),
        ("extensor", "pointer_bits", 5, "pointers of 5 bits do not reach"),
    ],
)
def test_coordinates_and_pointers_that_do_not_reach_every_element_are_refused(machine, key, bits, problem):
    engine = registry.get(machine)
    params = engine.params_schema.model_validate(
        {**accelsim.load_arch(machine).units[0].params.model_dump(), key: bits}
    )
    view = LayerView("a", SpGemm(30, 20, 25), (Tensor("x", (30, 25), 8), Tensor("y", (25, 20), 8)), (), ())
    with pytest.raises(MappingError, match=problem):
        engine.plan(view, of(view, 0), params, engine.mapping_schema(), random_case(machine, 0).machine)


def test_a_bias_may_be_wider_than_the_multipliers_but_a_constant_of_a_lane_may_not():
    weights = (Tensor("w", (8, 30), 8, weight=True), Tensor("b", (8,), 32, weight=True))
    dense = LayerView("a", Linear(4, 30, 8), (Tensor("x", (4, 30), 8),), weights, ())
    assert too_wide(dense, {"weight": Word(8, "multipliers")}) is None
    lane = LayerView("a", Elementwise("add", (4, 8)), (Tensor("x", (4, 8), 8),), (weights[1],), ())
    assert too_wide(lane, {"weight": Word(8, "lanes")}) == "'b' has 32 bits, the lanes take 8"
