"""Model-local functions of an ONNX file put in place of their calls, once it is known what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from accelsim.errors import ConfigError
from accelsim.text import quoted

MAX_CALLED_NODES = 50_000
"""More nodes than this are not made of functions; the largest networks have some thousand."""
MAX_CALLED_BYTES = 1 << 28
"""Nor more bytes, beside what the file has: bodies may hold constants."""
MAX_NESTED = 64
"""Functions that call functions deeper than this are refused."""

Name: TypeAlias = tuple[str, str, str]
"""Domain, name and overload of a function."""


class Cost(NamedTuple):
    """What a call of a function becomes: nodes, bytes, and levels of functions inside."""

    nodes: int
    size: int
    depth: int


def inlined(model: Any, shown: str) -> Any:
    """Return the model without functions of its own.

    Raises
    ------
    ConfigError
        Functions that call themselves, are nested too deeply, become too much, or that onnx cannot expand.
    """
    if not model.functions:
        return model
    _check(model, shown)
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # a compiled library: it raises types of its own
        problem = f"its functions cannot be expanded ({quoted(error)})"
        raise ConfigError(problem, "export it without functions", file=shown) from None


def _check(model: Any, shown: str) -> None:
    bodies = {(f.domain, f.name, getattr(f, "overload", "")): f for f in model.functions}
    calls = {name: [c for c in _called(body.node) if c in bodies] for name, body in bodies.items()}
    costs: dict[Name, Cost] = {}
    for name in calls:
        _cost(name, bodies, calls, costs, shown)
    total = [costs[name] for name in _called(model.graph.node) if name in bodies]
    nodes, size = sum(c.nodes for c in total), sum(c.size for c in total)
    if nodes > MAX_CALLED_NODES or size > MAX_CALLED_BYTES:
        what = f"more than {MAX_CALLED_NODES:,} nodes" if nodes > MAX_CALLED_NODES else "more than 256 MiB"
        raise ConfigError(f"its functions become {what}", "export it without functions", file=shown)


def _cost(
    first: Name, bodies: dict[Name, Any], calls: dict[Name, list[Name]], costs: dict[Name, Cost], shown: str
) -> None:
    """Enter the costs of a function and of all that it calls; with a stack of its own, however long the chain is."""
    stack, open_ = [(first, iter(calls[first]))], {first}
    if first in costs:
        return
    while stack:
        name, rest = stack[-1]
        for inner in rest:
            if inner in open_:
                raise ConfigError(f"its function '{inner[1]}' calls itself", "correct the model", file=shown)
            if inner not in costs:
                stack.append((inner, iter(calls[inner])))
                open_.add(inner)
                break
        else:
            inside = [costs[inner] for inner in calls[name]]
            depth = 1 + max((c.depth for c in inside), default=0)
            if depth > MAX_NESTED:
                problem = f"its functions are nested more than {MAX_NESTED} deep"
                raise ConfigError(problem, "export it without functions", file=shown)
            body = bodies[name]
            costs[name] = Cost(
                sum(1 for _ in _called(body.node)) + sum(c.nodes for c in inside),
                body.ByteSize() + sum(c.size for c in inside),
                depth,
            )
            stack.pop()
            open_.discard(name)


def _called(nodes: Any) -> Iterator[Name]:
    """Yield what every node calls, those in branches and loop bodies included."""
    for node in nodes:
        yield node.domain, node.op_type, getattr(node, "overload", "")
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _called(graph.node)
