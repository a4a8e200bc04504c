"""``python -m benchmarks.memory [WORD...]``: peak memory of the largest examples, written to ``benchmarks/memory.md``.

With words, only of the examples that hold one of them; the others keep their figures, as does one whose matrix is not
in the folder that ACCELSIM_DATA names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = (
    "run diannao resnet50 --format csv",
    "run edge_npu_128 net:gpt2_medium --dim seq=1024 -o {folder}/gpt2",
    "run edge_npu onnx:resnet50 --operands chain -o {folder}/chain",
    "run nvdla_small net:resnet50 -o {folder}/nvdla",
    "run tpu_v1 onnx:resnet50 --batch 16 --network -o {folder}/unified",
    "run nvdla_small vgg16 --set memory.dram.device=ddr4-2400 -o {folder}/device",
    "run a3_conservative net:gpt2_small --format csv",
    "run spatten_e2e net:gpt2_medium --dim seq=1024 --format csv",
    "run finn_cnv cnv_w1a1 --format csv",
    "run eyeriss_v2 alexnet --density alexnet_han2015 --format csv",
    "run extensor matrix:p2p-Gnutella31 --format csv "
    "--set params.m1_tiles=32 --set params.k1_tiles=64 --set params.n1_tiles=128",
    "compare edge_npu systolic_ws scnn eyeriss --network onnx:resnet50 vgg16 -o {folder}/compare",
    "sweep examples/buffer_size/sweep.yaml --store {folder}/sweep.db --workers 0",
    "report {folder}/sweep.db -o {folder}/sweep.html",
)
FILE = Path(__file__).with_suffix(".md")
_CODE = "import sys; from accelsim.cli import main; main(sys.argv[1:])"


def peak_mib(command: str) -> int:
    """Return the peak of one process; a child of a child, so that each command has its own."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    words = [sys.executable, "-c", code, sys.executable, "-c", _CODE, *command.split()]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout) // 1024


def told(text: str) -> dict[str, str]:
    """Return the figures of a file that this module wrote, by command."""
    rows = (line.split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {command.removeprefix("| ").strip("`"): figure.rstrip(" |") for command, figure in rows}


def main(words: Sequence[str] = ()) -> None:
    lines = ["# Peak memory", "", "`python -m benchmarks.memory`: resident memory of the largest examples.", "",
             "| command | MiB |", "|---|---:|"]  # fmt: skip
    before = told(FILE.read_text())
    with tempfile.TemporaryDirectory() as folder:
        for example in EXAMPLES:
            command = f"accelsim {example.replace('{folder}/', '')}"
            away = "matrix:" in command and "ACCELSIM_DATA" not in os.environ
            if away or (words and not any(word in command for word in words)):
                figure = before.get(command, "-")
            else:
                print(example, flush=True)
                figure = str(peak_mib(example.format(folder=folder)))
            lines.append(f"| `{command}` | {figure} |")
    FILE.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
