"""Reads `rt_info/model_info`, where a file describes its model itself.

Model API, OpenVINO Training Extensions and Geti write it; the conventions are those of
openvino-model-api 0.4.7.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import openvino as ov

from pellucid_server.errors import ModelUnavailable
from pellucid_server.nearest import nearest
from pellucid_server.runtime.introspection import shape_of
from pellucid_server.runtime.spec_file import validate
from pellucid_server.spec import ModelSpec
from pellucid_server.types import Task

Info = Mapping[str, str]

SOURCE = "rt_info/model_info"
YES = frozenset({"True", "YES"})
RESIZES: Info = MappingProxyType(
    {
        "standard": "stretch",
        "crop": "crop",
        "fit_to_window": "letterbox_top_left",
        "fit_to_window_letterbox": "letterbox",
    }
)
EXPLANATIONS = frozenset({"saliency_map", "feature_vector"})
"""Outputs that OpenVINO Training Extensions add for its own explanations."""
EMPTY_LABEL = "otx_empty_lbl"
"""Stands for class 0 of MaskRCNN, which the model itself does not count."""
IMAGENET_RED, IMAGENET_BLUE = 123.675, 103.53
UNSUPPORTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "embedded_processing": YES,
        "hierarchical": YES,
        "intensity_mode": frozenset({"scale_to_unit", "window", "percentile", "range_scale"}),
    }
)
"""Settings that would change results if they were left out."""


@dataclass(frozen=True)
class Wrapper:
    """A row: the task of a `model_type`, its decoder, and Model API's defaults for it."""

    task: Task
    decode: str
    defaults: Info = field(default_factory=dict)


ULTRALYTICS: Info = MappingProxyType(
    {
        "resize_type": "fit_to_window_letterbox",
        "pad_value": "114",
        "scale_values": "255.0",
        "confidence_threshold": "0.25",
    }
)
YOLO = Wrapper(
    Task.DETECTION,
    "yolo",
    {**ULTRALYTICS, "reverse_input_channels": "True", "iou_threshold": "0.7"},
)
WRAPPERS: Mapping[str, Wrapper] = MappingProxyType(
    {
        "classification": Wrapper(Task.CLASSIFICATION, ""),
        "ssd": Wrapper(Task.DETECTION, "ssd", {"confidence_threshold": "0.5"}),
        "yolov5": YOLO,
        "yolov8": YOLO,
        "yolo11": YOLO,
        "maskrcnn": Wrapper(
            Task.INSTANCE_SEGMENTATION, "mask_rcnn", {"confidence_threshold": "0.5"}
        ),
        "yolo-seg": Wrapper(
            Task.INSTANCE_SEGMENTATION, "yolo_seg", {**ULTRALYTICS, "iou_threshold": "0.5"}
        ),
        "segmentation": Wrapper(Task.SEMANTIC_SEGMENTATION, ""),
    }
)


def described_by(graph: ov.Model, declared: ModelSpec | None) -> ModelSpec:
    """The description of `model.yaml`, or, where that names no task, of the file itself.

    Raises:
        ModelUnavailable: the file describes what cannot be served; the message says why.
    """
    if declared and "task" in declared.model_fields_set:
        return declared
    written = read_info(graph)
    spec = _to_spec(graph, written) if written else ModelSpec()
    if declared:
        return spec.model_copy(
            update={key: getattr(declared, key) for key in declared.model_fields_set}
        )
    return spec


def read_info(graph: ov.Model) -> dict[str, str]:
    """`model_info` of an IR, or the metadata of an ONNX file whose keys begin with it."""
    if graph.has_rt_info(["model_info"]):
        place, prefix = "model_info", ""
    elif graph.has_rt_info(["framework"]):
        place, prefix = "framework", "model_info "
    else:
        return {}
    found = graph.get_rt_info([place]).value
    return {
        key.removeprefix(prefix): value
        for key, value in (found.items() if isinstance(found, dict) else ())
        if isinstance(value, str) and key.startswith(prefix)
    }


def _to_spec(graph: ov.Model, written: Info) -> ModelSpec:
    wrapper = _wrapper(written.get("model_type", ""))
    info = {**wrapper.defaults, **written}
    for key, values in UNSUPPORTED.items():
        if info.get(key) in values:
            raise _unmapped(f"{key} is {info[key]}, which is not served")
    decode, labels = DECODERS[wrapper.task](graph, wrapper, info)
    document = {
        "task": wrapper.task,
        "labels": labels,
        "preprocess": _preprocess(info),
        "decode": decode,
    }
    return validate(document, SOURCE)


def _unmapped(problem: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{SOURCE}: {problem}; describe the model in model.yaml "
        "(`task: raw` serves its tensors as they are)"
    )


def _wrapper(model_type: str) -> Wrapper:
    wrapper = WRAPPERS.get(model_type.lower())
    if wrapper is None:
        raise _unmapped(f"model_type {model_type!r} is not known.{nearest(model_type, WRAPPERS)}")
    return wrapper


def _labels(info: Info) -> list[str]:
    """`label_info` has the names as they are, `labels` with `_` for spaces."""
    labels = info.get("labels", "").split()
    try:
        exact = json.loads(info.get("label_info", "{}"))["label_names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        exact = []
    if isinstance(exact, list) and len(exact) == len(labels):
        return [str(label) for label in exact]
    return [label if label == EMPTY_LABEL else label.replace("_", " ") for label in labels]


def _preprocess(info: Info) -> dict[str, Any]:
    resize = info.get("resize_type", "standard")
    if resize not in RESIZES:
        raise _unmapped(f"resize_type {resize!r} is not known.{nearest(resize, RESIZES)}")
    interpolation = info.get("interpolation_mode", info.get("interpolation_type", "LINEAR"))
    # "image:NCHW" where inputs differ, "NCHW" where they do not.
    layout = info.get("layout", "").rpartition(":")[2]
    return {
        "layout": layout or None,
        "color": _color(info),
        "mean": _numbers(info, "mean_values") or [0.0],
        "scale": _numbers(info, "scale_values") or [1.0],
        "resize": RESIZES[resize],
        "interpolation": interpolation.lower(),
        "pad_value": info.get("pad_value", "0"),
    }


def _color(info: Info) -> str:
    """The order of channels that the model was trained on.

    `reverse_input_channels` reverses what the caller gives, and who that is differs:
    OpenVINO Training Extensions from 2.0 give RGB, everybody else OpenCV's BGR. Means
    of ImageNet leave no doubt: that of red is the largest.
    """
    mean = _numbers(info, "mean_values")
    if mean == sorted(mean) and mean[:1] == [IMAGENET_BLUE]:
        return "BGR"
    if mean[:1] == [IMAGENET_RED]:
        return "RGB"
    given_rgb = not info.get("otx_version", "1").startswith("1")
    reverse = info.get("reverse_input_channels", "False") in YES
    return "RGB" if given_rgb != reverse else "BGR"


def _numbers(info: Info, key: str) -> list[float]:
    text = info.get(key, "")
    try:
        return [float(each) for each in text.split()] if text != "None" else []
    except ValueError as error:
        raise _unmapped(f"{key} is {text!r}, not numbers") from error


Decoded = tuple[dict[str, Any], list[str]]
"""The `decode` section, and a label for each class that it yields."""


def _classification(graph: ov.Model, wrapper: Wrapper, info: Info) -> Decoded:
    del wrapper
    labels = _labels(info)
    output, decode = _result(graph)
    many = info.get("multilabel", "False") in YES
    normalized = "probabilities" if _made_by(output, "Softmax") else "softmax"
    decode |= {"type": "sigmoid" if many else normalized, "multi_label": many}
    if labels and shape_of(output)[1:2] == (len(labels) + 1,):
        labels.insert(0, "other")
    return decode, labels


def _semantic_segmentation(graph: ov.Model, wrapper: Wrapper, info: Info) -> Decoded:
    del wrapper
    labels = _labels(info)
    output, decode = _result(graph)
    shape = shape_of(output)
    if len(shape) < 4 or shape[1] == 1:
        return {**decode, "type": "label_map"}, labels
    if labels and shape[1] == len(labels) + 1:
        labels.insert(0, "background")
    return {**decode, "type": "softmax" if _made_by(output, "Softmax") else "logits"}, labels


def _detection(graph: ov.Model, wrapper: Wrapper, info: Info) -> Decoded:
    del graph
    decode: dict[str, Any] = {"type": wrapper.decode}
    for key in ("confidence_threshold", "iou_threshold"):
        if key in wrapper.defaults:
            decode[key] = next(iter(_numbers(info, key)), None)
    labels = _labels(info)
    return decode, labels[1:] if labels[:1] == [EMPTY_LABEL] else labels


def _result(graph: ov.Model) -> tuple[ov.Output, dict[str, Any]]:
    """The output that is not an explanation, and the option that names it among several."""
    results = [each for each in graph.outputs if not EXPLANATIONS & each.get_names()]
    if not results:
        raise _unmapped("the model has no outputs but explanations")
    return results[0], {"output": results[0].get_any_name()} if len(graph.outputs) > 1 else {}


def _made_by(output: ov.Output, kind: str) -> bool:
    node = output.get_node().input_value(0).get_node()
    while node.get_type_name() in {"Convert", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}:
        node = node.input_value(0).get_node()
    return str(node.get_type_name()) == kind


DECODERS: Mapping[Task, Callable[[ov.Model, Wrapper, Info], Decoded]] = MappingProxyType(
    {
        Task.CLASSIFICATION: _classification,
        Task.DETECTION: _detection,
        Task.INSTANCE_SEGMENTATION: _detection,
        Task.SEMANTIC_SEGMENTATION: _semantic_segmentation,
    }
)
