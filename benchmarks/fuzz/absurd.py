"""Structure-aware fuzzing: a valid file with one to three things in it that make no sense.

The mutations of `mutate` mostly damage a file's syntax; these keep it and reach what stands behind the parser. The
binary kinds are in `absurd_binary`.
"""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 16, 255, 65536, 65537, 1_000_003, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63),
    *(-(2**63), 2**64, 10**40, -(10**40), 0.5, -0.0, 1e-320, 1e-300, 1e-12, 1e-6, 1e6, 1e18, 1e300, 1.7e308),
    *(float("inf"), float("-inf"), float("nan")),
)
WORDS: tuple[Any, ...] = (
    *("", " ", "a", "*", "c*", "**", "[", "x" * 300, "\x1b]0;t\x07", "\x9b31m", "\u202egnp", "two\nlines", "=1+1"),
    *("@SUM(A1)", "-2+3", "\t=1", "a\0b", "\u00e9", "name", "core", "dram", "array", "../../etc/passwd", "/dev/zero"),
    *("/dev/null", "./", ".", "~", "1e9", "nan", "inf", "1:30", "on", "010", "0x10", "nm:2:4", "rows:0.5", "nm:0:0"),
)
CONTAINERS: tuple[Any, ...] = ([], {}, [[]], [0], [1, 1], ["a"], {"a": 1}, {"": None}, None, True, False)


def scalar(rng: random.Random) -> Any:
    """Return a value that most places of a file do not expect."""
    return copy.deepcopy(rng.choice(rng.choice((NUMBERS, NUMBERS, WORDS, CONTAINERS))))


def times(rng: random.Random) -> range:
    """Return how many absurdities an input gets."""
    return range(rng.choice((1, 1, 2, 3)))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield container and key of everything in a tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)


def tree(data: Any, rng: random.Random) -> Any:
    """Change one thing in a tree of mappings, lists and values."""
    places = list(_places(data))
    if not places:
        return scalar(rng)
    at, key = rng.choice(places)
    value = at[key]
    other, there = rng.choice(places)
    kind = rng.randrange(12)
    if kind <= 3:
        at[key] = scalar(rng)
    elif kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        at[key] = rng.choice((-value, value * 10 ** rng.randrange(12), value + 0.5, value + 1, 1 / (value or 1)))
    elif kind == 5:
        del at[key]
    elif kind == 6:
        at[key] = copy.deepcopy(other[there])
    elif kind == 7:
        at[key], other[there] = copy.deepcopy(other[there]), copy.deepcopy(value)
    elif kind == 8 and isinstance(value, list):
        at[key] = copy.deepcopy(value) * rng.choice((0, 2, 3, 50))
    elif kind == 9 and isinstance(at, dict):
        at[rng.choice((*map(str, WORDS), *(k for c, k in places if isinstance(c, dict))))] = at.pop(key)
    elif kind == 10:
        for _ in range(rng.choice((1, 3, 60))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        at[key] = value
    else:
        at[key] = value[0] if isinstance(value, list) and value else [value, value]
    return data


Special = Callable[[Any, random.Random], Any]


def of_yaml(*special: Special) -> Callable[[Sequence[bytes], random.Random], bytes]:
    """Return what makes absurd YAML files of good ones; ``special`` knows what is absurd in this kind of file."""
    return _of_tree(yaml.safe_load, lambda data: yaml.safe_dump(data, sort_keys=False, allow_unicode=True), special)


def of_json(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an absurd JSON file."""
    return _of_tree(json.loads, lambda data: json.dumps(data, ensure_ascii=False), ())(seeds, rng)


def _of_tree(
    load: Callable[[bytes], Any], dump: Callable[[Any], str], special: Sequence[Special]
) -> Callable[[Sequence[bytes], random.Random], bytes]:
    known: dict[bytes, Any] = {}

    def make(seeds: Sequence[bytes], rng: random.Random) -> bytes:
        seed = rng.choice(seeds)
        if seed not in known:
            known[seed] = load(seed)
        data = copy.deepcopy(known[seed])
        for _ in times(rng):
            data = rng.choice(special)(data, rng) if special and rng.random() < 0.4 else tree(data, rng)
        return dump(data).encode("utf-8", "surrogatepass")

    return make


def _layers(data: Any) -> list[Any]:
    found = data.get("layers") if isinstance(data, dict) else None
    return [layer for layer in found if isinstance(layer, dict)] if isinstance(found, list) else []


def network(data: Any, rng: random.Random) -> Any:
    """Make a network's layers contradict each other, or themselves."""
    layers = _layers(data)
    if not layers:
        return tree(data, rng)
    layer, other = rng.choice(layers), rng.choice(layers)
    kind = rng.randrange(9)
    if kind == 0:
        layer["inputs"] = [rng.choice(("nothing", *layer.get("outputs", ["a"]), *other.get("outputs", ["b"])))]
    elif kind == 1:
        layer["outputs"] = other.get("outputs", ["a"])
    elif kind == 2:
        layer["name"] = rng.choice((other.get("name", "a"), rng.choice(WORDS)))
    elif kind == 3:
        layer.update(dict.fromkeys(rng.sample(("c", "k", "h", "w", "r", "s", "n", "m"), 3), rng.choice(NUMBERS[:22])))
    elif kind == 4:
        layer["groups"], layer["pad"] = rng.choice((0, 3, 5, 2**20)), rng.choice((0, 7, 2**20, [1, 2, 3, 4], [1]))
    elif kind == 5:
        layer["stride"], layer["dilation"] = rng.choice((0, 3, 2**31, [1, 2])), rng.choice((1, 4, 2**20))
    elif kind == 6:
        role = rng.choice(("input", "weight", "output"))
        keys = rng.sample(("density", "bits", "signed", "home", "pattern", "seed"), 2)
        layer[role] = {key: scalar(rng) for key in keys}
    elif kind == 7:
        layer["kind"] = other.get("kind", "pool")
    else:
        data["layers"] = data["layers"] * rng.choice((2, 30))
    return data


def machine(data: Any, rng: random.Random) -> Any:
    """Give a machine parameters, clocks or units that do not go together."""
    if not isinstance(data, dict):
        return data
    units = data.get("units")
    unit = rng.choice(units) if isinstance(units, list) and units else data
    params = unit.get("params") if isinstance(unit, dict) else None
    kind = rng.randrange(7)
    if kind <= 2 and isinstance(params, dict) and params:
        params[rng.choice(list(params))] = rng.choice(NUMBERS)
    elif kind == 3:
        data["clocks_mhz"] = {"core": rng.choice(NUMBERS), **({"link": 7} if rng.random() < 0.3 else {})}
    elif kind == 4 and isinstance(units, list):
        data["units"] = units + copy.deepcopy(units[:1])
    elif kind == 5:
        data["base"] = rng.choice(("eie", "edge_npu", "systolic_ws", "input", "./input.yaml", "../x.yaml", 3))
    else:
        figures = {key: rng.choice(NUMBERS) for key in ("gb_per_s", "latency_ns", "burst_bits")}
        data["memory"] = {"dram": {"standard": rng.choice(("lpddr4", "hbm2", "none", 3)), **figures}}
    return data


def sweep(data: Any, rng: random.Random) -> Any:
    """Give a sweep axes, constraints or samples that cannot be."""
    if not isinstance(data, dict) or not isinstance(data.get("axes"), dict):
        return data
    keys = (
        "params.rows",
        "units.array.params.rows",
        "units.0.params.rows",
        "params",
        "params.rows.x",
        "options.batch",
        "options.layers",
        "clocks_mhz.core",
        "energy.table",
        "name",
        "units",
        "machine",
        "..",
        "memory.dram.standard",
    )
    values = (
        [1],
        [],
        [0, -1, "a"],
        {"from": 1, "to": 8, "step": 1},
        {"from": 1, "to": 1e18, "count": 100_000},
        {"zip": {"params.rows": [1, 2], "params.cols": [3]}},
        [{"rows": 1}],
        [[1]],
        list(range(2000)),
        [True, None],
    )
    kind = rng.randrange(5)
    if kind <= 1:
        data["axes"][rng.choice(keys)] = copy.deepcopy(rng.choice(values))
    elif kind == 2:
        texts = (
            "params.rows < 0",
            "1 / 0 == params.rows",
            "params.rows ** 9 ** 9 > 1",
            "name == 'a'",
            "(" * 300,
            "x.y",
            "params.rows * 10 ** 400 > 1",
            "'a' < 3",
            "__import__('os')",
            "not not not params.rows",
            "network < 3",
        )
        data["constraints"] = [rng.choice(texts) for _ in range(rng.choice((1, 2, 40)))]
    elif kind == 3:
        data["sampling"] = {"method": rng.choice(("lhs", "random", "grid", "x")), "points": rng.choice(NUMBERS),
                            "seed": rng.choice(NUMBERS)}  # fmt: skip
    else:
        data[rng.choice(("machines", "networks", "objectives", "options", "set"))] = rng.choice(
            (
                ["edge_npu"],
                ["edge_npu", "systolic_ws_8"],
                [],
                ["alexnet"] * 2,
                {"batch": 10**9},
                {"params.rows": 0},
                3,
            )
        )
    return data


def of_csv(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an absurd table: cells, columns and rows that do not fit the others."""
    rows = list(csv.reader(rng.choice(seeds).decode().splitlines()))
    for _ in times(rng):
        row = rng.choice(rows)
        if not row:
            continue
        at, kind = rng.randrange(len(row)), rng.randrange(8)
        if kind <= 3:
            row[at] = str(rng.choice((*NUMBERS, *NUMBERS, *WORDS, "1:4", "0:0", "2:1", "-1:3")))
        elif kind == 4:
            del row[at]
        elif kind == 5:
            rows.insert(rng.randrange(len(rows) + 1), list(row))
        elif kind == 6:
            rows[0][min(at, len(rows[0]) - 1)] = rng.choice(rows[0])
        else:
            rows[:] = rows[:1] + rows[1:] * rng.choice((0, 3, 100)) or [["a"]]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def of_lines(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an absurd file of lines of words: a matrix, an edge list, a SCALE-Sim configuration."""
    lines = [line.split(" ") for line in rng.choice(seeds).decode().replace("\t", " ").splitlines()]
    for _ in times(rng):
        line = rng.choice(lines)
        at, kind = rng.randrange(len(line)), rng.randrange(7)
        if kind <= 2:
            line[at] = str(rng.choice((*NUMBERS, *NUMBERS, *WORDS, "complex", "array", "symmetric", "hermitian", "ws")))
        elif kind == 3:
            line.insert(at, str(rng.choice(NUMBERS)))
        elif kind == 4 and len(line) > 1:
            del line[at]
        elif kind == 5:
            lines.insert(rng.randrange(len(lines) + 1), list(rng.choice(lines)))
        else:
            other = rng.randrange(len(lines))
            lines[other] = list(line)
    return "\n".join(" ".join(line) for line in lines).encode("utf-8", "replace") + b"\n"


def of_packed_lines(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an absurd compressed matrix."""
    return gzip.compress(of_lines([gzip.decompress(seed) for seed in seeds], rng), mtime=0)
