"""How a help text ends: commands that can be copied as they stand."""

from __future__ import annotations

SWEEP = "examples/array_shape/sweep.yaml"
"""What examples of sweeps run: 28 points in seconds."""
WIDTH = 78
"""Columns of a help text at the least width of terminals that people use, without click's margin."""


def example(*steps: str) -> str:
    """Return the end of a command's help: one example in as many steps as it takes, a line each, none wrapped.

    A step that is too long goes on behind a backslash, as a shell takes it.
    """
    lines = [line for step in steps for line in _broken(step)]
    return "\b\nExample: " + f"\n{' ' * len('Example: ')}".join(lines)


def _broken(step: str) -> list[str]:
    """Return a command in lines that fit, all but the last with a backslash: before an option, else at a space."""
    room = WIDTH - len("Example: ") - len(" \\")
    lines, rest = [], step
    while len(rest) > room + len(" \\"):
        cut = rest.rfind(" -", 0, room)
        if cut < 0 and not {"'", '"'} & set(rest):
            cut = rest.rfind(" ", 0, room)
        if cut <= 1:
            break
        lines.append(f"{rest[:cut]} \\")
        rest = f"  {rest[cut + 1 :]}"
    return [*lines, rest]
