"""Control flow whose course is known: the branch of an If in its place, its names told apart from all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from accelsim.workload.onnx.node import Node


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
