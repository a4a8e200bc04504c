"""Small ONNX graphs for tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelsim.workload.onnx import importer


def tensor(name, dims, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def save(path, nodes, inputs, outputs=("y",), constants=(), opset=17, **more):
    """Write a model of the nodes; constants are (name, array)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [tensor(name, dims) for name, dims in inputs.items()],
        [tensor(name, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants],
        **more,
    )
    domains = {"": opset, "my": 1, "com.microsoft": 1}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*item) for item in domains.items()])
    model.ir_version = 8
    onnx.save(model, path)
    return model


def imported(tmp_path, nodes, inputs, **more):
    path = tmp_path / "m.onnx"
    save(path, nodes, inputs, **more)
    return importer.load(path)
