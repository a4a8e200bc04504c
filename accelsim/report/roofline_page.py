"""The roofline of a page: the layers under the roofs, as numbers for the template."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from accelsim.report import facts, palette, scatter, words
from accelsim.report.series import compute_roofs
from accelsim.results import LayerResult, NetworkResult

NOTE = (
    "A point is a layer: MACs per byte of DRAM traffic against MACs per cycle, under what units and DRAM allow. "
    "Its area grows with the layer's share of the cycles. Drag over points: the table above keeps only those layers."
)
_NAMED = 8


def roofline(result: NetworkResult, ids: Mapping[str, str]) -> scatter.Plot | None:
    """Return the plot of the layers with MACs and DRAM traffic, None without any; ``ids`` name their rows."""
    layers = [layer for layer in result.simulated if layer.counted_macs and layer.cycles and layer.dram_bits]
    if not layers:
        return None
    roofs, bits = compute_roofs(result), facts.dram_bits_per_cycle(result)
    ridge = [roofs[-1] / (bits / 8)] if roofs and bits else []
    xs, ys = [facts.intensity(layer) for layer in layers], [layer.counted_macs / layer.cycles for layer in layers]
    x = scatter.axis("operational intensity (MAC per byte of DRAM traffic)", [*xs, *ridge], False, log=True)
    y = scatter.axis("achieved rate (MAC/cycle)", [*ys, *(1.3 * roof for roof in roofs)], True, log=True)
    plot = scatter.Plot("Layers under the roofs", _about(layers), x, y)
    plot.places = [(x.at(a), y.at(b)) for a, b in zip(xs, ys, strict=True)]
    plot.ids = [ids[layer.name] for layer in layers]
    plot.lines = [*_dram_roof(plot, roofs, bits), *_compute_roofs(plot, roofs, bits)]
    radii = [round(3 + 14 * sqrt(layer.cycles / result.isolated_cycles), 1) for layer in layers]
    order = sorted(range(len(layers)), key=lambda i: -radii[i])
    plot.circles = [
        {"x": plot.places[i][0], "y": plot.places[i][1], "r": radii[i], "fill": _fill(layers[i].bound_by)}
        for i in order
    ]
    worst = sorted(range(len(layers)), key=lambda i: -facts.lost_cycles(layers[i]))[:_NAMED]
    circles = [(*place, r) for place, r in zip(plot.places, radii, strict=True)]
    scatter.name_points(plot, [(*circles[i], [layers[i].name]) for i in worst], circles)
    bounds = dict.fromkeys(layer.bound_by for layer in layers)
    plot.legend = [{"fill": _fill(bound), "text": f"bound by {words.of_cause(bound)}"} for bound in bounds]
    return plot


def _about(layers: list[LayerResult]) -> str:
    bound = sum(layer.bound_by == "memory" for layer in layers)
    return f"{len(layers)} layers, {bound} of them bound by DRAM. The table of layers holds the same figures."


def _fill(bound: str) -> str:
    return palette.BOUNDS.get(bound, palette.DARK_GREY)


def _compute_roofs(plot: scatter.Plot, roofs: list[float], bits: float | None) -> list[dict[str, object]]:
    """Return the highest roof of the units with its name and, dotted, the lowest."""
    found: list[dict[str, object]] = []
    for roof in dict.fromkeys((roofs[-1], roofs[0]) if roofs else ()):
        begin = max(plot.x.low, roof / (bits / 8)) if bits else plot.x.low
        top = plot.y.at(roof)
        highest = roof == roofs[-1]
        label = f"compute: {words.number(roof)} MAC/cycle" if highest else f"lowest: {words.number(roof)}"
        found.append({
            "look": "roof" if highest else "roof low", "d": f"M{plot.x.at(begin)} {top}H{plot.right}", "label": label,
            "x": plot.right - 4, "y": round(top - 6 if highest else top + 16, 1), "anchor": "end",
        })  # fmt: skip
    return found


def _dram_roof(plot: scatter.Plot, roofs: list[float], bits: float | None) -> list[dict[str, object]]:
    """Return the roof of the DRAM, up to the ridge, inside the frame."""
    if not bits:
        return []
    slope = bits / 8
    left = max(plot.x.low, plot.y.low / slope)
    right = min(plot.x.high, roofs[-1] / slope if roofs else plot.x.high, plot.y.high / slope)
    if right <= left:
        return []
    ends = (plot.x.at(left), plot.y.at(left * slope)), (plot.x.at(right), plot.y.at(right * slope))
    middle = round((ends[0][0] + ends[1][0]) / 2 - 8, 1), round((ends[0][1] + ends[1][1]) / 2 - 4, 1)
    return [{
        "look": "roof", "d": f"M{ends[0][0]} {ends[0][1]}L{ends[1][0]} {ends[1][1]}",
        "label": f"DRAM: {words.number(bits)} bits/cycle", "x": middle[0], "y": middle[1], "anchor": "end",
    }]  # fmt: skip
