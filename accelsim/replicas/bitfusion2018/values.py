"""What goes into the replicas and what comes out: layers, networks and results, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accelsim.config.schema import Strict

Count = Annotated[int, Field(ge=1, le=2**31)]

LOOPS = ("B", "OW", "OH", "IC", "OC")
"""The tiled loops. The kernel side K is never tiled."""


class Layer(Strict):
    """A square convolution or a fully connected layer, as the released models see it.

    ``im2col`` marks a convolution whose input is the network's input. ``tokens`` multiplies the batch of a
    fully connected layer.
    """

    name: str
    kind: Literal["conv", "fc"]
    in_channels: Count
    out_channels: Count
    activation_bits: Count
    weight_bits: Count
    output_side: Count = 1
    kernel: Count = 1
    stride: Count = 1
    tokens: Count = 1
    im2col: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "fc":
            for key in ("output_side", "kernel", "stride"):
                if getattr(self, key) != 1:
                    raise ValueError(f"a fully connected layer with {key} {getattr(self, key)}; leave {key} out")
            if self.im2col:
                raise ValueError("a fully connected layer with im2col; leave im2col out")
        elif self.tokens != 1:
            raise ValueError(f"a convolution with tokens {self.tokens}; leave tokens out")
        return self

    def macs(self, batch: int) -> int:
        """Return the multiply-accumulates of the layer for ``batch`` images."""
        positions = batch * self.tokens * self.output_side**2
        return positions * self.kernel**2 * self.in_channels * self.out_channels


class Network(Strict):
    """Layers without edges: the released models cost each one alone."""

    name: str
    source: str
    title: str = ""
    batch: Count
    layers: tuple[Layer, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        seen: set[str] = set()
        for layer in self.layers:
            if layer.name in seen:
                raise ValueError(f"two layers are called '{layer.name}'; rename one")
            seen.add(layer.name)
        return self

    def with_batch(self, batch: int) -> Network:
        """Return the same network at another batch size."""
        return self.model_copy(update={"batch": batch})


@dataclass(frozen=True)
class LayerResult:
    """The released simulator's columns for one layer, for the whole batch.

    Attributes
    ----------
    cycles, compute_cycles, stall_cycles : int
        ``cycles = compute_cycles + stall_cycles``.
    dram_read_bits, dram_write_bits : int
        Traffic as the released model counts it.
    sram_bits : dict of str to int
        ``{wbuf,ibuf,obuf}_{read,write}``: accesses by the array plus DRAM fills and drains.
    energy_parts_nj : dict of str to float
        Energy by component.
    tiling : dict of str to (int, int)
        Loop -> (trips, tile size).
    order : tuple of str
        Loops, outermost first. Where several choices tie on cycles and energy, the first in lexicographic
        order; the release walks a Python set there, so that its own choice differs from run to run.
    """

    name: str
    cycles: int
    compute_cycles: int
    stall_cycles: int
    dram_read_bits: int
    dram_write_bits: int
    sram_bits: dict[str, int]
    energy_parts_nj: dict[str, float]
    tiling: dict[str, tuple[int, int]]
    order: tuple[str, ...]

    @property
    def energy_nj(self) -> float:
        """Energy of the layer, in nJ."""
        return sum(self.energy_parts_nj.values())


@dataclass(frozen=True)
class NetworkResult:
    """The layers of a network, one after another, and their sums."""

    network: str
    batch: int
    clock_mhz: int
    layers: tuple[LayerResult, ...]

    def total(self, column: str) -> int:
        """Return the sum over layers of an integer column such as ``cycles`` or ``dram_read_bits``."""
        return sum(getattr(layer, column) for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Cycles of the whole batch."""
        return self.total("cycles")

    @property
    def energy_parts_nj(self) -> dict[str, float]:
        """Energy of the whole batch by component, in nJ."""
        return {part: sum(x.energy_parts_nj[part] for x in self.layers) for part in self.layers[0].energy_parts_nj}

    @property
    def energy_nj(self) -> float:
        """Energy of the whole batch, in nJ."""
        return sum(layer.energy_nj for layer in self.layers)

    @property
    def ms_per_image(self) -> float:
        """Time per image, in ms."""
        return self.cycles / (self.clock_mhz * 1e3) / self.batch
