"""Traces of SpAtten's repository: which keys and values each row of a pruned GPT-2 fetches, as a network.

Source: mit-han-lab/spatten, spatten_hardware/hardware/workloads (HPCA 2021). A line is one query of one head.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from accelsim.config import csvfile
from accelsim.errors import ConfigError
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Attention

DIM = 64
"""Width of a head."""
COLUMNS = (
    "layer_id", "embedding_length_D", "key_fetch_num", "quant_key_bit", "if_requant", "auto_requant_incre",
    "value_fetch_num", "quant_value_bit",
)  # fmt: skip
STORED_BITS = {4: 4, 6: 6, 8: 8, 10: 8, 12: 8, -1: 8}
"""Width of a column -> width that is fetched first."""
FORCED = (10, 12, -1)
"""Widths of keys that always fetch their four low bits too."""
LOW_BITS, MAX_LOW_BITS = 4, 8
MAX_VECTORS = 2**20
"""Of a row, 1,024 times what the buffers hold."""
QUERY_BITS = 12
"""Words on the chip; a trace's 16 bits are cut to them."""


class Fetched(NamedTuple):
    """What a row fetches: vectors and the bits of each element, ``again_bits`` of the keys' second fetch."""

    keys: int
    key_bits: int
    again_bits: int
    values: int
    value_bits: int


class Trace(NamedTuple):
    """A trace as a network: a layer for all rows that fetch alike, and what their mapping says of each."""

    network: Network
    mapping: dict[str, dict[str, int]]
    low_bits: int


def read(path: Path) -> list[Fetched]:
    """Return the rows of a trace, as CSV or gzip'd; a last line with one cell, the traced model's file, is none.

    Raises
    ------
    ConfigError
        A file that is no such trace, or asks for what the released design lacks: heads of another width, other bits.
    """
    lines = csvfile.read(path, COLUMNS)
    if not any(list(lines[-1].cells.values())[1:]):
        lines.pop()
    return [_row(line) for line in lines]


def load(path: Path) -> Trace:
    """Return a trace as a network: rows that fetch as many vectors of the same widths are one layer.

    Raises
    ------
    ConfigError
        As `read`; rows whose second fetches have several widths.
    """
    rows = read(path)
    lows = {row.again_bits for row in rows if row.again_bits}
    if len(lows) > 1:
        widths = ", ".join(map(str, sorted(lows)))
        raise ConfigError(
            f"second fetches of {widths} bits", "give a trace in which all have one width", file=str(path),
            key="auto_requant_incre",
        )  # fmt: skip
    low = max(lows, default=0)
    again = Counter(row._replace(again_bits=0) for row in rows if row.again_bits)
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}
    mapping = {}
    for row, count in Counter(row._replace(again_bits=0) for row in rows).items():
        name = f"keys{row.keys}x{row.key_bits}.values{row.values}x{row.value_bits}"
        layer, made = make_layer(name, Attention(count, 1, 1, 1, row.keys, DIM))
        bits = dict(zip(layer.inputs, (QUERY_BITS, row.key_bits + low, row.value_bits), strict=True))
        tensors |= {t: Tensor(t, tensor.shape, bits.get(t)) for t, tensor in made.items()}
        layers.append(layer)
        mapping[name] = {"values": min(row.values, row.keys), **({"refetched": again[row]} if low else {})}
    source = "a trace of mit-han-lab/spatten, spatten_hardware/hardware/workloads"
    notes = ("rows that fetch alike are one layer: the order of the trace is lost",)
    return Trace(Network("spatten_trace", tuple(layers), tensors, source, isolated=True, notes=notes), mapping, low)


def _row(line: csvfile.Line) -> Fetched:
    if line.whole("embedding_length_D") != DIM:
        raise line.error("the released design has heads of 64", "trace such a model", "embedding_length_D")
    key_bits, value_bits = _bits(line, "quant_key_bit"), _bits(line, "quant_value_bit")
    again = LOW_BITS if key_bits in FORCED else 0
    flag = line.cells["if_requant"].strip().lower()
    if flag not in ("true", "false"):
        raise line.error(f"'{line.cells['if_requant']}' is no flag", "write True or False", "if_requant")
    if flag == "true" and not again:
        again = line.whole("auto_requant_incre", 1, MAX_LOW_BITS)
    keys, values = (line.whole(column, 1, MAX_VECTORS) for column in ("key_fetch_num", "value_fetch_num"))
    return Fetched(keys, STORED_BITS[key_bits], again, values, STORED_BITS[value_bits])


def _bits(line: csvfile.Line, column: str) -> int:
    bits = line.whole(column, -1)
    if bits not in STORED_BITS:
        raise line.error(f"{bits} bits are not stored", "use 4, 6, 8, 10, 12 or -1 for all", column)
    return bits
