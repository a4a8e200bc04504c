"""``python -m benchmarks.factors``: DRAM and cycles of three networks on one clock, beside a published prototype's.

The prototype ran on build 0ef236b of this repository: ``edge_npu``, int8, batch 1, ``mapping.objective: edp``, folded
behind products, a shared buffer with ports that nobody waits for. Here the same machine declares that buffer and
``post_ops`` with lanes enough. Mappings are chosen by this build, and then pinned to those that build 0ef236b, taken
from this repository's history, chooses for the same layers: what differs then is not the mapping's.

Its MobileNetV2 had no separate activations and scalings: isolated there is folded here. Its columns for 1 and 4 MiB
are layers one after another, each from an idle machine, with what is kept; here those are on one clock without overlap.

Under pinned mappings all is equal but GoogLeNet's DRAM bytes at 1 MiB, 9.43 against 9.15 MB: two storages, r7 and r8,
move 1,161,600 bytes each as plans count (one write, one read), one must go, and tiles read r8 more than once. The
prototype kept r8: without r7 in its place the same tiles move 9.154 MB here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, get_args

import accelsim
from accelsim.config.schema import PostOp
from benchmarks.before import archive

NETWORKS = {
    "net:mobilenet_v2": "mobilenet_v2", "onnx:resnet50": "onnx:resnet50", "onnx:inception_v1": "onnx:inception_v1",
}  # fmt: skip
"""Network -> the one whose layers build 0ef236b knows by the same names."""
FIGURES = ("isolated", "folded", "1 MiB", "4 MiB", "one clock, 4 MiB", "two units, 4 MiB", "bound")
PROTOTYPE: dict[str, dict[str, tuple[int, float | None]]] = {
    "net:mobilenet_v2": {
        "folded": (2_868_960, 18.81), "1 MiB": (2_748_977, 6.34), "4 MiB": (2_744_435, 3.64),
        "one clock, 4 MiB": (2_719_912, 3.64), "two units, 4 MiB": (2_715_609, 3.64), "bound": (2_698_560, None),
    },
    "onnx:resnet50": {
        "isolated": (6_819_870, 120.72), "folded": (5_596_336, 90.20), "1 MiB": (4_886_995, 44.92),
        "4 MiB": (4_717_760, 29.22), "one clock, 4 MiB": (4_655_220, 29.22), "two units, 4 MiB": (4_625_351, 29.22),
        "bound": (4_192_438, None),
    },
    "onnx:inception_v1": {
        "isolated": (2_771_655, 28.97), "folded": (2_533_485, 22.93), "1 MiB": (2_433_368, 9.15),
        "4 MiB": (2_432_532, 7.99), "one clock, 4 MiB": (2_371_912, 7.99), "two units, 4 MiB": (2_137_024, 7.99),
        "bound": (1_494_997, None),
    },
}  # fmt: skip
"""Network -> what -> cycles and MB of DRAM, as published; the bound has no traffic of its own."""
SLOW_GB_PER_S = 3.2
SLOW: dict[str, tuple[float, ...]] = {
    "net:mobilenet_v2": (6.44, 6.44, 4.16, 3.65, 3.56, 3.54, 2.69),
    "onnx:resnet50": (36.91, 27.38, 15.58, 11.60, 11.39, 11.16, 9.07),
    "onnx:inception_v1": (9.18, 7.30, 4.17, 4.16, 4.03, 3.75, 2.50),
}
"""Network -> millions of cycles of `FIGURES` at that speed of DRAM, as published."""
APART = 0.1
PROBE = """
import json, sys, accelsim
sets = [("mapping.objective", "edp"), ("memory.dram.gb_per_s", float(sys.argv[1]))]
arch = accelsim.load_arch("edge_npu", sets)
runs = {name: accelsim.simulate(arch, accelsim.load_network(name)) for name in sys.argv[2:]}
print(json.dumps({name: {layer.name: layer.mapping for layer in run.layers} for name, run in runs.items()}))
"""


class Row(NamedTuple):
    """A figure here, under own and under pinned mappings, and the prototype's; cycles and MB of DRAM."""

    network: str
    what: str
    own: tuple[int, float | None]
    pinned: tuple[int, float | None] | None
    prototype: tuple[int, float | None] | None


def machine(kib: int, gb_per_s: float = 25.6) -> accelsim.Arch:
    """Return ``edge_npu`` with the prototype's buffer and enough of ``post_ops``."""
    arch = accelsim.load_arch("edge_npu_l2").config
    values = json.loads(json.dumps({key: arch[key] for key in ("name", "units", "memory", "clocks_mhz", "technology")}))
    values["memory"]["buffers"] = [{"name": "l2", "kib": kib}]
    values["memory"]["dram"]["gb_per_s"] = gb_per_s
    ops = [op for op in get_args(PostOp) if op != "residual"]  # which the prototype left alone
    values["units"][0]["post_ops"] = {"ops": ops, "lanes": 65536}
    values |= {"mapping": {"objective": "edp"}}
    return accelsim.load_arch(values)


def old_mappings(gb_per_s: float = 25.6, build: str = "0ef236b") -> dict[str, dict[str, Any]] | None:
    """Return the mappings of an earlier build, by network and layer; None without this repository's history."""
    packed = archive(build)
    if packed is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        with tarfile.open(fileobj=BytesIO(packed)) as tar:
            tar.extractall(tree, filter="data")
        environment = os.environ | {"PYTHONPATH": str(tree), "ACCELSIM_CACHE_DIR": str(Path(folder) / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", PROBE, str(gb_per_s), *NETWORKS.values()], env=environment, capture_output=True,
            cwd=folder, check=True,
        )  # fmt: skip
    found = json.loads(done.stdout)
    return {name: found[old] for name, old in NETWORKS.items()}


def figures(name: str, mapping: dict[str, Any] | None, gb_per_s: float = 25.6) -> dict[str, tuple[int, float | None]]:
    """Return what a network takes, under pinned mappings if given."""
    network, found = accelsim.load_network(name), dict[str, tuple[int, float | None]]()
    pinned = None if mapping is None else {x.name: mapping[x.name] for x in network.layers if mapping.get(x.name)}
    alone = accelsim.simulate(machine(1024, gb_per_s), network, mapping=pinned, schedule="isolated")
    found["isolated"] = alone.cycles, sum(layer.dram_bits for layer in alone.layers) / 8e6
    for kib, what in ((1024, "1 MiB"), (4096, "4 MiB")):
        schedule = accelsim.simulate(machine(kib, gb_per_s), network, mapping=pinned, schedule="network").schedule
        assert schedule is not None
        one = {factor.what: factor.cycles for factor in schedule.factors}
        found["folded"] = schedule.isolated_cycles, schedule.isolated_dram_bits / 8e6
        found[what] = found[f"one clock, {what}"] = one["kept on the chip"], schedule.dram_bits / 8e6
        found[f"two units, {what}"] = schedule.cycles, schedule.dram_bits / 8e6
        found["bound"] = schedule.lower_bound_cycles, None
    return found


def rows() -> Iterator[Row]:
    """Yield all figures."""
    old = old_mappings()
    for name in NETWORKS:
        own, pinned = figures(name, None), None if old is None else figures(name, old[name])
        for what in FIGURES:
            yield Row(name, what, own[what], None if pinned is None else pinned[what], PROTOTYPE[name].get(what))


def _text(figure: tuple[int, float | None] | None) -> str:
    if figure is None:
        return ""
    return f"{figure[0]:,}" + ("" if figure[1] is None else f" / {figure[1]:.2f}")


def apart(one: tuple[int, float | None], other: tuple[int, float | None]) -> list[float]:
    """Return by how much figures differ, in shares of the other's."""
    return [a / b - 1 for a, b in zip(one, other, strict=True) if a is not None and b is not None]


def main() -> int:
    """Print all figures; 1 if one is apart by more than a tenth under pinned mappings."""
    print("cycles / MB of DRAM at 25.6 GB/s\n")
    print("| network | | prototype | this build | apart | its mappings pinned | apart |")
    print("|---|---|--:|--:|--:|--:|--:|")
    far = 0
    for row in rows():
        texts = []
        for mine in (row.own, row.pinned):
            off = [] if mine is None or row.prototype is None else apart(mine, row.prototype)
            texts += [_text(mine), ", ".join(f"{100 * share:+.1f} %" for share in off)]
        off = [] if row.prototype is None else apart(row.pinned or row.own, row.prototype)
        far += any(abs(share) > APART for share in off)
        print(f"| {row.network} | {row.what} | {_text(row.prototype)} | {' | '.join(texts)} |", flush=True)
    print(f"\nmillions of cycles at {SLOW_GB_PER_S} GB/s\n")
    print(f"| network | |{' | '.join(FIGURES)} |")
    print("|---|---|" + "--:|" * len(FIGURES))
    old = old_mappings(SLOW_GB_PER_S)
    for name in NETWORKS:
        print(f"| {name} | prototype | {' | '.join(map(str, SLOW[name]))} |")
        for whose, mapping in (("this build", None), ("pinned", old and old[name])):
            if whose == "this build" or mapping is not None:
                found = figures(name, mapping, SLOW_GB_PER_S)
                print(
                    f"| {name} | {whose} | {' | '.join(f'{found[what][0] / 1e6:.2f}' for what in FIGURES)} |",
                    flush=True,
                )
    return int(far > 0)


if __name__ == "__main__":
    sys.exit(main())
