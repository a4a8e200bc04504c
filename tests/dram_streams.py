"""Random streams and devices for tests of DRAM."""

import numpy as np

from accelsim.config.dram import standard as standards
from accelsim.memory.device.channel import Controller, Device, Requests

MAPPINGS = ("RoBaRaCoCh", "RoCoBaRaCh", "RoBaRaCoBgCh", "RoBaRaCoCh-xor", "RoCo2BaRaCoBgCh")


def device(name, seed):
    """Return a device of a standard: any ranks, mapping, page policy and queue."""
    draw = np.random.default_rng([seed, 1])
    one = standards.load(name)
    if draw.random() < 0.4:
        ranks = int(draw.choice([2, 4]))
        one = one.model_copy(update={"organisation": one.organisation.model_copy(update={"ranks": ranks})})
    page = str(draw.choice(["open", "closed"]))
    controller = Controller(page, int(draw.integers(1, 6)), int(draw.choice([1, 4, 8, 32])))
    return Device(one, 1, str(draw.choice(MAPPINGS)), controller)


def requests(one, seed, count=200):
    """Return a random stream: runs, few rows, strides or anywhere, at once or over time, any share of writes."""
    draw = np.random.default_rng([seed, 2])
    tx, capacity = one.standard.organisation.tx_bytes, one.addresses.capacity_bytes
    kind = draw.integers(4)
    if kind == 0:
        place = draw.integers(0, capacity // tx, count)
    elif kind == 1:
        place = np.arange(count) + draw.integers(0, 1000)
    elif kind == 2:
        place = draw.integers(0, 64, count) * draw.integers(1, 5000)
    else:
        place = np.cumsum(draw.integers(0, int(draw.choice([3, 200, 5000])), count))
    write = draw.random(count) < draw.choice([0, 0.1, 0.5, 0.9, 1])
    earliest = np.zeros(count, dtype=np.int64)
    if draw.random() < 0.5:
        earliest = np.cumsum(draw.integers(0, int(draw.choice([4, 30, 400])), count))
    if draw.random() < 0.2:
        earliest[count // 2 :] += 2 * one.standard.timing.refi
    return Requests((place * tx) % capacity, write, earliest)


def difference(served, stepped):
    """Return what differs between the kernel's and the reference's account of a stream, or None."""
    from accelsim.memory.device import kernel as k
    from accelsim.memory.device.channel import Command

    log = [Command(*map(int, row)) for row in served.log[0]]
    taken = served.taken[0]
    pairs = {
        "cycles": (served.cycles, stepped.cycles),
        "log": (log, stepped.log),
        "done": (served.done.tolist(), [r.done for r in stepped.requests]),
        "found": (served.found.tolist(), [r.found for r in stepped.requests]),
        "rows": (taken[[k.HITS, k.MISSES, k.CONFLICTS]].tolist(), [stepped.hits, stepped.misses, stepped.conflicts]),
    }
    return next((f"{name}: {ours!s:.200} is not {theirs!s:.200}" for name, (ours, theirs) in pairs.items()
                 if ours != theirs), None)  # fmt: skip
