"""Bits: exact values at every width, replicas, published peaks and profiles, quantisation, mixed precision."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from math import log10, pi
from pathlib import Path

import numpy as np

import accelsim
from accelsim.engines import registry
from accelsim.errors import WorkloadError
from accelsim.explore.precision.search import search
from accelsim.explore.precision.space import PrecisionSpace
from accelsim.layer import Options, Task, simulate_layer
from accelsim.operands.quantizers import decibels, noise_ratio, quantize
from accelsim.passes.quantize import Settings
from accelsim.replicas.bitfusion2018 import machine as release_machine
from accelsim.replicas.bitfusion2018 import model, networks
from accelsim.validate import compare, table
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.network import Network
from accelsim.workload.shapes import Linear

from .check import Check, run

MACHINES = ("dadiannao", "stripes", "stripes_trimmed", "loom", "loom_2b", "loom_4b", "loom_trimmed", "pragmatic",
            "laconic", "unpu", "bismo", "bitfusion", "deeprecon")  # fmt: skip
RELEASED = {
    "alexnet": (37_666_491, 6_793_243, 5_597_442_304, 1_460_764_672),
    "cifar10": (3_293_704, 1_522_120, 379_129_856, 253_247_488),
    "vgg7": (2_822_491, 1_790_299, 305_987_584, 235_929_600),
    "rnn": (394_583, 263_511, 71_565_312, 4_194_304),
}
"""Cycles, stalls, DRAM read and write bits of the released simulator hsharma35/bitfusion at 192 bits per cycle."""
IDEAL = {"alexnet": 2.38, "nin": 1.91, "googlenet": 1.76, "vgg_m": 2.23, "vgg_s": 2.04, "vgg19": 1.35}
"""16 / p averaged over a network's convolutions: Judd et al., MICRO 2016, table; recalled."""


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _values()
    yield from _release()
    yield from _stripes()
    yield from _peaks()
    yield from _fewer_bits()
    yield from _quantisation()
    yield from _search()
    yield from _mistakes()


def _values() -> Iterator[Check]:
    for name in MACHINES:
        arch = accelsim.load_arch(name)
        exact = refused = wrong = 0
        for signs in ((True, True), (True, False), (False, True), (False, False)):
            for a in range(1, 17):
                for w in range(1, 17):
                    said = _product(arch, a, w, signs)
                    exact, refused, wrong = exact + (said is True), refused + (said is None), wrong + (said is False)
        figure = f"{exact} of 1024 widths and signs exact, {refused} refused, {wrong} wrong"
        yield Check(f"{name}: values at 1..16 x 1..16 bits, signed and unsigned", figure, exact > 0 and not wrong)


def _product(arch: accelsim.Arch, a: int, w: int, signs: tuple[bool, bool]) -> bool | None:
    """Return whether a small product equals NumPy's; None where the machine refuses its widths or values."""
    rng = np.random.default_rng(100 * a + w)
    shape = Linear(2, 5, 3)
    given = {}
    for name, dims, bits, signed in (("x", (2, 5), a, signs[0]), ("w", (3, 5), w, signs[1])):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        given[name] = rng.integers(low, high + 1, dims)
        given[name].flat[0], given[name].flat[-1] = low, high
    tensors = (Tensor("x", (2, 5), a, signs[0]),), (Tensor("w", (3, 5), w, signs[1], weight=True),)
    view = LayerView("layer", shape, *tensors, (Tensor("y", (2, 3), 32),))
    unit = arch.units[0]
    if registry.get(unit.engine).refuses(view, unit.params) is not None:
        return None
    try:
        return simulate_layer(arch, Task(view, unit, None, None, given), Options(check=True)).checked
    except WorkloadError:
        return None


def _release() -> Iterator[Check]:
    machine = release_machine.load()
    for name, expected in RELEASED.items():
        theirs = model.simulate(networks.load(name), machine)
        found = tuple(theirs.total(c) for c in ("cycles", "stall_cycles", "dram_read_bits", "dram_write_bits"))
        figure = f"{', '.join(f'{v:,}' for v in found)} (cycles, stalls, DRAM read and write bits)"
        yield Check(f"replica bitfusion2018 on {name}, exactly as released", figure, found == expected)
        ours = accelsim.simulate("bitfusion", f"bitfusion_{name}")
        figure = f"{ours.cycles:,} cycles ({ours.cycles / expected[0]:.2f} of the release's), "
        figure += f"{ours.dram_read_bits:,} and {ours.dram_write_bits:,} DRAM bits"
        yield Check(f"engine bitfusion on {name} beside it; causes in reports/bitfusion_release.md", figure)


def _stripes() -> Iterator[Check]:
    for name, published in IDEAL.items():
        network = accelsim.load_network(f"stripes_{name}")
        stripes, base = (accelsim.simulate(accelsim.load_arch(a), network) for a in ("stripes", "dadiannao"))

        def cycles(result: accelsim.NetworkResult, kind: str) -> int:
            return sum(layer.compute_cycles for layer in result.layers if layer.kind == kind)

        convs = [layer for layer in stripes.layers if layer.kind == "conv2d"]
        spent = sum(layer.account["busy"] + layer.account.get("zero", 0) for layer in convs)
        ideal = 16 * sum(layer.macs for layer in convs) / spent
        tiled = cycles(base, "conv2d") / cycles(stripes, "conv2d")
        figure = f"ideal 16/p {ideal:.3f}, recalled {published} ({100 * (ideal / published - 1):+.1f} %, bar 5 %); "
        figure += f"tiled over DaDianNao {tiled:.2f}"
        yield Check(f"Stripes on {name}", figure, abs(ideal / published - 1) <= 0.05)
        if fc := cycles(base, "linear"):
            ratio = cycles(stripes, "linear") / fc
            yield Check(f"Stripes on {name}, fully connected layers no faster", f"{ratio:.3f} times DaDianNao's cycles",
                        ratio >= 1)  # fmt: skip


def _peaks() -> Iterator[Check]:
    for row in compare.validate(["bitserial", "unpu", "bismo", "bitfusion"]):
        if "peak" in row.case.case:
            ours, expected = float(row.ours or 0), float(row.case.expected)
            figure = f"{table.figure(row.ours)} {row.case.unit}, {row.case.origin} {table.figure(expected)}"
            figure += f" ({100 * (ours / expected - 1):+.2f} %, bar 1 %)"
            yield Check(f"{row.engine}: {row.case.case}", figure, abs(ours / expected - 1) <= 0.01)


def _fewer_bits() -> Iterator[Check]:
    """At fixed shape and mapping no dense machine is slower with fewer bits; a searched mapping is nearly the best."""
    network = accelsim.load_network("bitfusion_lenet5").batched(1)
    for name in ("dadiannao", "stripes", "loom", "unpu", "bismo", "bitfusion", "systolic_ws", "tpu_v1", "eyeriss"):
        arch = accelsim.load_arch(name)
        with tempfile.TemporaryDirectory() as folder:
            pinned = Path(folder) / "mapping.yaml"
            widest = accelsim.simulate(arch, _at(network, 8, 8))
            pinned.write_text(json.dumps({layer.name: dict(layer.mapping) for layer in widest.layers if layer.mapping}))
            fixed = [accelsim.simulate(arch, _at(network, b, b), mapping=pinned).cycles for b in range(1, 9)]
        searched = [accelsim.simulate(arch, _at(network, b, b)).cycles for b in range(1, 9)]
        worst = max(a / b for i, a in enumerate(searched) for b in searched[i:])
        figure = f"{', '.join(f'{c:,}' for c in fixed)} cycles; with a mapping searched at each width at most "
        figure += f"{100 * (worst - 1):.2f} % slower than at a wider one"
        yield Check(f"{name}: LeNet-5 at 1 to 8 bits with one mapping is never slower with fewer", figure,
                    fixed == sorted(fixed))  # fmt: skip
    for name, base in (("stripes", (2, 16)), ("loom", (2, 2)), ("unpu", (16, 2))):
        found = [_conv_cycles(name, *(bits if b == 2 else b for b in base)) for bits in (2, 4, 8)]
        ratio = 2 ** base.count(2)
        linear = found == [found[0], found[0] * ratio, found[0] * ratio**2]
        yield Check(f"{name}: compute cycles are linear in the bits that pass serially (2, 4, 8)",
                    ", ".join(f"{c:,}" for c in found), linear)  # fmt: skip


def _at(network: Network, input_bits: int, weight_bits: int) -> Network:
    tensors = {n: replace(t, bits=weight_bits if t.weight else input_bits) for n, t in network.tensors.items()}
    return network.with_tensors(tensors)


def _conv_cycles(name: str, input_bits: int, weight_bits: int) -> int:
    """Return the compute cycles of a convolution that fills the machine, with DRAM that never holds it up."""
    network = accelsim.load_network("bitfusion_vgg7").batched(1)
    arch = accelsim.load_arch(name).replace("memory.dram.gb_per_s", 1e6)
    return accelsim.simulate(arch, _at(network, input_bits, weight_bits), layers="conv2_a").simulated[0].compute_cycles


def _quantisation() -> Iterator[Check]:
    normal = np.random.default_rng(0).standard_normal(200_000)
    uniform = np.random.default_rng(1).uniform(-1, 1, 200_000)
    cases = (
        ("normal numbers, binary: 1 - 2/pi is lost", normal, 1, "binary", -10 * log10(1 - 2 / pi)),
        ("normal numbers, ternary: 0.1902 is lost (Max, 1960)", normal, 2, "ternary", -10 * log10(0.1902)),
        ("uniform numbers, 8 bits symmetric: 20 log10(254)", uniform, 8, "symmetric", 20 * log10(254)),
    )
    for promise, numbers, bits, scheme, expected in cases:
        found = decibels(noise_ratio(numbers, quantize(numbers, bits, scheme).values)) or 0.0  # type: ignore[arg-type]
        yield Check(f"quantisation of {promise}", f"{found:.2f} dB, theory {expected:.2f} dB (bar 0.1 dB)",
                    abs(found - expected) < 0.1)  # fmt: skip


def _search() -> Iterator[Check]:
    network = accelsim.load_network("resnet18")
    for name in ("bitfusion", "loom"):
        space = PrecisionSpace(accelsim.load_arch(name), network, range(2, 9), Settings(limits="mse"))
        widest = space.widest("cycles")
        found = {m: search(space, {"cycles": widest / 2}, m, points=3) for m in ("greedy", "evolution", "exact")}
        best = {m: f.best for m, f in found.items() if f.best is not None}
        uniform = max((p for p in found["greedy"].uniform if p.cycles <= widest / 2), key=lambda p: -p.noise)
        figure = ", ".join(f"{m} {decibels(p.noise):.2f} dB" for m, p in best.items())
        figure += f"; best uniform width within it {uniform.origin}, {decibels(uniform.noise):.2f} dB"
        figure += f"; {space.simulated} layers simulated"
        worst = max(p.noise for p in best.values()) / best["exact"].noise
        holds = all(p.cycles <= widest / 2 for p in best.values()) and worst < 1.1 and worst >= 1 - 1e-6
        yield Check(f"mixed precision of ResNet-18 on {name}, half the cycles of 8 bits", figure, holds)


def _mistakes() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "wide.yaml").write_text("layers: {conv1: {input: uint70}}\n")
        (place / "narrow.yaml").write_text("layers: {conv1: {input: uint4}, fc8: {weight: 4}}\n")
        np.savez(place / "signed.npz", **{"conv1.input": np.full((1, 3, 227, 227), -9)})
        np.savez(place / "large.npz", **{"fc8.weight": np.full((1000, 4096), 9)})
        for promise, args in (
            ("a width out of range", ("stripes", "alexnet", "--precision", "wide.yaml")),
            ("signed data on an unsigned port",
             ("stripes", "alexnet", "--precision", "narrow.yaml", "--operands", "signed.npz")),
            ("a value beyond its width", ("loom", "alexnet", "--precision", "narrow.yaml", "--operands", "large.npz")),
            ("a width that the machine does not take",
             ("bismo", "alexnet", "--set", "precision.input_bits=9", "--unsupported", "error")),
            ("a buffer too small for the smallest tile",
             ("loom", "alexnet", "--set", "params.weight_kib=8", "--unsupported", "error")),
        ):  # fmt: skip
            done = run("run", *args, "--format", "csv", cwd=place)
            line = done.stderr.strip()
            yield Check(promise, line, done.returncode == 2 and "\n" not in line and line.startswith("error: "))
