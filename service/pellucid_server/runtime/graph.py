"""Graph surgery: preprocessing and masking as part of the model that runs."""

from dataclasses import dataclass

import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import Preprocess, image_input, image_layout, image_size
from pellucid_server.types import ANY, Port

IMAGE_ROLES = ("style_image",)
"""Roles of `spec.inputs` that take an image beside the main one."""


def image_graph(model: ServedModel, batch: int = 1) -> ov.Model:
    """The model with image inputs of uint8 RGB, batch x height x width x 3.

    Conversion to float, colour order, mean, scale and layout happen in the graph, where
    the device fuses them with the first layer. Resizing does not: OpenVINO's resize does
    not average when it shrinks, and a free input size would recompile for every photo.
    """
    graph = model.graph.clone()
    main = image_input(model.spec, model.inputs)
    _fix_shape(graph, model, main, batch)
    processor = PrePostProcessor(graph)
    for port in [main, *_image_roles(model)]:
        _prepend(processor, port, model.spec.preprocess, image_layout(model.spec, port))
    built = processor.build()
    if batch > 1 and any(output.partial_shape[0] != batch for output in built.outputs):
        raise InvalidInput(
            f"{model.name} cannot take {batch} images at once: its reshapes fix the batch; "
            "set batch to 1",
            field="batch",
        )
    return built


def _image_roles(model: ServedModel) -> list[Port]:
    """Inputs that take an image beside the main one."""
    names = {model.spec.inputs[role] for role in IMAGE_ROLES if role in model.spec.inputs}
    return [port for port in model.inputs if port.name in names]


def _fix_shape(graph: ov.Model, model: ServedModel, main: Port, batch: int) -> None:
    """So many images a run; where the spec names a size for an input of any size, that one."""
    shapes = {}
    for port in model.inputs:
        shape = list(port.shape)
        if port == main:
            shape[0] = batch
            if model.spec.preprocess.size:
                axis = 2 if image_layout(model.spec, port) == "NCHW" else 1
                shape[axis : axis + 2] = model.spec.preprocess.size
        elif shape and shape[0] == ANY:
            shape[0] = 1
        if tuple(shape) != port.shape:
            shapes[port.name] = shape
    if shapes:
        graph.reshape(shapes)


def _prepend(processor: PrePostProcessor, port: Port, preprocess: Preprocess, layout: str) -> None:
    entry = processor.input(port.name)
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    entry.tensor().set_color_format(ColorFormat.RGB)
    entry.model().set_layout(ov.Layout(layout))
    steps = entry.preprocess().convert_element_type(ov.Type.f32)
    if preprocess.color == "BGR":
        steps.convert_color(ColorFormat.BGR)
    elif preprocess.color == "GRAY":
        steps.convert_color(ColorFormat.GRAY)
    if any(preprocess.mean):
        steps.mean(_per_channel(preprocess.mean))
    if any(value != 1 for value in preprocess.scale):
        steps.scale(_per_channel(preprocess.scale))


def _per_channel(values: tuple[float, ...]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


def normalizer_graph(model: ServedModel) -> ov.Model:
    """Only the preprocessing: from uint8 RGB pixels to what the model's image input takes."""
    port = image_input(model.spec, model.inputs)
    shape = _image_shape(model, port, 1)
    parameter = _parameter(port.name, shape, _element_type(model, port))
    graph = ov.Model([ops.result(parameter)], [parameter], "normalizer")
    processor = PrePostProcessor(graph)
    _prepend(processor, port, model.spec.preprocess, image_layout(model.spec, port))
    return processor.build()


@dataclass(frozen=True)
class MaskShape:
    """Extents of the masks that a graph renders."""

    batch: int
    cells: int
    clip: bool = False
    """Whether masks are cut to [0, 1]: only kernels that overshoot need it."""


def masked_graph(model: ServedModel, masks: MaskShape) -> ov.Model:
    """The model seen through masks, which the graph renders: 12 KB a mask travel, not 600 KB.

    Inputs: `shown` (the normalised image less `fill`, one for all masks), `fill`, for each
    mask `strips` (height x cells) and `columns` (width x cells), and the model's others, as
    `image_graph` takes them but once for each mask of the batch. The mask is
    strips @ columns.T, and hides what it multiplies by less than 1. The first of the two
    products that upsample a grid is made beforehand: here, a device in bf16 would convert
    both operands for it, and that costs more than the product. A model of images of any size
    stays so.
    """
    graph = model.graph.clone()
    port = image_input(model.spec, model.inputs)
    nchw = image_layout(model.spec, port) == "NCHW"
    shape = _image_shape(model, port, masks.batch)
    _fix_batch(graph, model, port.name, shape)
    target = graph.input(port.name).get_node()
    height, width = shape[2:] if nchw else shape[1:3]
    f32 = ov.Type.f32
    shown = _parameter("shown", [1, *shape[1:]], f32)
    fill = _parameter("fill", [1], f32)
    strips = _parameter("strips", [masks.batch, height, masks.cells], f32)
    columns = _parameter("columns", [masks.batch, width, masks.cells], f32)
    mask = ops.matmul(strips, columns, False, True)
    if masks.clip:
        mask = ops.clamp(mask, 0.0, 1.0)
    mask = ops.unsqueeze(mask, ops.constant(1 if nchw else 3))
    masked = ops.add(ops.multiply(shown, mask), fill)
    kind = target.get_output_element_type(0)
    seen = masked if kind == f32 else ops.convert(masked, kind)
    for user in list(target.output(0).get_target_inputs()):
        user.replace_source_output(seen.output(0))
    rest = [node for node in graph.get_parameters() if node != target]
    parameters = [shown, fill, strips, columns, *rest]
    seen_through = ov.Model(graph.get_results(), parameters, "masked")
    if masks.batch > 1 and not all(_has_batch(each, masks.batch) for each in seen_through.outputs):
        raise _one_at_a_time(model, masks.batch)
    processor = PrePostProcessor(seen_through)
    for role in _image_roles(model):
        _prepend(processor, role, model.spec.preprocess, image_layout(model.spec, role))
    return processor.build()


def batched_graph(model: ServedModel, batch: int) -> ov.Model | None:
    """The model for several images at once; None where its reshapes fix their number."""
    graph = model.graph.clone()
    port = image_input(model.spec, model.inputs)
    try:
        _fix_batch(graph, model, port.name, _image_shape(model, port, batch))
    except InvalidInput:
        return None
    return graph if all(_has_batch(each, batch) for each in graph.outputs) else None


def _fix_batch(graph: ov.Model, model: ServedModel, image: str, shape: list[int]) -> None:
    """The shape of the image input, and its batch for all inputs that have one."""
    shapes = {image: shape}
    for port in model.inputs:
        if port.name != image and len(port.shape) > 1 and port.shape[0] in {1, ANY}:
            shapes[port.name] = [shape[0], *port.shape[1:]]
    try:
        graph.reshape({name: ov.PartialShape(each) for name, each in shapes.items()})
    except RuntimeError as error:
        if shape[0] == 1:
            raise
        raise _one_at_a_time(model, shape[0]) from error


def _has_batch(output: ov.Output, batch: int) -> bool:
    shape = output.partial_shape
    return bool(shape.rank.is_static and len(shape) and shape[0] == batch)


def _one_at_a_time(model: ServedModel, batch: int) -> InvalidInput:
    return InvalidInput(
        f"{model.name} cannot take {batch} images at once: its reshapes fix the batch; "
        "the server's mask_batch must be 1",
        field="model_name",
    )


def _parameter(name: str, shape: list[int], kind: ov.Type) -> ov.Node:
    node = ops.parameter(ov.PartialShape(shape), kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def _image_shape(model: ServedModel, port: Port, batch: int) -> list[int]:
    size = image_size(model.spec, port) or (ANY, ANY)
    nchw = image_layout(model.spec, port) == "NCHW"
    channels = port.shape[1 if nchw else 3]
    return [batch, channels, *size] if nchw else [batch, *size, channels]


def _element_type(model: ServedModel, port: Port) -> ov.Type:
    return model.graph.input(port.name).get_element_type()
