"""The loop nest of a tiled layer as text, from what a report says of its shape and its mapping."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from accelsim.mapping.loopnest import Tiling
from accelsim.results import LayerResult
from accelsim.tiled.two_levels import DIMENSIONS, draw_tiling
from accelsim.workload.shapes import Conv2d, Linear, Matmul

PRODUCTS: dict[str, type[Conv2d | Linear | Matmul]] = {kind.kind: kind for kind in (Conv2d, Linear, Matmul)}


def drawn(layer: LayerResult) -> str | None:
    """Return the drawing of a layer's loops over tiles, at most 80 columns wide; None if its mapping is no tiling."""
    axes = (*DIMENSIONS, "order")
    kind = PRODUCTS.get(layer.kind)
    if kind is None or not set(axes) <= layer.mapping.keys():
        return None
    sizes: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in layer.shape.items()}
    try:
        tiling = Tiling(**{axis: layer.mapping[axis] for axis in axes})
        return draw_tiling(kind(**{field.name: sizes[field.name] for field in fields(kind)}).as_conv(), tiling)
    except (LookupError, TypeError, ValueError, ArithmeticError):  # a report from a file may say anything of a layer
        return None
