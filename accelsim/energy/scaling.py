"""Carrying figures from one process to another.

Source: A. Stillmaker, B. Baas, "Scaling equations for the accurate prediction of CMOS device performance from 180 nm
to 7 nm", Integration 58, 2017: the energy of an operation goes as a V^2 + b V + c with coefficients per node, area by
a table. Between its nodes both are taken as linear in the feature size (assumed). A wire's capacitance per mm stays
the same across processes (S. Keckler et al., IEEE Micro 2011), so a wire of fixed length follows the square of the
supply voltage. Leakage is not carried over: neither has figures for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from pydantic import Field

from accelsim.config.schema import Positive, Strict
from accelsim.config.yamlfile import read, validate
from accelsim.energy.rows import AccessRow, HopRow, LinkRow, NodeRow, PriceRow, SramRow, WidthRow, weakest
from accelsim.errors import ConfigError

AnyRow = TypeVar("AnyRow", bound=PriceRow)

SCALED_SECTIONS = ("mac", "multiplier", "adder", "comparator", "register_file", "sram", "buffer", "link", "hop")
"""Sections that follow the process."""


class NodeFactors(PriceRow):
    """A process: energy goes as ``a V^2 + b V + c``; ``area`` is relative to 45 nm."""

    nm: Positive
    a: float
    b: float
    c: float
    area: Positive


_Figure: TypeAlias = Callable[[NodeFactors], float]


class ScalingSpec(Strict):
    """The file of processes."""

    sources: dict[str, str]
    nodes: tuple[NodeFactors, ...] = Field(strict=False, min_length=2)


class Scaling(NamedTuple):
    """Factors from one process and voltage to another, what a trace says of them, and the sources behind them."""

    energy: float
    area: float
    wire: float
    text: str
    sources: Mapping[str, str]


def scaling(source: NodeRow, target: NodeRow) -> Scaling:
    """Return the factors that carry figures of ``source`` to ``target``.

    Raises
    ------
    ConfigError
        A node outside the paper's range, or a voltage at which its equation gives no energy.
    """
    return between_nodes(source.nm, source.vdd_v, target.nm, target.vdd_v)


def between_nodes(from_nm: float, from_v: float, to_nm: float, to_v: float) -> Scaling:
    """Return the factors from one feature size and supply to another; otherwise as `scaling`."""
    spec = _processes()
    energies = [_energy(spec, nm, volts) for nm, volts in ((from_nm, from_v), (to_nm, to_v))]
    areas = [_between(spec, nm, lambda n: n.area) for nm in (from_nm, to_nm)]
    text = f"{from_nm:g} nm {from_v:g} V to {to_nm:g} nm {to_v:g} V"
    return Scaling(energies[1] / energies[0], areas[1] / areas[0], (to_v / from_v) ** 2, text, spec.sources)


@cache
def _processes() -> ScalingSpec:
    path = Path(__file__).parent / "scaling.yaml"
    return validate(ScalingSpec, read(path, path.name))


def _energy(spec: ScalingSpec, nm: float, volts: float) -> float:
    energy = _between(spec, nm, lambda n: n.a * volts**2 + n.b * volts + n.c)
    if energy <= 0:
        raise ConfigError(f"no energy factor at {nm:g} nm and {volts:g} V", "give a voltage nearer the nominal one")
    return energy


def _between(spec: ScalingSpec, nm: float, figure: _Figure) -> float:
    nodes = sorted(spec.nodes, key=lambda n: n.nm)
    if not nodes[0].nm <= nm <= nodes[-1].nm:
        remedy = f"stay within {nodes[0].nm:g} and {nodes[-1].nm:g} nm, or do not scale"
        raise ConfigError(f"cannot scale to or from {nm:g} nm", remedy)
    for small, large in pairwise(nodes):
        if small.nm <= nm <= large.nm:
            share = (nm - small.nm) / (large.nm - small.nm)
            return figure(small) * (1 - share) + figure(large) * share
    raise ConfigError("the file of processes has no nodes", "restore it")


def scaled(row: AnyRow, by: Scaling) -> AnyRow:
    """Return a row of a section of `SCALED_SECTIONS` carried to another process, without its leakage."""
    factors: dict[str, float] = {}
    basis = "stillmaker17"
    if isinstance(row, WidthRow):
        factors = {"pj": by.energy, "um2": by.area}
    elif isinstance(row, SramRow):
        factors = {"read_pj": by.energy, "write_pj": by.energy, "mm2": by.area}
    elif isinstance(row, AccessRow):
        factors = {"pj": by.energy, "um2_per_bit": by.area}
    elif isinstance(row, LinkRow) and row.per_mm is not None:
        factors, basis = {"pj": by.wire}, "supply squared, keckler11"
    elif isinstance(row, LinkRow):
        factors = {"pj": by.energy}
    elif isinstance(row, HopRow):
        factors = {"mm": by.area**0.5}
    given = {name: factor for name, factor in factors.items() if getattr(row, name) is not None}
    said = ", ".join(f"{name} x {factor:.4g}" for name, factor in given.items())
    note = f"{by.text}: {said} ({basis})"
    update: dict[str, object] = {name: getattr(row, name) * factor for name, factor in given.items()}
    update |= dict.fromkeys(type(row).model_fields.keys() & {"leak_mw", "leak_mw_per_bit"})
    update |= {"note": f"{row.note}; {note}" if row.note else note, "status": weakest((row.status, "computed"))}
    return row.model_copy(update=update)
