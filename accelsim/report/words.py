"""Numbers and sentences as a person reads them. Units are always named; thousands are separated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from accelsim import basis, remedy
from accelsim.charges import UNDECLARED
from accelsim.report import facts, power
from accelsim.results import LayerResult, NetworkResult
from accelsim.units import si

CAUSE_WORDS = {
    "busy": "busy",
    "zero": "busy on a zero",
    "padding": "padding",
    "refetch": "done again",
    "unmapped": "outside the tile",
    "fill_drain": "fill and drain",
    "imbalance": "imbalance",
    "conflict": "conflict",
    "starved": "on-chip wait",
    "control": "control",
    "memory": "DRAM stall",
    "idle": "idle",
}
"""Cause -> what a legend says."""

_LOST = {
    "padding": "are padding of {its} format or shape",
    "refetch": "are done again with bits that were left out at first",
    "unmapped": "lie outside the mapped tile: {its} shape does not fill the {units}",
    "fill_drain": "go to filling and draining; longer passes would hide the ramp",
    "imbalance": "wait for the slowest peer",
    "conflict": "are lost to bank or port conflicts",
    "starved": "wait for on-chip data",
    "control": "go to configuration, pointers and synchronisation",
}
"""Cause -> end of the sentence '<share> of its <unit>-cycles ...'."""


MIN_PREFIX = 4
"""A common beginning of all names that is shorter stays."""


def number(value: float) -> str:
    """Return a number with three significant digits or more and thousands: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.3g}" if abs(value) < 1 else f"{value:,.{digits}f}"


def prefix(names: Sequence[str], longest: int) -> str:
    """Return what all names begin with, up to a separator, when a name is longer than ``longest`` and it helps."""
    if len(names) < 2 or max(map(len, names)) <= longest:
        return ""
    common = min(names)
    while not all(name.startswith(common) for name in names):
        common = common[:-1]
    end = max(common.rfind(mark) for mark in "_/.:") + 1
    return common[:end] if end >= MIN_PREFIX else ""


def small(value: float) -> str:
    """Return a number for a narrow column: three decimals at most."""
    if value == 0 or value >= 1:
        return number(value)
    return f"{value:.3f}" if value >= 0.0005 else "<0.001"


def percent(ratio: float, unit: str = " %") -> str:
    """Return a ratio as a percentage, '98 %': a trace is not shown as nothing, nor almost all as all."""
    value = 100 * ratio
    if 0 < value < 0.1:
        return f"<0.1{unit}"
    if 99.5 <= value < 100:
        return f"{min(value, 99.9):.1f}{unit}"
    return f"{value:.1f}{unit}" if 0 < value < 9.95 else f"{value:.0f}{unit}"


def megabytes(bits: int) -> str:
    """Return bits as megabytes of 1e6 bytes, without the unit."""
    return number(bits / 8e6)


ADVICE = "tried, and gains with --set KEY=VALUE or --batch"
"""Head of the remedies."""

WORTH_A_WORD = 0.15
"""A second cause with less than this share of a layer's unit-cycles is left out of its sentence."""


def why(result: NetworkResult, layers: Sequence[LayerResult]) -> str:
    """Return one sentence on layers that are alike: where they lose cycles, and what would mend it where known."""
    layer = layers[0]
    who, its = (layer.name, "its") if len(layers) == 1 else (f"{layer.name} and {len(layers) - 1} alike", "their")
    cause = facts.worst_cause(layer)
    if cause is None:
        return f"{who}: no cycles are lost"
    part = percent(facts.share(layer, cause))
    weight = percent(len(layers) * layer.cycles / result.isolated_cycles)
    if cause == "memory":
        sentence = f"{part} of {its} cycles wait for DRAM{_dram_remedy(result, layer, its)}"
        if layer.dram_sets_time:
            alone = percent(layer.dram_cycles / layer.cycles)
            sentence = f"{its} DRAM traffic alone takes {alone} of {its} cycles{_dram_remedy(result, layer, its)}"
    else:
        lost = _LOST.get(cause, f"are lost to {cause}").format(units=f"{layer.units:,} {layer.primary}", its=its)
        sentence = f"{part} of {its} {layer.primary.removesuffix('s')}-cycles {lost}"
    return f"{who} ({weight} of all cycles): {sentence}{_next(layer, cause)}"


def advice(result: NetworkResult) -> list[str]:
    """Return a line for each remedy that gained, as ``run`` takes it, and one on what was not tried."""
    found = result.advice
    if found is None:
        return []
    lines = [_tried(result, tried) for tried in found.gained]
    if not lines and found.tried:
        lines.append(f"none of {found.tried} remedies gains {percent(facts.NEGLIGIBLE)} of the cycles")
    return [*lines, *([f"not tried: {found.left_out}"] if found.left_out else [])]


def _tried(result: NetworkResult, tried: remedy.Tried) -> str:
    """Return what was set and what that changes: cycles, energy and their product per image, area where it differs.

    No remedy changes the clock, so that cycles stand for the delay.
    """
    images = result.batch / tried.batch
    each = "" if images == 1 else " per image"
    cycles, worse = images * tried.cycles / result.cycles, ""
    changes = [_change(cycles, f"cycles{each}")]
    if result.total_energy_pj:
        energy = images * tried.total_energy_pj / result.total_energy_pj
        changes += [_change(energy, f"energy{each}"), _change(cycles * energy, f"EDP{each}")]
        worse = "; faster, but EDP gets worse" if cycles * energy - 1 >= _AS_BEFORE else ""
    area = sum((result.area_mm2 or {}).values())
    if tried.area_mm2 and area and abs(tried.area_mm2 / area - 1) >= _AS_BEFORE:
        changes.append(_change(tried.area_mm2 / area, "area"))
    sets = ", ".join(f"{key}={remedy.said(value)}" for key, value in tried.sets.items())
    return f"{sets}: {', '.join(changes)}{worse}"


_AS_BEFORE = 0.001
"""A smaller change is none."""


def _change(ratio: float, figure: str) -> str:
    """Return a ratio as a signed percentage of a figure: '-54 % cycles'."""
    if abs(ratio - 1) < _AS_BEFORE:
        return f"{figure} as before"
    return f"{'-' if ratio < 1 else '+'}{percent(abs(ratio - 1))} {figure}"


def bound_of(layer: LayerResult) -> str:
    """Return what bounds a layer, or which one does its work."""
    return f"folded into {layer.folded_into}" if layer.folded_into else of_cause(layer.bound_by)


def of_cause(name: str) -> str:
    """Return a cause, or what bounds a layer, in the words of the legends; files for programs keep the name."""
    return CAUSE_WORDS.get(name, name)


def nothing_lost() -> str:
    """Return what stands in place of the worst layers when there are none."""
    return f"no layer loses more than {percent(facts.NEGLIGIBLE)} of the cycles"


def _next(layer: LayerResult, cause: str) -> str:
    """Return the cause that would remain, where it is large."""
    lost = {c: facts.share(layer, c) for c in facts.causes(layer) if c != cause and c not in facts.USEFUL}
    second = max(lost, key=lambda c: lost[c], default=None)
    if second is None or lost[second] < WORTH_A_WORD:
        return ""
    return f"; next is {of_cause(second)}, {percent(lost[second])}"


def _dram_remedy(result: NetworkResult, layer: LayerResult, its: str) -> str:
    """Return what would spare a layer its wait: a producer to join, or the bandwidth it needs where that is known."""
    if (host := result.joins.get(layer.name)) is not None:
        if its == "its":
            return f"; folded into {host}, the product before it, it would not send that result there and back"
        return f"; folded into the products before them ({host}, ...), they would not send those results there and back"
    needed, has = layer.needed_bits_per_cycle.get("dram"), facts.dram_bits_per_cycle(result)
    if needed is None:
        return ""
    if has is not None and needed <= has:
        return f": {its} first load and last store, behind which there is nothing to compute"
    hidden = f"; {rate(result, needed)} would hide all but {its} first load and last store"
    return hidden if has is None else f"{hidden}, the machine has {rate(result, has)}"


def rate(result: NetworkResult, bits_per_cycle: float) -> str:
    """Return a bandwidth in bits per core cycle and, as machines and remedies are given, in 1e9 bytes per second."""
    return f"{number(bits_per_cycle)} bits/cycle ({number(bits_per_cycle * result.clock_mhz / 8000)} GB/s)"


def title(result: NetworkResult) -> str:
    """Return what was run: network, machine, batch, and whether it is partial."""
    state = facts.status(result)
    return f"{result.network} on {result.arch_name}, batch {result.batch}" + (f" ({state})" if state else "")


def machine(result: NetworkResult) -> str:
    """Return the machine in a line: units, clock, DRAM."""
    units = [unit for unit in result.arch.get("units") or [] if unit.get("engine")]
    if units:
        parts = [" and ".join(f"{unit.get('name')} ({unit['engine']})" for unit in units)]
    else:
        parts = [str(result.arch["engine"])] if result.arch.get("engine") else []
    parts.append(f"{number(result.clock_mhz)} MHz")
    if (bits := facts.dram_bits_per_cycle(result)) is not None:
        standard = result.arch["memory"]["dram"].get("standard", "")
        parts.append(f"{standard} DRAM of {rate(result, bits)}".strip())
    return ", ".join(parts)


def provenance(result: NetworkResult) -> str:
    """Return where the network came from and how it was simulated."""
    source = [f"network from {result.source}"] if result.source else []
    options = [f"{key} {result.options[key]}" for key in ("operands", "seed", "fidelity") if key in result.options]
    return ", ".join(source + options + ([prices(result)] if result.prices else []))


MOST_PRICES = 4
"""Components of a status that a head names; report.json names all."""


def prices(result: NetworkResult) -> str:
    """Return what priced the run: table, node and supply, and whose prices are carried, recalled or assumed."""
    found = result.prices
    parts = [f"priced by {found['table']} ({found['node_nm']:g} nm, {found['vdd_v']:g} V)"]
    for status in ("carried", "recalled", "assumed"):
        names = list(dict.fromkeys(name.rpartition(" ")[0] for name in found[status]))
        if names:
            rest = f" and {len(names) - MOST_PRICES} more" if len(names) > MOST_PRICES else ""
            parts.append(f"{status} prices: {', '.join(names[:MOST_PRICES])}{rest}")
    return "; ".join(parts)


def by_tables(result: NetworkResult) -> list[str]:
    """Return the run by every other table, a line each, then the span and whether the largest part depends on it."""
    own = result.total_energy_pj
    lines = []
    for price in sorted(result.energy_tables, key=lambda price: (price.total_energy_pj is None, price.node_nm)):
        head = f"{price.table} ({price.node_nm:g} nm, {price.vdd_v:g} V)"
        if price.total_energy_pj is None or price.edp_pj_s is None or price.on_chip_pj is None:
            lines.append(f"{head}: left out, {price.reason}")
            continue
        times = f", {number(price.total_energy_pj / own)} of this run's" if own else ""
        lines.append(
            f"{head}: {si(price.total_energy_pj * 1e-12, 'J', 4)}{times} (on chip "
            f"{si(price.on_chip_pj * 1e-12, 'J', 4)}), EDP {si(price.edp_pj_s * 1e-12, 'J s', 4)}, most {price.largest}"
        )
    ends = facts.span(result)
    if ends is not None and ends[0]:
        most: dict[str, list[str]] = {}
        for price in result.energy_tables:
            if price.total_energy_pj is not None:
                most.setdefault(price.largest, []).append(price.table)
        largest = "; ".join(f"{part} takes most by {', '.join(names)}" for part, names in most.items())
        on_chip = [price.on_chip_pj for price in result.energy_tables if price.on_chip_pj]
        inside = f", {number(max(on_chip) / min(on_chip))} times on chip" if on_chip else ""
        lines.append(f"span: {number(ends[1] / ends[0])} times{inside}; {largest}")
    return lines


def totals(result: NetworkResult) -> list[tuple[str, str]]:
    """Return the totals as label and text, in the order in which they are read."""
    lines = [
        ("time", f"{result.cycles:,} cycles = {si(result.time_s, 's', 4)} at {number(result.clock_mhz)} MHz"),
        ("rate", _rate(result)),
        *([("MACs", sparse)] if (sparse := _sparse(result)) else []),
        *([("stored", stored)] if (stored := _stored(result)) else []),
        ("spent on", _spent(result)),
        *([("slowest", slowest)] if (slowest := _slowest(result)) else []),
        ("units", f"occupancy {percent(result.occupancy)}, utilisation {percent(result.utilization)}"),
        ("DRAM", f"read {megabytes(result.dram_read_bits)} MB, write {megabytes(result.dram_write_bits)} MB"),
        ("energy", _energy(result)),
        *([("power", _power(result))] if result.total_energy_pj and result.cycles else []),
        ("EDP", si(result.edp_pj_s * 1e-12, "J s", 4)),
        ("coverage", _coverage(result)),
    ]
    if result.area_mm2:
        lines.append(("area", area(result)))
    if checks := _checks(result):
        lines.append(("values", checks))
    return lines


def area(result: NetworkResult) -> str:
    """Return the area of the machine, and which components it leaves out because the table has no figure for them."""
    found, parts = f"{number(sum((result.area_mm2 or {}).values()))} mm2", result.area_parts_mm2
    if parts:
        found += f" placed, of cells {number(parts['cells'])} and macros {number(parts['macros'])}"
    return (
        f"{found}; components without figures left out: {', '.join(result.area_missing)}"
        if result.area_missing
        else found
    )


def _spent(result: NetworkResult) -> str:
    spent = facts.time_shares(result)
    shown = sorted(spent.items(), key=lambda item: -item[1])
    return ", ".join(f"{of_cause(cause)} {percent(part)}" for cause, part in shown) or "nowhere"


def _slowest(result: NetworkResult) -> str:
    """Return the layer that takes longest and what bounds it; nothing where there is no other."""
    if len(result.simulated) < 2 or not result.isolated_cycles:
        return ""
    layer = max(result.simulated, key=lambda layer: layer.cycles)
    share = percent(layer.cycles / result.isolated_cycles)
    return f"{layer.name} {layer.cycles:,} cycles ({share}), {of_cause(layer.bound_by)}; --layers NAME explains it"


def not_modelled(result: NetworkResult) -> str:
    """Return what is not modelled, in short: what stands before a colon, or after one that several items share."""
    tails: dict[str, list[str]] = {}
    for item in result.not_modelled:
        head, _, tail = item.strip().rstrip(".").partition(": ")
        tails.setdefault(head, []).append(tail)
    return "; ".join(f"{head}: {', '.join(found)}" if len(found) > 1 else head for head, found in tails.items())


def _rate(result: NetworkResult) -> str:
    if any(layer.kind == "spgemm" for layer in result.simulated):
        done = f"{si(result.effective_macs, ' multiplications', 4)}; {number(1e3 * result.effective_tops)} GFLOP/s"
        per_w = f"; {number(1e3 * result.effective_tops_per_w)} GFLOP/s/W" if result.total_energy_pj else ""
        return f"{done}{per_w} (dense: {si(result.macs, ' MACs', 4)})"
    rate = f"{si(result.macs, ' MACs', 4)}; {number(result.tops)} TOPS"
    return f"{rate}; {number(result.tops_per_w)} TOPS/W" if result.total_energy_pj else rate


def _sparse(result: NetworkResult) -> str:
    """Return how many multiply-accumulates have work, on machines and networks that make a difference of it."""
    if not result.stored and result.nonzero_weight_macs == result.macs == result.performed_macs:
        return ""
    if result.nonzero_weight_macs < result.effective_macs:
        return ""  # read from a report that had no such counts
    counts = (
        ("with a non-zero weight", result.nonzero_weight_macs),
        ("with a non-zero input", result.nonzero_input_macs),
        ("with both", result.effective_macs),
        ("performed", result.performed_macs),
    )
    return f"{si(result.macs, '', 4)} dense: " + ", ".join(f"{si(n, '', 4)} {what}" for what, n in counts)


def _stored(result: NetworkResult) -> str:
    """Return the size of the tensors that are compressed, the share of their index, and what they take plain."""
    parts = [
        f"{tensor}s {megabytes(size.bits)} MB ({percent(size.index_bits / size.bits)} index) "
        f"for {megabytes(size.dense_bits)} MB"
        for tensor, size in result.stored.items()
        if size.bits
    ]
    return "; ".join(parts)


def _energy(result: NetworkResult) -> str:
    total = result.total_energy_pj
    table = result.options.get("energy_table")
    priced = f" (priced by {table})" if table else ""
    if not total:
        return f"none was priced{priced}"
    parts = sorted(result.energy_pj.items(), key=lambda item: -item[1])
    shown = [f"{name} {percent(pj / total)}" for name, pj in parts if pj]
    lacks = "".join(f"; {name}" for name in result.area_missing if UNDECLARED in name)
    return f"{si(total * 1e-12, 'J', 4)}: {', '.join(shown)}{priced}{lacks}"


def _power(result: NetworkResult) -> str:
    curve, window = power.of_layers(result), power.window_us(result)
    stalled = 0.0 if result.schedule else power.stalled_mw(result)
    rest = f"; leakage and clock while stalled {si(stalled * 1e-3, 'W', 3)}" if stalled else ""
    return (
        f"mean {si(curve.average_mw * 1e-3, 'W', 4)}, peak over {number(window)} us "
        f"{si(curve.peak_mw(window) * 1e-3, 'W', 4)} (each layer at its mean){rest}"
    )


def _coverage(result: NetworkResult) -> str:
    parts = result.coverage
    if len(result.simulated) == len(result.layers):
        return f"all {len(result.layers)} layers"
    macs, layers = basis.whole(layer.macs for layer in result.layers), len(result.layers)
    shares = [
        *([f"{_part(parts['macs'])} of MACs"] if macs != 0 else []),
        f"{len(result.simulated)} of {layers} layers",
        f"{_part(parts['dram_bits'])} of the tensor bits in DRAM",
    ]
    return ", ".join(shares)


def _part(ratio: float | None) -> str:
    return "unknown share" if ratio is None else percent(ratio)


def needs(macs: Sequence[int | None], text: Callable[[int], str]) -> str:
    """Return the multiply-accumulates of all layers as ``text`` writes them, and in how many they are unknown."""
    known, unknown = text(sum(number or 0 for number in macs)), macs.count(None)
    return f"at least {known} (unknown in {unknown} of {len(macs)} layers)" if unknown else known


def macs(number: int | None) -> str:
    """Return how a list of layers says multiply-accumulates."""
    return "unknown" if number is None else f"{number:,}"


def _checks(result: NetworkResult) -> str:
    wrong = [layer.name for layer in result.layers if layer.checked is False]
    checked = sum(layer.checked is not None for layer in result.layers)
    if wrong:
        return f"WRONG in {len(wrong)} of {checked} checked layers: {', '.join(wrong)}"
    own = sum(not layer.folded_into for layer in result.simulated)
    return f"equal to the reference in {checked} of {own} layers" if checked else ""
