"""Layer names of ONNX graphs: PyTorch's module paths, else the exporter's, else the filters', else operator and number.

A layer that multiplies has the path of its module (``layer1.0.conv2``), any other one its operator behind it
(``layer1.0.add``), so that patterns such as ``layer1.*`` take a block whole.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_EMPTY = re.compile(r"[A-Za-z]?_?\d*$")
"""Node names such as 'n12' say nothing."""
_SUFFIX = re.compile(r"([._/](weights?|kernel|w|W)([._]\d+)?(/read)?(:0)?)$")
"""What exporters append to a layer's name to call its filters."""


SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata of a node in which PyTorch's exporter lists the modules around it, the innermost last but one."""


class Label(NamedTuple):
    """What names a layer: its node's name, operator, filters (or ''), module path (or '')."""

    node: str
    op: str
    filters: str = ""
    module: str = ""


def module_path(node: str, op: str, scopes: str = "") -> str:
    """Return the path of a node's module, '' where it is not known or the whole model.

    Parameters
    ----------
    node, op : str
        Name and operator. PyTorch's older exporter names nodes ``/layer1/layer1.0/conv2/Conv``, where a module of a
        container repeats the container's name.
    scopes : str
        What the newer one says under `SCOPES`.
    """
    if scopes:
        try:
            found = ast.literal_eval(scopes)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ""
        listed = isinstance(found, list) and len(found) > 1 and all(isinstance(name, str) for name in found)
        return found[-2] if listed else ""
    first, *modules, last = node.split("/") if node.count("/") > 1 else ("-", "")
    if first or not re.fullmatch(rf"{re.escape(op)}(_\d+)?", last):
        return ""
    path: list[str] = []
    for name in modules:
        if path and name.startswith(f"{path[-1]}."):
            path.pop()
        path.append(name)
    return ".".join(path)


def layer_names(labels: Sequence[Label]) -> list[str]:
    """Return one distinct name per layer."""
    labels = [label._replace(node=_of_module(label)) for label in labels]
    stems = [_SUFFIX.sub("", label.filters) if _EMPTY.match(label.node) else "" for label in labels]
    stems = ["" if _EMPTY.match(stem) else stem for stem in stems]
    scope = _common_scope([stem for stem in stems if stem])
    numbers: Counter[str] = Counter()
    taken: set[str] = set()
    last: dict[str, int] = {}  # where the search for a free name ended: all nodes may have one name
    names = []
    for (node, op, _, _), stem in zip(labels, stems, strict=True):
        word = _word(op)
        numbers[word] += 1
        name = stem.removeprefix(scope) or (f"{word}{numbers[word]}" if _EMPTY.match(node) else node)
        distinct, copies = name, last.get(name, 1)
        while distinct in taken:
            copies += 1
            distinct = f"{name}.{copies}"
        last[name] = copies
        taken.add(distinct)
        names.append(distinct)
    return names


def _word(op: str) -> str:
    return op.rpartition(".")[2].lower().replace("normalization", "norm").replace("average", "avg")


def _of_module(label: Label) -> str:
    """Return the name that a layer has by its module, or its node's."""
    if not label.module:
        return label.node
    own = _SUFFIX.sub("", label.filters)
    if label.filters:  # a module's weight says which one; what is folded has a name of the exporter's making
        return own if own != label.filters and own.startswith(label.module.rpartition(".")[0]) else label.module
    word = _word(label.op)
    return label.module if label.module.rpartition(".")[2].startswith(word) else f"{label.module}.{word}"


def _common_scope(stems: Sequence[str]) -> str:
    """Return the folders that all names share, such as 'gpu_0/'."""
    first, last = min(stems, default=""), max(stems, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]
