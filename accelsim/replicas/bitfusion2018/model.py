"""BitFusion's released performance model: cycles, stalls, traffic and energy of a network.

Source: H. Sharma et al., ISCA 2018, released simulator ``hsharma35/bitfusion`` (``get_stats_fast``).

Replicated, oddities included: padding is ignored; every output tile is read from DRAM as 32-bit partial sums,
the first visit included, and leaves at 32 bits; weights are padded with zeros to the array and the padding is
read; widths in between run at the next slower rate (3 bits as 4; 5, 6 and 7 as 8) and 1 bit computes as 2;
K is never tiled; no layer keeps anything for the next; pooling and activation cost nothing; no pipeline fill or
drain; no leakage; core energy only in compute cycles, whatever the widths.
Not replicated: division by zero above ``pmax_bits``, which is an error here; ceilings are exact integers where
the release divides in floating point (equal below 2^53).
"""

from __future__ import annotations

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.replicas.bitfusion2018.machine import ReleaseMachine
from accelsim.replicas.bitfusion2018.search import Choice, Costs, Tiles, best_choice, ceil_div
from accelsim.replicas.bitfusion2018.values import Layer, LayerResult, Network, NetworkResult

PSUM_BITS = 32
"""Width of partial sums and outputs, in OBUF and in DRAM."""


def simulate(network: Network, machine: ReleaseMachine) -> NetworkResult:
    """Return what the released simulator reports for ``network`` on ``machine``.

    Raises
    ------
    WorkloadError
        For an operand wider than the machine's widest product.
    MappingError
        For a layer whose smallest tile does not fit in half of each buffer.
    """
    layers = tuple(simulate_layer(layer, network.batch, machine) for layer in network.layers)
    return NetworkResult(network.name, network.batch, machine.clock_mhz, layers)


def simulate_layer(layer: Layer, batch: int, machine: ReleaseMachine) -> LayerResult:
    """Return the best of all tilings and loop orders of one layer; errors as in ``simulate``."""
    check_widths(layer, machine.pmax_bits)
    choice = best_choice(
        layer,
        batch,
        1 if layer.im2col else machine.columns,
        lambda tiles: _costs(layer, machine, tiles),
        machine.buffer_bytes,
        machine.prices,
        machine.dram_bits_per_cycle,
    )
    return choice.result(layer.name, _energy_parts_nj(choice, machine))


def check_widths(layer: Layer, pmax_bits: int) -> None:
    """Refuse operands that the released model would divide by zero on."""
    for key in ("activation_bits", "weight_bits"):
        bits = getattr(layer, key)
        if bits > pmax_bits:
            raise WorkloadError(
                f"{bits} is wider than the widest product of {pmax_bits} bits, which fuses no units",
                f"use at most {pmax_bits}",
                key=f"{layer.name}.{key}",
            )


def _costs(layer: Layer, machine: ReleaseMachine, tiles: Tiles) -> Costs:
    """Return the cost of one tile for every tiling."""
    b, o, ic, oc = tiles
    kernel_area = layer.kernel**2
    pi, pw = layer.activation_bits, layer.weight_bits
    in_lanes = machine.rows * machine.fusion(pi) * machine.fusion(pw)
    positions = b * o * o
    products = kernel_area * ic
    out_groups = ceil_div(oc, machine.columns)
    if layer.im2col:
        array_steps = ceil_div(products, in_lanes)
        window = o * o * products
    else:
        array_steps = kernel_area * ceil_div(ic, in_lanes)
        window = (layer.kernel + (o - 1) * layer.stride) ** 2 * ic

    weight_bits = ceil_div(products, in_lanes) * in_lanes * oc * pw  # padded to the array
    psum_bits = o * o * out_groups * machine.columns * b * PSUM_BITS
    stream_bits = np.stack([weight_bits, window * b * pi, psum_bits, psum_bits], axis=1)
    compute_cycles = positions * out_groups * array_steps

    # the order inside the array is judged on padded loops, and counted on unpadded ones
    i, x, y = out_groups * machine.columns, array_steps * in_lanes, positions
    proxy = np.stack(
        [
            x * y * (pi + i * (pw + PSUM_BITS)),  # input stationary
            i * y * (PSUM_BITS + x * (pi + pw)),  # output stationary
            x * i * (pw + y * (pi + PSUM_BITS)),  # weight stationary
        ]
    )
    stationary = proxy.argmin(axis=0)  # the first of equals
    macs = products * positions * oc
    weight_reads = np.where(stationary == 2, products * oc, macs) * pw
    input_reads = np.where(stationary == 0, products * positions, macs) * pi
    psum_accesses = np.where(stationary == 1, oc * positions, macs) * PSUM_BITS
    array_bits = np.stack([weight_reads, input_reads, psum_accesses, psum_accesses], axis=1)
    return Costs(stream_bits, compute_cycles, array_bits, proxy)


def _energy_parts_nj(choice: Choice, machine: ReleaseMachine) -> dict[str, float]:
    """Price a choice: core on compute cycles only, SRAM and DRAM by the bit."""
    prices = machine.prices._asdict()
    sram_pj = sum(bits * prices[f"{event}_pj_per_bit"] for event, bits in choice.sram_bits.items())
    dram_bits = choice.dram_read_bits + choice.dram_write_bits
    return {
        "core": choice.compute_cycles * prices["core_pj_per_cycle"] * 1e-3,
        "sram": sram_pj * 1e-3,
        "dram": dram_bits * machine.dram_pj_per_bit * 1e-3,
    }
