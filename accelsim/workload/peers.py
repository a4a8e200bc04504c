"""Workload files of other tools, read where they are products and convolutions: ZigZag's layers, Timeloop's problem.

Formats: ZigZag, `docs/source/workload.rst` (a list of layers with equation, loop_dims and loop_sizes); Timeloop,
`problem` with shape, data spaces and instance, versions 0.3 and 0.4. Both describe loops over index expressions. What
each dimension is follows from the operands that it indexes, whatever it is called:

========================= ==================
indexes                   is
========================= ==================
weight, input, output     a group
weight, input             a reduced channel
weight, output            an output channel
input, output             part of the batch
weight, and a sum of      a row or column of
the input                 the filter
output, and the same sum  a row or column of
of the input              the output
========================= ==================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from accelsim.config.yamlfile import Document, KeyPath
from accelsim.workload.check import illegal
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Product

LISTED = "layers"
"""Key under which a file that is a list has its items."""
OTHERS = {
    "architecture": "a Timeloop architecture", "mapping": "a Timeloop mapping", "mapper": "Timeloop's mapper options",
    "components": "Timeloop components", "operational_array": "a ZigZag accelerator",
    "memories": "a ZigZag accelerator",
}  # fmt: skip
"""Top-level keys of files that are no networks."""
TIMELOOP_CONV: dict[str, list[list[list[str]]]] = {
    "Weights": [[["C"]], [["M"]], [["R"]], [["S"]]],
    "Inputs": [[["N"]], [["C"]], [["R", "Wdilation"], ["P", "Wstride"]], [["S", "Hdilation"], ["Q", "Hstride"]]],
    "Outputs": [[["N"]], [["M"]], [["Q"]], [["P"]]],
}
"""Timeloop's own shape ``cnn-layer``."""
_ACCESS = re.compile(r"(\w+)((?:\[\w+\])+)")
_SUM = re.compile(r"(\w+)=(?:(\d+)\*)?(\w+)\+(?:(\d+)\*)?(\w+)$")


class Window(NamedTuple):
    """A sum of the input: dimensions of output and filter, and their factors."""

    out: str
    tap: str
    stride: int
    dilation: int


@dataclass(frozen=True)
class Loops:
    """Loops over index expressions: what each operand is indexed by, sums of the input apart."""

    sizes: Mapping[str, int]
    weight: frozenset[str]
    input: frozenset[str]
    output: frozenset[str]
    windows: tuple[Window, ...]

    def shape(self) -> Product | str:
        """Return the product or convolution, or why it is none."""
        taps, outs = ({getattr(window, end) for window in self.windows} for end in ("tap", "out"))
        if len(self.windows) > 2:
            return "its windows have more than two dimensions"
        found: dict[str, int] = dict.fromkeys("gckn", 1)
        kinds = {(1, 1, 1): "g", (1, 1, 0): "c", (1, 0, 1): "k", (0, 1, 1): "n"}
        for name, size in self.sizes.items():
            inside = tuple(int(name in part) for part in (self.weight, self.input, self.output))
            if name in taps or name in outs:
                if inside != ((1, 0, 0) if name in taps else (0, 0, 1)):
                    return f"dimension {name} is part of a window and indexes other operands than a window's do"
            elif inside not in kinds:
                return f"dimension {name} indexes {sum(inside)} of the three operands outside a window"
            else:
                found[kinds[inside]] *= size
        g, c, k, n = found.values()
        if not self.windows:
            return Linear(n, c, k) if g == 1 else Matmul(g, n, k, c)
        sides = [(self.sizes[w.out], self.sizes[w.tap], w.stride, w.dilation) for w in self.windows]
        rows, cols = sides if len(sides) == 2 else ((1, 1, 1, 1), sides[0])
        h, w = ((e - 1) * stride + (r - 1) * dilation + 1 for e, r, stride, dilation in (rows, cols))
        stride, dilation = (rows[2], cols[2]), (rows[3], cols[3])
        return Conv2d(n, g * c, g * k, h, w, rows[1], cols[1], g, stride, dilation=dilation)


def network(document: Document) -> Network | None:
    """Return the network of another tool's workload file; None for what is none.

    Raises
    ------
    ConfigError
        A file of another tool that is no workload, or none of products and convolutions: it is named for what it is.
    """
    data = document.data
    if document.listed:
        items = data[LISTED]
        if not items or not all(isinstance(item, dict) for item in items):
            raise document.error((), "the top level is not a mapping", "write 'key: value' lines")
        if all(isinstance(item, dict) and "loop_dims" in item for item in items):
            return _zigzag(document, items)
        if all(isinstance(item, dict) and "spatial_mapping" in item for item in items):
            raise document.error((), "is a ZigZag mapping, no network", "give the workload file")
        raise document.error((), "the top level is not a mapping", "write 'key: value' lines")
    if isinstance(problem := data.get("problem"), dict):
        return _timeloop(document, problem)
    if "layers" not in data and (key := next((key for key in OTHERS if key in data), None)):
        raise document.error((key,), f"is {OTHERS[key]}, no network", "give the workload file")
    return None


def _zigzag(document: Document, items: list[dict[str, Any]]) -> Network:
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}
    left_out, taken = Counter[str](), set[str]()
    for i, item in enumerate(items):
        kind, shape = str(item.get("operator_type")), _zigzag_shape(document, item, (LISTED, i))
        if isinstance(shape, str):
            left_out[f"{kind}: {shape}"] += 1
            continue
        name = str(item.get("name") or f"layer{item.get('id', i)}")
        name = name if name not in taken else f"{name}.{i}"
        taken.add(name)
        layer, own = make_layer(name, shape)
        bits = given if isinstance(given := item.get("operand_precision"), dict) else {}
        second = layer.weights or layer.inputs[1:]
        for tensor, key in ((layer.inputs[0], "I"), (second[0], "W"), (layer.outputs[0], "O_final")):
            width = bits.get(key, bits.get("O") if key == "O_final" else None)
            if isinstance(width, int) and not isinstance(width, bool) and width > 0:
                own[tensor] = replace(own[tensor], bits=width)
        layers.append(layer)
        tensors |= own
    if not layers:
        reasons = "; ".join(left_out)
        raise document.error((), f"a ZigZag workload without products or convolutions ({reasons})", "give another one")
    notes = [f"left out, no products: {count} layers, {reason}" for reason, count in left_out.items()]
    return _network(document, "ZigZag workload", layers, tensors, notes)


def _zigzag_shape(document: Document, item: dict[str, Any], path: KeyPath) -> Product | str:
    names, sizes = item.get("loop_dims"), item.get("loop_sizes")
    if not isinstance(names, list) or not isinstance(sizes, list) or len(names) != len(sizes):
        raise document.error((*path, "loop_sizes"), "is not one size for each of loop_dims", "write both as lists")
    loops = {
        str(name).lower(): _size(document, size, (*path, "loop_sizes")) for name, size in zip(names, sizes, strict=True)
    }
    equation = str(item.get("equation", "")).replace(" ", "")
    operands = {name: re.findall(r"\w+", inside.lower()) for name, inside in _ACCESS.findall(equation)}
    if operands.keys() != {"O", "W", "I"} or not re.fullmatch(r"O[^*+=]*\+?=[WI][^*+]*\*[WI][^*+]*", equation):
        return "its equation is no product of W and I"
    if "pool" in str(item.get("operator_type")).lower() or not set(operands["W"]) & set(operands["O"]):
        return "it reduces without filters"
    windows, inputs = [], list(operands["I"])
    for text in _list(item.get("dimension_relations")):
        found = _SUM.match(str(text).replace(" ", "").lower())
        if found is None or found[1] not in inputs:
            return f"its relation {text} is no window over the input"
        pair = {found[3]: int(found[2] or 1), found[5]: int(found[4] or 1)}
        tap = next((name for name in pair if name in operands["W"]), "")
        out = next((name for name in pair if name in operands["O"]), "")
        if not tap or not out or tap == out:
            return f"its relation {text} is no window over the input"
        inputs.remove(found[1])
        windows.append((operands["I"].index(found[1]), Window(out, tap, pair[out], pair[tap])))
    ordered = tuple(window for _, window in sorted(windows))
    return _legal(Loops(loops, frozenset(operands["W"]), frozenset(inputs), frozenset(operands["O"]), ordered))


def _timeloop(document: Document, problem: dict[str, Any]) -> Network:
    shape, path = problem.get("shape"), ("problem", "shape")
    instance = problem.get("instance") if isinstance(problem.get("instance"), dict) else problem
    assert isinstance(instance, dict)
    spaces, name = TIMELOOP_CONV, str(shape)
    factors = dict.fromkeys(("Wstride", "Hstride", "Wdilation", "Hdilation"), 1)
    outputs = {"Outputs"}
    if isinstance(shape, dict):
        name = str(shape.get("name", "problem"))
        listed = _list(shape.get("data_spaces") or shape.get("data-spaces"))
        spaces = {str(space.get("name")): space.get("projection") or [] for space in listed if isinstance(space, dict)}
        outputs = {
            str(s.get("name")) for s in listed if isinstance(s, dict) and (s.get("read_write") or s.get("read-write"))
        }
        factors = {
            str(c.get("name")): c.get("default", 1) for c in _list(shape.get("coefficients")) if isinstance(c, dict)
        }
    elif name.replace("_", "-") != "cnn-layer":
        raise document.error(path, f"names the shape '{name}', which stands in another file", "write it out here")
    values = {**factors, **instance}

    def factor(key: Any) -> int:
        return _size(document, values.get(key, key), ("problem",))

    try:
        terms = {
            space: [[(str(term[0]), factor(term[1]) if len(term) > 1 else 1) for term in expr] for expr in projection]
            for space, projection in spaces.items()
        }
    except (TypeError, IndexError, KeyError):
        problem_text = f"the projections of '{name}' are not lists of sums of [dimension] or [dimension, factor]"
        raise document.error(path, problem_text, "write them so") from None
    plain = {space: frozenset(e[0][0] for e in exprs if len(e) == 1) for space, exprs in terms.items()}
    sums = {space: [e for e in exprs if len(e) > 1] for space, exprs in terms.items()}
    read = [space for space in terms if space not in outputs]
    if len(read) != 2 or len(outputs) != 1:
        fault = f"'{name}' has {len(read)} inputs and {len(outputs)} outputs"
        raise document.error(path, f"a Timeloop problem that is no product: {fault}", "give one with two and one")
    source = next((s for s in read if sums[s]), next((s for s in read if s.lower().startswith(("i", "a"))), read[0]))
    weight, output = next(s for s in read if s != source), next(iter(outputs))
    windows = []
    for expr in sums[source]:
        tap = next((term for term in expr if term[0] in plain[weight]), None)
        out = next((term for term in expr if term[0] in plain[output]), None)
        if len(expr) != 2 or tap is None or out is None or tap == out:
            raise document.error(path, f"a Timeloop problem that is no product: a sum of '{name}' is no window", "")
        windows.append(Window(out[0], tap[0], out[1], tap[1]))
    names = set().union(*plain.values(), *((w.out, w.tap) for w in windows))
    missing = sorted(names - values.keys())
    if missing:
        raise document.error(("problem", "instance"), f"dimension {missing[0]} has no size", f"add '{missing[0]}: N'")
    sizes = {key: factor(key) for key in sorted(names)}
    made = _legal(Loops(sizes, plain[weight], plain[source], plain[output], tuple(windows)))
    if isinstance(made, str) or any(sums[space] for space in (weight, output)):
        reason = made if isinstance(made, str) else "weights or outputs are indexed by sums"
        raise document.error(
            path, f"a Timeloop problem that is no product or convolution: {reason}", "give another one"
        )
    layer, tensors = make_layer(re.sub(r"[^A-Za-z0-9_.-]", "_", name), made)
    return _network(document, "Timeloop problem", [layer], tensors, [])


def _legal(loops: Loops) -> Product | str:
    shape = loops.shape()
    if not isinstance(shape, str) and (fault := illegal(shape)):
        return fault[0]
    return shape


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _size(document: Document, value: Any, path: KeyPath) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise document.error(path, f"{value!r} is no size", "give a whole number from 1 on")
    return value


def _network(
    document: Document, what: str, layers: list[Layer], tensors: dict[str, Tensor], notes: Iterable[str]
) -> Network:
    stem = re.split(r"[/\\]", document.name)[-1].rpartition(".")[0] or document.name
    padding = "images are as large as the windows over them reach: the file does not say what of them is padding"
    if any(isinstance(layer.shape, Conv2d) and layer.shape.r * layer.shape.s > 1 for layer in layers):
        notes = [*notes, padding]
    return Network(
        name=re.sub(r"[^A-Za-z0-9_.-]", "_", stem), layers=tuple(layers), tensors=tensors,
        source=f"{what} {stem}", description="Only the layers that multiply.", isolated=True, notes=tuple(notes),
    )  # fmt: skip
