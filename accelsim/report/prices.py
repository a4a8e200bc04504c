"""``accelsim show NAME --energy``: every component of a machine with its price, and its share of an example layer."""

from __future__ import annotations

from typing import NamedTuple

from accelsim.charges import UNDECLARED, machine_components, table_of, without_registers
from accelsim.components import Clock, Component, Dram, Link, Mac, RegisterFile, Registers, Sram
from accelsim.config.arch import Arch
from accelsim.energy import LEAKAGE, leakage_mw
from accelsim.errors import PriceError
from accelsim.results import LayerResult
from accelsim.simulation import simulate
from accelsim.units import KIB_BITS
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Linear, Shape, SpGemm

EXAMPLES: tuple[tuple[str, Shape], ...] = (
    ("conv2d 64 x 14 x 14 to 64, 3 x 3", Conv2d(n=1, c=64, k=64, h=14, w=14, r=3, s=3, pad=(1, 1, 1, 1))),
    ("linear 1024 to 1024", Linear(n=1, c=1024, k=1024)),
    ("spgemm 256 x 256 x 256", SpGemm(m=256, n=256, k=256)),
    ("256 x 256 times a vector", SpGemm(m=256, n=1, k=256)),
)
"""What a machine is shown at: the first of these that it takes, dense."""


class PriceRow(NamedTuple):
    """One price of one component; ``pj`` is None where the table has none, ``share`` without an example layer."""

    component: str
    instances: int
    size: str
    action: str
    pj: float | None
    per: str
    status: str
    source: str
    share: float | None


def example(arch: Arch) -> tuple[str, LayerResult] | None:
    """Return what a layer costs on a machine and what it is called; None if the machine takes none of `EXAMPLES`."""
    for title, shape in EXAMPLES:
        layer, tensors = make_layer("example", shape)
        (found,) = simulate(arch, Network("example", (layer,), tensors, isolated=True)).layers
        if found.simulated:
            return title, found
    return None


def rows(arch: Arch, layer: LayerResult | None) -> list[PriceRow]:
    """Return the prices of a machine, one row per action, and its leakage; shares are of the layer's energy."""
    table, components = table_of(arch), machine_components(arch)
    found = []
    for component in components:
        for action in component.actions:
            try:
                price = table.price(component, action)
            except PriceError as error:
                found.append(PriceRow(*_head(component), action, None, "", "", error.problem, None))
                continue
            events = None if layer is None else layer.events.get(component.name, {}).get(action, 0) * price.pj
            per = "unit-cycle" if isinstance(component, Clock | Registers) else price.per
            share = None if layer is None or events is None else events / (layer.total_energy_pj or 1.0)
            found.append(PriceRow(*_head(component), action, price.pj, per, price.status, price.steps[0], share))
    leaks = leakage_mw(components, table) * float(1000 / arch.clocks_mhz["core"])
    part = None if layer is None else layer.energy_pj[LEAKAGE] / (layer.total_energy_pj or 1.0)
    found.append(PriceRow(LEAKAGE, 1, "whole machine", "leak", leaks, "cycle", "", "all stalls included", part))
    return found


def _head(component: Component) -> tuple[str, int, str]:
    return component.name, component.count, _size(component)


def _size(component: Component) -> str:
    """Return how large one instance is."""
    if isinstance(component, Sram | RegisterFile):
        return f"{component.size_bits / KIB_BITS:.4g} KiB, {component.width_bits} bit"
    if isinstance(component, Mac):
        return f"{component.input_bits} x {component.weight_bits} + {component.accumulator_bits} bit"
    if isinstance(component, Registers):
        return f"{component.clocked_bits} bit, {component.gated_words} gated words"
    if isinstance(component, Clock):
        return f"{component.sinks:,} sinks, {component.area_mm2:.3g} mm2"
    if isinstance(component, Link):
        return f"{component.width_bits} bit, {component.length_mm:.3g} mm"
    return component.standard if isinstance(component, Dram) else f"{getattr(component, 'bits', '')} bit"


WIDE = 140
"""Columns from which a row has size and source beside its price."""


def text(arch: Arch, width: int | None = None) -> list[str]:
    """Return the lines of the command; for a narrow terminal, a row's size and source are a line of their own."""
    table, shown = table_of(arch), example(arch)
    title, layer = shown if shown is not None else ("", None)
    lines = [f"{arch.name}: energy table {table.name}, {table.node.nm:g} nm at {table.node.vdd_v:g} V; clock gating "
             f"{arch.clock_gating}"]  # fmt: skip
    lines.append(f"share of: {title}, {layer.total_energy_pj * 1e-6:.4g} uJ" if layer else "no example layer runs here")
    if bare := without_registers(arch):
        lines.append(f"{UNDECLARED}: {', '.join(bare)}")
    for c in machine_components(arch):
        if isinstance(c, Registers):
            held = f"{c.clocked_bits:,} clocked bits and {c.gated_words:,} gated words"
            lines.append(f"{c.name}: {held}, {c.count:,} times for {c.per_units:,} {c.unit}; {c.source}")
    lines.append(
        f"gating of clocks, {arch.clock_gating}: {arch.config['sources'].get('clock_gating', 'no source given')}"
    )
    narrow = width is not None and width < WIDE
    size = "" if narrow else f"{'size':24} "
    head = f"{'component':22} {'count':>7}  {size}{'action':8} {'pJ':>10} {'per':10} {'share':>6}  status"
    lines += [head, "    size; from"] if narrow else [f"{head}    from"]
    for row in rows(arch, layer):
        pj = "-" if row.pj is None else f"{row.pj:.4g}"
        share = "-" if row.share is None else f"{100 * row.share:.1f} %"
        size = "" if narrow else f"{row.size:24} "
        line = f"{row.component:22} {row.instances:>7,}  {size}{row.action:8} {pj:>10} {row.per:10} {share:>6}  "
        if narrow:
            lines += [f"{line}{row.status}".rstrip(), f"    {row.size}; {row.source}"]
        else:
            lines.append(f"{line}{row.status:9} {row.source}".rstrip())
    return lines
