"""What residency must satisfy, written from the definition: subsets one by one, memory byte by byte, drawn networks.

Shares no code with ``accelsim.passes.residency``, ``choice`` or ``addresses``.
"""

from itertools import permutations, product

import numpy as np

from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network


def drawn(seed, layers=14, repeat=False):
    """Return a random network with skips, concatenations, slices and reshapes."""
    rng = np.random.default_rng(seed)
    b = Builder(int(rng.integers(1, 3)))
    tensors = [b.input("x", int(rng.integers(1, 9)), 4, 4)]
    if rng.random() < 0.3:
        tensors.append(b.input("x2", int(rng.integers(1, 9)), 4, 4))
    for i in range(int(rng.integers(3, layers + 1))):
        name, kind = f"l{i}", rng.choice(["conv", "conv", "relu", "norm", "add", "concat", "slice", "reshape", "pair"])
        near = tensors[-6:]
        x = near[int(rng.integers(len(near)))]
        n, c, *_ = b.dims(x)
        if kind == "conv":
            out = b.conv(name, x, int(rng.integers(1, 9)), 3)
        elif kind == "relu":
            out = b.elementwise(name, "relu", x)
        elif kind == "norm":
            out = b.norm(name, x)
        elif kind == "add":
            out = b.elementwise(name, "add", x, b.conv(f"{name}.conv", near[int(rng.integers(len(near)))], c, 1))
        elif kind == "pair":  # branches that meet, as in an inception
            out = b.concat(name, *(b.conv(f"{name}.{j}", x, int(rng.integers(1, 5)), 1) for j in range(2)))
        elif kind == "concat":
            others = list(dict.fromkeys([*near, x])) if not repeat else near
            parts = rng.choice(others, size=min(len(others), int(rng.integers(2, 4))), replace=repeat)
            out = b.concat(name, *map(str, parts)) if len(parts) > 1 else x
        elif kind == "slice" and c > 1:
            taken, start = int(rng.integers(1, c)), 0
            out = b.view(name, "slice", x, b.dims(x), (n, taken, 4, 4), axis=1, start=start)
        else:
            out = b.view(name, "reshape", x, b.dims(x), b.dims(x))
        tensors.append(out)
    b.conv("last", tensors[-1], 3, 1)
    return Network(f"drawn{seed}", tuple(b.layers), b.tensors)


def works(network):
    return [layer for layer in network.layers if layer.kind != "view"]


def traffic(network, copies):
    """Return the bits of all writes and reads: each tensor once per layer, other names of the same elements too."""
    same = {}
    bits = {name: 8 * tensor.elements for name, tensor in network.tensors.items()}
    total = 2 * sum(copy.bits for copy in copies)
    for layer in network.layers:
        if layer.kind == "view":
            source, out = layer.inputs[0], layer.outputs[0]
            if layer.shape.op != "concat" and bits[source] <= bits[out]:
                same[out] = same.get(source, source)
            continue
        total += bits[layer.outputs[0]]
        total += sum(bits[name] for name in {same.get(name, name) for name in layer.inputs})
    return total


def atoms(network, copies):
    """Return tensor -> what it is made of, in order; a copy is (concatenation, part)."""
    copied = {(copy.into, copy.tensor) for copy in copies}
    found = {name: (name,) for name in network.inputs}
    for layer in network.layers:
        out = layer.outputs[0]
        if layer.kind != "view":
            found[out] = (out,)
        elif layer.shape.op != "concat":
            found[out] = found[layer.inputs[0]]
        else:
            parts = (((out, part),) if (out, part) in copied else found[part] for part in layer.inputs)
            found[out] = tuple(atom for part in parts for atom in part)
    return found


def replay(network, layout, places, layers=None):
    """Run the network on a memory of bytes: every read must find what was written, whatever lies around it.

    ``layers`` is another order; then there are no copies.
    """
    made_of = atoms(network, layout.copies)
    size = {name: tensor.elements for name, tensor in network.tensors.items()}
    size |= {(copy.into, copy.tensor): copy.bits // 8 for copy in layout.copies}
    address = {}
    for storage in layout.storages:
        if storage.name not in places:
            continue
        at = places[storage.name]
        for atom in made_of[storage.name]:
            address[atom] = range(at, at + size[atom])
            at += size[atom]
        assert at == places[storage.name] + storage.bits // 8
    memory = {}

    def holds(atom):
        return atom not in address or all(memory.get(byte) == atom for byte in address[atom])

    def write(atom):
        memory.update(dict.fromkeys(address.get(atom, ()), atom))

    for layer in layers or network.layers:
        read = [atom for name in layer.inputs for atom in made_of[name]]
        assert all(map(holds, read)), layer.name
        if layer.kind != "view":
            write(layer.outputs[0])
        for copy in layout.copies:
            if copy.into == layer.outputs[0]:
                write((copy.into, copy.tensor))
        assert all(map(holds, read)), f"{layer.name} overwrites what it reads"


def another_order(network, after, rng):
    """Return the layers that work in a random order that keeps producers and what ``after`` demands ahead."""
    made_of, order = atoms(network, ()), works(network)
    position = {layer.outputs[0]: i for i, layer in enumerate(order)}
    ahead = [{position[a] for name in layer.inputs for a in made_of[name] if a in position} for layer in order]
    for i, layers in after.items():
        ahead[i] |= set(layers)
    done, left = [], set(range(len(order)))
    while left:
        ready = sorted(i for i in left if ahead[i].isdisjoint(left))
        chosen = int(rng.choice(ready))
        left.remove(chosen)
        done.append(order[chosen])
    return done


def best(items, rooms):
    """Return the greatest value of all assignments of items (value, first, last, sizes by room) to rooms or none."""
    found = 0
    for chosen in product(range(-1, len(rooms)), repeat=len(items)):
        value = sum(item[0] for item, room in zip(items, chosen, strict=True) if room >= 0)
        if value <= found:
            continue
        legal = all(
            sum(
                sizes[b] for (_, first, last, sizes), at in zip(items, chosen, strict=True)
                if at == b and first <= position <= last
            ) <= room[position]
            for b, room in enumerate(rooms) for position in range(len(room))
        )  # fmt: skip
        found = value if legal else found
    return found


def placeable(blocks):
    """Whether blocks (size, first, last, limit) can lie apart: any placement can be pushed down in some order."""
    for order in permutations(range(len(blocks))):
        placed = []
        for i in order:
            size, first, last, limit = blocks[i]
            at = max((top for low, high, top in placed if low <= last and first <= high), default=0)
            if at + size > limit:
                break
            placed.append((first, last, at + size))
        else:
            return True
    return False


def apart(blocks, addresses):
    """Whether no two blocks that are alive together overlap, and none ends above its limit."""
    for i, (size, first, last, limit) in enumerate(blocks):
        if addresses[i] < 0 or addresses[i] + size > limit:
            return False
        for j, (other, low, high, _) in enumerate(blocks[:i]):
            together = first <= high and low <= last
            if together and addresses[i] < addresses[j] + other and addresses[j] < addresses[i] + size:
                return False
    return True


def tflm_arena(sizes, lives):
    """Return the arena of `GreedyMemoryPlanner`: what is placed in a sorted list, the first gap that is enough."""
    rounded = [(size + 15) // 16 * 16 for size in sizes]
    waiting = sorted(range(len(sizes)), key=lambda i: (rounded[i], i), reverse=True)
    offsets = {}
    for i in waiting:
        alive = sorted(
            (offsets[j], rounded[j]) for j in offsets if lives[j][0] <= lives[i][1] and lives[i][0] <= lives[j][1]
        )
        candidate = 0
        for offset, size in alive:
            if offset - candidate >= rounded[i]:
                break
            candidate = max(candidate, offset + size)
        offsets[i] = candidate
    return max(offsets[i] + rounded[i] for i in offsets)
