"""Structure-aware fuzzing of models, archives and stores: whole files whose content makes no sense."""

from __future__ import annotations

import io
import random
import sqlite3
import struct
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fuzz.absurd import WORDS, scalar, times

SIZES = (0, 1, -1, 2, 3, 7, 1000, 65537, 2**20, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Reshape", "Concat", "Add", "Split", "Slice", "Loop", "If", "Expand",
       "Tile", "Pad", "Gather", "Range", "ConstantOfShape", "Resize", "LSTM", "Einsum", "QLinearConv", "MaxPool",
       "GlobalAveragePool", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "ReduceMean", "Softmax", "Identity",
       "Nope")  # fmt: skip


def model(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an ONNX model that contradicts itself."""
    import onnx

    proto = onnx.ModelProto()
    proto.ParseFromString(rng.choice(seeds))
    for _ in times(rng):
        rng.choice((_nodes, _nodes, _attributes, _tensors, _shapes, _functions, _header))(proto, rng)
    return bytes(proto.SerializeToString())


def _text(rng: random.Random) -> str:
    return str(rng.choice(WORDS)).encode("utf-8", "replace").decode()


def _nodes(model: Any, rng: random.Random) -> None:
    graph = model.graph
    node = rng.choice(graph.node) if graph.node else graph.node.add()
    names = [n for other in graph.node for n in (*other.input, *other.output)] + ["", "nothing"]
    kind = rng.randrange(8)
    if kind == 0:
        node.op_type = rng.choice(OPS)
    elif kind == 1:
        del node.input[:]
        node.input.extend(rng.choices(names, k=rng.choice((0, 1, 2, 3, 9))))
    elif kind == 2:
        del node.output[:]
        node.output.extend(rng.choices(names, k=rng.choice((0, 1, 2))))
    elif kind == 3:
        node.name = _text(rng)
    elif kind == 4:
        for _ in range(rng.choice((1, 30))):
            graph.node.add().CopyFrom(node)
    elif kind == 5:
        node.domain = rng.choice(("ai.onnx.ml", "com.microsoft", "f", _text(rng)))
    elif kind == 6:  # each doubles what the one before gives
        last = rng.choice(names)
        for i in range(rng.choice((3, 40))):
            graph.node.add(op_type=rng.choice(("Concat", "Add")), input=[last, last], output=[f"d{i}"]).attribute.add(
                name="axis", type=2, i=rng.choice((0, 1, 7))
            )
            last = f"d{i}"
    else:
        graph.node.insert(0, graph.node.pop())


def _attributes(model: Any, rng: random.Random) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    node = rng.choice(nodes) if nodes else model.graph.node.add(op_type="Conv")
    given = rng.choice(node.attribute) if node.attribute and rng.random() < 0.6 else node.attribute.add()
    given.name = given.name or rng.choice(("pads", "strides", "dilations", "group", "kernel_shape", "axis", "perm",
                                           "auto_pad", "to", "transA", "ceil_mode", "equation", "value"))  # fmt: skip
    kind = rng.randrange(5)
    if kind <= 1:
        del given.ints[:]
        given.ints.extend(rng.choices(SIZES, k=rng.choice((0, 1, 2, 4, 5, 500))))
        given.type = 7
    elif kind == 2:
        given.i, given.type = rng.choice(SIZES), 2
    elif kind == 3:
        given.s, given.type = _text(rng).encode(), 3
    else:
        given.type = rng.randrange(15)


def _tensors(model: Any, rng: random.Random) -> None:
    graph = model.graph
    tensor = rng.choice(graph.initializer) if graph.initializer else graph.initializer.add(name="new")
    kind = rng.randrange(6)
    if kind == 0:
        del tensor.dims[:]
        tensor.dims.extend(rng.choices(SIZES, k=rng.randrange(6)))
    elif kind == 1:
        tensor.data_type = rng.randrange(25)
    elif kind == 2:
        tensor.raw_data = struct.pack("<q", rng.choice(SIZES)) * max(1, len(tensor.raw_data) // 8)
    elif kind == 3:
        tensor.name = rng.choice([*(n for node in graph.node for n in node.output), "", _text(rng)])
    elif kind == 4:
        tensor.data_location = 1
        for key in ("location", "offset", "length"):
            tensor.external_data.add(key=key, value=str(rng.choice((_text(rng), *SIZES))))
    else:
        graph.initializer.add().CopyFrom(tensor)


def _shapes(model: Any, rng: random.Random) -> None:
    graph = model.graph
    given = rng.choice((*graph.input, *graph.output)) if graph.input else graph.input.add(name="x")
    kind = rng.randrange(4)
    tensor = given.type.tensor_type
    if kind == 0:
        given.name = rng.choice((_text(rng), *(n for node in graph.node for n in node.input)))
    elif kind == 1:
        tensor.elem_type = rng.randrange(25)
    else:
        del tensor.shape.dim[:]
        for _ in range(rng.randrange(7)):
            dim = tensor.shape.dim.add()
            if rng.random() < 0.3:
                dim.dim_param = _text(rng)
            else:
                dim.dim_value = rng.choice(SIZES)


def _functions(model: Any, rng: random.Random) -> None:
    from onnx import helper

    ops = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    length, fan = rng.choice((1, 3, 12, 70)), rng.choice((0, 1, 2, 3))
    for i in range(length):
        last = i == length - 1
        inner = "F0" if last and rng.random() < 0.3 else f"F{i + 1}"
        op = ("Relu", "") if last and inner != "F0" else (inner, "f")
        body = [helper.make_node(op[0], [f"t{k}" if k else "a"], [f"t{k + 1}"], domain=op[1]) for k in range(fan)]
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], [f"t{fan}" if fan else "a"], body, ops))
    model.opset_import.append(ops[1])
    if model.graph.node and rng.random() < 0.9:
        node = rng.choice(model.graph.node)
        node.op_type, node.domain = "F0", "f"
        del node.input[1:]
        del node.attribute[:]


def _header(model: Any, rng: random.Random) -> None:
    kind = rng.randrange(4)
    if kind == 0 and model.opset_import:
        model.opset_import[0].version = rng.choice(SIZES)
    elif kind == 1:
        model.ir_version = rng.choice(SIZES)
    elif kind == 2:
        model.graph.name = _text(rng)
    else:
        model.producer_name = _text(rng)


DESCRIPTIONS = ("<i8", ">i2", "<u8", "|b1", "<f2", "<f4", "<f8", "<c16", "|O", "<U4", "|S0", "|V3", "<M8[s]", "|i1")


def _npy(body: bytes, rng: random.Random) -> bytes:
    """Return an .npy file whose header or content is absurd; its header is a header all the same."""
    import numpy as np

    try:
        array = np.load(io.BytesIO(body))
    except Exception:  # what an earlier absurdity left
        return body
    kind = rng.randrange(7)
    if kind == 0:
        array = array.reshape(-1)[: rng.randrange(array.size + 1)]
    elif kind == 1:
        array = array.T if rng.random() < 0.5 else array[None]
    elif kind == 2 and array.dtype.kind in "iuf" and array.size:
        array = array.astype(np.float64)
        array.flat[0] = rng.choice((np.nan, np.inf, -1e300, 1e-320, 2.0**63))
    elif kind == 3 and array.dtype.kind in "iuf" and array.size:
        array = array.astype(rng.choice((np.int64, np.uint64)))
        array.flat[rng.randrange(array.size)] = rng.choice((2**62, 2**31, 65536, 2**63 - 1))
    out = io.BytesIO()
    if kind <= 3:
        np.save(out, array)
        return out.getvalue()
    shape: Any = tuple(rng.choice((*SIZES, True, 1.5, "a", None)) for _ in range(rng.randrange(4)))
    header = {"descr": rng.choice(DESCRIPTIONS), "fortran_order": rng.choice((True, False, 1)), "shape": array.shape}
    header["shape" if rng.random() < 0.5 else "descr"] = shape if rng.random() < 0.5 else scalar(rng)
    text = repr(header).encode("ascii", "backslashreplace")[:60000]
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def npy(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an absurd .npy file."""
    body = rng.choice(seeds)
    for _ in times(rng):
        body = _npy(body, rng)
    return body


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def archive(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an archive of arrays: absurd ones, missing or strange ones, damaged members of any method, false sizes."""
    with zipfile.ZipFile(io.BytesIO(rng.choice(seeds))) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    damage = False
    for _ in times(rng):
        kind, at = rng.randrange(7), rng.randrange(len(members)) if members else 0
        if not members or kind == 6:
            damage = True
        elif kind <= 2:
            members[at] = (members[at][0], _npy(members[at][1], rng))
        elif kind == 3:
            members[at] = (rng.choice((*map(str, WORDS), "data.npy", "indices.npy", "a.bias.npy")), members[at][1])
        elif kind == 4:
            del members[at]
        else:
            members.append((members[at][0], rng.choice(members)[1]))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice(METHODS)) as new:
        for name, body in members:
            new.writestr(name.replace("\0", "") or "x", body)
    packed = bytearray(out.getvalue())
    if damage:
        for _ in range(rng.choice((1, 10))):  # inside members: behind their local headers
            at = rng.randrange(30, max(31, len(packed) - 60 * max(1, len(members))))
            packed[at : at + 4] = rng.randbytes(4)
        place = packed.rfind(b"PK\1\2")
        if place >= 0 and rng.random() < 0.5:
            packed[place + 20 : place + 28] = struct.pack(
                "<II", *rng.choices((0, 1, 100, 2**20, 2**31, 2**32 - 1), k=2)
            )
    return bytes(packed)


CELLS = ("'x'", "''", "null", "-1", "1.5", "0", "9e999", "-9e999", "1e308", "9223372036854775807", "x'80'", "x'00ff'",
         "cast(x'80' as text)", "'{'", "'{}'", "'[]'", "'[1]'", "'{\"a\": 1}'", "'{\"a\": -1}'", "'{\"a\": \"b\"}'",
         "'{\"a\": NaN}'", "'{\"a\": 1e999}'", "'{\"cycles\": 1, \"point\": {}}'", "'null'", "'3'", "'ok'", "'failed'",
         "'illegal'", "char(27) || ']0;x'", "'=1+1'", "'[' || hex(zeroblob(9000))",
         "replace(hex(zeroblob(9000)), '00', '[')",
         "cycles", "key")  # fmt: skip


def store(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a store with sound SQLite in which cells, rows or columns are not what they should be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        path.write_bytes(rng.choice(seeds))
        db = sqlite3.connect(path)
        try:
            for _ in times(rng):
                try:
                    for sql in _edit(db, rng):
                        db.execute(sql)
                    db.commit()
                except sqlite3.Error:
                    db.rollback()
        finally:
            db.close()
        return path.read_bytes()


def _edit(db: sqlite3.Connection, rng: random.Random) -> list[str]:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    table = rng.choice(("plan", "totals", "totals")) if rng.random() < 0.5 or not tables else rng.choice(tables)
    there = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    if not there:  # dropped before
        return []
    column = rng.choice(there)
    # one row, or several: some tables have no rowid
    one = f'where "{there[0]}" = (select "{there[0]}" from {table} limit 1 offset {rng.randrange(9)})'
    rows = rng.choice(("", one, one))
    kind = rng.randrange(9)
    if kind <= 4:
        return [f'update {table} set "{column}" = {rng.choice(CELLS)} {rows}']
    if kind == 5:
        return [f"delete from {table} {rows}"]
    if kind == 6:
        return [f'alter table {table} rename column "{column}" to {rng.choice(("odd", "axes", "row", "cycles"))}']
    if kind == 7:  # without keys or types: any row may come twice
        names = ", ".join(f'"{name}"' for name in there)
        copy = f"insert into {table} select {names} from old"
        edit = f'update {table} set "{column}" = {rng.choice(CELLS)} {rows}'
        steps = [f"alter table {table} rename to old", f"create table {table} ({names})", copy, f"{copy} {rows}"]
        return [*steps, edit] if rng.random() < 0.5 else steps
    return [f"drop table {table}"] if rng.random() < 0.5 else [f'alter table {table} drop column "{column}"']
