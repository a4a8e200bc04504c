"""The assignment of least noise under budgets, by integer programming: what the heuristics are measured against.

Noise adds up over knobs and cost over layers, each a table over the widths that it sees. One binary variable per knob
and width, one per layer and combination; every layer's combination agrees with its knobs. Solved by HiGHS in scipy.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.explore.precision.space import Budgets, PrecisionSpace

MOST_COMBINATIONS = 20_000
"""All layers together: each is a simulation, unless it equals another."""


def solve(space: PrecisionSpace, budgets: Budgets) -> NDArray[np.int64]:
    """Return the choice of least noise within budgets.

    Raises
    ------
    ConfigError
        Too many combinations, or budgets that no choice meets together.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    tables = space.tables(MOST_COMBINATIONS)
    widths, count = len(space.widths), len(space.knobs) * len(space.widths)
    sizes = [int(np.prod(table.shape[:-1])) for _, table in tables]
    starts = np.cumsum([count, *sizes])
    entries: list[tuple[int, int, float]] = []
    equal: list[float] = []
    for knob in range(len(space.knobs)):
        entries += [(len(equal), knob * widths + i, 1.0) for i in range(widths)]
        equal.append(1.0)
    for (knobs, _), start in zip(tables, starts[:-1].tolist(), strict=True):
        combinations = list(product(range(widths), repeat=len(knobs)))
        for place, knob in enumerate(knobs):
            for i in range(widths):
                entries += [(len(equal), start + at, 1.0) for at, c in enumerate(combinations) if c[place] == i]
                entries.append((len(equal), knob * widths + i, -1.0))
                equal.append(0.0)
        if not knobs:
            entries.append((len(equal), start, 1.0))
            equal.append(1.0)
    limited: list[float] = []
    for name, most in budgets.items():
        column = {"cycles": 0, "energy_pj": 1}.get(name)
        if column is None:
            sizes_bits = np.concatenate([knob.size_bits for knob in space.knobs]).tolist()
            entries += [(len(equal) + len(limited), at, size / most) for at, size in enumerate(sizes_bits)]
        else:
            for (_, table), start in zip(tables, starts[:-1].tolist(), strict=True):
                costs = table[..., column].ravel().tolist()
                entries += [(len(equal) + len(limited), start + at, cost / most) for at, cost in enumerate(costs)]
        limited.append(1.0)
    barred = np.concatenate([np.zeros(count), *(~np.isfinite(table[..., 0]).ravel() for _, table in tables)])
    rows, columns, values = zip(*((r, c, v) for r, c, v in entries if np.isfinite(v)), strict=True)
    matrix = coo_array((values, (rows, columns)), shape=(len(equal) + len(limited), int(starts[-1])))
    noise = np.zeros(int(starts[-1]))
    noise[:count] = np.concatenate([knob.noise for knob in space.knobs])
    found = milp(
        noise / noise.max(initial=1e-300),
        constraints=LinearConstraint(matrix.tocsr(), [*equal, *(-np.inf for _ in limited)], [*equal, *limited]),
        integrality=np.ones(len(noise)),
        bounds=Bounds(0, 1 - barred),
        options={"mip_rel_gap": 1e-6},
    )
    if found.x is None:
        raise ConfigError("no assignment of widths meets all budgets", "raise one of them", file="--budget")
    return np.asarray(found.x[:count].reshape(-1, widths).argmax(axis=1), dtype=np.int64)
