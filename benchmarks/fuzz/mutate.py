"""Seeded mutations of files: of bytes, of the words of a text, and of the parts of archives and models."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from collections.abc import Callable, Sequence

NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "255",
    "65536",
    "1000003",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "10000000000000000000000000000000000000000",
    "0.5",
    "-0.0",
    "1e-320",
    "1e308",
    "1e9",
    ".inf",
    ".nan",
    "nan",
    "inf",
    "010",
    "1_000",
    "0x10",
    "1:30",
    "12e-3",
]
WORDS = [
    *[
        "~",
        "null",
        "true",
        "no",
        "on",
        ",",
        ",,",
        ":",
        "-",
        "#",
        "%",
        "[",
        "]",
        "{",
        "}",
        "[[",
        "*a",
        "&a",
        "'",
        '"',
        "!!binary",
        "name",
        "base",
        "units",
        "params",
        "memory",
        "layers",
        "source",
    ],
    *("", " ", "\t", "\n", "\r\n", "\0", "\ufeff", ": ", "- ", "<<: *a", "!!python/object/apply:os.system ['true']"),
    *("../", "./", "\u00e9", "\ud7ff", "x" * 300),
]
Mutation = Callable[[bytes, random.Random], bytes]


def _cut(data: bytes, rng: random.Random, most: int = 40) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randrange(1, most))


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = rng.randrange(len(data))
    return (
        data[:at] + bytes([rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255))]) + data[at + 1 :]
    )


def _drop(data: bytes, rng: random.Random) -> bytes:
    start, end = _cut(data, rng)
    return data[:start] + data[end:]


def _double(data: bytes, rng: random.Random) -> bytes:
    start, end = _cut(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 30)) + data[end:]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _word(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((*WORDS, *NUMBERS)).encode("utf-8", "surrogatepass") + data[at:]


def _number(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return _word(data, rng)
    spot = rng.choice(found)
    return data[: spot.start()] + rng.choice(NUMBERS).encode() + data[spot.end() :]


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif change == 1:
        lines.insert(i, lines[j])
    elif change == 2:
        del lines[i]
    elif change == 3:
        lines[i] = b" " * rng.randrange(5) + lines[i].lstrip()
    else:
        lines[i:j] = []
    return b"\n".join(lines)


def _value(data: bytes, rng: random.Random) -> bytes:
    """Replace what follows a colon or comma."""
    found = list(re.finditer(rb"(?<=[:,])[^,\n}\]]*", data))
    if not found:
        return _word(data, rng)
    spot = rng.choice(found)
    return (
        data[: spot.start()]
        + b" "
        + rng.choice((*WORDS, *NUMBERS)).encode("utf-8", "surrogatepass")
        + data[spot.end() :]
    )


TEXT: Sequence[Mutation] = (
    _flip,
    _drop,
    _double,
    _truncate,
    _word,
    _number,
    _number,
    _number,
    _lines,
    _lines,
    _value,
    _value,
)
BYTES: Sequence[Mutation] = (_flip, _flip, _drop, _double, _truncate, _word)


def text(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a seed after one to four mutations of text, at times spliced with another seed."""
    return _mutated(rng.choice(seeds), seeds, rng, TEXT)


def raw(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a seed after one to four mutations of bytes."""
    return _mutated(rng.choice(seeds), seeds, rng, BYTES)


def _mutated(data: bytes, seeds: Sequence[bytes], rng: random.Random, kinds: Sequence[Mutation]) -> bytes:
    if rng.random() < 0.1:
        other = rng.choice(seeds)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(kinds)(data, rng)
    return data


def archive(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a zip archive whose members were mutated and whose checksums are right, or one of mutated bytes."""
    data = rng.choice(seeds)
    if rng.random() < 0.2:
        return raw([data], rng)
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, body in members:
            if rng.random() < 0.1:
                continue
            if rng.random() < 0.15:
                name = text([name.encode()], rng).decode("utf-8", "replace").replace("\0", "")[:200]
            if rng.random() < 0.6:
                body = _array(body, rng)
            new.writestr(name or "x", body)
    packed = out.getvalue()
    if rng.random() < 0.1:  # sizes in the directory that lie
        at = packed.rfind(b"PK\1\2")
        if at >= 0:
            packed = (
                packed[: at + 20] + struct.pack("<II", *rng.choices((0, 1, 2**31, 2**32 - 1), k=2)) + packed[at + 28 :]
            )
    return packed


def _array(body: bytes, rng: random.Random) -> bytes:
    """Mutate an .npy file: its header as text of the right length, or its bytes."""
    if body[:6] != b"\x93NUMPY" or rng.random() < 0.2:
        return raw([body], rng)
    size = struct.unpack("<H", body[8:10])[0]
    header, rest = body[10 : 10 + size], body[10 + size :]
    if rng.random() < 0.3:
        header = header.replace(
            b"<i8", rng.choice((b"|O", b"<f8", b"<f4", b"<U9", b"<c8", b"|b1", b"<u8", b">i2", b"|V9"))
        )
    header = text([header], rng) if rng.random() < 0.7 else header
    rest = raw([rest], rng) if rng.random() < 0.3 else rest
    return body[:8] + struct.pack("<H", min(len(header), 65535)) + header[:65535] + rest


def model(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an ONNX model after a few mutations of its graph, or of its bytes."""
    import onnx

    data = rng.choice(seeds)
    if rng.random() < 0.25:
        return raw([data], rng)
    proto = onnx.ModelProto()
    proto.ParseFromString(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _graph(proto.graph, rng)
    return bytes(proto.SerializeToString())


def _graph(graph: object, rng: random.Random) -> None:
    from onnx import GraphProto

    assert isinstance(graph, GraphProto)
    sizes = (0, 1, -1, 2, 3, 7, 1000, 2**31, 2**62, -(2**63))
    kind = rng.randrange(10)
    node = rng.choice(graph.node) if graph.node else None
    if kind == 0 and node is not None and node.attribute:
        attribute = rng.choice(node.attribute)
        if attribute.ints and rng.random() < 0.8:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(sizes)
        elif rng.random() < 0.5:
            del attribute.ints[:]
        attribute.i = rng.choice(sizes)
    elif kind == 1 and node is not None and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif kind == 2 and node is not None:
        names = [name for other in graph.node for name in (*other.input, *other.output)] + ["", "nothing"]
        side = rng.choice((node.input, node.output))
        if side:
            side[rng.randrange(len(side))] = rng.choice(names)
    elif kind == 3 and node is not None:
        node.op_type = rng.choice(
            ("Conv", "Gemm", "MatMul", "Reshape", "Concat", "Add", "Split", "Slice", "Loop", "Nope", "")
        )
    elif kind == 4 and graph.node:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 5 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(sizes)
        else:
            tensor.dims.append(rng.choice(sizes))
    elif kind == 6 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        tensor.data_type = rng.choice((0, 1, 2, 6, 7, 8, 10, 16, 22, 99))
        tensor.raw_data = raw([tensor.raw_data], rng)
    elif kind == 7 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        tensor.data_location = 1
        place = tensor.external_data.add()
        place.key, place.value = (
            "location",
            rng.choice(("../outside", "/etc/passwd", "inside", "", "..", "\0", "a" * 5000)),
        )
    elif kind == 8 and graph.input:
        shape = rng.choice(graph.input).type.tensor_type.shape
        if shape.dim:
            dim = rng.choice(shape.dim)
            if rng.random() < 0.3:
                dim.dim_param = rng.choice(("N", "", "x" * 99))
            else:
                dim.dim_value = rng.choice(sizes)
    elif node is not None:
        graph.node.add().CopyFrom(node)
