"""What would close the gap to EIE's published times: densities, unequal rows, weights that follow inputs.

    python examples/eie_load_balance/sensitivity.py [FOLDER [LAYER...]]     writes FOLDER/eie_sensitivity.md

Nothing of this is used anywhere: the packaged layers keep the published densities and even rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import study

SPREADS = (0.25, 0.5, 1.0)
"""Standard deviations of the logarithm of a row's density."""

RATIOS = (1, 1.25, 1.5, 2, 3)
"""How many times denser weights are where the input is not zero."""

HEAD = """# EIE: sensitivity of the published times

Times in us: theoretical / actual, and the error of each against Han et al., ISCA 2016, Table IV. Columns: as packaged
(density as published, rows alike); density at the upper end of its rounding to a percent; the density at which the
theoretical time would agree; rows whose densities are log-normal with the given spread around the published mean, and
a spread of 0.5 around the density that matches. A sensitivity only: no packaged layer uses any of it. Uneven rows are
one draw (pattern `rows`, seed 0): which PE gets the densest rows is luck, and the actual time of a layer with few rows
moves with it (Alex-8, spread 0.5: 9.3 to 11.8 us over six seeds).

"""


FOLLOWING = """
## Weights that follow the input

EIE walks only the columns of inputs that are not zero. What the packaged layers assume, and the paper does not say, is
that these are no denser than the others. Here they are (pattern `follows`, seed 0): at the published mean, weights are
so many times as dense where the input is not zero as where it is. Swept, not set, and no verdict: no one ratio serves
all layers.

"""


def cell(times, published):
    errors = [f"{ours / theirs - 1:+.0%}" for ours, theirs in zip(times, published, strict=True)]
    return f"{times[0]:.1f} / {times[1]:.1f} ({errors[0]} / {errors[1]})"


def matching(view, wanted_us):
    """Return the density whose theoretical time is the published one, to a hundredth of it."""
    low, high = 0.5 * view.weight.density, 2 * view.weight.density
    while high - low > 0.005 * view.weight.density:
        middle = (low + high) / 2
        if study.times_us(view, density=middle)[0] < wanted_us:
            low = middle
        else:
            high = middle
    return round(high, 4)


def rows(names):
    titles = ["layer", "published", "packaged", "density + 0.5 %", "density to match"]
    titles += [f"row spread {s:g}" for s in SPREADS] + ["match, row spread 0.5"]
    yield titles
    for name, view in study.views().items():
        if names and name not in names:
            continue
        published = study.PUBLISHED_US[name]
        rounded = round(view.weight.density + 0.005, 3)
        matched = matching(view, published[0])
        found = [study.times_us(view), study.times_us(view, density=rounded)]
        cells = [cell(t, published) for t in found]
        cells.append(f"{matched:.4f}: {cell(study.times_us(view, density=matched), published)}")
        for spread in SPREADS:
            cells.append(cell(study.times_us(study.uneven(view, spread)), published))
        cells.append(cell(study.times_us(study.uneven(view, 0.5, matched)), published))
        yield [name, f"{published[0]} / {published[1]}", *cells]


def followed(names):
    """Yield the same times with weights that follow the input, for layers whose input has zeros."""
    yield ["layer", "published", *(f"ratio {ratio:g}" for ratio in RATIOS)]
    for name, view in study.views().items():
        if view.input.density < 1 and (not names or name in names):
            published = study.PUBLISHED_US[name]
            cells = [cell(study.times_us(study.following(view, ratio)), published) for ratio in RATIOS]
            yield [name, f"{published[0]} / {published[1]}", *cells]


def table(found) -> str:
    titles, *body = found
    return "\n".join("| " + " | ".join(r) + " |" for r in (titles, ["---"] * len(titles), *body)) + "\n"


def write(folder: Path, names=()) -> Path:
    """Write both tables and return their path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "eie_sensitivity.md"
    path.write_text(HEAD + table(rows(names)) + FOLLOWING + table(followed(names)))
    return path


if __name__ == "__main__":
    target, *chosen = sys.argv[1:] or ["reports/out"]
    print(write(Path(target), chosen or ["Alex-8", "VGG-6"]))
