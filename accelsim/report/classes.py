"""Components by what they do: machines name theirs differently, but all are of the same few kinds, in fixed colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from accelsim.charges import machine_components
from accelsim.config.arch import Arch
from accelsim.energy import LEAKAGE
from accelsim.errors import UserError
from accelsim.report import palette
from accelsim.report.palette import Look
from accelsim.results import NetworkResult
from accelsim.simulation import load_arch

OF_KIND = {
    "mac": "arithmetic", "alu": "arithmetic", "register_file": "registers", "registers": "registers", "clock": "clock",
    "link": "links", "sram": "buffers", "dram": "DRAM",
}  # fmt: skip
"""Kind of a component -> class."""
OTHER = "other"
MOST_COMPONENTS = 10
"""A picture that has more of them merges the smallest, or shows classes."""
LOOKS = {
    "arithmetic": Look(palette.BLUE),
    "registers": Look(palette.SKY, letters="black"),
    "clock": Look(palette.PURPLE, letters="black"),
    "links": Look(palette.YELLOW, letters="black"),
    "buffers": Look(palette.GREEN),
    "DRAM": palette.DRAM,
    "leakage": Look(palette.DARK_GREY),
    OTHER: Look(palette.LIGHT_GREY, letters="black"),
}
"""Class -> look, in the order of bars: from arithmetic outwards."""


def of_machine(arch: Arch) -> dict[str, str]:
    """Return component, as reports name it -> class."""
    found = {part.name: OF_KIND.get(part.kind, OTHER) for part in machine_components(arch)}
    return {**found, LEAKAGE: "leakage"}


def of_result(result: NetworkResult) -> dict[str, str]:
    """Return component -> class; of a machine that this build cannot make only what every machine has."""
    try:
        return of_machine(load_arch(result.arch))
    except UserError:  # an engine that is not installed here, a report of another build
        return {"dram": "DRAM", LEAKAGE: "leakage"}


def by_class(energy_pj: Mapping[str, float], classes: Mapping[str, str]) -> dict[str, float]:
    """Return the energy of components by class, in pJ."""
    found: dict[str, float] = {}
    for name, pj in energy_pj.items():
        group = _of(name, classes)
        found[group] = found.get(group, 0.0) + pj
    return found


def looks(components: Iterable[str], classes: Mapping[str, str]) -> dict[str, Look]:
    """Return component -> look: the colour of its class, the next ones of a class each a shade lighter."""
    groups: dict[str, list[str]] = {}
    for name in components:
        groups.setdefault(_of(name, classes), []).append(name)
    found = {}
    for group in LOOKS:
        for place, name in enumerate(groups.get(group, ())):
            found[name] = palette.shade(LOOKS[group], place, len(groups[group]))
    return found


def _of(component: str, classes: Mapping[str, str]) -> str:
    """Return a component's class; reports of earlier builds name the links of a unit ``<unit>.array``."""
    return classes.get(
        component.removesuffix(".array") + ".links" if component.endswith(".array") else component, OTHER
    )
