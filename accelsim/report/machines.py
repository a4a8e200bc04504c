"""What a machine is in a line, so that a comparison shows which sizes, clocks, bandwidths and widths it compares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from accelsim.config.arch import Unit
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.report import words
from accelsim.results import NetworkResult
from accelsim.simulation import load_arch


def line(results: Sequence[NetworkResult]) -> str:
    """Return units, clock, widths of operands and DRAM bandwidth of the machine that results are of."""
    one = results[0]
    dram = one.arch.get("memory", {}).get("dram", {}).get("gb_per_s")
    rate = f"{float(dram):.6g} GB/s" if isinstance(dram, int | float) else ""
    parts = (_units(one), f"{words.number(one.clock_mhz)} MHz", widths(results), rate)
    return ", ".join(part for part in parts if part)


def widths(results: Sequence[NetworkResult]) -> str:
    """Return the widths of the operands of products: ``8-bit``, ``8-bit inputs, 2 to 4-bit weights``; '' of none."""
    found = {
        tensor: {
            bits for result in results for layer in result.simulated if layer.macs and (bits := layer.bits.get(tensor))
        }
        for tensor in ("input", "weight")
    }
    texts = {f"{tensor}s": _range(bits) for tensor, bits in found.items() if bits}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} {name}" for name, text in texts.items())


def differ(by_machine: Mapping[str, str]) -> str | None:
    """Return what must stand beside figures of machines whose operands have other widths; None where all are alike."""
    alike: dict[str, list[str]] = {}
    for name, text in by_machine.items():
        if text:
            alike.setdefault(text, []).append(name)
    if len(alike) < 2:
        return None
    who = "; ".join(f"{text} of {', '.join(names)}" for text, names in alike.items())
    return f"widths of operands differ ({who}): times and energies are of different arithmetic"


def _range(bits: Collection[int]) -> str:
    return f"{min(bits)}-bit" if len(bits) == 1 else f"{min(bits)} to {max(bits)}-bit"


def _units(result: NetworkResult) -> str:
    """Return how many primary units each unit has, an array as rows x columns; nothing of a machine unknown here."""
    try:
        return " + ".join(_size(unit) for unit in load_arch(result.arch).units)
    except UserError:
        return ""


def _size(unit: Unit) -> str:
    engine = registry.get(unit.engine)
    number = engine.units(unit.params)[engine.primary]
    rows, cols = (getattr(unit.params, name, 0) for name in ("rows", "cols"))
    size = f"{rows:,} x {cols:,}" if rows * cols == number else f"{number:,}"
    return f"{size} {engine.primary}"
