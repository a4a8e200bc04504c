"""ANT's released performance model, a descendant of BitFusion's, for six designs of comparison.

Source: C. Guo et al., MICRO 2022, released simulator ``clevercool/ANT-Quantization`` (``ant_simulator``).

What differs from ``model``: every layer is unfolded (im2col); operands fuse per side, so that narrower activations
fill rows and narrower weights fill columns; partial sums are never read from DRAM and outputs leave at 16 bits;
OBUF is not checked; the design is output or weight stationary throughout; DRAM and core leak.
Replicated oddities: activations are padded to the *columns*; the drain at the end of a layer counts as 0 bits as
soon as one loop around it fits in OBUF; the mapping is chosen with one set of DRAM constants and the energy
reported with another. (SRAM leaks in the first only, where it is the same for all mappings of equal cycles.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from accelsim.config.arch import override
from accelsim.config.schema import NotNegative, Strict
from accelsim.config.yamlfile import Document, read, validate
from accelsim.replicas.bitfusion2018.machine import SRAM_PRICES, Array, Price, with_prices
from accelsim.replicas.bitfusion2018.model import check_widths
from accelsim.replicas.bitfusion2018.networks import ANT_NETWORKS, unknown
from accelsim.replicas.bitfusion2018.networks import load as load_network
from accelsim.replicas.bitfusion2018.search import BUFFERS, Choice, Costs, Prices, Tiles, best_choice, ceil_div
from accelsim.replicas.bitfusion2018.values import Layer, LayerResult, Network, NetworkResult

FILE = Path(__file__).with_name("ant_designs.yaml")

OUTPUT_BITS = 16
"""Width of outputs in DRAM and of every OBUF access."""

BASELINE = "adafloat"
"""The design whose time is 1 in the published figure."""


class DramPrices(Strict):
    """DRAM energy per bit."""

    read_pj_per_bit: NotNegative
    write_pj_per_bit: NotNegative


class Dram(Strict):
    """The two sets of constants of the release, and the DRAM's leakage in the second."""

    chosen: DramPrices
    reported: DramPrices
    reported_leak_pj_per_cycle: NotNegative


class Design(Array):
    """One of the compared designs."""

    stationary: Literal["output", "weight"]
    precision: str
    dram: Dram
    core_leak_pj_per_cycle: Price = None

    @property
    def prices(self) -> Prices:
        """The prices a search minimises, all present in a loaded design."""
        dram = self.dram.chosen
        return Prices(
            dram_read_pj_per_bit=dram.read_pj_per_bit,
            dram_write_pj_per_bit=dram.write_pj_per_bit,
            **{key: getattr(self, key) for key in ("core_pj_per_cycle", *SRAM_PRICES)},
        )


_CORE_PRICES = ("core_pj_per_cycle", "core_leak_pj_per_cycle")


def names() -> list[str]:
    """Return the names of the compared designs."""
    return sorted(read(FILE).data["designs"])


def load(name: str, sets: Sequence[tuple[str, Any]] = ()) -> Design:
    """Return a design with keys set and every price filled in.

    Raises
    ------
    ConfigError
        For an unknown name or key, or a value out of range.
    PriceError
        For a buffer or core that the release has no energy for, when ``sets`` gives none either.
    """
    released = read(FILE).data
    if name not in released["designs"]:
        raise unknown("design", name, sorted(released["designs"]))
    data = {**released["machine"], **released["designs"][name], "dram": released["dram"]}
    design = validate(Design, override(Document(data, name), sets, "--set"))
    return with_prices(design, _released_prices(design, released), (*_CORE_PRICES, *SRAM_PRICES), name)


def simulate(network: Network, design: Design) -> NetworkResult:
    """Return what the released simulator reports; errors as in ``model.simulate``."""
    layers = tuple(simulate_layer(layer, network.batch, design) for layer in network.layers)
    return NetworkResult(network.name, network.batch, design.clock_mhz, layers)


def simulate_layer(layer: Layer, batch: int, design: Design) -> LayerResult:
    """Return the best of all tilings and loop orders of one layer."""
    check_widths(layer, design.pmax_bits)
    choice = best_choice(
        layer,
        batch,
        1,
        lambda tiles: _costs(layer, design, tiles),
        design.buffer_bytes,
        design.prices,
        design.dram_bits_per_cycle,
    )
    return choice.result(layer.name, _energy_parts_nj(choice, design))


@dataclass(frozen=True)
class Run:
    """A network at a design's bit widths, on that design."""

    name: str
    design: Design
    network: Network
    result: NetworkResult


def run(network: str, design: str, sets: Sequence[tuple[str, Any]] = (), batch: int | None = None) -> Run:
    """Run a packaged network or a file at the bit widths of ``design``; errors as in the parts."""
    loaded = load(design, sets)
    found = load_network(network, ANT_NETWORKS, loaded.precision)
    found = found.with_batch(batch or found.batch)
    return Run(design, loaded, found, simulate(found, loaded))


def relative_times(runs: Sequence[Run]) -> dict[str, float]:
    """Return each design's cycles over those of AdaFloat, the published quantity."""
    baseline = next(run.result.cycles for run in runs if run.name == BASELINE)
    return {run.name: run.result.cycles / baseline for run in runs}


def _costs(layer: Layer, design: Design, tiles: Tiles) -> Costs:
    """Return the cost of one tile for every tiling."""
    b, o, ic, oc = tiles
    pi, pw = layer.activation_bits, layer.weight_bits
    positions = b * o * o
    products = layer.kernel**2 * ic
    weight_lanes = design.rows * design.fusion(pw)
    input_lanes = design.columns * design.fusion(pi)
    weight_bits = ceil_div(products, weight_lanes) * weight_lanes * oc * pw
    input_bits = o * o * ceil_div(products, input_lanes) * input_lanes * b * pi
    output_bits = positions * oc * OUTPUT_BITS
    stream_bits = np.stack([weight_bits, input_bits, output_bits * 0, output_bits], axis=1)

    row_lanes = design.rows * design.fusion(pi)
    out_groups = ceil_div(oc, design.columns * design.fusion(pw))
    macs = products * positions * oc
    if design.stationary == "output":
        compute_cycles = ceil_div(positions, row_lanes) * out_groups * products
        weight_reads, output_accesses = macs * pw, output_bits
    else:
        compute_cycles = positions * out_groups * ceil_div(products, row_lanes)
        weight_reads, output_accesses = products * oc * pw, macs * OUTPUT_BITS
    array_bits = np.stack([weight_reads, macs * pi, output_accesses, output_accesses], axis=1)
    return Costs(stream_bits, compute_cycles, array_bits, compute_cycles)


def _energy_parts_nj(choice: Choice, design: Design) -> dict[str, float]:
    """Price a choice as the release's breakdown does."""
    prices, dram = design.prices._asdict(), design.dram.reported
    core, core_leak = (getattr(design, key) for key in _CORE_PRICES)
    sram_pj = sum(bits * prices[f"{event}_pj_per_bit"] for event, bits in choice.sram_bits.items())
    dram_pj = choice.dram_read_bits * dram.read_pj_per_bit + choice.dram_write_bits * dram.write_pj_per_bit
    return {
        "static": choice.cycles * design.dram.reported_leak_pj_per_cycle * 1e-3,
        "dram": dram_pj * 1e-3,
        "sram": sram_pj * 1e-3,
        "core": (choice.cycles * core_leak + choice.compute_cycles * core) * 1e-3,
    }


def _released_prices(design: Design, released: dict[str, Any]) -> dict[str, float]:
    """Return those prices the release has for this design's sizes."""
    units = design.rows * design.columns
    per_unit = released["core"].get(f"{design.pmax_bits} {design.pmin_bits}", {})
    found = {key: price * units for key, price in per_unit.items()}
    sizes = dict(zip(BUFFERS, design.buffer_bytes, strict=True))
    known = {buffer: sram for buffer, sram in released["sram"].items() if sram["bytes"] == sizes[buffer]}
    for buffer, sram in known.items():
        found[f"{buffer}_read_pj_per_bit"] = sram["read_pj_per_bit"]
        found[f"{buffer}_write_pj_per_bit"] = sram["write_pj_per_bit"]
    return found
