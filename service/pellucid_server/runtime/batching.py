"""How many images go into one inference where nobody waits for it: by the model's arithmetic."""

from collections.abc import Mapping
from math import inf, prod
from types import MappingProxyType

import openvino as ov

from pellucid_server.runtime.graph import batched_graph
from pellucid_server.runtime.served import ServedModel

FASTEST: Mapping[str, int] = MappingProxyType({"f32": 2, "bf16": 4})
"""Images of a light model, by precision, that CPUs do fastest together."""
LIGHT = 1e9
"""Multiplications of an image up to which one call for several saves more than caches lose."""

CONVOLUTIONS = MappingProxyType({"Convolution": 1, "GroupConvolution": 2})
"""Axis of the weights behind which is what each value of the output takes."""
TRANSPOSED = MappingProxyType({"ConvolutionBackpropData": 1, "GroupConvolutionBackpropData": 2})
"""The same, of each value of the input."""

BODIES = frozenset({"If", "Loop", "TensorIterator"})
"""Operations with graphs of their own, which are not looked into."""
ALONG_AXIS = frozenset({"Softmax", "LogSoftmax", "TopK", "Concat"})
"""Operations that bring values along an axis together, which is an attribute."""
ALONG_AXES = frozenset({"MVN", "NormalizeL2", "CumSum"})
"""The same, with axes as an input; so have all whose names begin with Reduce. The first opset's MVN
has none: it keeps to an image."""


def fastest_batch(model: ServedModel, precision: str) -> int:
    """Images in one inference of a CPU; 1 where the model takes no more.

    It follows from the model alone, not from a measurement: all replicas round alike.
    """
    batch = FASTEST.get(precision)
    graph = batched_graph(model, batch) if batch else None
    if batch is None or graph is None or mixes_images(graph, batch):
        return 1
    return batch if multiplications(graph) <= LIGHT * batch else 1


def takes(model: ServedModel, batch: int) -> bool:
    """Whether so many images may go into one inference: none changes what is said of another."""
    graph = batched_graph(model, batch)
    return graph is not None and not mixes_images(graph, batch)


def mixes_images(graph: ov.Model, batch: int) -> bool:
    """Whether what it says of an image may depend on those beside it."""
    return any(
        node.get_type_name() in BODIES or (_is_of_batch(node, batch) and 0 in _axes(node))
        for node in graph.get_ops()
    )


def _is_of_batch(node: ov.Node, batch: int) -> bool:
    shape = node.input(0).get_partial_shape() if node.get_input_size() else ov.PartialShape([])
    return bool(shape.rank.is_static and len(shape) > 1 and shape[0] == batch)


def _axes(node: ov.Node) -> set[int]:
    """Axes along which it brings values together, counted from the first."""
    kind, rank = node.get_type_name(), len(node.input(0).get_partial_shape())
    axes: list[int] = []
    if kind in ALONG_AXIS:
        axes = [node.get_attributes()["axis"]]
    elif (kind in ALONG_AXES or kind.startswith("Reduce")) and node.get_input_size() > 1:
        given = node.input_value(1).get_node()
        # Axes that are computed may be any.
        axes = given.data.ravel().tolist() if given.get_type_name() == "Constant" else [0]
    return {int(axis) % rank for axis in axes}


def multiplications(graph: ov.Model) -> float:
    """Of the convolutions and matrix products; infinite where a shape is not known."""
    return sum(map(_multiplications, graph.get_ops()))


def _multiplications(node: ov.Node) -> float:
    kind = node.get_type_name()
    if kind in CONVOLUTIONS:
        return _size(node.output(0)) * _size(node.input(1), CONVOLUTIONS[kind])
    if kind in TRANSPOSED:
        return _size(node.input(0)) * _size(node.input(1), TRANSPOSED[kind])
    if kind == "MatMul":
        rows_first = node.get_attributes()["transpose_a"]
        return _size(node.output(0)) * _inner(node.input(0), -2 if rows_first else -1)
    return 0


def _size(port: "ov.Input | ov.Output", axis: int = 0) -> float:
    """Values, from an axis on."""
    shape = port.get_partial_shape()
    return prod(shape.to_shape()[axis:]) if shape.is_static else inf


def _inner(port: ov.Input, axis: int) -> float:
    shape = port.get_partial_shape()
    if shape.is_dynamic:
        return inf
    return float(shape.to_shape()[axis if len(shape) > 1 else -1])
