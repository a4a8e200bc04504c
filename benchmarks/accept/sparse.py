"""Sparse inference machines: what the packaged cases do not say by themselves. Recalled figures have no bar."""

from __future__ import annotations

import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import accelsim
from accelsim.report.words import totals
from accelsim.results import NetworkResult
from accelsim.validate.cases import engine_cases

from .check import ROOT, Check, run

PROFILES = ROOT / "workloads" / "profiles"
ENGINES = ("eie", "scnn", "dcnn", "cnvlutin", "cambricon_x", "diannao", "nullhop", "snapea")
SWEEP = (0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0)


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _eie()
    yield _ese()
    yield from _scnn_density()
    yield _alexnet_interval()
    yield from _end_to_end()
    yield from _means()
    yield _snapea()
    yield from _reports()
    yield _speed()
    yield _refusals()
    yield _unverified()


def _example(name: str, script: str) -> dict[str, Any]:
    folder = ROOT / "examples" / name
    sys.path.insert(0, str(folder))
    try:
        return runpy.run_path(str(folder / script))
    finally:
        sys.path.remove(str(folder))


def _simulate(
    machine: str, network: str, layers: str, density: str | Mapping[str, Any] | None = None, **params: Any
) -> NetworkResult:
    """Run a packaged machine with some parameters changed; ``density`` is a packaged profile, or layers."""
    arch = accelsim.load_arch(machine)
    for key, value in params.items():
        arch = arch.replace(f"params.{key}" if "." not in key else key, value)
    with tempfile.TemporaryDirectory() as folder:
        profile = PROFILES / f"{density}.yaml" if isinstance(density, str) else None
        if isinstance(density, Mapping):
            profile = Path(folder) / "density.yaml"
            profile.write_text(yaml.safe_dump({"layers": dict(density)}))
        return accelsim.simulate(arch, network, layers=layers, density=profile)


def _compute(result: NetworkResult) -> int:
    return sum(layer.compute_cycles for layer in result.simulated)


def _eie() -> Iterator[Check]:
    study, sensitivity = _example("eie_load_balance", "study.py"), _example("eie_load_balance", "sensitivity.py")
    views = study["views"]()
    for name, view in views.items():
        ours, published = study["times_us"](view), study["PUBLISHED_US"][name]
        errors = [100 * (a / b - 1) for a, b in zip(ours, published, strict=True)]
        bar = max(map(abs, errors)) <= 12 if name in ("Alex-6", "Alex-7", "VGG-7") else None
        note = " (bar 12 %)" if bar is not None else " (known gap)" if name in ("Alex-8", "VGG-6") else ""
        figure = f"{ours[0]:.1f} / {ours[1]:.1f} us, {errors[0]:+.1f} / {errors[1]:+.1f} %{note}"
        yield Check(f"EIE {name}, theoretical / actual, published {published[0]} / {published[1]}", figure, bar)
    found = study["by_depth"](views["Alex-7"], (1, 2, 4, 8, 16, 32, 256))
    balance = {depth: study["balance"](activity) for depth, activity in found.items()}
    figure = ", ".join(f"{depth}: {100 * part:.0f} %" for depth, part in balance.items())
    gain = found[1].compute_cycles / found[8].compute_cycles
    knee = 0.4 < balance[1] < 0.6 and balance[8] - balance[4] > 2 * (balance[16] - balance[8])
    figure += f"; depth 8 is {gain:.2f}x as fast as 1"
    yield Check("EIE Alex-7, load balance by queue depth, half at 1 and a knee at 8", figure, knee)
    for told, what in (("rows", ""), ("followed", ", weights that follow the input")):
        titles, *rows = sensitivity[told](["Alex-8", "VGG-6"])
        for row in rows:
            cells = "; ".join(f"{title}: {cell}" for title, cell in zip(titles[2:], row[2:], strict=True))
            yield Check(f"EIE {row[0]}, sensitivity only{what}, published {row[1]} us", cells)


def _ese() -> Check:
    cycles = {
        pattern: _compute(_simulate("ese", "ese_lstm", "*", {"*": {"weight": f"0.112 {pattern}"}}))
        for pattern in ("bernoulli", "rows:0.5", "balanced:32")
    }
    gains = {p: n / cycles["balanced:32"] for p, n in cycles.items() if p != "balanced:32"}
    figure = ", ".join(f"{gain:.2f}x over {pattern}" for pattern, gain in gains.items())
    return Check("ESE, speed of balanced pruning at equal density (6.2 / 5.5 = 1.13x, recalled)", figure)


def _scnn_density() -> Iterator[Check]:
    study = _example("scnn_density", "draw.py")
    speed, energy = study["collect"](SWEEP)
    ones = [1.0] * len(SWEEP)
    group = dict(zip(SWEEP, speed["barrier at groups (default)"], strict=True))
    yield Check("SCNN, GoogLeNet fully dense over DCNN, 0.75 to 0.85", f"{group[1.0]:.3f}x", 0.75 <= group[1.0] <= 0.85)
    others = ", ".join(f"{name} {values[0]:.1f}x" for name, values in speed.items())
    yield Check("SCNN, GoogLeNet at 0.1 / 0.1, at least 20x", others, group[0.1] >= 20)
    for name, values in speed.items():
        at = study["crossing"](SWEEP, values, ones)
        bar = abs(at - 0.85) <= 0.02 if "default" in name else None
        yield Check(f"SCNN, break-even with DCNN near 0.85, {name}", f"{at:.3f}", bar)
    modules = [
        _compute(_simulate("dcnn", "googlenet_2015", "inception_*", wanted))
        / _compute(_simulate("scnn", "googlenet_2015", "inception_*", wanted))
        for wanted in ({"*": {"weight": d, "input": d, "output": d}} for d in SWEEP)
    ]
    at = study["crossing"](SWEEP, modules, ones)
    yield Check("SCNN, the same on the 54 layers of GoogLeNet's modules alone",
                f"{modules[-1]:.3f}x dense, {modules[0]:.1f}x at 0.1 / 0.1, break-even {at:.3f}")  # fmt: skip
    for other, values, recalled in (("DCNN", ones, 0.83), ("DCNN-opt", energy["dcnn_opt"], 0.60)):
        at = study["crossing"](SWEEP, energy["scnn"], values)
        yield Check(f"SCNN, energy break-even with {other} (recalled {recalled})", f"{at:.3f}")


def _alexnet_interval() -> Check:
    base = _simulate("dcnn", "alexnet", "conv*", "alexnet_han2015")
    ran = {b: _simulate("scnn", "alexnet", "conv*", "alexnet_han2015", barrier=b) for b in ("channel", "group")}
    compute = [_compute(base) / _compute(result) for result in ran.values()]
    with_dram = [base.cycles / result.cycles for result in ran.values()]
    said = yaml.safe_load((PROFILES / "alexnet_han2015.yaml").read_text())["layers"]
    lower = {n: {k: v if v == 1 else round(v - 0.005, 3) for k, v in row.items()} for n, row in said.items()}
    rounded = [
        _compute(base) / _compute(_simulate("scnn", "alexnet", "conv*", lower, barrier=b)) for b in ("channel", "group")
    ]
    inside = "inside" if compute[0] <= 2.37 <= compute[1] else f"outside, {100 * (2.37 / compute[1] - 1):+.1f} %"
    figure = (
        f"{compute[0]:.3f} to {compute[1]:.3f}x computing ({inside}: known gap), {with_dram[0]:.3f} to "
        f"{with_dram[1]:.3f}x with DRAM; densities at the lower end of their rounding, not used: {rounded[0]:.3f} to "
        f"{rounded[1]:.3f}x"
    )
    return Check("SCNN, AlexNet's 2.37x (recalled) between the barriers at channels and at groups", figure)


def _end_to_end() -> Iterator[Check]:
    cases = (
        ("vgg16", "conv*", "vgg16_scnn", "3.52x recalled"),
        ("googlenet_2015", "*[!c]", "googlenet_scnn_3a", "stem dense, other modules as 3a"),
        ("googlenet_2015", "*[!c]", "googlenet_scnn_5b", "stem dense, other modules as 5b"),
        ("googlenet_2015", "inception_*", "googlenet_scnn_3a", "54 layers, others as 3a, 2.19x recalled"),
        ("googlenet_2015", "inception_*", "googlenet_scnn_5b", "54 layers, others as 5b, 2.19x recalled"),
    )
    for network, layers, density, note in cases:
        ours, base = (_simulate(machine, network, layers, density) for machine in ("scnn", "dcnn"))
        figure = (
            f"{ours.cycles:,} cycles; over DCNN {_compute(base) / _compute(ours):.2f}x computing, "
            f"{base.cycles / ours.cycles:.2f}x with DRAM, {base.total_energy_pj / ours.total_energy_pj:.2f}x energy"
        )
        yield Check(f"SCNN, {network} end to end with measured densities ({note})", figure)


def _means() -> Iterator[Check]:
    convolutions = {"alexnet": ("conv[2-5]",), "vgg16": ("conv1_2", "conv[2-5]*"), "googlenet_2015": ("conv2*", "inc*")}
    speeds = {}
    for network, after_relu in convolutions.items():
        density = {pattern: {"input": 0.56} for pattern in after_relu}
        layers = "*[!c]" if network == "googlenet_2015" else "conv*"
        ours, base = (_simulate(machine, network, layers, density) for machine in ("cnvlutin", "cnvlutin_base"))
        speeds[network] = _compute(base) / _compute(ours)
    each = ", ".join(f"{network} {speed:.2f}x" for network, speed in speeds.items())
    yield Check("Cnvlutin over its base, 44 % zero neurons in all but the first layer (published mean 1.37x of 1.24 to "
                "1.55)", f"mean {statistics.geometric_mean(speeds.values()):.2f}x: {each}")  # fmt: skip
    for gb_per_s in (12.8, 250):
        speeds = {}
        for network in ("alexnet", "vgg16"):
            ours, base = (
                _simulate(machine, network, "*", f"{network}_han2015", **{"memory.dram.gb_per_s": gb_per_s})
                for machine in ("cambricon_x", "diannao")
            )
            speeds[network] = base.time_s / ours.time_s
        each = ", ".join(f"{network} {speed:.2f}x" for network, speed in speeds.items())
        yield Check(f"Cambricon-X over DianNao, densities of Han et al. 2015, {gb_per_s} GB/s (published mean 7.23x)",
                    f"mean {statistics.geometric_mean(speeds.values()):.2f}x: {each}")  # fmt: skip


def _snapea() -> Check:
    study = _example("sparse_cycles", "draw.py")
    network = study["after_relu"](accelsim.load_network("alexnet"))
    result = accelsim.simulate("snapea", network, layers="conv*", density=PROFILES / "alexnet_han2015.yaml")
    figure = f"{result.macs / result.performed_macs:.2f}x fewer multiplications than dense, synthetic operands"
    return Check("SnaPEA, exact mode, AlexNet (unvalidated; 1.28x in speed recalled)", figure)


def _reports() -> Iterator[Check]:
    for machine, layers in (("scnn", "conv*"), ("eie", "fc*"), ("cambricon_x", "*"), ("nullhop", "conv*")):
        lines = dict(totals(_simulate(machine, "alexnet", layers, "alexnet_han2015")))
        yield Check(f"{machine}, AlexNet, multiply-accumulates by zeros", lines["MACs"], "performed" in lines["MACs"])
        yield Check(f"{machine}, AlexNet, compressed tensors", lines["stored"], "index" in lines["stored"])


def _speed() -> Check:
    _simulate("scnn", "vgg16", "conv5_3", "vgg16_scnn")
    start = time.process_time()
    result = _simulate("scnn", "vgg16", "conv*", "vgg16_scnn")
    used = time.process_time() - start
    return Check("SCNN, the 13 convolutions of VGG-16, values off, CPU",
                 f"{used:.1f} s for {result.macs:,} multiplications (bar 10)", used < 10)  # fmt: skip


def _refusals() -> Check:
    """Run what must be refused; every answer is status 2 and one line that names the layer."""
    asked = (
        ("run", "eie", "alexnet", "--layers", "conv5", "--unsupported", "error"),
        ("run", "scnn", "alexnet", "--layers", "fc6"),
        ("run", "nullhop", "alexnet", "--layers", "conv1", "--unsupported", "error"),
        ("run", "snapea", "alexnet", "--layers", "fc6", "--unsupported", "error"),
        ("run", "cnvlutin", "alexnet", "--density", "density.yaml"),
        ("run", "eie", "alexnet", "--layers", "fc8", "--operands", "shape.npz"),
        ("run", "eie", "alexnet", "--layers", "fc8", "--operands", "wide.npz"),
        ("run", "eie", "alexnet", "--layers", "fc8", "--operands", "codes.npz", "--precision", "wide.yaml"),
    )
    with tempfile.TemporaryDirectory() as folder:
        _bad_files(Path(folder))
        done = [run(*words, cwd=folder) for words in asked]
        left = {path.name for path in Path(folder).iterdir()}
    right = [d.returncode == 2 and d.stderr.count("\n") == 1 and d.stderr.startswith("error: ") for d in done]
    named = [any(name in d.stderr for name in ("conv5", "fc6", "conv1", "fc8")) for d in done]
    clean = left == {"density.yaml", "shape.npz", "wide.npz", "codes.npz", "wide.yaml"}
    lines = "; ".join(d.stderr.strip().removeprefix("error: ") for d in done)
    return Check("refusals name the layer and the reason, status 2, nothing written", lines,
                 all(right) and all(named) and clean)  # fmt: skip


def _bad_files(folder: Path) -> None:
    import numpy as np

    weights = np.zeros((1000, 4096), dtype=np.int64)
    (folder / "density.yaml").write_text("layers: {conv5: {input: 1.5}}\n")
    (folder / "wide.yaml").write_text("layers: {fc8: {weight: 16}}\n")
    np.savez(folder / "shape.npz", **{"fc8.weight": weights[:, :-1]})
    np.savez(folder / "wide.npz", **{"fc8.weight": weights + 70_000})
    np.savez(folder / "codes.npz", **{"fc8.weight": weights + np.arange(4096) % 17})


def _unverified() -> Check:
    """Name the figures that no source at hand confirms."""
    cases = engine_cases()
    found = [
        f"{name}: {case.case} ({case.expected:g})"
        for name in ENGINES
        for case in cases[name]
        if case.origin == "published (recalled)"
    ]
    return Check("figures without a verdict because they are recalled", f"{len(found)}: " + "; ".join(found))
