"""Results as JSON documents."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pellucid.cli.console import exit_code
from pellucid.errors import PellucidError
from pellucid.explanations import Explanation
from pellucid.models import Method, Model, ModelVersion
from pellucid.results import (
    AnyResult,
    ClassificationResult,
    Detection,
    DetectionResult,
    ImageResult,
    Instance,
    InstanceSegmentationResult,
    RawResult,
    RegressionResult,
    SemanticSegmentationResult,
)
from pellucid.types import Box, Category

Document = dict[str, Any]


def prediction(result: AnyResult) -> Document:
    """A result, without pixels."""
    document: Document = {"model": result.model, "version": result.version}
    if result.input_size:
        document |= {"input_size": result.input_size._asdict()}
    return document | _content(result)


def explanation(found: Explanation) -> Document:
    """An explanation, without its map."""
    values = found.saliency_map
    return {
        "target": category(found.target),
        "box": found.box and _corners(found.box),
        "model": found.model,
        "version": found.version,
        "method": found.method,
        "parameters": dict(found.parameters),
        "map_size": {"width": values.shape[1], "height": values.shape[0]},
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "region": found.region._asdict(),
        "evaluations": found.evaluations,
        "precision": found.precision,
        "elapsed": _rounded(found.elapsed),
    }


def model(found: Model) -> Document:
    """A model with its versions."""
    return asdict(found) | {"versions": list(map(version, found.versions))}


def version(found: ModelVersion) -> Document:
    """A version of a model."""
    document = asdict(found) | {"load_time": _time(found.load_time)}
    if found.lineage is not None:
        document["lineage"] |= {"create_time": _time(found.lineage.create_time)}
    return document


def method(found: Method) -> Document:
    """A method with its parameters."""
    return asdict(found)


def error(found: Exception) -> Document:
    """An error, as it stands in place of a result."""
    document: Document = {"message": str(found), "exit_code": exit_code(found)}
    if isinstance(found, PellucidError):
        document |= {
            "code": found.code.name,
            "field": found.field,
            "request_id": found.request_id,
        }
    return {"error": document}


def category(found: Category) -> Document:
    """A class with its confidence."""
    return {
        "class_id": found.class_id,
        "label": found.label,
        "confidence": _rounded(found.confidence),
    }


def _content(result: AnyResult) -> Document:
    match result:
        case ClassificationResult():
            categories = list(map(category, result.categories))
            return {"categories": categories, "multi_label": result.multi_label}
        case DetectionResult():
            return {"detections": list(map(_detection, result.detections))}
        case InstanceSegmentationResult():
            return {"instances": list(map(_instance, result.instances))}
        case SemanticSegmentationResult():
            areas = [
                category(each.category) | {"pixels": each.pixels, "share": _rounded(each.share)}
                for each in result.areas
            ]
            return {"areas": areas}
        case ImageResult():
            return {"image": {**result.size._asdict(), "media_type": result.media_type}}
        case RegressionResult():
            content: Document = {"values": list(result.values)}
        case RawResult():
            content = _outputs(result.outputs)
    return content


def _outputs(outputs: Mapping[str, Any]) -> Document:
    return {
        "outputs": [
            {"name": name, "datatype": str(array.dtype), "shape": list(array.shape)}
            for name, array in outputs.items()
        ]
    }


def _detection(found: Detection) -> Document:
    return category(found.category) | {"box": _corners(found.box)}


def _instance(found: Instance) -> Document:
    height, width = found.mask.shape
    mask = {"size": [height, width], "counts": found.rle} if found.rle else None
    return _detection(found) | {"pixels": found.pixels, "mask": mask}


def _corners(box: Box) -> Document:
    return {edge: _rounded(value) for edge, value in box._asdict().items()}


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _rounded(value: float) -> float:
    return round(value, 6)
