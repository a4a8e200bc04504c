"""What is fuzzed: each kind of file, its seeds, how it is mutated and how it is used."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fuzz import mutate

ROOT = Path(__file__).resolve().parents[2]
MAKE = Callable[[Sequence[bytes], random.Random], bytes]

NETWORK = """\
name: tiny
source: made up
isolated: false
inputs: [image]
tensors: {image: {bits: 8, signed: false}}
layers:
  - name: conv1
    kind: conv2d
    c: 3
    k: 16
    h: 32
    w: 32
    r: 3
    s: 3
    pad: 1
    stride: 2
    inputs: [image]
    outputs: [a]
  - {name: relu1, kind: elementwise, op: relu, shape: [1, 16, 16, 16], inputs: [a], outputs: [b]}
  - {name: pool, kind: pool, op: max, c: 16, h: 16, w: 16, r: 2, s: 2, stride: 2, inputs: [b], outputs: [p]}
  - {name: fc, kind: linear, n: 1, c: 1024, k: 10, inputs: [p], outputs: [c], weight: {density: 0.3}}
"""
ISOLATED = """\
name: rows
source: made up
isolated: true
layers:
  - {name: a, kind: conv2d, c: 8, h: 12, w: 12, k: 16, r: 3, s: 3, pad: 1, groups: 2, dilation: 1}
  - {name: b, kind: matmul, batch: 2, m: 12, n: 6, k: 8, repeat: 2}
  - {name: c, kind: linear, c: 64, k: 32, input: {bits: 4}}
"""
SWEEP = """\
name: tiny_sweep
question: which?
machines: [systolic_ws_8]
networks: [alexnet]
set: {params.overlap_folds: true}
axes:
  params.rows: [2, 4, 8]
  params.cols: {from: 2, to: 16, factor: 2}
  memory.dram.gb_per_s: {from: 6.4, to: 12.8, count: 3, log: true}
  kib: {zip: {params.input_kib: [32, 64], params.weight_kib: [64, 32]}}
constraints:
  - params.rows * params.cols <= 128 or network == 'alexnet'
sampling: {method: lhs, points: 4, seed: 0}
objectives: [cycles, total_energy_pj]
options: {batch: 1, seed: 0, weight_density: 0.4}
"""
DENSITY = "source: here\nlayers:\n  a: {input: 0.9, weight: '0.3 rows:0.5'}\n  'c*': {weight: 0.1, output: 1}\n"
PRECISION = "source: here\nlayers:\n  a: {input: 4, weight: 3}\n  '*': {output: 16}\n"
MAPPING = """\
a: {groups: 1, n: 1, e: 2, f: 12, k: 8, c: 4, order: kmc}
'c*': {groups: 1, n: 1, e: 1, f: 1, k: 8, c: 64, order: mck}
"""
MTX = "%%MatrixMarket matrix coordinate real general\n% made up\n4 4 5\n1 1 1.5\n2 3 -2\n3 2 1e0\n4 1 3\n4 4 0.5\n"
MTX_PATTERN = "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 3\n1 1\n2 1\n3 2\n"
EDGES = "# nodes: 4\n0\t1\n1\t2\n2\t0\n3\t3\n"
DRAM_TRACES = ("LD 0x40\nST 128\n# comment\nLD 0x40\n", "0x40 READ 0\n128 WRITE 7\n64 READ 900\n")


class Target(NamedTuple):
    """One kind of file.

    Attributes
    ----------
    suffix : str
        Of the file that is written.
    seeds : callable
        Returns the inputs that mutation starts from, all of them good.
    make : callable
        Returns a mutated input.
    use : callable
        What a user's command would do with the file.
    """

    suffix: str
    seeds: Callable[[], list[bytes]]
    make: MAKE
    use: Callable[[Path], object]


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


def _files(*patterns: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def _rows() -> Any:
    """Return a small network, to which profiles, mappings and operands apply."""
    from accelsim.config.yamlfile import parse
    from accelsim.workload import yaml_network

    return yaml_network.build(parse(ISOLATED, "rows.yaml"))


def _machine(path: Path) -> object:
    import accelsim
    from accelsim.charges import machine_components

    arch = accelsim.load_arch(str(path))
    machine_components(arch)
    dense = {unit.engine for unit in arch.units} <= {"systolic", "vector"}
    return accelsim.simulate(arch, _rows()) if dense else arch


def _network(path: Path) -> object:
    import accelsim
    from accelsim.operands.handle import MAX_DRAWN
    from accelsim.workload.yaml_dump import dump

    network = accelsim.load_network(str(path))
    dump(network)
    # much work that was asked for in a few bytes is no defect
    drawn = sum(t.elements for t in network.tensors.values() if t.density < 1 and t.elements <= MAX_DRAWN)
    heavy = len(network.layers) > 40 or drawn > 1 << 24
    return network if heavy else accelsim.simulate("edge_npu", network)


def _sweep(path: Path) -> object:
    from accelsim.explore.sweep import run as sweep
    from accelsim.explore.sweep import schema

    read = schema.read_sweep(path)
    values = sum(len(axis.steps) for axis in read.axes)
    # much work that was asked for in a few bytes is no defect
    return sweep.count(path) if values < 2000 else read


def _option(name: str) -> Callable[[Path], object]:
    def use(path: Path) -> object:
        import accelsim

        options: dict[str, Any] = {name: path}
        return accelsim.simulate("systolic_ws_8", _rows(), **options)

    return use


def _topology(gemm: bool) -> Callable[[Path], object]:
    def use(path: Path) -> object:
        from accelsim.replicas import scalesim
        from accelsim.workload.scalesim.network import load_table
        from accelsim.workload.yaml_dump import dump

        dump(load_table(path, gemm=gemm, real=True))
        config = scalesim.read_config(ROOT / "tests/data/scalesim/configs/os_32.cfg")
        return list(scalesim.closed(config, scalesim.read_topology(path, gemm=gemm)))

    return use


def _config(path: Path) -> object:
    from accelsim.cli.scalesim_beside import arch_of
    from accelsim.replicas import scalesim

    return arch_of(scalesim.read_config(path))


def _matrix(path: Path) -> object:
    import accelsim

    return accelsim.load_network(str(path))


def _dram(path: Path) -> object:
    from accelsim.config.dram import standard
    from accelsim.memory.device import patterns
    from accelsim.memory.device.channel import Controller, Device, serve
    from accelsim.memory.device.summary import summary

    device = Device(standard.load(str(path)), 2, "RoBaRaCoCh-xor", Controller("closed"))
    requests = patterns.stream("rw_fine", device, 40)
    return summary(device, requests, serve(device, requests))


def _dram_trace(path: Path) -> object:
    from accelsim.config.dram import standard
    from accelsim.memory.device import traces
    from accelsim.memory.device.channel import Device, serve

    requests = traces.read(path)
    traces.text(requests, "dramsim3")
    # a clock far ahead, to which refreshes are walked, is no defect
    late = int(requests.earliest.max()) > 1 << 28
    return requests if late else serve(Device(standard.load("ddr4-2400")), requests)


def _report(path: Path) -> object:
    from accelsim.report.document import to_json
    from accelsim.report.reader import read_report

    return to_json(read_report(path))


def _reports() -> list[bytes]:
    import accelsim
    from accelsim.report.document import to_json

    return [to_json(accelsim.simulate("systolic_ws_8", _rows())).encode()]


def _operands() -> list[bytes]:
    """Return archives of operands: integers, and real numbers for one layer."""
    import numpy as np

    rng = np.random.default_rng(0)
    network = _rows()
    whole = {layer.name: network.view(layer) for layer in network.layers if layer.weights}
    seeds = []
    for real in (False, True):
        arrays: dict[str, Any] = {}
        for name, view in whole.items():
            drawn = rng.normal(size=view.weight.shape) if real else rng.integers(-8, 8, view.weight.shape)
            arrays[f"{name}.weight"] = drawn
        seeds.append(_packed(arrays))
    return seeds


def _packed(arrays: dict[str, Any]) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _sparse() -> list[bytes]:
    from scipy import sparse

    seeds = []
    for kind in ("csr", "coo"):
        out = io.BytesIO()
        sparse.save_npz(out, sparse.random(6, 6, 0.4, kind, rng=0))
        seeds.append(out.getvalue())
    return seeds


def _models() -> list[bytes]:
    """Return small graphs: convolutions with a shortcut, and products with a reshape."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, dims: list[int] | None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    def model(nodes: list[Any], dims: list[int], constants: dict[str, Any]) -> bytes:
        stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "g", [value("x", dims)], [value("y", None)], stored)
        return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())

    node = helper.make_node
    rng = np.random.default_rng(0)
    convs = [
        node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Relu", ["a"], ["r"]),
        node("Conv", ["r", "v"], ["c"], group=2, strides=[1, 1]),
        node("Add", ["c", "a"], ["s"]),
        node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["p"], ["y"]),
    ]
    constants = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "b": np.zeros(4, np.float32),
        "v": rng.normal(size=(4, 2, 1, 1)).astype(np.float32),
    }
    products = [
        node("Reshape", ["x", "to"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["g"], transB=1),
        node("Softmax", ["g"], ["t"], axis=1),
        node("Transpose", ["t"], ["u"], perm=[1, 0]),
        node("MatMul", ["t", "u"], ["y"]),
    ]
    other = {
        "to": np.array([2, -1]),
        "w": rng.normal(size=(5, 24)).astype(np.float32),
        "b": np.zeros(5, np.float32),
    }
    return [model(convs, [1, 3, 8, 8], constants), model(products, [2, 3, 4, 2], other)]


def _compressed() -> list[bytes]:
    return [gzip.compress(text.encode(), mtime=0) for text in (MTX, MTX_PATTERN)]


def _zipped(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Mutate the text that was compressed, or the compressed bytes."""
    if rng.random() < 0.3:
        return mutate.raw(seeds, rng)
    return gzip.compress(mutate.text([gzip.decompress(seed) for seed in seeds], rng), mtime=0)


_TABLES = ("tests/data/scalesim/small.csv", "tests/data/scalesim/sparse.csv")
TARGETS: dict[str, Target] = {
    "machine.yaml": Target(".yaml", _files("arch_configs/*.yaml"), mutate.text, _machine),
    "network.yaml": Target(".yaml", _texts(NETWORK, ISOLATED), mutate.text, _network),
    "sweep.yaml": Target(".yaml", _texts(SWEEP), mutate.text, _sweep),
    "density.yaml": Target(".yaml", _texts(DENSITY), mutate.text, _option("density")),
    "density.csv": Target(".csv", _texts("layer,input_density,weight_density\na,0.5,0.25\nc*,1,0\n"), mutate.text,
                          _option("density")),
    "precision.yaml": Target(".yaml", _texts(PRECISION), mutate.text, _option("precision")),
    "mapping.yaml": Target(".yaml", _texts(MAPPING), mutate.text, _option("mapping")),
    "topology.csv": Target(".csv", _files(*_TABLES), mutate.text, _topology(False)),
    "gemm.csv": Target(".csv", _files("tests/data/scalesim/gemm.csv"), mutate.text, _topology(True)),
    "scalesim.cfg": Target(".cfg", _files("tests/data/scalesim/configs/*.cfg"), mutate.text, _config),
    "model.onnx": Target(".onnx", _models, mutate.model, _network),
    "operands.npz": Target(".npz", _operands, mutate.archive, _option("operands")),
    "matrix.npz": Target(".npz", _sparse, mutate.archive, _matrix),
    "matrix.mtx": Target(".mtx", _texts(MTX, MTX_PATTERN), mutate.text, _matrix),
    "matrix.mtx.gz": Target(".mtx.gz", _compressed, _zipped, _matrix),
    "edges.txt": Target(".txt", _texts(EDGES), mutate.text, _matrix),
    "report.json": Target(".json", _reports, mutate.text, _report),
    "dram.yaml": Target(".yaml", _files("accelsim/config/dram/standards/*.yaml"), mutate.text, _dram),
    "dram.trace": Target(".trace", _texts(*DRAM_TRACES), mutate.text, _dram_trace),
}  # fmt: skip
"""File -> how it is fuzzed."""
