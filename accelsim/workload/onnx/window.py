"""Stride, dilation and padding of ONNX windows; those over one dimension become a window of a single row."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.shapes import Dims, Pads, Pair


def window(node: Node, image: Pair, size: Pair, rank: int) -> tuple[Pair, Pair, Pads]:
    """Return stride, dilation and padding of a window over ``rank`` (1 or 2) dimensions.

    ``auto_pad`` SAME gives as many outputs as the input divided by the stride, rounded up; the odd element of
    padding goes to the end (SAME_UPPER) or to the beginning (SAME_LOWER). Source: ONNX operator Conv.

    Raises
    ------
    RefusedError
        Attributes of another rank than the image, or negative ones.
    """
    stride = _pair(node, "strides", rank, 1)
    dilation = _pair(node, "dilations", rank, 1)
    mode = node.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        rows, cols = (_same(*axis, mode == "SAME_LOWER") for axis in zip(image, size, stride, dilation, strict=True))
        return stride, dilation, (rows[0], cols[0], rows[1], cols[1])
    if mode == "VALID":
        return stride, dilation, (0, 0, 0, 0)
    pads = node.integers("pads", (0,) * 2 * rank)
    if len(pads) != 2 * rank or min(pads) < 0:
        raise RefusedError(f"its padding {list(pads)} does not fit {rank} dimensions")
    return stride, dilation, (pads[0], pads[1], pads[2], pads[3]) if rank == 2 else (0, pads[0], 0, pads[1])


def _pair(node: Node, name: str, rank: int, default: int) -> Pair:
    values: Dims = node.integers(name, (default,) * rank)
    if len(values) != rank or min(values) < 1:
        raise RefusedError(f"its {name} {list(values)} do not fit {rank} dimensions")
    return (values[0], values[1]) if rank == 2 else (1, values[0])


def _same(size: int, window: int, stride: int, dilation: int, lower: bool) -> Pair:
    total = max((-(-size // stride) - 1) * stride + dilation * (window - 1) + 1 - size, 0)
    less, more = total // 2, total - total // 2
    return (more, less) if lower else (less, more)


class Span(NamedTuple):
    """A window along one dimension."""

    stride: int
    dilation: int
    pads: Pair


def spans(node: Node, image: Dims, size: Dims) -> list[Span]:
    """Return stride, dilation and padding of a window along each of any number of dimensions.

    Raises
    ------
    RefusedError
        Attributes of another rank than the image, or negative ones.
    """
    rank = len(image)
    stride, dilation = node.integers("strides", (1,) * rank), node.integers("dilations", (1,) * rank)
    for name, values in (("strides", stride), ("dilations", dilation)):
        if len(values) != rank or min(values) < 1:
            raise RefusedError(f"its {name} {list(values)} do not fit {rank} dimensions")
    mode = node.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        axes = zip(image, size, stride, dilation, strict=True)
        pads = [_same(*axis, mode == "SAME_LOWER") for axis in axes]
    else:
        given = (0,) * 2 * rank if mode == "VALID" else node.integers("pads", (0,) * 2 * rank)
        if len(given) != 2 * rank or min(given) < 0:
            raise RefusedError(f"its padding {list(given)} does not fit {rank} dimensions")
        pads = list(zip(given[:rank], given[rank:], strict=True))
    return [Span(*axis) for axis in zip(stride, dilation, pads, strict=True)]
