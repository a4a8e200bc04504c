"""The account of a layer as a bar of text, readable without colour: each cause has its own character."""

from __future__ import annotations

from accelsim.report import facts, words
from accelsim.results import LayerResult

_CHARS = {
    "busy": "█",
    "zero": "▒",
    "padding": "p",
    "refetch": "r",
    "unmapped": "u",
    "fill_drain": "f",
    "imbalance": "i",
    "conflict": "x",
    "starved": "s",
    "control": "c",
    "memory": "m",
}

STYLES = {
    "busy": "green",
    "zero": "green",
    "padding": "magenta",
    "refetch": "cyan",
    "unmapped": "bright_black",
    "fill_drain": "cyan",
    "imbalance": "yellow",
    "conflict": "magenta",
    "starved": "blue",
    "control": "bright_magenta",
    "memory": "red",
}
"""Cause -> terminal style; a help for the eye that carries no information of its own."""


def char(cause: str) -> str:
    """Return the character of a cause."""
    return _CHARS.get(cause, "?")


def legend(cause: str) -> tuple[str, str]:
    """Return the character of a cause and what it means."""
    return char(cause), words.of_cause(cause)


def cells(layer: LayerResult, width: int) -> list[tuple[str, int]]:
    """Return the causes of a layer and how many of ``width`` cells each takes.

    The counts sum to ``width`` exactly: every cause gets the whole cells of its share, and the cells that are left
    go to the largest remainders (ties to the earlier cause). A layer without unit-cycles has no cells.
    """
    account = facts.causes(layer)
    total = sum(account.values())
    if not total or width < 1:
        return []
    counts = {cause: n * width // total for cause, n in account.items()}
    left = width - sum(counts.values())
    remainders = sorted(account, key=lambda cause: -(account[cause] * width % total))
    for cause in remainders[:left]:
        counts[cause] += 1
    return [(cause, n) for cause, n in counts.items() if n]


def text(layer: LayerResult, width: int) -> str:
    """Return the bar as plain text of exactly ``width`` characters; blank for a layer without unit-cycles."""
    return "".join(char(cause) * n for cause, n in cells(layer, width)).ljust(width)
