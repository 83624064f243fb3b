import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.rt_info import described_by
from pellucid_server.spec import ModelSpec, Preprocess, Resize
from pellucid_server.types import Task

Graph = Callable[..., ov.Model]
WithInfo = Callable[[ov.Model, Mapping[str, str]], ov.Model]

OTX = {
    "model_type": "Classification",
    "task_type": "classification",
    "otx_version": "2.4.3",
    "labels": "traffic_light stop_sign",
    "label_ids": "0 1",
    "label_info": json.dumps({"label_names": ["traffic light", "stop_sign"], "label_ids": []}),
    "mean_values": "123.675 116.28 103.53",
    "scale_values": "58.395 57.12 57.375",
    "resize_type": "fit_to_window_letterbox",
    "pad_value": "114",
    "reverse_input_channels": "False",
    "multilabel": "False",
    "hierarchical": "False",
    "output_raw_scores": "True",
    "confidence_threshold": "0.5",
    "optimization_config": "{}",
}


def test_a_classifier_as_training_extensions_export_it(
    tmp_path: Path,
    make_graph: Graph,
    with_info: WithInfo,
    write: Callable[[ov.Model, Path], Path],
) -> None:
    """Through a saved file; exact label names win over those with underscores."""
    folder = write(with_info(make_graph(), OTX), tmp_path / "model" / "1")
    assert Loader(tmp_path).read(folder, None).spec == ModelSpec(
        task=Task.CLASSIFICATION,
        labels=("traffic light", "stop_sign"),
        preprocess=Preprocess(
            color="RGB",
            mean=(123.675, 116.28, 103.53),
            scale=(58.395, 57.12, 57.375),
            resize=Resize.LETTERBOX,
            pad_value=114,
        ),
        decode={"type": "softmax", "multi_label": False},
    )


def spec(graph: ov.Model, declared: ModelSpec | None = None) -> ModelSpec:
    return described_by(graph, declared)


def test_no_metadata_is_a_raw_model(make_graph: Graph) -> None:
    assert spec(make_graph()) == ModelSpec(task=Task.RAW)


def test_a_description_that_names_a_task_is_taken_alone(
    make_graph: Graph, with_info: WithInfo
) -> None:
    declared = ModelSpec(task=Task.RAW)
    assert spec(with_info(make_graph(), OTX), declared) == declared


def test_a_description_without_task_adds_to_the_metadata(
    make_graph: Graph, with_info: WithInfo
) -> None:
    found = spec(with_info(make_graph(), OTX), ModelSpec(description="signs", labels=("a", "b")))
    assert (found.task, found.description) == (Task.CLASSIFICATION, "signs")
    assert found.labels == ("a", "b")
    assert found.preprocess.pad_value == 114


@pytest.mark.parametrize(
    ("info", "key", "expected"),
    [
        ({"resize_type": "crop"}, "resize", "crop"),
        ({"resize_type": "standard"}, "resize", "stretch"),
        ({"resize_type": "fit_to_window"}, "resize", "letterbox_top_left"),
        ({"interpolation_mode": "CUBIC"}, "interpolation", "cubic"),
        ({"layout": "image:NCHW"}, "layout", "NCHW"),
        ({"layout": "NHWC"}, "layout", "NHWC"),
        ({"mean_values": ""}, "mean", (0.0,)),
        ({"scale_values": "255"}, "scale", (255.0,)),
    ],
)
def test_preprocessing(
    make_graph: Graph, with_info: WithInfo, info: dict[str, str], key: str, expected: object
) -> None:
    found = spec(with_info(make_graph(), {"model_type": "Classification", **info}))
    assert getattr(found.preprocess, key) == expected


@pytest.mark.parametrize(
    ("info", "color"),
    [
        # Model API is given OpenCV's BGR.
        ({}, "BGR"),
        ({"reverse_input_channels": "True"}, "RGB"),
        ({"reverse_input_channels": "YES"}, "RGB"),
        ({"otx_version": "1.6.4", "reverse_input_channels": "True"}, "RGB"),
        # OpenVINO Training Extensions from 2.0 give RGB.
        ({"otx_version": "2.4.0"}, "RGB"),
        ({"otx_version": "2.4.0", "reverse_input_channels": "True"}, "BGR"),
        # ImageNet's means say which channel is which.
        ({"mean_values": "123.675 116.28 103.53"}, "RGB"),
        ({"mean_values": "103.53 116.28 123.675", "otx_version": "2.0.0"}, "BGR"),
    ],
)
def test_color_order(
    make_graph: Graph, with_info: WithInfo, info: dict[str, str], color: str
) -> None:
    found = spec(with_info(make_graph(), {"model_type": "Classification", **info}))
    assert found.preprocess.color == color


@pytest.mark.parametrize(
    ("model_type", "task", "decode"),
    [
        ("ssd", Task.DETECTION, {"type": "ssd", "confidence_threshold": 0.5}),
        ("SSD", Task.DETECTION, {"type": "ssd", "confidence_threshold": 0.5}),
        (
            "YOLOv8",
            Task.DETECTION,
            {"type": "yolo", "confidence_threshold": 0.25, "iou_threshold": 0.7},
        ),
        (
            "YOLO-seg",
            Task.INSTANCE_SEGMENTATION,
            {"type": "yolo_seg", "confidence_threshold": 0.25, "iou_threshold": 0.5},
        ),
        (
            "MaskRCNN",
            Task.INSTANCE_SEGMENTATION,
            {"type": "mask_rcnn", "confidence_threshold": 0.5},
        ),
    ],
)
def test_detectors(
    make_graph: Graph,
    with_info: WithInfo,
    model_type: str,
    task: Task,
    decode: dict[str, Any],
) -> None:
    found = spec(with_info(make_graph(), {"model_type": model_type, "labels": "cat big_dog"}))
    assert (found.task, found.decode) == (task, decode)
    assert found.labels == ("cat", "big dog")


def test_ultralytics_defaults_need_not_be_written(make_graph: Graph, with_info: WithInfo) -> None:
    found = spec(with_info(make_graph(), {"model_type": "YOLO11"})).preprocess
    assert (found.color, found.scale, found.pad_value) == ("RGB", (255.0,), 114)
    assert found.resize is Resize.LETTERBOX


def test_the_empty_label_of_mask_rcnn_is_no_class(make_graph: Graph, with_info: WithInfo) -> None:
    info = {"model_type": "MaskRCNN", "labels": "otx_empty_lbl cat dog"}
    found = spec(with_info(make_graph(), info | {"confidence_threshold": "0.05"}))
    assert found.labels == ("cat", "dog")
    assert found.decode["confidence_threshold"] == 0.05


def test_multi_label_classifiers_are_read_by_sigmoid(
    make_graph: Graph, with_info: WithInfo
) -> None:
    found = spec(with_info(make_graph(), {"model_type": "Classification", "multilabel": "True"}))
    assert found.decode == {"type": "sigmoid", "multi_label": True}


def outputs(*nodes: tuple[str, ov.Node], image: ov.Node) -> ov.Model:
    results = []
    for name, node in nodes:
        node.output(0).tensor.set_names({name})
        results.append(ops.result(node))
    return ov.Model(results, [image], "model")


def planes(channels: int) -> ov.Node:
    return ops.parameter([1, channels, 8, 8], np.float32, name="image")


def test_a_classifier_that_ends_in_softmax_has_probabilities(with_info: WithInfo) -> None:
    """The outputs that explain are passed over."""
    image = planes(3)
    pooled = ops.reduce_mean(image, np.array([2, 3]))
    scores = ops.reshape(ops.softmax(pooled, 1), np.array([1, 3]), special_zero=False)
    graph = outputs(("saliency_map", ops.relu(image)), ("logits", scores), image=image)
    found = spec(with_info(graph, {"model_type": "Classification", "labels": "a b"}))
    assert found.decode == {"type": "probabilities", "multi_label": False, "output": "logits"}
    assert found.labels == ("other", "a", "b")


@pytest.mark.parametrize(
    ("channels", "last", "decode", "labels"),
    [
        (3, "relu", "logits", ("background", "road", "car")),
        (3, "softmax", "softmax", ("background", "road", "car")),
        (2, "relu", "logits", ("road", "car")),
        (1, "relu", "label_map", ("road", "car")),
    ],
)
def test_segmentation(
    with_info: WithInfo, channels: int, last: str, decode: str, labels: tuple[str, ...]
) -> None:
    image = planes(channels)
    node = ops.softmax(image, 1) if last == "softmax" else ops.relu(image)
    graph = outputs(("masks", node), image=image)
    found = spec(with_info(graph, {"model_type": "Segmentation", "labels": "road car"}))
    assert found.task is Task.SEMANTIC_SEGMENTATION
    assert (found.decode, found.labels) == ({"type": decode}, labels)


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"model_type": "AnomalyDetection"}, "model_type 'AnomalyDetection' is not known"),
        ({"model_type": "YOLOv9"}, "Did you mean 'yolov"),
        ({}, "model_type '' is not known"),
        ({"hierarchical": "True"}, "hierarchical is True, which is not served"),
        ({"embedded_processing": "YES"}, "embedded_processing is YES"),
        ({"intensity_mode": "window"}, "intensity_mode is window"),
        ({"resize_type": "fit_to_windw"}, "Did you mean 'fit_to_window'"),
        ({"mean_values": "1 2 x"}, "mean_values is '1 2 x', not numbers"),
        ({"scale_values": "0"}, "preprocess.scale.0: should be greater than 0"),
        ({"pad_value": "400"}, "preprocess.pad_value: should be less than or equal to 255"),
        ({"pad_value": "x"}, "preprocess.pad_value"),
        ({"layout": "CHW"}, "preprocess.layout"),
    ],
)
def test_what_cannot_be_served_says_why(
    make_graph: Graph, with_info: WithInfo, info: dict[str, str], reason: str
) -> None:
    known = {"labels": "a b", **({"model_type": "Classification"} if info else {})}
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        spec(with_info(make_graph(), known | info))
    assert caught.value.message.startswith("rt_info/model_info")


@pytest.mark.parametrize("label_info", ["[", "[]", "{}", '{"label_names": 3}', "[" * 100_000])
def test_damaged_label_info_falls_back_to_labels(
    make_graph: Graph, with_info: WithInfo, label_info: str
) -> None:
    info = {"model_type": "Classification", "labels": "a b_c", "label_info": label_info}
    assert spec(with_info(make_graph(), info)).labels == ("a", "b c")
