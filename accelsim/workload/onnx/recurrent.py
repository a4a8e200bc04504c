"""LSTM, GRU and RNN as products: the inputs of all steps at once, then each step's state, gate by gate.

Source: ONNX operators LSTM, GRU and RNN: W is (directions, gates x hidden, inputs), R (directions, gates x hidden,
hidden), B both biases of each direction; gates in the order i o f c, and z r h. The state that a GRU keeps is computed
as n + z (h - n). A state that nobody gives is a tensor of the first step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.work import Weight, Work, inner
from accelsim.workload.shapes import Dims, Elementwise, Linear, View

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
MAX_STEPS = 2048
"""More steps than this, of all directions together, are refused: each of them is some layers."""
ACTIVATIONS = {
    "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "hardsigmoid": "hardsigmoid", "softsign": "softsign",
    "softplus": "softplus", "leakyrelu": "leakyrelu", "elu": "elu",
}  # fmt: skip
DEFAULTS = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}


def recurrent(node: Node) -> list[Work]:
    """Return a recurrent layer of one or two directions."""
    x, w, r = (node.shape(node.input(i)) for i in range(3))
    if not len(x) == len(w) == len(r) == 3:
        raise RefusedError(f"its input and filters have {len(x)}, {len(w)} and {len(r)} dimensions in place of 3")
    first = node.integer("layout", 0) == 1
    directions, hidden = w[0], r[2]
    steps, batch = (x[1], x[0]) if first else (x[0], x[1])
    _check(node, w, r, hidden, steps * directions)
    if steps * directions > MAX_STEPS:
        raise RefusedError(f"{steps * directions:,} steps are more than {MAX_STEPS:,}")
    functions = _functions(node, directions)
    works: list[Work] = []
    finals: list[tuple[str, str]] = []
    states: list[list[str]] = []
    for d in range(directions):
        backward = d == 1 or node.text("direction", "forward") == "reverse"
        cell = _Cell(node, d, directions, backward, first, steps, batch, hidden, x, functions[d], works)
        finals.append(cell.run())
        states.append(cell.states)
    works += _results(node, steps, batch, hidden, directions, first, states, finals)
    return works


def _check(node: Node, w: Dims, r: Dims, hidden: int, steps: int) -> None:
    gates = GATES[node.op]
    if not node.constant(node.input(1)) or not node.constant(node.input(2)):
        raise RefusedError("its filters are no constants")
    if w[1] != gates * hidden or r[1] != w[1] or w[0] not in (1, 2) or r[0] != w[0]:
        raise RefusedError(f"its filters {list(w)} and {list(r)} do not fit {gates} gates")
    if node.op == "LSTM" and node.optional(7):
        raise RefusedError("its peepholes are not supported")
    if node.has("clip"):
        raise RefusedError("its clip of cell inputs is not supported")
    if node.op == "LSTM" and node.integer("input_forget", 0):
        raise RefusedError("its coupled input and forget gates are not supported")
    if node.optional(3) and not node.constant(node.optional(3)):
        raise RefusedError("its biases are no constants")
    lengths = node.optional(4)
    if lengths and (not node.constant(lengths) or set(node.numbers(lengths)) != {steps // w[0]}):
        raise RefusedError("its sequences have lengths of their own")


def _functions(node: Node, directions: int) -> list[tuple[str, ...]]:
    """Return the activation functions of each direction."""
    default = DEFAULTS[node.op]
    given = [text.lower() for text in node.texts("activations")] or list(default * directions)
    known = [ACTIVATIONS.get(name, "") for name in given]
    if not all(known) or len(known) != len(default) * directions:
        raise RefusedError(f"its activations {', '.join(given)} are not supported")
    each = len(default)
    return [tuple(known[d * each : (d + 1) * each]) for d in range(directions)]


@dataclass
class _Cell:
    """One direction; ``works`` grow step by step."""

    node: Node
    d: int
    directions: int
    backward: bool
    first: bool
    steps: int
    batch: int
    hidden: int
    x: Dims
    functions: tuple[str, ...]
    works: list[Work]
    states: list[str] = field(default_factory=list)

    @property
    def side(self) -> str:
        return "reverse" if self.backward else "forward"

    def run(self) -> tuple[str, str]:
        """Add the steps; return the last state, and the last cell state of an LSTM."""
        gates, node = GATES[self.node.op] * self.hidden, self.node
        linear = Linear(self.steps * self.batch, self.x[2], gates)
        everything = self._add("inputs", linear, (node.input(0),), self._weights(1, self.x[2], gates, 0))
        state = self._initial(5, "h")
        cell = self._initial(6, "c") if node.op == "LSTM" else ""
        order = range(self.steps - 1, -1, -1) if self.backward else range(self.steps)
        whole = (self.batch, self.steps, gates) if self.first else (self.steps, self.batch, gates)
        for step in order:
            one = (self.batch, 1, gates) if self.first else (1, self.batch, gates)
            view = View("slice", (whole,), one, 1 if self.first else 0, step)
            part = self._add(f"step{step}.input", view, (everything,))
            if node.op == "LSTM":
                state, cell = self._lstm(step, part, state, cell)
            elif node.op == "GRU":
                state = self._gru(step, part, state)
            else:
                total = self._op(step, "sum", "add", self._state(step, state, 0, 1), part, of=gates)
                state = self._op(step, "state", self.functions[0], total)
            self.states.append(state)
        if self.backward:
            self.states.reverse()
        return state, cell

    def _lstm(self, step: int, part: str, state: str, cell: str) -> tuple[str, str]:
        h, (gate, inside, out) = self.hidden, self.functions
        total = self._op(step, "sum", "add", self._state(step, state, 0, 4), part, of=4 * h)
        gates = self._op(step, "gates", gate, self._cut(step, "iof", total, 4 * h, 0, 3 * h), of=3 * h)
        new = self._op(step, "new", inside, self._cut(step, "g", total, 4 * h, 3 * h, h))
        i, o, f = (self._cut(step, name, gates, 3 * h, k * h, h) for k, name in enumerate("iof"))
        kept = self._op(step, "kept", "mul", f, cell)
        added = self._op(step, "added", "mul", i, new)
        cell = self._op(step, "cell", "add", kept, added)
        return self._op(step, "state", "mul", o, self._op(step, "bounded", out, cell)), cell

    def _gru(self, step: int, part: str, state: str) -> str:
        h, (gate, inside) = self.hidden, self.functions
        after = bool(self.node.integer("linear_before_reset", 0))
        shown = self._state(step, state, 0, 3 if after else 2)
        mine = shown if not after else self._cut(step, "zr.state", shown, 3 * h, 0, 2 * h)
        total = self._op(step, "sum", "add", self._cut(step, "zr", part, 3 * h, 0, 2 * h), mine, of=2 * h)
        gates = self._op(step, "gates", gate, total, of=2 * h)
        z, r = (self._cut(step, name, gates, 2 * h, k * h, h) for k, name in enumerate("zr"))
        if after:
            old = self._op(step, "reset", "mul", r, self._cut(step, "n.state", shown, 3 * h, 2 * h, h))
        else:
            old = self._state(step, self._op(step, "reset", "mul", r, state), 2, 3)
        new_in = self._cut(step, "n", part, 3 * h, 2 * h, h)
        new = self._op(step, "new", inside, self._op(step, "new.sum", "add", new_in, old))
        moved = self._op(step, "change", "sub", state, new)
        return self._op(step, "state", "add", new, self._op(step, "kept", "mul", z, moved))

    def _state(self, step: int, state: str, begin: int, end: int) -> str:
        """Return the product of a state with the filters of some gates."""
        h = self.hidden
        weights = self._weights(2, h, (end - begin) * h, begin * h)
        word = "product" if not begin else "new.product"
        return self._add(f"step{step}.{word}", Linear(self.batch, h, (end - begin) * h), (state,), weights)

    def _weights(self, index: int, columns: int, rows: int, begin: int) -> tuple[Weight, ...]:
        """Return filters W (1) or R (2) of this direction from a row on, with their half of the biases."""
        node, gates = self.node, GATES[self.node.op] * self.hidden
        part = "" if begin == 0 and rows == gates else f".{begin // self.hidden}"
        tail = f".{self.side}{part}" if self.directions > 1 or part else ""
        name, start = node.input(index), (self.d * gates + begin) * columns
        found = [Weight(name, (rows, columns), start=start, label=name + tail)]
        bias = node.optional(3)
        if bias:
            at = (2 * self.d + index - 1) * gates + begin
            found.append(Weight(bias, (rows,), start=at, label=f"{bias}.{'WR'[index - 1]}{tail}"))
        return tuple(found)

    def _initial(self, index: int, word: str) -> str:
        """Return the state before the first step."""
        name, shape = self.node.optional(index), (self.batch, self.hidden)
        if not name or self.node.constant(name):
            return inner(self.node, f"{self.side}.{word}")
        if self.directions == 1:
            return name
        view = View("slice", ((self.directions, *shape),), (1, *shape), 0, self.d)
        if self.first:
            whole, one = (self.batch, self.directions, self.hidden), (self.batch, 1, self.hidden)
            view = View("slice", (whole,), one, 1, self.d)
        return self._add(f"{word}", view, (name,))

    def _cut(self, step: int, word: str, name: str, size: int, start: int, taken: int) -> str:
        view = View("slice", ((self.batch, size),), (self.batch, taken), 1, start)
        return self._add(f"step{step}.{word}", view, (name,))

    def _op(self, step: int, word: str, op: str, *read: str, of: int = 0) -> str:
        shape = (self.batch, of or self.hidden)
        return self._add(f"step{step}.{word}", Elementwise(op, shape, (shape,) * len(read)), read)

    def _add(
        self, part: str, shape: Linear | View | Elementwise, read: tuple[str, ...], weights: tuple[Weight, ...] = ()
    ) -> str:
        part = f"{self.side}.{part}" if self.directions > 1 or self.backward else part
        self.works.append(Work(shape, read, (inner(self.node, part),), weights, part))
        return self.works[-1].outputs[0]


def _results(
    node: Node, steps: int, batch: int, hidden: int, directions: int, first: bool, states: list[list[str]],
    finals: list[tuple[str, str]],
) -> list[Work]:  # fmt: skip
    """Return the views that place all states, the last ones, and the last cell states."""
    one = (1, batch, hidden)
    works = []
    outputs = [*node.proto.output, "", "", ""]
    shape = (batch, steps, directions, hidden) if first else (steps, directions, batch, hidden)
    listed = [states[d][t] for t in range(steps) for d in range(directions)]
    if outputs[0]:
        view = View("concat", (one,) * len(listed), (len(listed), batch, hidden), 0)
        if len(listed) == 1:
            view = View("reshape", (one,), shape)
        works.append(Work(view, tuple(listed), (outputs[0],), (), "states"))
    last = (("last", outputs[1], [h for h, _ in finals]), ("last_cell", outputs[2], [c for _, c in finals]))
    for part, name, ends in last:
        if name:
            view = View("concat" if len(ends) > 1 else "reshape", (one,) * len(ends), (directions, batch, hidden), 0)
            works.append(Work(view, tuple(ends), (name,), (), part))
    return works
