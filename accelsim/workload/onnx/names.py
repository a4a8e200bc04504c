"""Layer names for ONNX graphs: the exporter's where it gave any, else the filters', else operator and number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_EMPTY = re.compile(r"[A-Za-z]?_?\d*$")
"""Node names such as 'n12' say nothing."""
_SUFFIX = re.compile(r"([._/](weights?|kernel|w|W)([._]\d+)?(/read)?(:0)?)$")
"""What exporters append to a layer's name to call its filters."""


def layer_names(labels: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return one distinct name per layer.

    Parameters
    ----------
    labels : sequence of (node name, operator, name of the filters or '')
    """
    stems = [_SUFFIX.sub("", filters) if _EMPTY.match(node) else "" for node, _, filters in labels]
    stems = ["" if _EMPTY.match(stem) else stem for stem in stems]
    scope = _common_scope([stem for stem in stems if stem])
    numbers: Counter[str] = Counter()
    taken: set[str] = set()
    last: dict[str, int] = {}  # where the search for a free name ended: all nodes may have one name
    names = []
    for (node, op, _), stem in zip(labels, stems, strict=True):
        word = op.rpartition(".")[2].lower().replace("normalization", "norm").replace("average", "avg")
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


def _common_scope(stems: Sequence[str]) -> str:
    """Return the folders that all names share, such as 'gpu_0/'."""
    first, last = min(stems, default=""), max(stems, default="")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]
