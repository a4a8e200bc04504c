"""SCALE-Sim: the replica and runs of imported files against the reports that SCALE-Sim 3.0.0 printed."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import accelsim
from accelsim.config.scalesim.machine import machine
from accelsim.replicas import scalesim
from accelsim.workload.scalesim.network import load_table

from .check import ROOT, Check

sys.path.insert(0, str(ROOT / "tests"))

from scalesim_agreement import ours, reports, roomy

DATA = ROOT / "tests" / "data" / "scalesim"
TOPOLOGIES = ("alexnet", "resnet18", "mobilenet", "gemm", "small", "sparse", "sparse_gemm")


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    yield from _replica()
    yield from _import()
    yield from _readings()


def _folders(topology: str) -> list[Path]:
    return sorted((DATA / "reports" / topology).iterdir())


def _files(topology: str, config: str) -> tuple[scalesim.Config, scalesim.Topology]:
    table = scalesim.read_topology(DATA / f"{topology}.csv", gemm=None)
    return scalesim.read_config(DATA / "configs" / f"{config}.cfg"), table


def _replica() -> Iterator[Check]:
    """Compare whole report files, byte by byte."""
    for topology in TOPOLOGIES:
        same = files = layers = figures = 0
        runs = _folders(topology)
        for folder in runs:
            config, table = _files(topology, folder.name)
            with tempfile.TemporaryDirectory() as out:
                scalesim.write_reports(scalesim.run(config, table), out)
                for path in sorted(folder.iterdir()):
                    text = path.read_text()
                    files, same = files + 1, same + (text == (Path(out) / path.name).read_text())
                    rows = text.splitlines()[1:]
                    layers += len(rows) if path.name == "COMPUTE_REPORT.csv" else 0
                    figures += sum(len(re.findall(",", row)) - 1 for row in rows)
        figure = f"{same} of {files} files equal to the byte ({len(runs)} runs, {layers} layers, {figures} figures)"
        yield Check(f"replica of SCALE-Sim 3.0.0 on {topology}", figure, same == files)


def _import() -> Iterator[Check]:
    """Compare products, cycles and scratchpad words of imported files with what SCALE-Sim printed."""
    for topology in TOPOLOGIES[:5]:
        equal = total = full = 0
        for folder in _folders(topology):
            config, table = _files(topology, folder.name)
            with tempfile.TemporaryDirectory() as out:
                path = Path(out) / "machine.yaml"
                path.write_text(machine(config).text)
                arch = roomy(accelsim.load_arch(str(path)))
            result = accelsim.simulate(arch, str(DATA / f"{topology}.csv"))
            for layer, printed in zip(result.layers, reports(folder, table), strict=True):
                equal, total = equal + (ours(layer, config) == printed), total + 1
                full += layer.compute_cycles == printed.cycles
        figure = f"{equal} of {total} layers equal in products, cycles and scratchpad words once corrected"
        figure += f"; {full} have the same cycles without (every fold full)"
        yield Check(f"{topology} imported and run on its imported machines", figure, equal == total)


def _readings() -> Iterator[Check]:
    for name, packaged, typo in (("resnet18", "resnet18", 0), ("mobilenet", "mobilenet_v1", 368_640)):
        counted, real = load_table(DATA / f"{name}.csv"), load_table(DATA / f"{name}.csv", real=True)
        published = accelsim.load_network(packaged).macs
        figure = f"{counted.macs:,} as SCALE-Sim counts, {real.macs:,} with --real, {published:,} published"
        if typo:
            figure += f" ({typo:,} less for the stride of 2 that the paper's table prints in its last depthwise row)"
        yield Check(f"products of SCALE-Sim's {name} table", figure, real.macs + typo == published)
