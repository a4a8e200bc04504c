"""Streams of requests by name: the patterns whose cycles other simulators report."""

from __future__ import annotations

import numpy as np

from accelsim.errors import ConfigError
from accelsim.memory.device.channel import Device, Requests

PATTERNS = {
    "sequential": "read one transaction after the other",
    "stride": "read a transaction every 4,096 bytes",
    "random": "read transactions anywhere in 4 GiB, or in the device if it is smaller",
    "tile_rows": "read tiles of 16 x 28 of a 16-bit map of 256 planes of 56 x 56, row by row",
    "rw_copy": "read 4,096 bytes, write them 64 MiB further, and so on",
    "rw_fine": "read a transaction, write one 64 MiB further, and so on",
    "slice512": "read 64 bytes every 512",
}
FAR = 64 << 20
MOST_REQUESTS = 1 << 27


def stream(name: str, device: Device, count: int, seed: int = 0) -> Requests:
    """Return the first ``count`` requests of a pattern, all offered at once; addresses wrap at the capacity.

    Raises
    ------
    ConfigError
        Unknown pattern, or a count out of range.
    """
    if name not in PATTERNS:
        raise ConfigError(f"no pattern is called '{name}'", f"known: {', '.join(PATTERNS)}")
    if not 1 <= count <= MOST_REQUESTS:
        raise ConfigError(f"{count:,} requests are out of range", f"give 1 to {MOST_REQUESTS:,}")
    tx = device.standard.organisation.tx_bytes
    capacity = device.addresses.capacity_bytes
    step = np.arange(count, dtype=np.int64)
    write = np.zeros(count, dtype=bool)
    if name == "sequential":
        address = step * tx
    elif name == "stride":
        address = step * 4096
    elif name == "random":
        address = np.random.default_rng(seed).integers(0, min(1 << 32, capacity) // tx, count, dtype=np.int64) * tx
    elif name == "tile_rows":
        map_ = _transactions(_tile_rows(), 56, tx)
        address = np.tile(map_, -(-count // map_.size))[:count]
    elif name == "rw_copy":
        block = max(1, 4096 // tx)
        write = step // block % 2 == 1
        address = step // (2 * block) * max(4096, tx) + step % block * tx + np.where(write, FAR, 0)
    elif name == "rw_fine":
        write = step % 2 == 1
        address = step // 2 * tx + np.where(write, FAR, 0)
    else:
        address = _transactions(np.arange(count, dtype=np.int64) * 512, 64, tx)[:count]
    return Requests(address % capacity, write, np.zeros(count, dtype=np.int64))


def usual(name: str, tx_bytes: int) -> int:
    """Return how many requests a pattern has by default."""
    whole = {"rw_copy": 2 * 800 * 4096 // tx_bytes, "slice512": 100_000 * max(1, 64 // tx_bytes)}
    return _transactions(_tile_rows(), 56, tx_bytes).size if name == "tile_rows" else whole.get(name, 100_000)


def _tile_rows() -> np.ndarray:
    """Return where each row of each tile begins: row tile, column tile, plane, row."""
    begins = [
        plane * 6272 + row * 112 + column * 56
        for tile in range(4)
        for column in range(2)
        for plane in range(256)
        for row in range(16 * tile, min(16 * tile + 16, 56))
    ]
    return np.array(begins, dtype=np.int64)


def _transactions(begin: np.ndarray, size: int, tx: int) -> np.ndarray:
    """Return the transactions that cover runs of ``size`` bytes, run by run."""
    first, last = begin // tx, -(-(begin + size) // tx)
    counts = last - first
    ends = np.cumsum(counts)
    within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    return (np.repeat(first, counts) + within) * tx
