"""TensorFlow.js models: their weights as arrays, their graph as a frozen GraphDef."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from google.protobuf import json_format
from numpy.typing import NDArray
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_INT32, DT_INT64

Document = Mapping[str, Any]
"""A parsed model.json."""
Weights = Mapping[str, NDArray[Any]]
TYPES: Mapping[int, type] = {DT_FLOAT: np.float32, DT_INT32: np.int32, DT_INT64: np.int64}


def weights(document: Document, data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of the weight file by name; what is stored as float16 becomes float32."""
    arrays, offset = {}, 0
    for entry in (entry for group in document["weightsManifest"] for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = math.prod(entry["shape"])
        array = np.frombuffer(data, stored, count, offset)
        arrays[entry["name"]] = array.reshape(entry["shape"]).astype(entry["dtype"])
        offset += count * stored.itemsize
    if offset != len(data):
        message = f"the weights take {offset} of {len(data)} bytes"
        raise ValueError(message)
    return arrays


def read_graph_model(document: Document, data: bytes) -> ov.Model:
    """A graph model read by OpenVINO's TensorFlow front end, by way of a frozen graph."""
    graph = GraphDef()
    json_format.ParseDict({"node": document["modelTopology"]["node"]}, graph)
    arrays = weights(document, data)
    for node in graph.node:
        if node.op == "Const":
            _fill(node, arrays[node.name])
        elif node.op == "SparseToDense":
            _fold_sparse(node, arrays)
    with tempfile.TemporaryDirectory() as folder:
        frozen = Path(folder) / "frozen.pb"
        frozen.write_bytes(graph.SerializeToString())
        return ov.Core().read_model(frozen)


def _fill(node: NodeDef, array: NDArray[Any]) -> None:
    tensor = node.attr["value"].tensor
    tensor.tensor_content = array.astype(TYPES[tensor.dtype]).tobytes()


def _fold_sparse(node: NodeDef, arrays: Weights) -> None:
    """The front end knows no SparseToDense; all its inputs are constants, so it is one."""
    indices, shape, values, default = (arrays[name] for name in node.input)
    dense = np.full(shape, default)
    dense[tuple(indices.T)] = values
    node.op = "Const"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = DT_INT64
    for extent in dense.shape:
        node.attr["value"].tensor.tensor_shape.dim.add().size = extent
    _fill(node, dense)
