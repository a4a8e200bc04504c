"""What a machine is made of: each component once, so that energy and area follow from the same description.

A component class declares its *actions*. Storage and links count actions in bits, arithmetic in operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from accelsim.units import ceil_div


@dataclass(frozen=True)
class Component:
    """``count`` identical instances of one piece of hardware.

    Attributes
    ----------
    name : str
        As it appears in reports (``macs``, ``glb.weights``, ``dram``).
    count : int
        Instances, at least 1.
    """

    name: str
    count: int = 1

    kind: ClassVar[str]
    actions: ClassVar[tuple[str, ...]]
    counts_bits: ClassVar[bool] = False


@dataclass(frozen=True)
class Mac(Component):
    """A multiply-accumulate unit. Actions in operations; ``gated`` is a multiply suppressed by a zero."""

    input_bits: int = 8
    weight_bits: int = 8
    accumulator_bits: int = 32

    kind: ClassVar[str] = "mac"
    actions: ClassVar[tuple[str, ...]] = ("mac", "gated")


@dataclass(frozen=True)
class Alu(Component):
    """A lane of a vector unit. Actions in operations of ``bits`` wide operands.

    ``parts`` are what it is built of, for area and leakage; of a whole vector lane one of each.
    """

    bits: int = 32
    parts: tuple[Literal["multiplier", "adder", "comparator"], ...] = ("multiplier", "adder", "comparator")

    kind: ClassVar[str] = "alu"
    actions: ClassVar[tuple[str, ...]] = ("add", "mul", "compare", "special")


@dataclass(frozen=True)
class Sram(Component):
    """An on-chip memory of ``size_bits`` per instance with a port of ``width_bits``. Actions in bits.

    ``banks`` macros side by side make it up; None stands for the cheapest banking.
    """

    size_bits: int = 0
    width_bits: int = 64
    banks: int | None = None

    kind: ClassVar[str] = "sram"
    actions: ClassVar[tuple[str, ...]] = ("read", "write")
    counts_bits: ClassVar[bool] = True


@dataclass(frozen=True)
class RegisterFile(Component):
    """Flip-flop storage of ``size_bits`` per instance. Actions in bits.

    With ``clocked`` its words move on every cycle: they are bits of the unit's `Registers`, whose clock, toggles, area
    and leakage are theirs, and an access costs nothing beside.
    """

    size_bits: int = 0
    width_bits: int = 16
    clocked: bool = False

    kind: ClassVar[str] = "register_file"
    actions: ClassVar[tuple[str, ...]] = ("read", "write")
    counts_bits: ClassVar[bool] = True


@dataclass(frozen=True)
class Registers(Component):
    """Flip-flops of a pipeline: operands, sums, control. What ``count`` units have that their storage does not name.

    Attributes
    ----------
    clocked_bits : int
        Per unit, clocked while it runs.
    gated_words : int
        Per unit, words of its storage behind a clock gate of their own, which takes the clock while the unit runs.
    unit : str
        The kind of unit whose account says when they work; the primary kind if empty.
    source : str
        Where the two numbers come from: a publication, or ``assumed`` and what was added up.
    per_units : int
        Units of that kind, filled in from the engine: ``data`` counts their unit-cycles.
    """

    clocked_bits: int = 0
    gated_words: int = 0
    unit: str = ""
    source: str = "assumed"
    per_units: int = 1

    kind: ClassVar[str] = "registers"
    actions: ClassVar[tuple[str, ...]] = ("data",)


@dataclass(frozen=True)
class Clock(Component):
    """The clock of `Registers`, made from them: flip-flops, clock gates and the network that drives them.

    Actions in unit-cycles: ``cycle`` of a unit that is clocked, ``gates`` of one whose words are all gated.

    Attributes
    ----------
    registers : Registers
    sinks : int
        Clocked bits and gates of all registers under the same root.
    area_mm2 : float
        Placed area in which these sinks lie.
    """

    registers: Registers = Registers("registers")
    sinks: int = 0
    area_mm2: float = 0.0

    kind: ClassVar[str] = "clock"
    actions: ClassVar[tuple[str, ...]] = ("cycle", "gates")


@dataclass(frozen=True)
class Link(Component):
    """A wire between neighbours, or a network hop, of ``length_mm``. Actions in bits moved.

    Without a length it has the pitch of a unit, or with ``reach="trunk"`` the side of the chip, as placed; then
    ``placed`` says that its length was found so. ``carries`` are a boundary and a direction each (``glb.inputs/read``):
    what crosses there moves over this link too, the way between a shared buffer and the units.
    """

    width_bits: int = 16
    length_mm: float = 0.0
    reach: Literal["hop", "trunk"] = "hop"
    placed: bool = False
    carries: tuple[str, ...] = ()

    kind: ClassVar[str] = "link"
    actions: ClassVar[tuple[str, ...]] = ("transfer",)
    counts_bits: ClassVar[bool] = True


@dataclass(frozen=True)
class Dram(Component):
    """Off-chip memory of a named ``standard`` (``lpddr4``, ``ddr3``, ``hbm2``). Actions in bits on the bus."""

    standard: str = ""

    kind: ClassVar[str] = "dram"
    actions: ClassVar[tuple[str, ...]] = ("read", "write")
    counts_bits: ClassVar[bool] = True


def dot_product_bits(outputs: int, inputs: int, operand_bits: int) -> int:
    """Return the pipeline registers of dot products over shared inputs: a multiplier of each weight, and adder trees.

    Latches of the inputs and of every weight, a product behind every multiplier, the sums behind the first adders of a
    tree, and its result; products and sums of twice the operands' width. An assumed cut into three stages.
    """
    latches = operand_bits * (inputs + outputs * inputs)
    return latches + 2 * operand_bits * outputs * (inputs + ceil_div(inputs, 2) + 1)
