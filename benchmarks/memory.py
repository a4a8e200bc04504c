"""``python -m benchmarks.memory``: peak memory of the largest examples, written to ``benchmarks/memory.md``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = (
    "run diannao resnet50 --format csv",
    "run edge_npu_128 net:gpt2_medium --dim seq=1024 -o {folder}/gpt2",
    "run edge_npu onnx:resnet50 --operands chain -o {folder}/chain",
    "run nvdla_small net:resnet50 -o {folder}/nvdla",
    "run tpu_v1 onnx:resnet50 --batch 16 --network -o {folder}/unified",
    "run a3_conservative net:gpt2_small --format csv",
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


def main() -> None:
    lines = ["# Peak memory", "", "`python -m benchmarks.memory`: resident memory of the largest examples.", "",
             "| command | MiB |", "|---|---:|"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for example in EXAMPLES:
            print(example, flush=True)
            lines.append(
                f"| `accelsim {example.replace('{folder}/', '')}` | {peak_mib(example.format(folder=folder))} |"
            )
    FILE.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
