"""The last lines of a sweep: the best few designs of each network, and of all, as text that no terminal cuts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from accelsim.report import points
from accelsim.report.points import Compared
from accelsim.units import si

FIGURES = (("time_s", "time", "s", 1.0), ("total_energy_pj", "energy", "J", 1e-12), ("edp_pj_s", "EDP", "J s", 1e-12))
"""Figure, head, unit, and factor to the unit."""
EDP = "edp_pj_s"
MOST_ROWS, MANY_NETWORKS = 3, 4
"""Designs per network, and from how many networks on only the best one."""
_CELL = 10


def lines(given: Compared, objectives: Sequence[str] = (), base: str | None = None, width: int = 80) -> list[str]:
    """Return the designs of least energy-delay product of each network, and over all networks.

    Figures come first and names last, so that a name of any length stays whole: it goes on below itself.

    Parameters
    ----------
    given : Compared
    objectives : sequence of str
        Whose caveats are said too.
    base : str, optional
        Label of the design that means over networks are relative to; the best by default.
    width : int
        Columns of the terminal.
    """
    ranked = {name: [p for p in mine if p.ranks and EDP in p.figures and p.figures["time_s"] > 0]
              for name, mine in points.by_network(given.points).items()}  # fmt: skip
    ranked = {name: mine for name, mine in ranked.items() if mine}
    if not ranked:
        return []
    most = MOST_ROWS if len(ranked) < MANY_NETWORKS else 1
    found = [given.titled("least energy-delay product")]
    for note in given.said([*objectives, EDP]):
        found += textwrap.wrap(note, width, initial_indent="  ", subsequent_indent="  ")
    found.append(_row([head for _, head, _, _ in FIGURES], "design", width)[0])
    for network, mine in ranked.items():
        found.append(network)
        for point in sorted(mine, key=lambda point: point.figures[EDP])[:most]:
            cells = [si(point.figures[name] * factor, unit) for name, _, unit, factor in FIGURES]
            found += _row(cells, point.label, width)
    means = points.with_means(given.points, [name for name, *_ in FIGURES], base)
    if means:
        found.append(f"{points.ALL}, over {base or 'the best of each'}")
        for mean in sorted(means, key=lambda mean: mean.figures[EDP])[:MOST_ROWS]:
            found += _row([f"{mean.figures[name]:.3g}x" for name, *_ in FIGURES], mean.label, width)
    elif len(ranked) > 1:
        found.append(f"{points.ALL}: no design ranks on every network")
    return found


def _row(cells: Sequence[str], name: str, width: int) -> list[str]:
    """Return figures and a name as lines; the name goes on in its own column."""
    text = "  " + "".join(cell.ljust(_CELL) + " " for cell in cells)
    parts = textwrap.wrap(name, max(20, width - len(text)), break_long_words=False, break_on_hyphens=False) or [""]
    return [text + parts[0], *(" " * len(text) + part for part in parts[1:])]
