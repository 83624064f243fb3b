"""Rows of evaluations, and how they are asked for."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pellucid.v1 import common_pb2, evaluation_pb2
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import ExampleFilter, ExampleOrder
from pellucid_server.rpc.codec.geometry import encode_category, encode_size
from pellucid_server.types import Size

ORDERS: Mapping[ExampleOrder, "evaluation_pb2.ExampleOrder.ValueType"] = MappingProxyType(
    {
        order: evaluation_pb2.ExampleOrder.Value(f"EXAMPLE_ORDER_{order.name}")
        for order in ExampleOrder
    }
)


def decode_filter(message: evaluation_pb2.ListExamplesRequest) -> ExampleFilter:
    """Which rows."""
    return ExampleFilter(
        erroneous=message.erroneous,
        annotated_label=message.annotated_label,
        predicted_label=message.predicted_label,
        min_confidence=message.min_confidence if message.HasField("min_confidence") else None,
        max_confidence=message.max_confidence if message.HasField("max_confidence") else None,
        min_rank=message.min_rank,
        bad_annotation=message.bad_annotation,
    )


def decode_order(value: int) -> ExampleOrder:
    """In which order; that of the data set where nothing is said."""
    if value == evaluation_pb2.EXAMPLE_ORDER_UNSPECIFIED:
        return ExampleOrder.DATASET
    for order, number in ORDERS.items():
        if number == value:
            return order
    allowed = ", ".join(evaluation_pb2.ExampleOrder.keys()[1:])
    raise InvalidInput(f"{value} is no order: use {allowed}", field="order")


def encode_example(
    row: Row, labels: Mapping[int, str], *, objects: bool = False
) -> evaluation_pb2.Example:
    """A row; `labels` names the classes of objects."""
    message = evaluation_pb2.Example(
        path=row.path,
        rank=row.rank,
        correct=row.correct,
        score=row.score,
        missed=row.missed,
        extra=row.extra,
        index=row.index,
        reason=row.reason,
        annotation_location=row.location,
        objects=_objects(row.detail, labels) if objects else (),
    )
    if row.predicted:
        message.predicted.CopyFrom(encode_category(row.predicted))
    if row.annotated:
        message.annotated.CopyFrom(encode_category(row.annotated))
    return message


def _objects(
    detail: Mapping[str, Any], labels: Mapping[int, str]
) -> Iterator[evaluation_pb2.ExampleObject]:
    boxes = detail.get("boxes", [])
    masks, size = detail.get("masks", [""] * len(boxes)), detail.get("size")
    for box, mask, class_id, score in zip(
        boxes, masks, detail.get("classes", []), detail.get("scores", []), strict=True
    ):
        x, y, width, height = box
        label = labels.get(class_id, "")
        yield evaluation_pb2.ExampleObject(
            category=common_pb2.Category(class_id=class_id, label=label, confidence=score),
            box=common_pb2.Box(x_min=x, y_min=y, x_max=x + width, y_max=y + height),
            mask_counts=mask,
            mask_size=encode_size(Size(*size)) if size else None,
        )
