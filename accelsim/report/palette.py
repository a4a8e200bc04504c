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
    "unmapped": Look(LIGHT_GREY, letters="black"),
    "fill_drain": Look(YELLOW, letters="black"),
    "imbalance": Look(ORANGE, "\\\\\\", "black"),
    "conflict": Look(WINE, "..."),
    "starved": Look(GREEN, "\\\\\\"),
    "control": Look(DARK_GREY),
    "memory": Look(VERMILION, "///"),
}
"""Cause -> look."""

DRAM = CAUSES["memory"]
COMPONENTS = (
    Look(BLUE),
    Look(SKY, letters="black"),
    Look(GREEN),
    Look(YELLOW, letters="black"),
    Look(PURPLE, letters="black"),
    Look(ORANGE, "\\\\\\", "black"),
    Look(DARK_GREY),
    Look(WINE, "..."),
    Look(LIGHT_GREY, letters="black"),
)
"""Looks of on-chip components, in the order of the machine."""

UNKNOWN = Look("#000000")

BOUNDS = {cause: look.colour for cause, look in CAUSES.items()} | {"compute": BLUE}
"""What bounds a layer -> colour of its point."""

MARKERS = {"compute": "o", "memory": "s", "fill_drain": "^", "unmapped": "D", "imbalance": "v", "starved": "P"}
"""What bounds a layer -> shape of its point; X for the others."""
