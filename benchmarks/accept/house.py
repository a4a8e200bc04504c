"""The house: networks, machines, reproducibility, start-up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import accelsim
from accelsim.config import packaged
from accelsim.config.arch import Arch
from accelsim.errors import MappingError
from accelsim.report.document import to_json
from accelsim.workload.load import network_names

from .check import Check, accelsim_cpu_s, cpu_s, peak_mib, run

LIGHT = {
    "bvlc_alexnet": (60_954_656, 654_560_384),
    "densenet121": (7_894_208, 2_834_161_664),
    "inception_v1": (6_990_272, 1_431_556_352),
    "inception_v2": (11_174_080, 2_018_851_840),
    "resnet50": (25_502_912, 4_089_184_256),
    "shufflenet": (1_365_464, 124_664_528),
    "squeezenet": (1_231_552, 349_151_936),
    "vgg19": (143_652_544, 19_632_062_464),
    "zfnet512": (87_242_528, 1_481_727_008),
}
"""Graph -> parameters (biases apart) and MACs, counted apart from the importer."""
DENSE = {"systolic", "vector"}
SAMPLES = ["alexnet", "onnx:squeezenet", "lstm_ese_i153_h1024_p512_t1"]
HEAVY = ("numba", "matplotlib", "scipy", "onnx")


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _networks()
    yield from _all_on_all()
    yield from _reproducible()
    yield from _startup()
    yield _memory()


def _networks() -> Iterator[Check]:
    wrong = []
    for name, expected in LIGHT.items():
        network = accelsim.load_network(f"onnx:{name}")
        if (network.filter_params, network.macs) != expected:
            wrong.append(f"{name}: {network.filter_params}, {network.macs}")
    yield Check(
        "parameters (biases apart) and MACs of the nine ONNX graphs", "; ".join(wrong) or "all nine equal", not wrong
    )


def _all_on_all() -> Iterator[Check]:
    """Dense machines, whose time does not depend on the data, run everything; the others a small network each kind."""
    machines = {name: accelsim.load_arch(name) for name in packaged.names("arch_configs")}
    dense = [name for name, arch in machines.items() if {unit.engine for unit in arch.units} <= DENSE]
    yield _run_all("all networks on all dense machines", [machines[name] for name in dense], network_names())
    others = [arch for name, arch in machines.items() if name not in dense]
    yield _run_all("a table, a graph and a step of an LSTM on all other machines", others, SAMPLES)


def _run_all(promise: str, machines: list[Arch], names: list[str]) -> Check:
    runs = complete = refused = 0
    start = time.process_time()
    for arch in machines:
        for name in names:
            try:
                result = accelsim.simulate(arch, accelsim.load_network(name))
            except MappingError:
                refused += 1
                continue
            runs += 1
            complete += result.complete
            assert all(layer.simulated or layer.reason for layer in result.layers)
    figure = f"{runs} runs, every account closed, {complete} complete, the others name what they left out"
    figure += f"; {refused} refused in one line (a buffer too small)"
    return Check(promise, f"{figure}; {time.process_time() - start:.0f} s of CPU", True)


def _reproducible() -> Iterator[Check]:
    arch, network = accelsim.load_arch("edge_npu"), accelsim.load_network("onnx:resnet50")
    texts = [to_json(accelsim.simulate(arch, network, workers=workers)) for workers in (1, 1, 2)]
    yield Check("same bytes twice and with 2 workers", f"{len(texts[0]):,} bytes each", len(set(texts)) == 1)
    result = json.loads(texts[0])
    yield Check("ResNet-50 is complete on a machine with a vector unit", str(result["totals"]["complete"]),
                result["totals"]["complete"])  # fmt: skip
    failed = run("run", "systolic_ws", "alexnet", "--set", "params.input_kib=0")
    yield Check(
        "a failed run: status and line", f"{failed.returncode}: {failed.stderr.strip()}", failed.returncode == 2
    )


def _startup() -> Iterator[Check]:
    used = accelsim_cpu_s("--help")
    yield Check("--help, CPU", f"{used:.2f} s (bar 0.3)", used < 0.3)
    for words, forbidden in ((["--help"], HEAVY), (["show", "systolic_ws"], ("numba",)),
                             (["run", "systolic_ws", "alexnet", "--set", "params.rows=0"], ("numba",))):  # fmt: skip
        loaded = _modules_after(words, forbidden)
        yield Check(f"{' '.join(words)} loads none of {', '.join(forbidden)}", loaded or "none", not loaded)
    accelsim_cpu_s("run", "systolic_ws", "alexnet", "--fidelity", "cycle")
    for extra in ([], ["--fidelity", "cycle"]):
        used = accelsim_cpu_s("run", "systolic_ws", "alexnet", *extra)
        yield Check(
            f"cached run of AlexNet {' '.join(extra)}, CPU, pictures included", f"{used:.2f} s (bar 2)", used < 2
        )
    arch, network = accelsim.load_arch("systolic_ws_128"), accelsim.load_network("resnet50")
    start = time.process_time()
    accelsim.simulate(arch, network)
    used = time.process_time() - start
    yield Check("ResNet-50 on 128 x 128 inside the process, CPU", f"{used:.2f} s (bar 1)", used < 1)
    yield Check("importing accelsim, CPU", f"{cpu_s(sys.executable, '-c', 'import accelsim'):.2f} s")


def _modules_after(words: list[str], forbidden: tuple[str, ...]) -> str:
    code = f"""
import sys
from accelsim.cli import main
try:
    main({words!r})
except SystemExit:
    pass
found = [name for name in {forbidden!r} if name in sys.modules]
print("LOADED:" + ",".join(found))
"""
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rsplit("LOADED:", 1)[1].strip()


def _memory() -> Check:
    code = (
        "import accelsim\n"
        "from accelsim.workload.network import Network, make_layer\n"
        "from accelsim.workload.shapes import Conv2d\n"
        "layer, tensors = make_layer('a', Conv2d(n={n}, c=512, k=512, h=256, w=256, r=3, s=3))\n"
        "net = Network('n', (layer,), tensors, isolated=True)\n"
        "accelsim.simulate(accelsim.load_arch('systolic_ws'), net)"
    )
    small, large = (peak_mib(code.format(n=n)) for n in (1, 4096))
    figure = f"{small:.0f} MiB for 1.5e11 MACs, {large:.0f} MiB for 6.2e14"
    return Check("memory does not grow with a layer's MACs", figure, large < small * 1.1)
