"""Evaluations in the contract's words, there and back."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from pellucid.v1 import common_pb2
from pellucid.v1 import evaluation_pb2 as messages
from pellucid_server.engine.evaluation.request import (
    EvaluationRequest,
    Finished,
    PreprocessOverride,
    Progress,
)
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.report import (
    ClassReport,
    Confusion,
    Curve,
    Metric,
    Report,
    Row,
)
from pellucid_server.evaluate.row_json import report_to_json
from pellucid_server.evaluate.store import Evaluation, ExampleFilter, ExampleOrder, State
from pellucid_server.evaluate.subset import Subset
from pellucid_server.rpc.codec.evaluations import (
    EVALUATION_STATES,
    decode_evaluation,
    decode_state,
    encode_evaluation,
    encode_event,
    encode_report,
    encode_stored_report,
)
from pellucid_server.rpc.codec.examples import (
    ORDERS,
    decode_filter,
    decode_order,
    encode_example,
)
from pellucid_server.types import Category

REQUEST = EvaluationRequest(
    "net",
    "photos",
    model_version="3",
    dataset_format="voc",
    subset=Subset(5, random=True, seed=-7, per_class=True),
    metrics=("map_50",),
    label_map={"Katze": "cat"},
    strict=True,
    cancel_on_disconnect=True,
    parameters={"split": "val"},
    threshold=0.25,
    preprocess=PreprocessOverride("crop", "BGR", (1.0, 2.0, 3.0), (4.0,)),
    batch=4,
    progress_interval=1.5,
)
EVALUATION = Evaluation(
    request=REQUEST.to_json(),
    model_name="net",
    model_version="3",
    task="detection",
    precision="f32",
    total=10,
    name="evaluations/X",
    state=State.FAILED,
    reason="the disk is full",
    created=1_000_000.25,
    ended=1_000_001.5,
    done=4,
    dataset_digest="ab",
)
REPORT = Report(
    metrics=(Metric("map_50", 0.5), Metric("psnr", 30.5, "dB")),
    classes=(ClassReport(Category(1, "dog", 0.75), 0.5, 0.25, 0.125, 8, (Metric("ap", 0.375),)),),
    confusions=(Confusion(-1, 1, 3),),
    curves=(Curve("scores", "wrong", (0.0, 0.5), (1.0, 2.0), (3, 4)),),
    images=9,
    bad_annotations=1,
    images_per_second=12.5,
)


def test_a_request_comes_back_as_it_went() -> None:
    """Every field of it: what is encoded of a stored request is decoded to the same."""
    told = encode_evaluation(EVALUATION).request
    assert decode_evaluation(told) == REQUEST
    assert {field.name for field, _ in told.ListFields()} == {
        field.name for field in messages.EvaluateDatasetRequest.DESCRIPTOR.fields
    }


def test_what_is_left_out_takes_its_default() -> None:
    message = messages.EvaluateDatasetRequest(model_name="net", dataset="photos")
    assert decode_evaluation(message) == EvaluationRequest("net", "photos")


@pytest.mark.parametrize("threshold", [None, 0.0])
def test_a_threshold_of_zero_is_one(threshold: float | None) -> None:
    message = messages.EvaluateDatasetRequest(threshold=threshold)
    assert decode_evaluation(message).threshold == threshold


def test_progress_may_be_asked_for_at_every_image() -> None:
    message = messages.EvaluateDatasetRequest(progress_interval=Duration())
    assert decode_evaluation(message).progress_interval == 0.0


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (messages.EvaluateDatasetRequest(subset=messages.Subset(size=-1)), "subset.size"),
        (
            messages.EvaluateDatasetRequest(progress_interval=Duration(seconds=-1)),
            "progress_interval",
        ),
    ],
)
def test_what_is_negative_is_refused(message: messages.EvaluateDatasetRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_evaluation(message)
    assert caught.value.field == field


def test_an_evaluation_is_told_with_all_that_is_known() -> None:
    told = encode_evaluation(EVALUATION)
    assert (told.name, told.reason, told.total, told.done) == (
        "evaluations/X", "the disk is full", 10, 4,
    )  # fmt: skip
    assert told.state == messages.EVALUATION_STATE_FAILED
    assert told.task == common_pb2.TASK_DETECTION
    assert (told.model_version, told.precision, told.dataset_digest) == ("3", "f32", "ab")
    assert (told.create_time.seconds, told.create_time.nanos) == (1_000_000, 250_000_000)
    assert (told.end_time.seconds, told.end_time.nanos) == (1_000_001, 500_000_000)


def test_one_that_runs_has_no_end_and_one_that_is_not_counted_no_total() -> None:
    told = encode_evaluation(replace(EVALUATION, ended=None, total=None))
    assert not told.HasField("end_time")
    assert told.total == 0


def test_every_state_and_order_of_the_contract_has_one_of_the_domain() -> None:
    assert sorted(EVALUATION_STATES.values()) == sorted(messages.EvaluationState.values())[1:]
    assert sorted(ORDERS.values()) == sorted(messages.ExampleOrder.values())[1:]
    for state, number in EVALUATION_STATES.items():
        assert decode_state(number) is state
    for order, place in ORDERS.items():
        assert decode_order(place) is order


def test_nothing_said_means_all_states_and_the_order_of_the_set() -> None:
    assert decode_state(0) is None
    assert decode_order(0) is ExampleOrder.DATASET


@pytest.mark.parametrize(
    ("decode", "field", "known"),
    [
        (decode_state, "state", "EVALUATION_STATE_RUNNING"),
        (decode_order, "order", "EXAMPLE_ORDER_SCORE"),
    ],
)
def test_an_unknown_number_names_the_known_ones(decode: Any, field: str, known: str) -> None:
    with pytest.raises(InvalidInput, match=known) as caught:
        decode(77)
    assert caught.value.field == field


def test_a_report_is_told_whole() -> None:
    told = encode_report(REPORT)
    assert [(each.name, each.value, each.unit) for each in told.metrics] == [
        ("map_50", 0.5, ""), ("psnr", 30.5, "dB"),
    ]  # fmt: skip
    (of_class,) = told.classes
    assert (of_class.category.class_id, of_class.category.label) == (1, "dog")
    assert (of_class.precision, of_class.recall, of_class.f1, of_class.support) == (
        0.5, 0.25, 0.125, 8,
    )  # fmt: skip
    assert of_class.metrics[0].value == 0.375
    (confusion,) = told.confusions
    assert (confusion.annotated_class_id, confusion.predicted_class_id, confusion.count) == (
        -1, 1, 3,
    )  # fmt: skip
    (curve,) = told.curves
    assert (curve.name, curve.label) == ("scores", "wrong")
    assert (list(curve.x), list(curve.y), list(curve.counts)) == ([0.0, 0.5], [1.0, 2.0], [3, 4])
    assert (told.images, told.bad_annotations, told.images_per_second) == (9, 1, 12.5)


def test_a_stored_report_is_the_same() -> None:
    assert encode_stored_report(EVALUATION) is None
    stored = replace(EVALUATION, report=report_to_json(REPORT))
    assert encode_stored_report(stored) == encode_report(REPORT)


def test_each_event_has_its_field() -> None:
    progress = Progress(3, 10, 1.5, math.inf, 2.0, (Metric("top_1", 0.5),))
    assert encode_event(EVALUATION) == {"accepted": encode_evaluation(EVALUATION)}
    assert encode_event(Finished(EVALUATION, REPORT)) == {"report": encode_report(REPORT)}
    told = encode_event(progress)["progress"]
    assert (told.done, told.total, told.images_per_second) == (3, 10, 2.0)
    assert told.elapsed == Duration(seconds=1, nanos=500_000_000)
    assert not told.HasField("remaining")
    assert told.metrics[0].name == "top_1"


def test_a_request_of_an_older_version_is_still_read() -> None:
    """What the store has of it may lack what came later."""
    stored = json.loads(REQUEST.to_json())
    del stored["progress_interval"]
    told = encode_evaluation(replace(EVALUATION, request=json.dumps(stored)))
    assert told.request.progress_interval.nanos == 250_000_000


def test_a_filter_is_told_apart_from_none() -> None:
    request = messages.ListExamplesRequest
    assert decode_filter(request()) == ExampleFilter()
    every = request(
        erroneous=True, annotated_label="cat", predicted_label="dog", min_confidence=0.0,
        max_confidence=0.5, min_rank=2, bad_annotation=True,
    )  # fmt: skip
    assert decode_filter(every) == ExampleFilter(
        erroneous=True, annotated_label="cat", predicted_label="dog", min_confidence=0.0,
        max_confidence=0.5, min_rank=2, bad_annotation=True,
    )  # fmt: skip


ROW = Row(
    7,
    "a/1.jpg",
    location="val.txt:8",
    predicted=Category(1, "dog", 0.75),
    annotated=Category(0, "cat", 0.25),
    rank=2,
    correct=False,
    score=0.0,
    missed=1,
    extra=2,
    reason="odd",
)


def test_a_row_is_told_whole() -> None:
    told = encode_example(ROW, {})
    assert (told.index, told.path, told.annotation_location) == (7, "a/1.jpg", "val.txt:8")
    assert (told.predicted.label, told.annotated.label, told.rank) == ("dog", "cat", 2)
    assert (told.correct, told.missed, told.extra, told.reason) == (False, 1, 2, "odd")
    assert told.HasField("score")
    assert told.score == 0


def test_what_a_row_lacks_is_not_told() -> None:
    told = encode_example(Row(0, "a.png"), {})
    for field in ("predicted", "annotated", "score"):
        assert not told.HasField(field)


def test_objects_are_told_where_asked_for_as_corners_with_names() -> None:
    """Stored as COCO has them: x, y, width, height."""
    detail = {"boxes": [[1, 2, 10, 20]], "classes": [1], "scores": [0.5]}
    row = replace(ROW, detail=detail)
    assert list(encode_example(row, {1: "dog"}).objects) == []
    (found,) = encode_example(row, {1: "dog"}, objects=True).objects
    assert (found.category.label, found.category.confidence) == ("dog", 0.5)
    box = found.box
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (1, 2, 11, 22)
    assert (found.mask_counts, found.HasField("mask_size")) == ("", False)
    masks = {**detail, "masks": ["abc"], "size": [480, 640]}
    (instance,) = encode_example(replace(row, detail=masks), {}, objects=True).objects
    assert (instance.category.label, instance.mask_counts) == ("", "abc")
    assert (instance.mask_size.height, instance.mask_size.width) == (480, 640)
