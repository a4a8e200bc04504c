"""Zero patterns: where the zeros of a tensor fall. How many there are is its density, whatever the pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import AfterValidator, WithJsonSchema

Kind: TypeAlias = Literal["bernoulli", "clustered", "rows", "nm", "balanced", "follows"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BERNOULLI: Literal["bernoulli"] = "bernoulli"
"""The pattern of a tensor that does not say: each element on its own."""

FOLLOWS: Literal["follows"] = "follows"
"""The pattern of filters whose density follows that of the input which they meet."""

MAX_SPREAD = 4.0
"""Log-normal rows with a wider spread are a few dense rows and nothing else."""

MAX_COUNT = 1 << 20
"""Largest group or number of PEs."""

MAX_RATIO = 100.0
"""Largest ratio of densities of ``follows``, and the inverse of the smallest."""


@dataclass(frozen=True)
class Pattern:
    """A zero pattern and its one parameter.

    Rows are the first dimension of a weight (outputs) and the channels of an activation; channels are the second
    dimension of either (input channels), of a tensor with one dimension the first.

    Attributes
    ----------
    kind : str
        ``bernoulli``: each element alone. ``clustered``: by channel; ``value`` in [0, 1] is the correlation of a
        two-level density: 0 is even, 1 has channels that are all there or all zero. ``rows``: the densities of rows
        are log-normal; ``value`` is the standard deviation of their logarithm. ``nm``: N of every M consecutive
        channels, M the ``value`` and N = density x M. ``balanced``: each of ``value`` PEs, which hold the rows i mod
        PEs, has its exact share of the non-zeros. ``follows``, of filters only: where the input is not zero they are
        ``value`` times as dense as where it is; in between for an input channel that is zero at times.
    value : float or int
        0 for ``bernoulli``.
    """

    kind: Kind
    value: float = 0

    @property
    def count(self) -> int:
        """The parameter of ``nm`` and ``balanced``."""
        return int(self.value)

    def __str__(self) -> str:
        return self.kind if self.kind == BERNOULLI else f"{self.kind}:{self.value:g}"


def parse(text: str) -> Pattern:
    """Return the pattern of ``bernoulli``, ``clustered:0.5``, ``rows:0.5``, ``nm:4``, ``balanced:64`` or ``follows:2``.

    Raises
    ------
    ValueError
        "problem; remedy": another kind, a parameter that is missing, no number, or out of range.
    """
    kind, colon, number = text.partition(":")
    if kind not in KINDS:
        raise ValueError(f"'{text}' is no pattern of zeros; use {', '.join(EXAMPLES)}")
    if kind == BERNOULLI:
        if colon:
            raise ValueError(f"pattern '{text}' takes no parameter; write {BERNOULLI}")
        return Pattern(BERNOULLI)
    low, high, whole = LIMITS[kind]
    words = f"give {kind}:<{'whole number' if whole else 'number'} from {low:g} to {high:g}>"
    try:
        value: float = int(number) if whole else float(number)
    except ValueError:
        raise ValueError(f"pattern '{text}' needs a number; {words}") from None
    if not low <= value <= high:
        raise ValueError(f"pattern '{text}' is out of range; {words}")
    return Pattern(kind, value)


LIMITS: dict[str, tuple[float, float, bool]] = {
    "clustered": (0, 1.0, False),
    "rows": (0, MAX_SPREAD, False),
    "nm": (1, MAX_COUNT, True),
    "balanced": (1, MAX_COUNT, True),
    "follows": (1 / MAX_RATIO, MAX_RATIO, False),
}
"""Kind -> least and largest parameter, and whether it is a whole number."""

EXAMPLES = (BERNOULLI, "clustered:0.5", "rows:0.5", "nm:4", "balanced:64", "follows:2")


def _legal(text: str) -> str:
    return str(parse(text))


PatternText = Annotated[str, AfterValidator(_legal), WithJsonSchema({"type": "string", "examples": list(EXAMPLES)})]
"""A pattern as it is written in files and kept in a tensor."""
