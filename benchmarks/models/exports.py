"""Export networks of torch and torchvision with random weights, by both exporters, into a folder.

    python benchmarks/models/exports.py FOLDER [PATTERN ...]

Runs in an interpreter with torch, torchvision, onnx and onnxscript, and imports nothing of accelsim. A file that is
there is not made again; beside each ``NAME.EXPORTER.onnx`` lies ``.json`` with the sizes to give, or with the reason
why the exporter has no file.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from fnmatch import fnmatchcase
from pathlib import Path

EXPORTERS = {"torchscript": False, "dynamo": True}
OPSET = 18


def main() -> int:
    folder, patterns = Path(sys.argv[1]), sys.argv[2:] or ["*"]
    folder.mkdir(parents=True, exist_ok=True)
    import torch

    warnings.simplefilter("ignore")
    stub_torchvision(torch)
    sys.path.insert(0, str(Path(__file__).parent))
    from subjects import subjects

    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # an operator of its own, which the older exporter does not know
    todo = [
        (subject, exporter)
        for subject in subjects()
        for exporter in EXPORTERS
        if any(fnmatchcase(subject.name, pattern) for pattern in patterns)
        and not made(folder / f"{subject.name}.{exporter}.json")
    ]
    for i, (subject, exporter) in enumerate(todo, 1):
        started = time.process_time()
        torch.manual_seed(0)
        path = folder / f"{subject.name}.{exporter}.onnx"
        entry = {"source": subject.source, "dims": dict(subject.dims), "reason": export(torch, subject, exporter, path)}
        path.with_suffix(".json").write_text(json.dumps(entry))
        seconds = time.process_time() - started
        print(f"export {i}/{len(todo)} {path.stem}: {entry['reason'] or 'done'}, {seconds:.1f} s", flush=True)
    return 0


def made(entry: Path) -> bool:
    """Whether the file is there; what failed is tried again."""
    return entry.exists() and not json.loads(entry.read_text())["reason"]


def stub_torchvision(torch) -> None:
    """Declare two operators of torchvision's binary part, so that it can be imported where that part does not load."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        stub_torchvision.library = library  # it lives as long as something holds it


def export(torch, subject, exporter: str, path: Path) -> str:
    """Write the file; return why there is none."""
    kwargs = {"opset_version": OPSET, "dynamo": EXPORTERS[exporter]}
    names = [f"x{i}" for i in range(len(subject.inputs))]
    if EXPORTERS[exporter]:
        kwargs |= {"verbose": False, "external_data": False}
        if subject.open_:
            # a symbol of a dimension that the program fixes after all would be an error; AUTO is none, but has no name
            kwargs["dynamic_shapes"] = tuple(
                {axis: torch.export.Dim(symbol) for axis, symbol in subject.open_.get(i, {}).items()} or None
                for i in range(len(names))
            )
    elif subject.open_:
        kwargs["dynamic_axes"] = {names[i]: axes for i, axes in subject.open_.items()}
    if not EXPORTERS[exporter] or not subject.open_:
        kwargs["input_names"] = names
    try:
        with torch.no_grad(), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            torch.onnx.export(subject.make().eval(), subject.inputs, str(path), **kwargs)
    except Exception as error:
        path.unlink(missing_ok=True)
        while error.__cause__ is not None:
            error = error.__cause__
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:200]
    return ""


if __name__ == "__main__":
    sys.exit(main())
