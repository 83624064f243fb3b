"""Graph surgery against the same steps in NumPy, on a model that shows its input."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.graph import (
    MaskShape,
    batched_graph,
    image_graph,
    masked_graph,
    normalizer_graph,
)
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.types import Port

SETTINGS: dict[str, Any] = {"mean": (120.0, 110.0, 100.0), "scale": (50.0, 60.0, 70.0)}


def echo(layout: str, *, size: tuple[int, int] | None = (6, 8), **preprocess: Any) -> ServedModel:
    """A model whose output is its image input."""
    channels = 1 if preprocess.get("color") == "GRAY" else 3
    sides = list(size) if size else [-1, -1]
    shape = [1, channels, *sides] if layout == "NCHW" else [1, *sides, channels]
    image = ops.parameter(shape, np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    result = ops.result(ops.abs(ops.negative(image)))
    doubled = ops.result(ops.multiply(image, ops.constant(np.float32(2))))
    graph = ov.Model([doubled, result], [image], "echo")
    for index, name in enumerate(("doubled", "absolute")):
        graph.output(index).get_tensor().set_names({name})
    return ServedModel(
        name="echo",
        version=1,
        spec=ModelSpec.model_validate({"preprocess": {"layout": layout, **preprocess}}),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(Port("image", "FP32", tuple(shape)),),
        outputs=tuple(Port(name, "FP32", tuple(shape)) for name in ("doubled", "absolute")),
        layers=(),
    )


def run(graph: ov.Model, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(feeds)[0])


def pixels(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (1, 6, 8, 3), np.uint8)


def normalized(image: NDArray[np.uint8], layout: str, color: str) -> NDArray[np.float32]:
    """Mean and scale are given in the model's order of channels."""
    ordered = image[..., ::-1] if color == "BGR" else image
    values = (ordered - np.asarray(SETTINGS["mean"], np.float32)) / np.asarray(
        SETTINGS["scale"], np.float32
    )
    return np.asarray(values.transpose(0, 3, 1, 2) if layout == "NCHW" else values)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_preprocessing_in_the_graph_is_that_of_numpy(layout: str, color: str) -> None:
    """(x - mean) / scale in the model's colour order and layout, to 1e-5."""
    model = echo(layout, color=color, **SETTINGS)
    expected = normalized(pixels(), layout, color)
    served = run(image_graph(model), {"image": pixels()})
    assert np.abs(served / 2 - expected).max() < 1e-5
    alone = run(normalizer_graph(model), {"image": pixels()})
    assert np.abs(alone - expected).max() < 1e-5


def test_grey_models_see_the_luminance() -> None:
    """One channel of 0.299 R + 0.587 G + 0.114 B, to half a grey level."""
    model = echo("NCHW", color="GRAY")
    expected = pixels().astype(np.float32) @ np.asarray([0.299, 0.587, 0.114], np.float32)
    assert np.abs(run(image_graph(model), {"image": pixels()})[:, 0] / 2 - expected).max() < 0.51


def test_inputs_of_any_size_take_the_size_of_the_spec() -> None:
    model = echo("NCHW", size=None)
    assert image_graph(model).input("image").partial_shape.is_dynamic
    fixed = ServedModel(
        **{**vars(model), "spec": ModelSpec.model_validate({"preprocess": {"size": (6, 8)}})}
    )
    assert list(image_graph(fixed).input("image").shape) == [1, 6, 8, 3]


def masked_feeds(image: NDArray[np.float32], fill: float) -> dict[str, NDArray[Any]]:
    """Four masks of 3 x 3 cells, whose tables overshoot [0, 1] a little."""
    random = np.random.default_rng(1)
    return {
        "shown": image - np.float32(fill),
        "fill": np.asarray([fill], np.float32),
        "strips": random.random((4, 6, 3), np.float32),
        "columns": random.random((4, 8, 3), np.float32),
    }


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("fill", [0.0, 1.5])
@pytest.mark.parametrize("clip", [False, True])
def test_masked_model_sees_image_times_mask_plus_fill(
    layout: str, fill: float, *, clip: bool
) -> None:
    """Image x m + fill (1 - m), m = strips @ columns.T, to 1e-5 for each mask."""
    model = echo(layout, **SETTINGS)
    image = normalized(pixels(), layout, "RGB")
    feeds = masked_feeds(image, fill)
    masks = feeds["strips"] @ feeds["columns"].transpose(0, 2, 1)
    masks = masks.clip(0, 1) if clip else masks
    placed = masks[:, None] if layout == "NCHW" else masks[..., None]
    graph = masked_graph(model, MaskShape(4, 3, clip=clip))
    served = run(graph, feeds)
    assert len(graph.outputs) == 2
    assert np.abs(served / 2 - (image * placed + fill * (1 - placed))).max() < 1e-5


def test_surgery_leaves_the_served_graph_alone() -> None:
    """Variants are made from clones: the file's graph keeps its inputs and its shape."""
    model = echo("NCHW", **SETTINGS)
    for graph in (image_graph(model), masked_graph(model, MaskShape(4, 3))):
        assert graph is not model.graph
    assert list(model.graph.input("image").shape) == [1, 3, 6, 8]
    assert model.graph.input("image").get_element_type() == ov.Type.f32
    assert run(model.graph, {"image": np.ones((1, 3, 6, 8), np.float32)}).max() == 2


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_models_of_any_size_are_masked_at_the_size_of_the_image(layout: str) -> None:
    """One graph for all sizes: image x m as before, to 1e-5."""
    model = echo(layout, size=None, **SETTINGS)
    assert run(normalizer_graph(model), {"image": pixels()}).size == 6 * 8 * 3
    graph = masked_graph(model, MaskShape(4, 3))
    assert graph.input("strips").partial_shape.to_string() == "[4,?,3]"
    image = normalized(pixels(), layout, "RGB")
    feeds = masked_feeds(image, 0.0)
    masks = feeds["strips"] @ feeds["columns"].transpose(0, 2, 1)
    placed = masks[:, None] if layout == "NCHW" else masks[..., None]
    assert np.abs(run(graph, feeds) / 2 - image * placed).max() < 1e-5


def several(style: list[int], weights: list[int]) -> ServedModel:
    """The image times the mean of a style image, plus a weight."""
    inputs = [
        ops.parameter(ov.PartialShape(shape), np.float32, name=name)
        for name, shape in (("image", [1, 3, 6, 8]), ("style", style), ("weights", weights))
    ]
    for each in inputs:
        each.output(0).get_tensor().set_names({each.get_friendly_name()})
    image, picture, weight = inputs
    mean = ops.reduce_mean(picture, ops.constant([1, 2, 3]), keep_dims=True)
    first = ops.gather(weight, ops.constant([0]), ops.constant(len(weights) - 1))
    shaped = ops.reshape(first, ops.constant([-1, 1, 1, 1]), special_zero=False)
    graph = ov.Model([ops.result(ops.add(ops.multiply(image, mean), shaped))], inputs, "several")
    graph.output(0).get_tensor().set_names({"picture"})
    spec = {"preprocess": {"input": "image", **SETTINGS}, "inputs": {"style_image": "style"}}
    ports = (Port("image", "FP32", (1, 3, 6, 8)), Port("style", "FP32", tuple(style)))
    return ServedModel(
        name="several",
        version=1,
        spec=ModelSpec.model_validate(spec),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(*ports, Port("weights", "FP32", tuple(weights))),
        outputs=(Port("picture", "FP32", (1, 3, 6, 8)),),
        layers=(),
    )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("weights", [[-1, 2], [1, 2], [2]], ids=str)
def test_other_inputs_stay_once_for_each_mask(batch: int, weights: list[int]) -> None:
    """A style image is uint8 RGB as elsewhere; what has no batch is for all masks; to 1e-5."""
    graph = masked_graph(several([-1, 3, 6, 8], weights), MaskShape(batch, 3))
    image = normalized(pixels(), "NCHW", "RGB")
    feeds = {name: each[:batch] for name, each in masked_feeds(image, 0.0).items()}
    masks = feeds["strips"] @ feeds["columns"].transpose(0, 2, 1)
    feeds["style"] = np.repeat(pixels(1), batch, axis=0)
    feeds["weights"] = np.asarray([0.25, 9], np.float32)
    if len(weights) > 1:
        feeds["weights"] = np.repeat(feeds["weights"][None], batch, axis=0)
    expected = image * masks[:, None] * normalized(pixels(1), "NCHW", "RGB").mean() + 0.25
    assert np.abs(run(graph, feeds) - expected).max() < 1e-5


def test_outputs_of_one_image_need_no_batch() -> None:
    """As many rows as there are objects, and a number without dimensions."""
    model = echo("NCHW")
    image = model.graph.get_parameters()[0]
    rows = ops.gather_nd(image, ops.non_zero(image), 0)
    mean = ops.reduce_mean(image, ops.constant([0, 1, 2, 3]), keep_dims=False)
    graph = ov.Model([ops.result(rows), ops.result(mean)], [image], "rows")
    free = ServedModel(**{**vars(model), "graph": graph})
    masked_graph(free, MaskShape(1, 3))
    assert batched_graph(free, 4) is None
    with pytest.raises(InvalidInput, match="mask_batch"):
        masked_graph(free, MaskShape(4, 3))


def test_a_batch_that_the_graph_cannot_take_is_refused() -> None:
    """The shapes themselves contradict each other: joined to a constant of one image."""
    model = echo("NCHW")
    image = model.graph.get_parameters()[0]
    one = ops.constant(np.ones((1, 3, 6, 8), np.float32))
    graph = ov.Model([ops.result(ops.concat([image, one], 1))], [image], "joined")
    fixed = ServedModel(**{**vars(model), "graph": graph})
    masked_graph(fixed, MaskShape(1, 3))
    assert batched_graph(fixed, 4) is None
    with pytest.raises(InvalidInput, match="mask_batch") as caught:
        masked_graph(fixed, MaskShape(4, 3))
    assert caught.value.field == "model_name"


def test_models_that_fix_their_batch_are_refused_in_batches() -> None:
    """A reshape to one image folds a batch of four into it without a word: it is refused."""
    model = echo("NCHW")
    image = model.graph.get_parameters()[0]
    folded = ops.reshape(image, ops.constant([1, -1]), special_zero=False)
    graph = ov.Model([ops.result(folded)], [image], "folded")
    fixed = ServedModel(**{**vars(model), "graph": graph})
    masked_graph(fixed, MaskShape(1, 3))
    assert batched_graph(model, 4) is not None
    assert batched_graph(fixed, 4) is None
    with pytest.raises(InvalidInput, match="mask_batch"):
        masked_graph(fixed, MaskShape(4, 3))
