"""A nest of loops on a machine of memory levels: what it is. What it moves is counted by `nest_kernel`.

Dimensions: G groups, N images, M outputs channels and C input channels of a group, P Q output rows and columns, R S
filter rows and columns. Tensors: W (G M C R S), I (G N C, rows under P and R, columns under Q and S), O (G N M P Q).
Levels and loops are written from the outermost to the innermost. Level 0 keeps every tensor.

Source of the rules: A. Parashar et al., "Timeloop: A Systematic Approach to DNN Accelerator Evaluation", ISPASS 2019,
section V; what is counted otherwise here is in docs/decisions/0073-nest.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import Literal, NamedTuple, TypeAlias

from accelsim.errors import MappingError
from accelsim.workload.shapes import Conv2d

DIMS = "GNMCPQRS"
TENSORS = "WIO"
RELEVANT = {"W": "GMCRS", "I": "GNCPQRS", "O": "GNMPQ"}
"""Dimensions that a tensor has; those of I reach its rows and columns through two windows, P with R and Q with S."""

MOST = 2**61
"""No count may come near 64 bits."""

Halo: TypeAlias = Literal["keep", "refetch"]


class Factor(NamedTuple):
    """A loop over chunks of a dimension, or as many instances, along an axis of the mesh, that have a chunk each."""

    dim: str
    times: int
    axis: int = 0


def factors(text: str) -> tuple[Factor, ...]:
    """Return the loops of ``"P4 M2"``, outermost first; ``M4@1`` lies along the second axis of a mesh.

    Raises
    ------
    MappingError
        A word that is no loop.
    """
    found = []
    for word in text.split():
        match = re.fullmatch(rf"([{DIMS}])([1-9][0-9]*)(?:@([01]))?", word)
        if match is None:
            raise MappingError(f"'{word}' is no loop", f"write a dimension, one of {DIMS}, and a factor: P4")
        found.append(Factor(match[1], int(match[2]), int(match[3] or 0)))
    return tuple(found)


@dataclass(frozen=True)
class Problem:
    """The sizes of the eight dimensions, and how outputs reach the input.

    Attributes
    ----------
    stride, dilation : pair of int
        Of rows and columns.
    image : pair of (pad, size), or None
        Rows and columns of the input that exist: those before ``pad`` and behind ``pad + size`` are padding, which
        nobody moves. None: everything under the windows exists.
    """

    g: int = 1
    n: int = 1
    m: int = 1
    c: int = 1
    p: int = 1
    q: int = 1
    r: int = 1
    s: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    image: tuple[tuple[int, int], tuple[int, int]] | None = None

    @classmethod
    def of_conv(cls, conv: Conv2d) -> Problem:
        """Return a convolution's nest; its channels are those of a group."""
        image = ((conv.pad[0], conv.h), (conv.pad[1], conv.w))
        return cls(conv.groups, conv.n, conv.k // conv.groups, conv.c // conv.groups, conv.e, conv.f, conv.r, conv.s,
                   conv.stride, conv.dilation, image)  # fmt: skip

    @property
    def sizes(self) -> dict[str, int]:
        """Return the size of each dimension."""
        return {dim: getattr(self, dim.lower()) for dim in DIMS}

    @property
    def macs(self) -> int:
        """Multiply-accumulates, taps on padding included."""
        return prod(self.sizes.values())

    def words(self, tensor: str, extents: dict[str, int]) -> int:
        """Return the words of a box with these extents, padding included."""
        count = prod(extents[dim] for dim in RELEVANT[tensor] if tensor != "I" or dim in "GNC")
        if tensor == "I":
            for d, (out, window) in enumerate((("P", "R"), ("Q", "S"))):
                count *= (extents[out] - 1) * self.stride[d] + (extents[window] - 1) * self.dilation[d] + 1
        return count


@dataclass(frozen=True)
class Level:
    """A memory, as many times as the mesh below its parent has places.

    Attributes
    ----------
    mesh : tuple of int
        Instances of the next level below one of this level, along one or two axes; empty: one.
    bits : int or None
        Capacity of an instance; None: without end.
    buffering : int
        A tile may take this part of the capacity: 1, or 2 where the next tile is loaded meanwhile.
    halo : "keep" or "refetch"
        Whether words that the tile before had too stay, or the whole box is loaded whenever it moves.
    multicast : bool
        Whether instances below that want equal boxes get them by one read.
    neighbours : bool
        Whether words of boxes that overlap are read once too.
    reduce : bool
        Whether partial sums of one output that instances below send at a time arrive as one.
    """

    name: str
    mesh: tuple[int, ...] = ()
    bits: int | None = None
    buffering: int = 1
    halo: Halo = "keep"
    multicast: bool = True
    neighbours: bool = False
    reduce: bool = True


@dataclass(frozen=True)
class Cut:
    """What a mapping says of a level: its loops in time, its loops in space, and the tensors that it keeps."""

    loops: tuple[Factor, ...] = ()
    spatial: tuple[Factor, ...] = ()
    keeps: str = TENSORS


@dataclass(frozen=True)
class Mapping:
    """One cut per level."""

    cuts: tuple[Cut, ...]

    @classmethod
    def parse(cls, *levels: str) -> Mapping:
        """Return a mapping written as one text per level: ``"M2 C4 [M4] WO"``, loops, instances, kept tensors."""
        cuts = []
        for text in levels:
            match = re.fullmatch(r"([^\[\]]*?)(?:\[([^\[\]]*)\])?\s*((?<!\S)-|(?<!\w)[WIO]+)?", text.strip())
            if match is None:
                raise MappingError(f"'{text}' is no cut of a level", "write loops, [instances], kept tensors")
            keeps = TENSORS if match[3] is None else match[3].replace("-", "")
            cuts.append(Cut(factors(match[1]), factors(match[2] or ""), keeps))
        return cls(tuple(cuts))


class Words(NamedTuple):
    """What a tensor moves at a level, in words over all instances.

    Attributes
    ----------
    fills : int
        Words that come from above; of O the partial sums that come back (a first touch brings nothing).
    reads : int
        Words that go down, once for all that receive them together; of O reads to add to.
    updates : int
        Partial sums and results that arrive from below, after the sum over instances where there is one. O only.
    drains : int
        Words that go up. O only.
    box : int
        Largest box of an instance, padding included.
    """

    fills: int
    reads: int
    updates: int = 0
    drains: int = 0
    box: int = 0


@dataclass(frozen=True)
class Counts:
    """What a nest takes.

    Attributes
    ----------
    cycles : int
        Innermost steps of the busiest instance, which all wait for: no port, ramp or DRAM is in them.
    macs : int
        Multiply-accumulates, padding taps included.
    used : int
        Instances at the innermost level's spatial loops that ever have work.
    words : dict
        (level name, tensor) -> `Words`, for the tensors that a level keeps.
    """

    cycles: int
    macs: int
    used: int
    words: dict[tuple[str, str], Words] = field(default_factory=dict)


@dataclass(frozen=True)
class Nest:
    """A problem cut by a mapping on the levels of a machine."""

    problem: Problem
    levels: tuple[Level, ...]
    mapping: Mapping

    def extents(self, level: int) -> dict[str, int]:
        """Return the extents of a full box of an instance at a level."""
        inner = self.mapping.cuts[level:]
        whole = {dim: prod(x.times for cut in inner for x in (*cut.loops, *cut.spatial) if x.dim == dim)
                   for dim in DIMS}  # fmt: skip
        return {dim: min(whole[dim], size) for dim, size in self.problem.sizes.items()}

    def check(self, bits: dict[str, int] | None = None) -> None:
        """Raise MappingError, naming level, dimension or tensor, need and room, unless the mapping is legal.

        Parameters
        ----------
        bits : dict, optional
            Tensor -> element width; without it capacities are not looked at.
        """
        levels, cuts = self.levels, self.mapping.cuts
        if len(cuts) != len(levels):
            raise MappingError(f"{len(cuts)} cuts for {len(levels)} levels", "give one per level")
        if set(cuts[0].keeps) != set(TENSORS):
            raise MappingError(
                f"level '{levels[0].name}' keeps {cuts[0].keeps or 'nothing'}", "it must keep W, I and O"
            )
        for dim, size in self.problem.sizes.items():
            reached = prod(x.times for cut in cuts for x in (*cut.loops, *cut.spatial) if x.dim == dim)
            if reached < size:
                raise MappingError(f"the factors of {dim} reach {reached} of {size}", "raise one of them")
        for level, cut in zip(levels, cuts, strict=True):
            for axis in (0, 1):
                wanted = prod(x.times for x in cut.spatial if x.axis == axis)
                room = level.mesh[axis] if axis < len(level.mesh) else 1
                if wanted > room:
                    raise MappingError(
                        f"level '{level.name}': {wanted} instances along axis {axis} of its mesh, it has {room}",
                        "spread less",
                    )
        steps = prod(x.times for cut in cuts for x in (*cut.loops, *cut.spatial))
        window = max(*self.problem.stride, *self.problem.dilation)
        if steps * window * window > MOST:
            raise MappingError("the counts of this nest exceed 64-bit integers", "split the layer")
        if bits is not None:
            self._check_room(bits)

    def _check_room(self, bits: dict[str, int]) -> None:
        for i, level in enumerate(self.levels):
            if level.bits is None:
                continue
            extents = self.extents(i)
            need = {t: self.problem.words(t, extents) * bits[t] for t in self.mapping.cuts[i].keeps}
            if sum(need.values()) * level.buffering > level.bits:
                largest = max(need, key=lambda t: need[t])
                raise MappingError(
                    f"level '{level.name}': a tile takes {sum(need.values()):,} bits, {need[largest]:,} of them "
                    f"{largest}; there is room for {level.bits // level.buffering:,}",
                    "cut it smaller",
                )
