"""Colours of the pictures: Okabe and Ito's palette, which survives the common forms of colour blindness, and greys.

Hatches tell apart in print what is alike in grey.
"""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """How a key is drawn: fill colour, hatch, colour of letters on it."""

    colour: str
    hatch: str = ""
    letters: str = "white"


BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILION, PURPLE, WINE = "#E69F00", "#D55E00", "#CC79A7", "#882255"
LIGHT_GREY, DARK_GREY = "#C8C8C8", "#555555"

CAUSES = {
    "busy": Look(BLUE),
    "zero": Look(SKY, letters="black"),
    "padding": Look(PURPLE, letters="black"),
    "refetch": Look(SKY, "xxx", "black"),
    "unmapped": Look(LIGHT_GREY, letters="black"),
    "fill_drain": Look(YELLOW, letters="black"),
    "imbalance": Look(ORANGE, "\\\\\\", "black"),
    "conflict": Look(WINE, "..."),
    "starved": Look(GREEN, "\\\\\\"),
    "control": Look(DARK_GREY),
    "memory": Look(VERMILION, "///"),
    "idle": Look("#EEEEEE", letters="black"),
}
"""Cause -> look."""

DRAM = CAUSES["memory"]
MACHINES = {
    "systolic": DARK_GREY, "diannao": DARK_GREY, "dadiannao": DARK_GREY, "dcnn": DARK_GREY, "eyeriss": BLUE,
    "dcnn_opt": BLUE, "scnn": VERMILION, "bitfusion": BLUE, "stripes": ORANGE, "pragmatic": ORANGE, "loom": VERMILION,
    "laconic": VERMILION, "unpu": GREEN, "bismo": PURPLE, "sparch": BLUE, "outerspace": ORANGE, "gamma": GREEN,
    "sigma": PURPLE,
}  # fmt: skip
"""Family of machines, as their names begin -> colour of their curves, the same in every picture of an example."""
LIGHTEST = 0.65
"""Share of white in the last of several shades of a colour."""


def shade(look: Look, place: int, of: int) -> Look:
    """Return the shade of one of several things that share a colour: the first has it, the last is lightest."""
    if not place:
        return look
    white = LIGHTEST * place / (of - 1)
    parts = (int(look.colour[i : i + 2], 16) for i in (1, 3, 5))
    mixed = "".join(f"{round(part + (255 - part) * white):02X}" for part in parts)
    return Look(f"#{mixed}", look.hatch, "black" if white > 0.3 else look.letters)


def machine(name: str) -> str:
    """Return the colour of a machine's curves: that of the longest family that its name begins with."""
    families = [family for family in MACHINES if name.startswith(family)]
    return MACHINES[max(families, key=len)] if families else WINE


UNKNOWN = Look("#000000")

BOUNDS = {cause: look.colour for cause, look in CAUSES.items()} | {"compute": BLUE}
"""What bounds a layer -> colour of its point."""

MARKERS = {"compute": "o", "memory": "s", "fill_drain": "^", "unmapped": "D", "imbalance": "v", "starved": "P"}
"""What bounds a layer -> shape of its point; X for the others."""
