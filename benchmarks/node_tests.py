"""Load every node test of the ``onnx`` wheel, as it is and with its later inputs made constants; count what comes.

    python benchmarks/node_tests.py [--list KIND]

``whole`` loads without unsupported layers, ``gaps`` with some, ``refused`` not at all with one line; ``traceback`` is a
defect of ours, and so is ``wrong``: an output whose shape is another than the stored one. ``--list`` names them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import accelsim
from accelsim.errors import UserError

KINDS = ("whole", "gaps", "refused", "traceback", "wrong")


def node_tests() -> list[Any]:
    """Return the test cases: name, model, and the stored inputs and outputs."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sorted(collect_testcases(None), key=lambda case: case.name)


def with_constants(model: onnx.ModelProto, stored: list[Any]) -> onnx.ModelProto | None:
    """Return the model with every input but the first made a constant; None if one is no tensor."""
    inputs = list(model.graph.input)
    if not inputs or any(not value.type.HasField("tensor_type") for value in inputs) or len(stored) < len(inputs):
        return None
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for value, array in zip(inputs[1:], stored[1:], strict=False):
        try:
            tensor = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(np.asarray(array))
        except Exception:
            return None
        made.graph.initializer.add().CopyFrom(tensor)
        made.graph.initializer[-1].name = value.name
    del made.graph.input[1:]
    return made


def outcome(path: Path, expected: dict[str, tuple[int, ...]]) -> tuple[str, str]:
    """Return one of `KINDS` and what there is to say."""
    try:
        network = accelsim.load_network(str(path))
    except UserError as error:
        return "refused", error.problem
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    for name, shape in expected.items():
        if name in network.tensors and network.tensors[name].shape not in (shape, (0,)):
            return "wrong", f"'{name}' is {network.tensors[name].shape}, stored {shape}"
    gaps = [layer.shape for layer in network.layers if layer.kind == "unsupported"]
    return ("gaps", f"{gaps[0].op}: {gaps[0].reason}") if gaps else ("whole", "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=(*KINDS, "all"))
    options = parser.parse_args()
    plain: Counter[str] = Counter()
    constant: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        for case in node_tests():
            inputs, outputs = case.data_sets[0]
            results = zip(case.model.graph.output, outputs, strict=False)
            expected = {value.name: array.shape for value, array in results if isinstance(array, np.ndarray)}
            made = with_constants(case.model, inputs)
            for how, counts, model in (("as is", plain, case.model), ("constants", constant, made)):
                if model is None:
                    continue
                onnx.save(model, file)
                kind, text = outcome(file, expected)
                counts[kind] += 1
                if options.list in (kind, "all"):
                    print(f"{case.name} ({how}) {kind}: {text}")
    for how, counts in (("as is", plain), ("later inputs constant", constant)):
        print(f"{how}: {counts.total()}; " + ", ".join(f"{kind} {counts[kind]}" for kind in KINDS))
    return 1 if plain["traceback"] + constant["traceback"] + plain["wrong"] + constant["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
