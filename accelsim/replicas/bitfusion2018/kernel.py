"""Every loop order times every tiling of one layer: stream sizes, cycles, energy, and the best of them (numba)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.jit import kernel

Ints = NDArray[np.int64]


@kernel
def choose(
    orders: Ints,
    depends: Ints,
    half_bits: Ints,
    trips: Ints,
    stream_bits: Ints,
    compute_cycles: Ints,
    array_bits: Ints,
    prices: NDArray[np.float64],
    dram_bits_per_cycle: int,
) -> Ints:
    """Return the choice with the fewest cycles, then the least energy, then the first met.

    Parameters
    ----------
    orders : int64 (120, 5)
        Loop indices, outermost first.
    depends : int64 (4, 5)
        1 where a stream's data change with a loop. Streams: weights, activations, outputs in, outputs out.
    half_bits : int64 (4,)
        Half of the buffer behind each stream.
    trips : int64 (T, 5)
        Trips of each loop, for T tilings.
    stream_bits : int64 (T, 4)
        Bits of one tile of each stream.
    compute_cycles : int64 (T,)
    array_bits : int64 (T, 4)
        Bits read from WBUF and IBUF, read from OBUF and written to OBUF by the array, all tiles.
    prices : float64 (9,)
        Core per compute cycle; WBUF, IBUF, OBUF read and write per bit; DRAM read and write per bit.
    dram_bits_per_cycle : int

    Returns
    -------
    int64 (8,)
        Tiling, order, cycles, stall cycles, and the bits of the four streams. Tiling -1 when T is 0.
    """
    best = np.full(8, -1, dtype=np.int64)
    best_energy = 0.0
    moved = np.zeros(4, dtype=np.int64)
    psums_in = np.zeros(orders.shape[1], dtype=np.int64)
    for order in range(orders.shape[0]):
        for tiling in range(trips.shape[0]):
            compute = compute_cycles[tiling]
            if best[0] >= 0 and compute > best[2]:
                continue  # cycles are never fewer than compute cycles
            first_bits = 0
            last_bits = 0
            for stream in range(4):
                size = stream_bits[tiling, stream]
                largest = size
                fits = True
                for level in range(orders.shape[1] - 1, -1, -1):
                    loop = orders[order, level]
                    if not fits:
                        size *= trips[tiling, loop]
                    elif depends[stream, loop] == 1:
                        size *= trips[tiling, loop]
                        if size > half_bits[stream]:
                            fits = False
                        elif stream == 3:
                            largest = psums_in[level]  # released quirk: the size of the other output stream
                        else:
                            largest = size
                    if stream == 2:
                        psums_in[level] = size
                moved[stream] = size
                if stream == 3:
                    last_bits += largest
                else:
                    first_bits += largest
            latency = -(-first_bits // dram_bits_per_cycle) - (-last_bits // dram_bits_per_cycle)
            middle_bits = moved[0] + moved[1] + moved[2] + moved[3] - first_bits - last_bits
            stall = max(0, -(-middle_bits // dram_bits_per_cycle) - compute) + latency
            cycles = compute + stall
            if best[0] >= 0 and cycles > best[2]:
                continue
            energy = compute * prices[0]
            energy += array_bits[tiling, 0] * prices[1]
            energy += moved[0] * prices[2]
            energy += array_bits[tiling, 1] * prices[3]
            energy += moved[1] * prices[4]
            energy += (array_bits[tiling, 2] + moved[3]) * prices[5]
            energy += (array_bits[tiling, 3] + moved[2]) * prices[6]
            energy += (moved[0] + moved[1] + moved[2]) * prices[7]
            energy += moved[3] * prices[8]
            if best[0] < 0 or cycles < best[2] or energy < best_energy:
                best_energy = energy
                best[0], best[1], best[2], best[3] = tiling, order, cycles, stall
                best[4:8] = moved
    return best
