"""Control flow whose course is known: the branch of an If, the turns of a Loop or Scan, with names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from accelsim.workload.onnx.node import Node

FIRST_AXES_INPUT = 13
"""Operator set from which on Unsqueeze takes its axes as an input."""


class Inlined(NamedTuple):
    """What stands in place of an operator: nodes, and constants that came with them."""

    nodes: list[Any]
    constants: list[Any]


def branch(node: Node, holds: bool) -> Inlined | None:
    """Return the branch of an ``If``; None if the file's does not give what the operator gives."""
    wanted = "then_branch" if holds else "else_branch"
    graph = next((a.g for a in node.proto.attribute if a.name == wanted), None)
    if graph is None or len(graph.output) != len(node.proto.output):
        return None
    return inline(graph, node, {}, [value.name for value in graph.output], list(node.proto.output))


def inline(
    graph: Any, node: Node, names: Mapping[str, str], inner: list[str], outer: list[str], turn: str = ""
) -> Inlined:
    """Return the nodes of an inner graph with names of their own.

    Parameters
    ----------
    graph : onnx.GraphProto
    node : Node
        The operator that runs it.
    names : mapping
        Inputs of the inner graph -> names outside.
    inner, outer : list of str
        Results of the inner graph, and what they are called outside; an empty name is not used.
    turn : str
        What tells several runs apart.
    """
    prefix = f"{node.label}{turn}/"
    made = {name for inside in graph.node for name in inside.output if name}
    found = dict(names)
    found |= {name: prefix + name for name in (*made, *(tensor.name for tensor in graph.initializer))}
    copies = []
    for name, out in zip(inner, outer, strict=True):
        if out and name in made and found[name] == prefix + name:
            found[name] = out
        elif out:
            copies.append((name, out))
    nodes = [renamed(inside, found, prefix) for inside in graph.node]
    for name, out in copies:
        same = type(node.proto)(op_type="Identity", input=[found.get(name, name)], output=[out])
        nodes.append(same)
    constants = []
    for tensor in graph.initializer:
        copy = type(tensor)()
        copy.CopyFrom(tensor)
        copy.name = found[tensor.name]
        constants.append(copy)
    return Inlined(nodes, constants)


def renamed(proto: Any, names: Mapping[str, str], prefix: str = "") -> Any:
    """Return a copy of a node with other names for tensors, in graphs of its own too."""
    copy = type(proto)()
    copy.CopyFrom(proto)
    if prefix and copy.name:
        copy.name = prefix + copy.name
    copy.input[:] = [names.get(name, name) for name in proto.input]
    copy.output[:] = [names.get(name, name) for name in proto.output]
    for attribute in copy.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            _rename(graph, names)
    return copy


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give tensors from outside other names in a graph, which may have tensors of the same name."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= _made(graph.node)
    seen = {name: to for name, to in names.items() if name not in own}
    for i, node in enumerate(graph.node):
        graph.node[i].CopyFrom(renamed(node, seen))
    for value in graph.output:
        value.name = seen.get(value.name, value.name)


def _made(nodes: Iterable[Any]) -> set[str]:
    return {name for node in nodes for name in node.output}


def loop(node: Node, turns: int) -> Inlined | None:
    """Return the turns of a ``Loop`` one behind the other; None if something else than their number ends it.

    What each turn gives besides is stacked along a new first dimension.
    """
    body = next((a.g for a in node.proto.attribute if a.name == "body"), None)
    carried = len(node.proto.input) - 2
    if body is None or len(body.input) != carried + 2 or len(body.output) < carried + 1 or not _goes_on(body):
        return None
    found = Inlined([], [_constant(f"{node.label}/on", True)])
    state = list(node.proto.input[2:])
    rows: list[list[str]] = [[] for _ in body.output[carried + 1 :]]
    for turn in range(turns):
        number = f"{node.label}/turn{turn}"
        found.constants.append(_constant(number, turn))
        given = dict(zip((value.name for value in body.input), (number, f"{node.label}/on", *state), strict=True))
        state = _turn(node, body, given, [value.name for value in body.output[1:]], turn, carried, rows, found)
    return _finished(node, state, rows, [0] * len(rows), found)


def scan(node: Node, turns: int, ranks: list[int]) -> Inlined | None:
    """Return the turns of a ``Scan`` (operator set 9): one for each position of its last inputs.

    ``ranks`` are the dimensions of those inputs. None for what cannot be followed.
    """
    body = next((a.g for a in node.proto.attribute if a.name == "body"), None)
    scanned = node.integer("num_scan_inputs", 0)
    carried = len(node.proto.input) - scanned
    if body is None or scanned < 1 or len(body.input) != len(node.proto.input) or len(body.output) < carried:
        return None
    many = len(body.output) - carried
    axes = node.integers("scan_input_axes", (0,) * scanned)
    backward = node.integers("scan_input_directions", (0,) * scanned)
    stacked = list(node.integers("scan_output_axes", (0,) * many))
    if any(node.integers("scan_output_directions", (0,) * many)) or len(axes) != scanned or len(stacked) != many:
        return None
    found = Inlined([], [])
    state = list(node.proto.input[:carried])
    rows: list[list[str]] = [[] for _ in range(many)]
    for turn in range(turns):
        parts = []
        for i, name in enumerate(node.proto.input[carried:]):
            at, part = f"{node.label}/at{turn}.{i}", f"{node.label}/in{turn}.{i}"
            found.constants.append(_constant(at, turns - 1 - turn if backward[i] else turn))
            found.nodes.append(_node("Gather", [name, at], part, axis=axes[i] % ranks[i]))
            parts.append(part)
        given = dict(zip((value.name for value in body.input), (*state, *parts), strict=True))
        state = _turn(node, body, given, [value.name for value in body.output], turn, carried, rows, found)
    return _finished(node, state, rows, stacked, found)


def _turn(
    node: Node, body: Any, given: Mapping[str, str], results: list[str], turn: int, carried: int,
    rows: list[list[str]], found: Inlined,
) -> list[str]:  # fmt: skip
    """Add one turn; return what it carries on."""
    outer = [f"{node.label}/out{turn}.{i}" for i in range(len(results))]
    inside = inline(body, node, given, results, outer, f"{turn}")
    found.nodes.extend(inside.nodes)
    found.constants.extend(inside.constants)
    for row, name in zip(rows, outer[carried:], strict=True):
        row.append(name)
    return outer[:carried]


def _finished(node: Node, state: list[str], rows: list[list[str]], axes: list[int], found: Inlined) -> Inlined | None:
    """Give the last state and the stacked results the names that the operator gives them."""
    outputs = list(node.proto.output)
    for name, out in zip(state, outputs, strict=False):
        if out:
            found.nodes.append(_node("Identity", [name], out))
    for i, (row, axis) in enumerate(zip(rows, axes, strict=True)):
        out = outputs[len(state) + i] if len(state) + i < len(outputs) else ""
        if not out:
            continue
        if not row:
            return None
        place = f"{node.label}/axis{i}"
        if node.opset < FIRST_AXES_INPUT:
            found.nodes.extend(_node("Unsqueeze", [name], f"{name}.row", axes=[axis]) for name in row)
        else:
            found.constants.append(_constant(place, axis, many=True))
            found.nodes.extend(_node("Unsqueeze", [name, place], f"{name}.row") for name in row)
        found.nodes.append(_node("Concat", [f"{name}.row" for name in row], out, axis=axis))
    return found


def _goes_on(body: Any) -> bool:
    """Whether the body's condition is the one that it was given, or always true."""
    name, given = body.output[0].name, body.input[1].name
    makers = {out: inside for inside in body.node for out in inside.output}
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    if name == given:
        return True
    from onnx import numpy_helper

    stored = [tensor for tensor in body.initializer if tensor.name == name]
    if name in makers and makers[name].op_type == "Constant":
        stored = [a.t for a in makers[name].attribute if a.name == "value"]
    return bool(stored) and bool(numpy_helper.to_array(stored[0]).all())


def _node(op: str, inputs: list[str], out: str, **attributes: int | list[int]) -> Any:
    from onnx import helper

    return helper.make_node(op, inputs, [out], **attributes)


def _constant(name: str, value: bool | int, many: bool = False) -> Any:
    import numpy as np
    from onnx import numpy_helper

    array: Any = np.array(value, np.bool_ if isinstance(value, bool) else np.int64)
    return numpy_helper.from_array(array.reshape(1) if many else array, name)
