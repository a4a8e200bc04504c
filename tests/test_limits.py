"""What a user may give has bounds, and is refused in one line before it costs time or memory."""

import bz2
import io
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import typing
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import annotated_types
import numpy as np
import pytest
import yaml
from pydantic import BaseModel

import accelsim
from accelsim.config import packaged, yamlfile
from accelsim.energy import load_table
from accelsim.energy.tables import FOLDER
from accelsim.engines import registry
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.schema import read_sweep
from accelsim.operands.handle import of
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.workload import matrix_file
from accelsim.workload.network import Network, make_layer
from accelsim.workload.onnx import inline, names
from accelsim.workload.scalesim import network as scalesim_network
from accelsim.workload.shapes import Conv2d, Linear


def single(shape, **density):
    layer, tensors = make_layer("a", shape)
    changed = {f"a.{role}": replace(tensors[f"a.{role}"], density=share) for role, share in density.items()}
    return Network("n", (layer,), tensors, isolated=True).with_tensors(changed)


SMALL = single(Linear(n=1, c=8, k=8))

# --- YAML


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [" + "1.5," * 400_000 + "1]", "more than 300,000 values"),
        ("".join(f"k{i}: 1\n" for i in range(400_000)), "x.yaml:300001: more than 300,000 values"),
        ("a: " + "[" * 400_000, "x.yaml:1: nested too deeply; use at most 40 levels"),
        ("- " * 400_000, "nested too deeply"),
        ("a: [" + ", ".join(f"&a{i} 1" for i in range(400_000)) + "]", "more than 300,000 values"),
        ("a: 1\n---\n" * 400_000, "x.yaml:2: expected a single document"),
    ],
)
def test_yaml_is_refused_by_what_has_been_read_and_not_by_all_of_it(loader, text, message, monkeypatch):
    if loader == "CSafeLoader" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")
    base, taken = getattr(yaml, loader), []

    class Counting(base):
        def get_event(self):
            taken.append(None)
            return super().get_event()

    monkeypatch.setattr(yamlfile, "_LOADER", Counting)
    monkeypatch.setattr(yamlfile, "MAX_NODES", 300_000)
    if loader == "SafeLoader":  # thirty times slower: a tenth of it shows the same
        monkeypatch.setattr(yamlfile, "MAX_NODES", 3_000)
        message = message.replace("300,000", "3,000").replace("300001", "3001")
    with pytest.raises(ConfigError) as caught:
        yamlfile.parse(text, "x.yaml")
    assert message in str(caught.value)
    assert len(taken) < 2 * yamlfile.MAX_NODES + 10


@pytest.mark.parametrize("kind", ["arch_configs", "workloads"])
def test_both_parsers_read_the_packaged_files_alike(kind, monkeypatch):
    for name in packaged.names(kind):
        path, _ = packaged.find(kind, name)
        if path.stat().st_size > 20_000:
            continue
        found = []
        for loader in ("SafeLoader", "CSafeLoader" if yaml.__with_libyaml__ else "SafeLoader"):
            monkeypatch.setattr(yamlfile, "_LOADER", getattr(yaml, loader))
            document = yamlfile.read(path)
            found.append((document.data, document.places))
        assert found[0] == found[1]


@pytest.mark.parametrize(("text", "line"), [("a: *b\n", 1), ("a: &x 1\nb: &x 2\n", 2)])
def test_anchors_that_are_missing_or_double_are_named(text, line):
    with pytest.raises(ConfigError, match=rf"x\.yaml:{line}: not valid YAML: found (undefined alias|duplicate anchor)"):
        yamlfile.parse(text, "x.yaml")


@pytest.mark.parametrize("device", ["/dev/zero"])
def test_a_file_without_an_end_is_read_as_far_as_its_kind_may_go(device):
    readers = (
        lambda: yamlfile.read(Path(device)),
        lambda: read_report(Path(device)),
        lambda: accelsim.simulate("systolic_ws_8", SMALL, density=Path(device)),
    )
    for read in readers:
        with pytest.raises(UserError, match="larger than"):
            read()


# --- figures


def schemas():
    """Yield every schema of a user's file."""
    for name in registry.modules():
        registry.get(name)
    todo = [BaseModel]
    while todo:
        for model in todo.pop().__subclasses__():
            todo.append(model)
            mine = model.__module__.startswith("accelsim.")
            if mine and not model.__module__.startswith(("accelsim.validate", "accelsim.energy.scaling")):
                yield model


def bounds(info, annotation):
    """Return lower and upper bound of a float key, found in its metadata or in those of the types inside it."""
    metadata = [*info, *(m for part in parts(annotation) for m in getattr(part, "__metadata__", ()))]
    flat = [m for item in metadata for m in (getattr(item, "metadata", None) or [item])]
    low = [m for m in flat if isinstance(m, annotated_types.Ge | annotated_types.Gt)]
    high = [m for m in flat if isinstance(m, annotated_types.Le | annotated_types.Lt)]
    return low, high


def parts(annotation):
    yield annotation
    for inner in typing.get_args(annotation):
        yield from parts(inner)


def test_every_float_of_every_schema_has_two_bounds():
    seen, unbounded = 0, []
    for model in schemas():
        for key, info in model.model_fields.items():
            if float in [*parts(info.annotation)]:
                seen += 1
                low, high = bounds(info.metadata, info.annotation)
                if not low or not high:
                    unbounded.append(f"{model.__module__}.{model.__name__}.{key}")
    assert seen > 30
    assert unbounded == []


EXTREMES = [
    ("memory.dram.latency_ns", (0, 1e-300, 1e6), (1e300, 1.1e6, -1)),
    ("memory.dram.gb_per_s", (1e-6, 1e9), (1e-300, 1e300)),
    ("clocks_mhz.core", (1e-3, 1e5), (1e-300, 1e300, 2e5)),
    ("technology.node_nm", (1e-12, 1e12), (1e-300, 1e300)),
    ("technology.voltage_v", (1e-12, 1e12), (1e-300, 1e300)),
]


@pytest.mark.parametrize(("key", "inside", "outside"), EXTREMES)
def test_figures_of_a_machine_give_a_report_or_one_line(key, inside, outside):
    for value in inside:
        arch = accelsim.load_arch("systolic_ws_8", [(key, value)])
        text = to_json(accelsim.simulate(arch, SMALL))
        assert json.loads(text)["totals"]["cycles"] > 0
    for value in outside:
        with pytest.raises(ConfigError, match=rf"{re.escape(key)}: .* is too (small|large); must be at (least|most)"):
            accelsim.load_arch("systolic_ws_8", [(key, value)])


# --- ONNX functions


def calls(path, first, functions):
    from onnx import TensorProto, helper

    ops = [helper.make_opsetid("", 13), helper.make_opsetid("f", 1)]

    def function(name, *inner):
        names = ["a", *(f"t{i}" for i in range(len(inner) - 1)), "b"]
        nodes = [helper.make_node(op, [names[i]], [names[i + 1]], domain="" if op == "Relu" else "f")
                 for i, op in enumerate(inner)]  # fmt: skip
        return helper.make_function("f", name, ["a"], ["b"], nodes, ops)

    graph = helper.make_graph([helper.make_node(first, ["x"], ["y"], domain="f")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])  # fmt: skip
    made = [function(name, *inner) for name, inner in functions.items()]
    path.write_bytes(helper.make_model(graph, opset_imports=ops, functions=made).SerializeToString())
    return str(path)


def doubling(levels):
    return {**{f"F{i}": (f"F{i + 1}", f"F{i + 1}") for i in range(levels)}, f"F{levels}": ("Relu",)}


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"F0": ("F0",)}, "its function 'F0' calls itself"),
        ({"F0": ("F1",), "F1": ("Relu", "F2"), "F2": ("F1",)}, "its function 'F1' calls itself"),
        ({"F0": ("Relu",), "F9": ("F9",)}, "its function 'F9' calls itself"),
        (doubling(26), "its functions become more than 50,000 nodes"),
        (doubling(60), "its functions become more than 50,000 nodes"),
        ({**{f"F{i}": (f"F{i + 1}",) for i in range(3000)}, "F3000": ("Relu",)}, "nested more than 64 deep"),
    ],
)
def test_functions_that_call_themselves_or_explode_are_refused_before_they_are_expanded(
    functions, message, tmp_path, monkeypatch
):
    from onnx import inliner

    monkeypatch.setattr(inliner, "inline_local_functions", lambda *_: pytest.fail("expanded"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        accelsim.load_network(calls(tmp_path / "m.onnx", "F0", functions))


@pytest.mark.parametrize("functions", [{"F0": ("Relu", "Relu")}, doubling(5)])
def test_functions_within_bounds_are_expanded(functions, tmp_path):
    network = accelsim.load_network(calls(tmp_path / "m.onnx", "F0", functions))
    assert len(network.layers) == (2 if len(functions) == 1 else 32)


def test_what_the_expansion_costs_is_known_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(inline, "MAX_CALLED_BYTES", 10)
    with pytest.raises(ConfigError, match="its functions become more than 256 MiB"):
        accelsim.load_network(calls(tmp_path / "m.onnx", "F0", doubling(2)))


# --- archives


def member(shape="(2, 2)", descr="'<f8'", body=bytes(32)):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


def packed(path, method, *members):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return path


ARCHIVES = {
    "method 14": (zipfile.ZIP_LZMA, [("a.weight.npy", member())]),
    "method 12": (zipfile.ZIP_BZIP2, [("a.weight.npy", member())]),
    "damaged header": (zipfile.ZIP_STORED, [("a.weight.npy", member("(True, 2, 2)"))]),
    "has a damaged header": (zipfile.ZIP_STORED, [("a.weight.npy", member("(2, 2)", "()"))]),
    "damaged head": (zipfile.ZIP_STORED, [("a.weight.npy", member("(1000000000000,)", "'<U0'"))]),
    "cut off": (zipfile.ZIP_DEFLATED, [("a.weight.npy", member("(1000000, 1000000)"))]),
    "is there twice": (zipfile.ZIP_STORED, [("a.weight.npy", member()), ("a.weight", member())]),
    "is no array": (zipfile.ZIP_STORED, [("a.weight.npy", b"")]),
}


@pytest.mark.parametrize("message", ARCHIVES)
def test_members_of_an_archive_are_refused_in_one_line(message, tmp_path):
    method, members = ARCHIVES[message]
    path = packed(tmp_path / "x.npz", method, *members)
    for use in (
        lambda: accelsim.simulate("systolic_ws_8", single(Linear(n=1, c=2, k=2)), operands=path),
        lambda: accelsim.load_network(str(path)),
    ):
        with pytest.raises(WorkloadError, match=message):
            use()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("at", range(45, 120, 15))
def test_damage_inside_a_member_is_one_line(method, at, tmp_path):
    path = packed(tmp_path / "x.npz", method, ("a.weight.npy", member(body=np.random.default_rng(0).bytes(32))))
    raw = bytearray(path.read_bytes())
    raw[at : at + 12] = b"\xff" * 12
    path.write_bytes(raw)
    with pytest.raises(WorkloadError, match=r"x\.npz: "):
        accelsim.simulate("systolic_ws_8", single(Linear(n=1, c=2, k=2)), operands=path)


@pytest.mark.parametrize("size", [100, 2**20, 2**31, 2**32 - 1])
def test_a_directory_that_lies_about_sizes_takes_no_memory(size, tmp_path, monkeypatch):
    body = member(f"({size // 8},)")
    path = packed(tmp_path / "x.npz", zipfile.ZIP_STORED, ("a.weight.npy", body))
    raw = bytearray(path.read_bytes())
    place = raw.rfind(b"PK\1\2")
    raw[place + 24 : place + 28] = size.to_bytes(4, "little")
    path.write_bytes(raw)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(WorkloadError, match=r"x\.npz: cannot be read as \.npz"):
        accelsim.simulate("systolic_ws_8", single(Linear(n=1, c=2, k=2)), operands=path)


def test_an_array_of_another_shape_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, **{"a.weight": np.zeros((3000, 1000))})
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda *_: pytest.fail("it was read"))
    with pytest.raises(WorkloadError, match=r"array 'a.weight' is \(3000, 1000\), the layer's tensor is \(2, 2\)"):
        accelsim.simulate("systolic_ws_8", single(Linear(n=1, c=2, k=2)), operands=path)


def test_a_matrix_whose_header_allows_more_than_there_is_memory_is_read_piece_by_piece(tmp_path):
    path = tmp_path / "m.mtx"
    path.write_text(f"%%MatrixMarket matrix coordinate real general\n20000 20000 {1 << 28}\n1 1 1\n")
    asked = []

    class Watched(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with pytest.raises(WorkloadError, match="1 entries where the header says 268,435,456"):
        accelsim.load_network(str(path))
    with pytest.raises(WorkloadError, match="holds more than the 3 bytes"):
        matrix_file._bounded(Watched(b"x" * 5_000_000), 3, "m")
    assert max(asked) <= 1 << 20
    assert len(asked) == 1


def test_the_test_of_methods_uses_methods_that_python_has():
    assert bz2.decompress(bz2.compress(b"x")) == lzma.decompress(lzma.compress(b"x")) == b"x"


# --- filters of any size


@pytest.mark.parametrize("role", ["weight", "input"])
def test_effective_macs_of_a_large_filter_take_no_array_of_its_size(role, monkeypatch):
    conv = Conv2d(n=1, c=2, k=2, h=1500, w=1500, r=1400, s=1400)
    operands = of((net := single(conv, **{role: 0.5})).view(net.layers[0]))
    mask = operands.weight.mask if role == "weight" else operands.input.mask
    real, sizes = np.zeros, []
    monkeypatch.setattr(np, "zeros", lambda shape, *a, **k: sizes.append(np.prod(shape)) or real(shape, *a, **k))
    if role == "weight":
        expected = int(mask.sum()) * 101 * 101
    else:
        rows = [sum(0 <= y - e < 1400 for e in range(101)) for y in range(1500)]
        expected = 2 * int(np.einsum("nchw,h,w->", mask.astype(np.int64), rows, rows))
    assert operands.effective_macs == expected
    assert all(size <= 2 * 1500 * 1500 for size in sizes)


class Counted(str):
    """A name that counts how often another one is made of it."""

    times = 0

    def __format__(self, how):
        Counted.times += 1
        return super().__format__(how)


def test_one_name_for_every_layer_costs_no_search_of_all_copies(monkeypatch):
    monkeypatch.setattr(Counted, "times", 0)
    found = names.layer_names([names.Label(Counted("block"), "Relu")] * 1000)
    assert found == ["block", *(f"block.{i}" for i in range(2, 1001))]
    rows = [SimpleNamespace(name=Counted("q"), line=i) for i in range(1000)]
    assert [name for name, _ in scalesim_network._named(rows, [])] == ["q", *(f"q.{i}" for i in range(2, 1001))]
    assert Counted.times < 3000


# --- energy tables


@pytest.fixture
def table(tmp_path):
    """A table of one's own that inherits all but its DRAM from one that inherits from a packaged one."""
    base = tmp_path / "base.yaml"
    base.write_text((FOLDER / "45nm.yaml").read_text().replace("name: 45nm", "name: base"))
    path = tmp_path / "t.yaml"
    known = ("multiplier", "adder", "macros", "cells", "link", "hop", "gated", "special")
    sections = [name for name in load_table("45nm").spec.model_dump() if name in known]
    path.write_text(
        "name: t\ntitle: own\nnode: {nm: 45, vdd_v: 0.9, status: assumed, source: me}\nsources: {me: made up here}\n"
        f"inherits:\n  - {{table: base.yaml, sections: [{', '.join(sections)}]}}\n"
        "dram:\n  - {standard: lpddr4, pj: 8, status: assumed, source: me}\n"
    )
    return path


def energy(path):
    result = accelsim.simulate(accelsim.load_arch("systolic_ws_8", [("energy.table", str(path))]), SMALL)
    return result.energy_pj


def test_an_edited_table_is_read_again_in_the_same_process(table):
    first = energy(table)
    stat = table.stat()
    table.write_text(table.read_text().replace("pj: 8,", "pj: 9,"))
    os.utime(table, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same times: only the content tells
    assert energy(table)["dram"] == pytest.approx(first["dram"] * 9 / 8)
    table.write_text("name: [")
    with pytest.raises(ConfigError, match=r"t\.yaml:"):
        energy(table)
    table.unlink()
    with pytest.raises(ConfigError, match="no such energy table file"):
        energy(table)


def test_an_edited_table_that_another_inherits_is_read_again(table):
    first = energy(table)
    base = table.with_name("base.yaml")
    data = yaml.safe_load(base.read_text())
    for row in data["adder"]:
        row["pj"] = row["pj"] * 2 if row.get("pj") else None
    base.write_text(yaml.safe_dump(data))
    assert sum(energy(table).values()) > sum(first.values())


def test_a_packaged_table_is_read_once(monkeypatch):
    from accelsim.energy import tables

    tables.kept_table("45nm")
    monkeypatch.setattr(tables, "load_table", lambda *_: pytest.fail("read again"))
    assert tables.kept_table("45nm").name == "45nm"


def test_a_sweep_does_not_reuse_results_of_a_table_that_was_edited(table):
    path = table.with_name("s.yaml")
    path.write_text("name: s\nmachines: [systolic_ws_8]\nnetworks: [alexnet]\noptions: {layers: fc8}\n"
                    f"axes: {{energy.table: ['45nm', '{table}'], params.rows: [4, 8]}}\n")  # fmt: skip
    store = table.with_name("s.db")
    assert sweep.run(path, store, workers=0).counts.to_run == 4
    assert sweep.run(path, store, workers=0).counts.to_run == 0
    table.write_text(table.read_text().replace("pj: 8,", "pj: 9,"))
    assert sweep.run(path, store, workers=0).counts.to_run == 2


# --- Python's options


def test_reports_do_not_depend_on_docstrings(tmp_path):
    outputs = []
    for option in ("-B", "-OO"):
        command = [sys.executable, option, "-m", "accelsim", "run", "edge_npu", "squeezenet1_1"]
        if "squeezenet1_1" not in packaged.names("workloads"):
            command[-1] = "alexnet"
        command += ["--layers", "*conv1*", "-o", "out"]
        folder = tmp_path / option
        folder.mkdir()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        files = {name: (folder / "out" / name).read_bytes() for name in ("report.json", "report.md", "layers.csv")}
        outputs.append((done.stdout, files))
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0][1]["report.json"])["not_modelled"]


# --- Dask


def test_ctrl_c_while_dask_starts_waits_for_it_and_then_closes_it(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    from accelsim.explore.sweep import dask

    said = []

    class Cluster:
        def __init__(self, *_, **__):
            assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "children would take it"
            os.kill(os.getpid(), signal.SIGINT)
            said.append("started")

        def close(self):
            said.append("cluster closed")

    class Client:
        def __init__(self, *_, **__):
            said.append("connected")

        def wait_for_workers(self, *_, **__):
            said.append("has workers")

        def close(self):
            said.append("client closed")

    monkeypatch.setattr(distributed, "LocalCluster", Cluster)
    monkeypatch.setattr(distributed, "Client", Client)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start with & ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            dask.OnDask(None, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == ["started", "connected", "has workers", "client closed", "cluster closed"]


# --- reports


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["arch"].pop("name"),
        lambda data: data["arch"].update(name=7),
        lambda data: data.update(arch=[]),
        lambda data: data["arch"]["memory"]["dram"].update(gb_per_s=[1]),
        lambda data: data["network"].pop("batch"),
        lambda data: data["layers"][0].update(unit={}),
        lambda data: data.pop("not_modelled"),
    ],
)
def test_a_report_without_what_its_pages_need_is_no_report(change, tmp_path):
    data = json.loads(to_json(accelsim.simulate("systolic_ws_8", SMALL)))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data))
    to_markdown(read_report(path))
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"report\.json: this is no report\.json of accelsim"):
        read_report(path)


def test_a_report_of_brackets_is_no_report(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigError, match=r"this is no report\.json"):
        read_report(path)


# --- axes that name a unit


def by_unit(folder, axes, constraints="[]"):
    path = folder / "u.yaml"
    path.write_text("name: u\nmachines: [edge_npu]\nnetworks: [alexnet]\noptions: {layers: conv1}\n"
                    f"axes: {axes}\nconstraints: {constraints}\n")  # fmt: skip
    return path


def test_an_axis_names_a_unit_or_counts_it(tmp_path):
    found = []
    for key in ("units.array.params.rows", "units.0.params.rows"):
        path = by_unit(tmp_path, f"{{{key}: [4, 8, 0]}}", "[units.array.params.rows != 8]")
        points = list(sweep.expand(read_sweep(path)).points())
        found.append([(p.key, p.reason is None) for p in points])
        assert [p.reason is None for p in points] == [True, False, False]
        assert points[1].reason == "constraint: units.array.params.rows != 8"
        assert points[2].reason == "sweep: units.0.params.rows: 0 is too small; must be at least 1"
    assert found[0] == found[1], "one machine, one key"
    end = sweep.run(by_unit(tmp_path, "{units.array.params.rows: [4, 8]}"), tmp_path / "u.db", workers=0)
    assert (end.pace.done, end.illegal, end.failed) == (2, 0, 0)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("{units.nope.params.rows: [4]}", "units.nope.params.rows: no such entry"),
        ("{units.array.params.row: [4]}", "did you mean 'rows'"),
        ("{units.array.params.rows.x: [4]}", "is a value, not a mapping"),
        ("{units.array.params.rows: [4], units.0.params.rows: [8]}", "sets what 'units.array.params.rows' sets too"),
        ("{units.array.params: [{rows: 4}], units.array.params.rows: [8]}", "sets what 'units.array.params' sets too"),
    ],
)
def test_an_axis_that_names_nothing_or_another_axis_is_one_line(axes, message, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(message)):
        list(sweep.expand(read_sweep(by_unit(tmp_path, axes))).points())
