"""What the lanes execute for one output element, as steps that are both counted and executed.

A step is one operation of a unit (``add``, ``mul``, ``compare``: 1 cycle; ``special``: `special_cycles`) on the lane's
accumulator. The kernel executes these very steps; the closed form counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from accelsim.activity import Event
from accelsim.operands.golden import GELU_CUBE, GELU_SLOPE, LEAK, LRN_ALPHA, LRN_BETA, LRN_BIAS
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax

LOWEST, HIGHEST = -(2**63), 2**63 - 1


class Step(NamedTuple):
    """``acc = name(acc, x)``, where x is operand ``source``, or ``const`` if that is -1."""

    name: str
    unit: str
    source: int = -1
    const: float = 0


class Ops(NamedTuple):
    """Operations by unit."""

    add: int = 0
    mul: int = 0
    compare: int = 0
    special: int = 0

    def cycles(self, special_cycles: int) -> int:
        """Lane-cycles that they take."""
        return self.add + self.mul + self.compare + self.special * special_cycles

    def times(self, count: int) -> Ops:
        """Return ``count`` times as many."""
        return Ops(*(n * count for n in self))

    def plus(self, other: Ops) -> Ops:
        """Return the sum."""
        return Ops(*(a + b for a, b in zip(self, other, strict=True)))

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Ops:
        """Count steps."""
        units = [step.unit for step in steps]
        return cls(*(units.count(unit) for unit in cls._fields))


class Turn(NamedTuple):
    """One pass over a row: operations per element; behind the last one, those of a tree's step and on one lane."""

    per_element: Ops
    trees: Ops = Ops()
    scalars: Ops = Ops()


class Program(NamedTuple):
    """The work of a layer.

    Attributes
    ----------
    steps : tuple of Step
        Of independent elements; empty for layers that reduce rows, whose steps the kernel holds.
    window : int
        Taps per element: the operands before this one may lie outside the image.
    start : int or None
        First value of the accumulator; None starts with operand 0.
    real : bool
        float64 values; else int64.
    per_tap, per_element : Ops
        Of each tap inside the image, and of each element besides.
    length : int
        Elements of a row that is reduced; 0 where elements are independent.
    trees, scalars : Ops
        Per row: reductions over its partial results by unit, and operations on one lane.
    turns : tuple of Turn
        How a row is worked on that does not fit: pass by pass.
    """

    steps: tuple[Step, ...]
    per_element: Ops
    real: bool
    window: int = 0
    start: int | None = None
    per_tap: Ops = Ops()
    length: int = 0
    trees: Ops = Ops()
    scalars: Ops = Ops()
    turns: tuple[Turn, ...] = ()


_COPY = (Step("ADD", "add"),)
_CLIP = (Step("MAX", "compare"), Step("MIN", "compare", const=6))
_LOGISTIC = (Step("EXP_NEG", "special"), Step("ADD", "add", const=1))
_HARD = (
    Step("MUL", "mul", const=1 / 6), Step("ADD", "add", const=0.5),
    Step("MAX", "compare"), Step("MIN", "compare", const=1),
)  # fmt: skip
_LERP = (Step("SUB", "add"), Step("MUL", "mul", const=1), Step("ADD", "add"))
UNARY: dict[str, tuple[Step, ...]] = {
    "relu": (Step("MAX", "compare"),),
    "copy": _COPY,
    "cast": _COPY,
    "neg": (Step("NEG", "add"),),
    "abs": (Step("ABS", "compare"),),
    "clip": _CLIP,
    "clip6": _CLIP,
    "exp": (Step("EXP", "special"),),
    "tanh": (Step("TANH", "special"),),
    "erf": (Step("ERF", "special"),),
    "sigmoid": (*_LOGISTIC, Step("UNDER", "special", const=1)),
    "swish": (*_LOGISTIC, Step("UNDER", "special", 0)),
    "hardsigmoid": _HARD,
    "hardswish": (*_HARD, Step("MUL", "mul", 0)),
    "leakyrelu": (Step("MUL", "mul", const=LEAK), Step("MAX", "compare", 0)),
    "floor": _COPY,
    "ceil": _COPY,
    "round": _COPY,
    "sign": (Step("MIN", "compare", const=1), Step("MAX", "compare", const=-1)),
    "not": (Step("EQUAL", "compare"),),
    "sqrt": (Step("ROOT", "special"),),
    "reciprocal": (Step("UNDER", "special", const=1),),
    "log": (Step("LOG", "special"),),
    "sin": (Step("SIN", "special"),),
    "cos": (Step("COS", "special"),),
    "softplus": (Step("EXP", "special"), Step("ADD", "add", const=1), Step("LOG", "special")),
    "softsign": (Step("ABS", "compare"), Step("ADD", "add", const=1), Step("UNDER", "special", 0)),
    "elu": (
        Step("EXP", "special"), Step("SUB", "add", const=1), Step("MUL", "mul", const=1), Step("KEEP", "compare", 0),
    ),
    "quantize": (
        Step("MUL", "mul", const=1), *_COPY, Step("MAX", "compare", const=-128), Step("MIN", "compare", const=127),
    ),
    "linear": _LERP,
    "bilinear": _LERP * 3,
    "trilinear": _LERP * 7,
    "gelu": (
        Step("MUL", "mul", const=1 / sqrt(2)), Step("ERF", "special"), Step("ADD", "add", const=1),
        Step("MUL", "mul", 0), Step("MUL", "mul", const=0.5),
    ),
    # x times the logistic function of 2 sqrt(2 / pi) (x + 0.044715 x^3), which is x (1 + tanh(half of that)) / 2
    "gelu_tanh": (
        Step("MUL", "mul", 0), Step("MUL", "mul", const=GELU_CUBE), Step("ADD", "add", const=1), Step("MUL", "mul", 0),
        Step("MUL", "mul", const=GELU_SLOPE), *_LOGISTIC, Step("UNDER", "special", 0),
    ),
}  # fmt: skip
"""Steps of an operation on one operand."""
BINARY = {
    "add": ("ADD", "add"),
    "sum": ("ADD", "add"),
    "sub": ("SUB", "add"),
    "mul": ("MUL", "mul"),
    "max": ("MAX", "compare"),
    "min": ("MIN", "compare"),
    "div": ("DIV", "special"),
    "pow": ("POWER", "special"),
    "mod": ("REMAINDER", "special"),
    "equal": ("EQUAL", "compare"),
    "greater": ("GREATER", "compare"),
    "greaterorequal": ("AT_LEAST", "compare"),
    "less": ("LESS", "compare"),
    "lessorequal": ("AT_MOST", "compare"),
    "and": ("AND", "compare"),
    "or": ("OR", "compare"),
    "xor": ("XOR", "compare"),
}
"""The step that takes each operand after the first."""
INTEGER = (
    "relu", "copy", "cast", "neg", "abs", "clip", "clip6", "floor", "ceil", "round", "sign", "not", "quantize",
    "linear", "bilinear", "trilinear", "add", "sum", "sub", "mul", "max", "min", "equal", "greater", "greaterorequal",
    "less", "lessorequal", "and", "or", "xor", "where", "prelu",
)  # fmt: skip
OTHERS = ("where", "prelu")
"""Operations on several operands whose steps differ by operand."""


def program(view: LayerView) -> Program:
    """Return the program of a layer that the engine supports."""
    shape = view.shape
    if isinstance(shape, Elementwise):
        steps = _elementwise(shape.op, len(view.inputs) + len(view.weights))
        return Program(steps, Ops.of(steps), shape.op not in INTEGER)
    if isinstance(shape, Pool):
        return _pool(shape)
    if isinstance(shape, Softmax):
        turns = (Turn(Ops(compare=1), Ops(compare=1)), Turn(Ops(2, 0, 0, 1), Ops(1)), Turn(Ops(1, 0, 0, 2)))
        return Program((), Ops(2, 0, 1, 2), True, length=shape.length, trees=Ops(1, 0, 1), turns=turns)
    assert isinstance(shape, Normalization)
    if shape.op == "layer":
        gain = Ops(len(view.weights) > 1, len(view.weights) > 0)
        turns = (
            Turn(Ops(1), Ops(1), Ops(0, 0, 0, 1)),
            Turn(Ops(2, 1), Ops(1), Ops(1, 0, 0, 2)),
            Turn(Ops(1, 1).plus(gain)),
        )
        length, trees, scalars = shape.shape[-1], Ops(2), Ops(1, 0, 0, 3)
        return Program((), Ops(3, 2).plus(gain), True, length=length, trees=trees, scalars=scalars, turns=turns)
    if shape.op == "lrn":
        return _lrn(shape.size)
    steps = (Step("MUL", "mul", const=1), *_COPY)
    return Program(steps, Ops.of(steps), True)


def _elementwise(op: str, operands: int) -> tuple[Step, ...]:
    if op in UNARY:
        return UNARY[op]
    if op == "where":  # the condition first; a lone choice stands against a constant
        names = ("PICK", "CHOOSE", "CHOOSE")
        return tuple(Step(names[i - 1], "compare", i) for i in range(1, operands)) or (Step("ADD", "compare"),)
    if op == "prelu":
        slope = 1 if operands > 1 else -1
        return (Step("MUL", "mul", slope, 1), Step("KEEP", "compare", 0))
    name, unit = BINARY[op]
    # a lone operand meets a constant of the network, whose value is not known: its own value stays
    return tuple(Step(name, unit, i) for i in range(1, operands)) or (Step("ADD", unit),)


def _pool(pool: Pool) -> Program:
    window = pool.r * pool.s
    if pool.op in ("max", "min"):
        steps = tuple(Step(pool.op.upper(), "compare", tap) for tap in range(window))
        return Program(steps, Ops(), False, window, LOWEST if pool.op == "max" else HIGHEST, Ops(compare=1))
    steps = tuple(Step("ADD", "add", tap) for tap in range(window))
    if pool.op == "sum":
        return Program(steps, Ops(), False, window, 0, Ops(add=1))
    return Program((*steps, Step("DIV", "special", window)), Ops(special=1), True, window, 0, Ops(add=1))


def _lrn(size: int) -> Program:
    taps = [(Step("SQUARE", "mul", tap), Step("ADD_SQUARE", "add", tap)) for tap in range(size)]
    rest = (
        Step("MUL", "mul", const=LRN_ALPHA / size),
        Step("ADD", "add", const=LRN_BIAS),
        Step("POWER", "special", const=LRN_BETA),
        Step("UNDER", "special", (size - 1) // 2),
    )
    steps = (*(step for tap in taps for step in tap), *rest)
    return Program(steps, Ops.of(rest), True, size, 0, Ops(add=1, mul=1))


class Counts(NamedTuple):
    """What a tile costs: cycles, lane-cycles by cause (the pipeline's latency apart), operations by unit."""

    cycles: int
    busy: int
    padding: int
    unmapped: int
    imbalance: int
    add: int
    mul: int
    compare: int
    special: int

    @property
    def ops(self) -> Ops:
        """Operations by unit."""
        return Ops(self.add, self.mul, self.compare, self.special)


def account(counts: Counts, fill: int) -> dict[str, int]:
    """Return lane-cycles by cause; ``fill`` are those of the pipeline's latency."""
    causes = {cause: getattr(counts, cause) for cause in ("busy", "padding", "unmapped", "imbalance")}
    return causes | {"fill_drain": fill}


def events(counts: Counts) -> dict[Event, int]:
    """Return the operations."""
    return {Event("lanes", unit): count for unit, count in counts.ops._asdict().items()}


class Tree(NamedTuple):
    """How a reduced row is combined: its partial results, all of them but one, and the steps that combine them."""

    partials: int
    others: int
    depth: int

    @classmethod
    def of(cls, lanes: int, length: int) -> Tree:
        """Return the tree of a row of ``length`` elements, nothing for elements that are independent (0)."""
        partials = min(lanes, length)
        others = max(0, partials - 1)
        return cls(partials, others, others.bit_length())


class Pace(NamedTuple):
    """What a program takes on some lanes: numbers of one layer, or arrays over many.

    Attributes
    ----------
    lanes, special, latency : int
        The unit: lanes, cycles of a special operation, pipeline depth.
    element, row : int
        Cycles of a group of lanes per element, and of a row beside those of its elements.
    row_ops : Ops
        Operations of a row beside those of its elements.
    """

    program: Program
    lanes: int
    special: int
    latency: int
    element: int
    row: int
    row_ops: Ops

    @classmethod
    def of(cls, p: Program, tree: Tree, lanes: int, special: int, latency: int) -> Pace:
        """Return the pace of a program on a unit."""
        element = p.per_element.cycles(special) + p.window * p.per_tap.cycles(special)
        row = p.trees.times(tree.depth).plus(p.scalars).cycles(special)
        return cls(p, lanes, special, latency, element, row, p.trees.times(tree.others).plus(p.scalars))

    def cost(self, elements: int, taps: int, rows: int, groups: int, tiles: int = 1) -> Counts:
        """Return the cost of tiles that take so many ``groups`` of lanes together; see `tile_cost`."""
        p, special, lanes = self.program, self.special, self.lanes
        ops = p.per_element.times(elements).plus(p.per_tap.times(taps)).plus(self.row_ops.times(rows))
        return Counts(
            groups * self.element + rows * self.row + tiles * self.latency,
            ops.cycles(special),
            (elements * p.window - taps) * p.per_tap.cycles(special),
            (groups * lanes - elements) * self.element,
            rows * (lanes * self.row - self.row_ops.cycles(special)),
            *ops,
        )


def tile_cost(p: Program, lanes: int, special: int, latency: int, elements: int, taps: int) -> Counts:
    """Return the cost of a tile in closed form.

    Parameters
    ----------
    p : Program
    lanes, special, latency : int
        The unit: lanes, cycles of a special operation, pipeline depth.
    elements : int
        Output elements, whole rows of them where rows are reduced.
    taps : int
        Window taps inside the image, of all elements together.
    """
    rows, groups = 0, ceil_div(elements, lanes)
    if p.length:
        rows = elements // p.length
        groups = rows * ceil_div(p.length, lanes)
    return Pace.of(p, Tree.of(lanes, p.length), lanes, special, latency).cost(elements, taps, rows, groups)
