"""Rows of evaluations: requests out of filters, rows out of responses."""

from typing import TypedDict

from pellucid._wire import common
from pellucid.errors import InvalidArgumentError
from pellucid.evaluations import Example, ExampleObject, RenderedExample
from pellucid.v1 import evaluation_pb2 as pb

ORDERS = ("dataset", "confidence", "rank", "score")


class ExampleFilters(TypedDict, total=False):
    """Keywords of `examples`."""

    erroneous: bool
    annotated: str
    predicted: str
    min_confidence: float | None
    max_confidence: float | None
    min_rank: int
    bad_annotations: bool
    order: str
    descending: bool
    page_size: int
    objects: bool


def examples_request(
    evaluation: str,
    *,
    erroneous: bool = False,
    annotated: str = "",
    predicted: str = "",
    min_confidence: float | None = None,
    max_confidence: float | None = None,
    min_rank: int = 0,
    bad_annotations: bool = False,
    order: str = "dataset",
    descending: bool = False,
    page_size: int = 0,
    objects: bool = False,
) -> pb.ListExamplesRequest:
    """The request for the first page of rows.

    Raises:
        InvalidArgumentError: an order that there is not; TypeError: a keyword.
    """
    if order not in ORDERS:
        raise InvalidArgumentError(f"no order {order!r}: {', '.join(ORDERS)}", field="order")
    return pb.ListExamplesRequest(
        evaluation=evaluation,
        erroneous=erroneous,
        annotated_label=annotated,
        predicted_label=predicted,
        min_confidence=min_confidence,
        max_confidence=max_confidence,
        min_rank=min_rank,
        bad_annotation=bad_annotations,
        order=pb.ExampleOrder.Value(f"EXAMPLE_ORDER_{order.upper()}"),
        descending=descending,
        page_size=page_size,
        objects=objects,
    )


def example(message: pb.Example) -> Example:
    """A row."""
    annotated = common.category(message.annotated) if message.HasField("annotated") else None
    score = message.score if message.HasField("score") else None
    return Example(
        index=message.index,
        path=message.path,
        predicted=common.category(message.predicted) if message.HasField("predicted") else None,
        annotated=annotated,
        rank=message.rank,
        correct=message.correct if message.HasField("correct") else None,
        score=score,
        missed=message.missed,
        extra=message.extra,
        reason=message.reason,
        location=message.annotation_location,
        objects=tuple(map(_object, message.objects)),
    )


def _object(message: pb.ExampleObject) -> ExampleObject:
    return ExampleObject(
        common.category(message.category),
        common.box(message.box),
        message.mask_counts,
        common.size(message.mask_size) if message.HasField("mask_size") else None,
    )


def rendered(response: pb.RenderExampleResponse) -> RenderedExample:
    """A row's picture."""
    return RenderedExample(response.picture, example(response.example))
