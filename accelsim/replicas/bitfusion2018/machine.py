"""The machines of the replicas: released configurations and prices, keys overridden, nothing interpolated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from accelsim.config.arch import override
from accelsim.config.schema import NotNegative, Strict
from accelsim.config.yamlfile import Document, read, validate
from accelsim.errors import PriceError
from accelsim.replicas.bitfusion2018.networks import unknown
from accelsim.replicas.bitfusion2018.search import BUFFERS, Prices
from accelsim.replicas.bitfusion2018.values import Count

FILE = Path(__file__).with_name("machines.yaml")

Price = Annotated[NotNegative | None, Field(description="left out: the release's own, for the sizes it has")]

OBUF_WORD_BITS = 32

SRAM_PRICES = tuple(f"{buffer}_{access}_pj_per_bit" for buffer in BUFFERS for access in ("read", "write"))


class Array(Strict):
    """What the machines of both releases have in common."""

    clock_mhz: Count
    rows: Annotated[int, Field(ge=1, le=4096, description="N: units along the input channels")]
    columns: Annotated[int, Field(ge=1, le=4096, description="M: units along the output channels")]
    ibuf_bytes: Count
    wbuf_bytes: Count
    obuf_bytes: Count
    dram_bits_per_cycle: Count
    pmax_bits: Annotated[int, Field(ge=1, le=64, description="widest operand of one product")] = 8
    pmin_bits: Annotated[int, Field(ge=1, le=64, description="narrower operands cost as much as this one")] = 2
    core_pj_per_cycle: Price = None
    wbuf_read_pj_per_bit: Price = None
    wbuf_write_pj_per_bit: Price = None
    ibuf_read_pj_per_bit: Price = None
    ibuf_write_pj_per_bit: Price = None
    obuf_read_pj_per_bit: Price = None
    obuf_write_pj_per_bit: Price = None

    @model_validator(mode="after")
    def _pmin_divides_pmax(self) -> Self:
        if self.pmax_bits % self.pmin_bits:
            raise ValueError(
                f"pmin_bits {self.pmin_bits} does not divide pmax_bits {self.pmax_bits}; choose one that does"
            )
        return self

    @property
    def buffer_bytes(self) -> tuple[int, int, int]:
        """Sizes of WBUF, IBUF and OBUF."""
        return self.wbuf_bytes, self.ibuf_bytes, self.obuf_bytes

    def fusion(self, bits: int) -> int:
        """Return how many operands of ``bits`` share the widest one: 3 bits as 4; 5, 6 and 7 as 8; 1 as pmin."""
        return self.pmax_bits // max(bits, self.pmin_bits)


class ReleaseMachine(Array):
    """BitFusion's machine."""

    dram_pj_per_bit: NotNegative = 15.0  # the constant of the release; its comment says 6

    @model_validator(mode="after")
    def _banks_are_whole(self) -> Self:
        for buffer, (banks, word_bits) in self.banks.items():
            size = getattr(self, f"{buffer}_bytes")
            if 8 * size % (banks * word_bits):
                raise ValueError(
                    f"{buffer}_bytes {size} does not fill {banks} banks of {word_bits}-bit words; "
                    f"use a multiple of {lcm(banks * word_bits, 8) // 8}"
                )
        return self

    @property
    def banks(self) -> dict[str, tuple[int, int]]:
        """Number of banks and bits of a word of each buffer."""
        word_bits = self.pmax_bits**2 // self.pmin_bits
        return {
            "wbuf": (self.rows * self.columns, word_bits),
            "ibuf": (self.rows, word_bits),
            "obuf": (self.columns, OBUF_WORD_BITS),
        }

    @property
    def prices(self) -> Prices:
        """The prices a search minimises, all present in a loaded machine."""
        return Prices(
            dram_read_pj_per_bit=self.dram_pj_per_bit,
            dram_write_pj_per_bit=self.dram_pj_per_bit,
            **{key: getattr(self, key) for key in ("core_pj_per_cycle", *SRAM_PRICES)},
        )


AnyArray = TypeVar("AnyArray", bound=Array)


def names() -> list[str]:
    """Return the names of the released configurations."""
    return sorted(read(FILE).data["machines"])


def load(name: str = "eyeriss_matched", sets: Sequence[tuple[str, Any]] = ()) -> ReleaseMachine:
    """Return a released configuration with keys set and every price filled in.

    Raises
    ------
    ConfigError
        For an unknown name or key, or a value out of range.
    PriceError
        For a geometry that the release has no energy for, when ``sets`` gives none either.
    """
    released = read(FILE).data
    if name not in released["machines"]:
        raise unknown("machine", name, sorted(released["machines"]))
    document = override(Document(dict(released["machines"][name]), name), sets, "--set")
    machine = validate(ReleaseMachine, document)
    return with_prices(machine, _released_prices(machine, released), ("core_pj_per_cycle", *SRAM_PRICES), name)


def with_prices(array: AnyArray, released: Mapping[str, float], keys: Sequence[str], name: str) -> AnyArray:
    """Return ``array`` with the prices it leaves out taken from ``released``, or raise PriceError."""
    missing = [key for key in keys if getattr(array, key) is None]
    unpriced = [key for key in missing if key not in released]
    if unpriced:
        words = " ".join(f"--set {key}=<pJ>" for key in unpriced)
        raise PriceError(f"the release has no energy for this size: {', '.join(unpriced)}", f"add {words}", file=name)
    return array.model_copy(update={key: released[key] for key in missing})


def _released_prices(machine: ReleaseMachine, released: Mapping[str, Any]) -> dict[str, float]:
    """Return those prices the release has for this geometry."""
    found: dict[str, float] = {}
    core = released["core"]
    units = machine.rows * machine.columns
    # arrays below 4 x 4 have synthesis results of their own, which are not carried here
    if (machine.pmax_bits, machine.pmin_bits) == (core["pmax_bits"], core["pmin_bits"]) and units >= 16:
        found["core_pj_per_cycle"] = core["pj_per_cycle_per_unit"] * units
    for buffer, (banks, word_bits) in machine.banks.items():
        points = released["sram"]["extra_port" if buffer == "obuf" else "one_port"]
        bank_bytes = getattr(machine, f"{buffer}_bytes") // banks
        if word_bits == 32 and str(bank_bytes) in points:
            found[f"{buffer}_read_pj_per_bit"], found[f"{buffer}_write_pj_per_bit"] = points[str(bank_bytes)]
    return found
