"""Constraints: readable conditions over the resolved values of a point, parsed and never evaluated as Python.

Grammar: comparisons (``== != < <= > >= in``, chains too) of sums, products, ``//``, ``%``, ``min``, ``max``, ``abs``
over numbers, quoted words, lists of them and dotted keys (``params.rows``, ``units[0].params.lanes``), joined by
``and``, ``or``, ``not``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from operator import add, eq, floordiv, ge, gt, le, lt, mod, mul, ne, sub, truediv
from typing import Any

import numpy as np

from accelsim.errors import ConfigError

MAX_LENGTH = 500
"""Characters of a condition; longer ones are refused."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv, ast.FloorDiv: floordiv, ast.Mod: mod,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: eq, ast.NotEq: ne, ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_CALLS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_HELP = "use comparisons of sums and products of keys and numbers, joined by and, or, not"


@dataclass(frozen=True)
class Condition:
    """A parsed condition: its text, and the dotted keys that it reads."""

    text: str
    keys: tuple[str, ...]
    tree: ast.expr

    def holds(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return for each point whether the condition holds.

        Parameters
        ----------
        columns : mapping
            Key -> values of all points, arrays of dtype object (exact integers of any size).

        Raises
        ------
        ConfigError
            Values that cannot be compared or computed with, a division by zero.
        """
        length = len(next(iter(columns.values())))
        try:
            found = _evaluate(self.tree, columns)
        except TypeError as error:
            problem = f"condition '{self.text}' mixes kinds of values ({error})"
            raise ConfigError(problem, "compare like with like") from None
        except ZeroDivisionError:
            raise ConfigError(f"condition '{self.text}' divides by zero", "multiply instead of dividing") from None
        return np.broadcast_to(np.asarray(found, dtype=object), (length,)).astype(bool)


def parse(text: str) -> Condition:
    """Parse a condition.

    Raises
    ------
    ConfigError
        Anything outside the grammar.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"a condition of {len(text)} characters", f"use at most {MAX_LENGTH}, or several conditions")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(f"condition '{text}' cannot be read", _HELP) from None
    keys: dict[str, None] = {}
    _check(tree, text, keys)
    if not keys:
        raise ConfigError(f"condition '{text}' names no key", "name one, for example params.rows")
    return Condition(text, tuple(keys), tree)


def _check(node: ast.expr, text: str, keys: dict[str, None]) -> None:
    """Raise for what is not in the grammar; collect the keys."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        keys[_dotted(node, text)] = None
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return
    parts = _parts(node)
    if parts is None:
        raise ConfigError(f"condition '{text}': '{ast.unparse(node)}' is not understood", _HELP)
    for part in parts:
        _check(part, text, keys)


def _parts(node: ast.expr) -> list[ast.expr] | None:
    """Return the operands of an expression of the grammar, None for anything else."""
    if isinstance(node, ast.BoolOp | ast.List | ast.Tuple):
        return node.values if isinstance(node, ast.BoolOp) else node.elts
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return [node.operand]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return [node.left, node.right]
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS and node.args:
        return None if node.keywords or any(isinstance(a, ast.Starred) for a in node.args) else node.args
    return None


def _dotted(node: ast.expr, text: str) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
        return f"{_dotted(node.value, text)}.{node.slice.value}"
    raise ConfigError(f"condition '{text}': '{ast.unparse(node)}' is not a key", "write for example params.rows")


def _each(function: Callable[..., Any], *operands: Any) -> Any:
    """Apply a function to every point; scalars stay scalars."""
    if not any(isinstance(o, np.ndarray) for o in operands):
        return function(*operands)
    return np.frompyfunc(function, len(operands), 1)(*operands)


def _arithmetic(operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Compute with numbers alone: Python would repeat words and join lists."""
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        raise TypeError(f"arithmetic on {a!r} and {b!r}")
    return operation(a, b)


def _evaluate(node: ast.expr, columns: Mapping[str, np.ndarray]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        return columns[_dotted(node, "")]
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_evaluate(part, columns) for part in node.elts)
    if isinstance(node, ast.BoolOp):
        both = (lambda a, b: a and b) if isinstance(node.op, ast.And) else (lambda a, b: a or b)
        return reduce(lambda a, b: _each(both, a, b), [_evaluate(part, columns) for part in node.values])
    if isinstance(node, ast.UnaryOp):
        negate = (lambda a: not a) if isinstance(node.op, ast.Not) else (lambda a: -a)
        return _each(negate, _evaluate(node.operand, columns))
    if isinstance(node, ast.BinOp):
        operation = partial(_arithmetic, _BINARY[type(node.op)])
        return _each(operation, _evaluate(node.left, columns), _evaluate(node.right, columns))
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return _each(_CALLS[node.func.id], *(_evaluate(part, columns) for part in node.args))
    assert isinstance(node, ast.Compare)
    return _compare(node, columns)


def _compare(node: ast.Compare, columns: Mapping[str, np.ndarray]) -> Any:
    operands = [_evaluate(part, columns) for part in (node.left, *node.comparators)]
    links = []
    for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
        if isinstance(right, tuple):
            links.append(_member(left, op, right))
        else:
            links.append(_each(_COMPARE[type(op)], left, right))
    return reduce(lambda a, b: _each(lambda x, y: bool(x and y), a, b), links)


def _member(left: Any, op: ast.cmpop, options: tuple[Any, ...]) -> Any:
    """Return whether ``left`` is one of a list's values, each of which may be a column."""
    if not isinstance(op, ast.In | ast.NotIn):
        raise TypeError("a list goes with 'in'")
    found = reduce(lambda a, b: _each(lambda x, y: x or y, a, b), [_each(eq, left, o) for o in options])
    return found if isinstance(op, ast.In) else _each(lambda x: not x, found)
