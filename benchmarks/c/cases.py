"""Layers large enough to be timed; of each kernel the call that takes longest is the one compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import accelsim
from accelsim.config.dram import standard
from accelsim.memory.device import patterns
from accelsim.memory.device.channel import Device, serve
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Conv2d, Elementwise, Linear, Normalization, Pool, Shape, Softmax


class Case(NamedTuple):
    """``work``: counts, or values computed on the way; densities of weights and of inputs."""

    engine: str
    machine: str
    shape: Shape | str
    work: str = "counts"
    weight: float = 1.0
    given: float = 1.0
    layers: str = "*"
    sets: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        what = self.shape if isinstance(self.shape, str) else self.shape.kind
        return f"{self.machine}, {what}, {self.work}"

    def run(self) -> None:
        """Simulate the case with the kernel, closed forms or not."""
        network: Any = self.shape
        if not isinstance(network, str):
            layer, tensors = make_layer("layer", network)
            densities = {"layer.weight": self.weight, "layer.input": self.given}
            tensors = {name: replace(t, density=densities.get(name, 1.0)) for name, t in tensors.items()}
            network = Network("case", (layer,), tensors, isolated=True)
        arch = accelsim.load_arch(self.machine)
        for key, value in self.sets:
            arch = arch.replace(key, value)
        result = accelsim.simulate(
            arch, network, layers=self.layers, fidelity="cycle", check=self.work == "values", unsupported="error"
        )
        assert all(layer.simulated for layer in result.layers if layer.name != self.layers), self.label


class Stream(NamedTuple):
    """Requests on a DRAM standard."""

    standard: str
    pattern: str
    count: int = 200_000
    engine: str = "dram"

    @property
    def label(self) -> str:
        return f"{self.standard}, {self.pattern}, {self.count:,} requests"

    def run(self) -> None:
        """Serve the stream."""
        device = Device(standard.load(self.standard))
        serve(device, patterns.stream(self.pattern, device, self.count))


SAME = (1, 1, 1, 1)
LARGE = Conv2d(1, 192, 192, 28, 28, 3, 3, pad=SAME)
HUGE = Conv2d(1, 1024, 1024, 28, 28, 3, 3, pad=SAME)
SMALL = Conv2d(1, 64, 64, 14, 14, 3, 3, pad=SAME)
ROOMY = (("units.1.params.buffer_kib", 4096),)
"""Larger tiles, so that a call takes long enough."""
RMAT = "rmat:n=20000,nnz=120000"


def _both(engine: str, machine: str, counts: Shape, values: Shape, **densities: float) -> Iterator[Case]:
    yield Case(engine, machine, counts, **densities)  # type: ignore[arg-type]
    yield Case(engine, machine, values, "values", **densities)  # type: ignore[arg-type]


CASES: tuple[Case | Stream, ...] = (
    *_both("systolic", "systolic_ws", LARGE, LARGE),
    *_both("systolic", "systolic_os", LARGE, LARGE),
    Case("vector", "edge_npu", Pool("max", 1, 256, 112, 112, 3, 3, (2, 2)), "values", sets=ROOMY),
    Case("vector", "edge_npu", Pool("average", 1, 256, 112, 112, 3, 3, (2, 2)), sets=ROOMY),
    Case("vector", "edge_npu", Elementwise("add", (1, 512, 1024), ((1, 512, 1024),) * 2), "values", sets=ROOMY),
    Case("vector", "edge_npu", Normalization("lrn", (1, 96, 55, 55), 5), "values", sets=ROOMY),
    Case("vector", "edge_npu", Normalization("layer", (1, 256, 8192)), "values", sets=ROOMY),
    Case("vector", "edge_npu", Softmax((1, 1, 256, 8192), 8192), "values", sets=ROOMY),
    *_both("row_stationary", "eyeriss_1024", LARGE, SMALL),
    *_both("eie", "eie", Linear(1, 4096, 4096), Linear(1, 4096, 4096), weight=0.1, given=0.35),
    *_both("scnn", "scnn_queued", LARGE, LARGE, weight=0.35, given=0.4),
    Case("scnn", "scnn_queued", LARGE),
    Case("scnn", "scnn", HUGE, weight=0.35, given=0.4),
    *_both("dcnn", "dcnn", LARGE, LARGE),
    *_both("diannao", "diannao", LARGE, LARGE),
    *_both("cnvlutin", "cnvlutin", LARGE, LARGE, given=0.4),
    Case("cnvlutin", "cnvlutin_base", HUGE),
    *_both("cambricon_x", "cambricon_x", LARGE, LARGE, weight=0.35),
    *_both("nullhop", "nullhop", LARGE, LARGE, given=0.4),
    Case("nvdla", "nvdla_small", "resnet50", sets=(("memory.dram.latency_ns", 600.0),)),
    Case("nvdla", "nvdla_small", SMALL, "values"),
    *_both("snapea", "snapea", SMALL, SMALL),
    Case("bitserial", "dadiannao", LARGE),
    Case("bitserial", "stripes_trimmed", LARGE),
    Case("bitserial", "loom_trimmed", LARGE),
    Case("bitserial", "pragmatic", LARGE),
    Case("bitserial", "laconic", LARGE),
    Case("bitserial", "stripes", SMALL, "values"),
    Case("bitserial", "laconic", SMALL, "values"),
    *_both("bismo", "bismo", LARGE, SMALL),
    *_both("bitfusion", "bitfusion", LARGE, SMALL),
    *_both("unpu", "unpu", LARGE, SMALL),
    Case("sigma", "sigma", "uniform:n=2000,nnz=40000", "values"),
    Case("gamma", "gamma", RMAT, "values"),
    Case("outerspace", "outerspace", RMAT, "values"),
    Case("sparch", "sparch", RMAT, "values"),
    Stream("ddr4-2400", "sequential"),
    Stream("ddr4-2400", "stride"),
    Stream("ddr4-2400", "random"),
    Stream("hbm2-2000", "rw_copy"),
)
