"""What is frozen: 60 reports over all packaged machines, and sweeps of some ten thousand points."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from accelsim.config import packaged

PRODUCTS = str(Path(__file__).with_name("products.yaml"))
PROFILES = packaged.folder("workloads") / "profiles"


class Run(NamedTuple):
    """One report: machine, network, keys of the machine to override, options of `accelsim.simulate`."""

    machine: str
    network: str
    sets: dict[str, Any] = {}  # noqa: RUF012
    options: dict[str, Any] = {}  # noqa: RUF012

    @property
    def name(self) -> str:
        words = [f"{key}={value}" for key, value in self.sets.items()]
        words += [f"{key}={Path(value).stem if isinstance(value, Path) else value}"
                  for key, value in self.options.items()]  # fmt: skip
        network = Path(self.network).stem if self.network.endswith(".yaml") else self.network
        return " ".join([f"{self.machine} on {network}", *words])


ENERGY, EDP, DRAM = ({"mapping.objective": name} for name in ("energy", "edp", "dram"))
PRUNED = {"density": PROFILES / "alexnet_han2015.yaml"}
WALKED = {"fidelity": "cycle"}

FIRST = {
    "a3_aggressive": Run("a3_aggressive", "net:bert_base"),
    "a3_base": Run("a3_base", "net:bert_base"),
    "a3_conservative": Run("a3_conservative", "net:bert_base"),
    "bismo": Run("bismo", "resnet18"),
    "bismo_ultra96": Run("bismo_ultra96", "mobilenet_v1_050_128"),
    "bitfusion": Run("bitfusion", "bitfusion_resnet18"),
    "bitfusion_8": Run("bitfusion_8", "bitfusion_lstm", options={"batch": 16}),
    "bitfusion_stripes": Run("bitfusion_stripes", "bitfusion_alexnet", ENERGY),
    "cambricon_x": Run("cambricon_x", "alexnet", options={"layers": "conv[345]", **PRUNED}),
    "cnvlutin": Run("cnvlutin", "alexnet", options=PRUNED),
    "dadiannao": Run("dadiannao", "stripes_vgg_m"),
    "dcnn": Run("dcnn", "googlenet", options={"layers": "*[!c]"}),
    "dcnn_opt": Run("dcnn_opt", "alexnet", options=PRUNED),
    "deeprecon": Run("deeprecon", "bitfusion_vgg7"),
    "diannao": Run("diannao", "alexnet", EDP),
    "edge_npu": Run("edge_npu", "onnx:bvlc_alexnet"),
    "eie": Run("eie", "eie_benchmarks", options={"layers": "NT-W*"}),
    "ese": Run("ese", "ese_lstm"),
    "extensor": Run("extensor", PRODUCTS),
    "eyeriss": Run("eyeriss", "alexnet", options={"layers": "conv[13]"}),
    "eyeriss_1024": Run("eyeriss_1024", "alexnet", options={"layers": "conv*"}),
    "eyeriss_256": Run("eyeriss_256", "alexnet", options={"batch": 4}),
    "eyeriss_v1_5": Run("eyeriss_v1_5", "alexnet", options={"layers": "conv*"}),
    "eyeriss_v1_scaled": Run("eyeriss_v1_scaled", "mobilenet_v1_050_128"),
    "eyeriss_v2": Run("eyeriss_v2", "alexnet", options=PRUNED),
    "attention_unfused": Run("attention_unfused", "net:bert_base"),
    "flat_cloud": Run("flat_cloud", "net:gpt2_small"),
    "flat_edge": Run("flat_edge", "net:bert_base"),
    "fusemax": Run("fusemax", "net:gpt2_small"),
    "fusemax_arch": Run("fusemax_arch", "net:bert_base"),
    "fusemax_cascade": Run("fusemax_cascade", "net:bert_base"),
    "fusemax_npu": Run("fusemax_npu", "net:bert_base"),
    "finn_cnv": Run("finn_cnv", "cnv_w1a1"),
    "finn_lfc": Run("finn_lfc", "lfc_w1a1", options={"batch": 4}),
    "mvtu": Run("mvtu", "squeezenet1_1"),
    "yodann": Run("yodann", "bitfusion_cifar10"),
    "flat_npu": Run("flat_npu", "net:bert_base"),
    "gamma": Run("gamma", PRODUCTS),
    "laconic": Run("laconic", "stripes_alexnet", options={"layers": "conv[45]"}),
    "loom": Run("loom", "stripes_nin"),
    "loom_2b": Run("loom_2b", "stripes_alexnet", ENERGY),
    "loom_4b": Run("loom_4b", "stripes_vgg_s"),
    "loom_trimmed": Run("loom_trimmed", "stripes_alexnet", options={"layers": "conv[345]"}),
    "mnnfast": Run("mnnfast", "net:bert_base"),
    "nullhop": Run("nullhop", "mobilenet_v1"),
    "outerspace": Run("outerspace", PRODUCTS),
    "pragmatic": Run("pragmatic", "stripes_alexnet", options={"layers": "conv[345]"}),
    "pragmatic_registers": Run("pragmatic_registers", "stripes_alexnet", options={"layers": "conv5"}),
    "scnn": Run("scnn", "alexnet", options=PRUNED),
    "scnn_queued": Run("scnn_queued", "alexnet", options={"layers": "conv5", **PRUNED}),
    "scnn_strict": Run("scnn_strict", "alexnet", options=PRUNED),
    "sigma": Run("sigma", PRODUCTS),
    "shidiannao": Run("shidiannao", "bitfusion_lenet5"),
    "shidiannao_alu": Run("shidiannao_alu", "onnx:squeezenet"),
    "snapea": Run("snapea", "alexnet", options={"layers": "conv[2345]"}),
    "spatten": Run("spatten", "net:gpt2_small", {"params.keep_values": 0.2}),
    "spatten_e2e": Run("spatten_e2e", "net:bert_base"),
    "spatten_eighth": Run("spatten_eighth", "net:bert_base"),
    "sparch": Run("sparch", PRODUCTS),
    "spmv_tree": Run("spmv_tree", "banded:n=2000,width=8@vector"),
    "spmv_stripes": Run("spmv_stripes", "banded:n=2000,width=8@vector"),
    "spmv_bvcsr": Run("spmv_bvcsr", "banded:n=2000,width=8@vector"),
    "spmv_blocks": Run("spmv_blocks", "banded:n=2000,width=0@vector"),
    "stripes": Run("stripes", "stripes_vgg19"),
    "stripes_trimmed": Run("stripes_trimmed", "stripes_alexnet", options={"layers": "conv[345]"}),
    "systolic_os": Run("systolic_os", "mobilenet_v2"),
    "systolic_is": Run("systolic_is", "bert_base_s128", ENERGY),
    "systolic_ws": Run("systolic_ws", "resnet50"),
    "systolic_ws_128": Run("systolic_ws_128", "vgg16", options={"batch": 8}),
    "tpu_v1": Run("tpu_v1", "lstm_ese_i153_h1024_p512_t1", options={"batch": 64}),
    "unpu": Run("unpu", "squeezenet1_1"),
}
"""One run of each machine; those that are not listed run AlexNet."""

MORE = (
    Run("systolic_ws", "alexnet", DRAM, WALKED),
    Run("systolic_os_8", "squeezenet1_1", {"params.overlap_folds": True, **EDP}),
    Run("systolic_is_128", "efficientnet_b0", {"params.overlap_folds": True}),
    Run("edge_npu", "onnx:squeezenet", ENERGY, {"batch": 2}),
    Run("diannao", "squeezenet1_1", DRAM, WALKED),
    Run("unpu", "alexnet", ENERGY, PRUNED),
    Run("unpu", "lstm_neuraltalk_h512_t1", EDP, WALKED),
    Run("bitfusion", "alexnet", EDP, WALKED),
    Run("bismo", "alexnet", ENERGY, {"batch": 3}),
    Run("stripes", "stripes_alexnet", ENERGY),
    Run("eyeriss_256", "squeezenet1_1", ENERGY, {"layers": "fire[23]*"}),
)
RUNS = [FIRST.get(name, Run(name, "alexnet")) for name in packaged.names("arch_configs")] + list(MORE)

KIB = ("params.input_kib", "params.weight_kib", "params.output_kib")
OBJECTIVES = ["cycles", "energy", "edp", "dram"]
BANDWIDTH = "memory.dram.gb_per_s"


def _sweep(machine: str, network: str, axes: dict[str, Any], **more: Any) -> dict[str, Any]:
    name = f"{machine}-{network}".replace(":", "-")
    return {"name": name, "machines": [machine], "networks": [network], "axes": axes, **more}


_ARRAY = {"params.rows": [4, 7, 16, 30, 64], "params.cols": [4, 9, 16, 32, 100], "params.dataflow": ["ws", "is", "os"]}
SWEEPS = [
    _sweep("systolic_ws", "alexnet", {**_ARRAY, KIB[0]: [32, 128], BANDWIDTH: [1, 5.3, 64],
                                      "mapping.objective": OBJECTIVES}),
    _sweep("systolic_ws", "mobilenet_v2", {**_ARRAY, KIB[1]: [24, 96, 500], BANDWIDTH: [2.1, 12.8],
                                           "options.batch": [1, 3, 8], "mapping.objective": ["cycles", "energy"]},
           set={"params.overlap_folds": True}),
    _sweep("systolic_os", "resnet18", {**_ARRAY, KIB[2]: [16, 40, 64, 256], "memory.dram.latency_ns": [0, 60, 333],
                                       "params.overlap_folds": [True, False],
 "options.input_density": [1.0, 0.5]}),
    _sweep("systolic_is", "bert_base_s128", {**_ARRAY, "memory.dram.burst_bits": [8, 512],
                                             "options.batch": [1, 2], BANDWIDTH: [3.2, 51.2],
                                             "options.input_density": [1.0, 0.4, 0.1]}),
    _sweep("edge_npu", "onnx:squeezenet", {BANDWIDTH: {"from": 1, "to": 40, "step": 1}}),
    _sweep("diannao", "alexnet", {"params.outputs": [8, 16, 24], "params.inputs": [8, 16], KIB[0]: [2, 5],
                                  "mapping.objective": OBJECTIVES, BANDWIDTH: [3.2, 12.8, 250]}),
    _sweep("unpu", "alexnet", {"params.units": [6, 24, 50], "params.outputs": [64, 192], KIB[2]: [16, 64],
                               "mapping.objective": OBJECTIVES, "memory.dram.burst_bits": [64, 512]}),
    _sweep("bitfusion", "bitfusion_cifar10", {"params.rows": [8, 16, 32], "params.cols": [16, 32], KIB[0]: [16, 32],
                                              "mapping.objective": OBJECTIVES, BANDWIDTH: [3, 12, 48]}),
    _sweep("bismo", "alexnet", {"params.dm": [4, 8, 16], "params.dk": [128, 256], "params.lhs_entries": [1024, 2048],
                                "mapping.objective": OBJECTIVES, BANDWIDTH: [1.6, 6.4, 25.6]}),
    _sweep("stripes", "stripes_alexnet", {KIB[0]: [512, 2048], KIB[1]: [1024, 4096],
                                          "mapping.objective": OBJECTIVES, BANDWIDTH: [6.4, 25.6, 100]}),
    _sweep("loom", "stripes_alexnet", {"params.columns": [8, 16], "params.rows": [64, 128], KIB[0]: [512, 2048],
                                       "mapping.objective": OBJECTIVES, BANDWIDTH: [6.4, 25.6]}),
    _sweep("eyeriss_256", "alexnet", {"mapping.objective": OBJECTIVES, BANDWIDTH: [1, 4, 16]},
           options={"layers": "conv[345]"}),
    _sweep("nullhop", "mobilenet_v1_050_128", {"params.macs": [64, 128], "params.pixel_kib": [256, 512],
                                               "options.input_density": [1.0, 0.5, 0.2], BANDWIDTH: [3.2, 12.8]}),
    _sweep("dcnn_opt", "alexnet", {BANDWIDTH: [5, 10, 50], "options.input_density": [1.0, 0.5, 0.1],
                                   "options.weight_density": [1.0, 0.3]}),
]  # fmt: skip
"""Documents of `accelsim sweep`."""
