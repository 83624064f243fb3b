"""Both clients' calls about evaluations, against a server that answers from a script."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import grpc
import pytest

import pellucid
from pellucid._transport import patience
from pellucid.v1 import evaluation_pb2, model_pb2

Make = Callable[..., Any]
Request = evaluation_pb2.EvaluateDatasetRequest


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits here."""
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(patience, "LONGEST_DELAY", 0.01)


def test_every_setting_is_sent_and_comes_back_as_understood(client: Any, evaluations: Any) -> None:
    stream = client.evaluate(
        "sets/val",
        model="lights",
        version="3",
        format="coco",
        subset=pellucid.Subset(10, random=True, seed=7, per_class=True),
        metrics=["top_1", "ece"],
        label_map={"kitty": "cat"},
        strict=True,
        threshold=0.25,
        batch=4,
        preprocess=pellucid.Preprocess("crop", "BGR", (1, 2, 3), (4, 5, 6)),
        parameters={"bins": 10, "header": True, "delimiter": ";"},
        cancel_on_disconnect=True,
        progress_interval=1.5,
    )
    settings = stream.accepted().settings
    (request,) = evaluations.asked(Request)
    assert (settings.model, settings.version, settings.dataset) == ("lights", "3", "sets/val")
    assert settings.subset == pellucid.Subset(10, random=True, seed=7, per_class=True)
    assert settings.metrics == ("top_1", "ece")
    assert settings.label_map == {"kitty": "cat"}
    assert (settings.strict, settings.threshold, settings.batch) == (True, 0.25, 4)
    assert settings.preprocess == pellucid.Preprocess("crop", "BGR", (1, 2, 3), (4, 5, 6))
    assert settings.parameters == {"bins": "10", "header": "true", "delimiter": ";"}
    assert request.cancel_on_disconnect
    assert request.progress_interval.ToMilliseconds() == 1500
    stream.close()


def test_what_is_not_given_is_not_set(client: Any, evaluations: Any) -> None:
    client.evaluate("sets/val", model="lights").result()
    (request,) = evaluations.asked(Request)
    assert request == Request(model_name="lights", dataset="sets/val")


def test_a_number_is_a_subset_and_a_text_one_metric(client: Any, evaluations: Any) -> None:
    client.evaluate("sets/val", model="lights", subset=5, metrics="ece").result()
    (request,) = evaluations.asked(Request)
    assert (request.subset.size, list(request.metrics)) == (5, ["ece"])


def test_an_unknown_keyword_is_a_type_error(client: Any) -> None:
    with pytest.raises(TypeError, match="subst"):
        client.evaluate("sets/val", model="lights", subst=5).result()


def test_events_come_in_their_order_and_the_report_last(client: Any) -> None:
    events = list(client.evaluate("sets/val", model="lights"))
    assert [type(each) for each in events] == [
        pellucid.Evaluation,
        pellucid.EvaluationProgress,
        pellucid.EvaluationProgress,
        pellucid.EvaluationReport,
    ]
    first, half, _, report = events
    assert (first.name, first.model, first.version, first.precision) == (
        "ev-1",
        "lights",
        "3",
        "f32",
    )
    assert first.task is pellucid.Task.CLASSIFICATION
    assert (half.fraction, half.elapsed, half.remaining) == (0.5, 1, 2)
    assert report["top_1"] == 0.875
    assert report.name(1) == "dog"
    assert report.name(-1) == "nothing"
    assert report.curves[0].counts == (10, 20, 68)
    with pytest.raises(KeyError, match="top_9"):
        report["top_9"]


def test_waiting_for_what_is_accepted_loses_no_event(client: Any) -> None:
    stream = client.evaluate("sets/val", model="lights")
    assert stream.accepted().name == "ev-1"
    assert [type(each).__name__ for each in stream][:2] == ["Evaluation", "EvaluationProgress"]


def test_the_result_is_the_report_and_progress_is_called_back(client: Any) -> None:
    seen: list[int] = []
    report = client.evaluate("sets/val", model="lights").result(
        lambda progress: seen.append(progress.done)
    )
    assert isinstance(report, pellucid.EvaluationReport)
    assert seen == [50, 100]


def breaking(after: int) -> Callable[[Any, Any], Iterator[Any]]:
    def events(request: Any, context: Any) -> Iterator[Any]:
        events_of = evaluation_pb2.EvaluateDatasetResponse
        evaluation = evaluation_pb2.Evaluation(name="ev-1", request=request)
        yield from islice(
            [
                events_of(accepted=evaluation),
                events_of(progress=evaluation_pb2.EvaluationProgress(done=1, total=2)),
            ],
            after,
        )
        context.abort(grpc.StatusCode.UNAVAILABLE, "going down")

    return events


def test_a_stream_that_breaks_is_joined_again(client: Any, evaluations: Any) -> None:
    """The server says once more what it accepted; the caller hears it once."""
    evaluations.evaluate = breaking(2)
    evaluations.state = "RUNNING"
    events = list(client.evaluate("sets/val", model="lights"))
    names = [type(each).__name__.removeprefix("Evaluation") for each in events]
    assert names == ["", "Progress", "Progress", "Progress", "Report"]
    assert len(evaluations.asked(Request)) == 1
    (watched,) = evaluations.asked(evaluation_pb2.WatchEvaluationRequest)
    assert watched.evaluation == "ev-1"


def test_a_report_that_was_made_meanwhile_is_fetched(client: Any, evaluations: Any) -> None:
    evaluations.evaluate = breaking(1)
    assert client.evaluate("sets/val", model="lights").result()["top_1"] == 0.875
    assert not evaluations.asked(evaluation_pb2.WatchEvaluationRequest)


def test_without_retries_a_stream_that_breaks_is_an_error(make: Make, evaluations: Any) -> None:
    evaluations.evaluate = breaking(2)
    with pytest.raises(pellucid.UnavailableError, match="going down"):
        make(retries=0).evaluate("sets/val", model="lights").result()


def test_an_evaluation_that_was_never_accepted_is_not_begun_twice(
    client: Any, evaluations: Any
) -> None:
    evaluations.evaluate = breaking(0)
    with pytest.raises(pellucid.UnavailableError):
        client.evaluate("sets/val", model="lights").result()
    assert len(evaluations.asked(Request)) == 1


def test_a_server_that_stays_away_is_given_up(
    client: Any, evaluations: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.05)
    evaluations.evaluate = breaking(1)
    evaluations.state = "RUNNING"
    evaluations.watch = breaking(0)
    with pytest.raises(pellucid.UnavailableError):
        client.evaluate("sets/val", model="lights").result()


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ("FAILED", pellucid.FailedPreconditionError, "ev-1 failed: the disk is full"),
        ("CANCELLED", pellucid.CancelledError, "ev-1 was cancelled"),
    ],
)
def test_an_end_without_a_report_says_why(
    client: Any, evaluations: Any, state: str, error: type[Exception], message: str
) -> None:
    evaluations.evaluate = lambda request, _context: islice(breaking(1)(request, None), 1)
    evaluations.state, evaluations.reason = state, "the disk is full"
    with pytest.raises(error, match=message):
        client.evaluate("sets/val", model="lights").result()


def test_a_refusal_is_the_servers_error(client: Any, evaluations: Any) -> None:
    evaluations.evaluate = lambda _request, context: context.abort(
        grpc.StatusCode.INVALID_ARGUMENT, "the set is empty"
    )
    with pytest.raises(pellucid.InvalidArgumentError, match="the set is empty"):
        client.evaluate("sets/val", model="lights").result()


def test_hanging_up_does_not_cancel_the_evaluation(client: Any, evaluations: Any) -> None:
    gone = threading.Event()

    def events(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(gone.set)
        yield from islice(breaking(1)(request, None), 1)
        gone.wait(20)

    evaluations.evaluate = events
    with client.evaluate("sets/val", model="lights") as stream:
        assert isinstance(next(stream), pellucid.Evaluation)
    assert gone.wait(10)
    assert not evaluations.asked(evaluation_pb2.CancelEvaluationRequest)


def test_cancelling_stops_the_evaluation(client: Any, evaluations: Any) -> None:
    cancelled = threading.Event()

    def events(request: Any, _context: Any) -> Iterator[Any]:
        yield from islice(breaking(1)(request, None), 1)
        cancelled.wait(20)

    evaluations.evaluate = events
    stream = client.evaluate("sets/val", model="lights")
    assert stream.cancel().state is pellucid.EvaluationState.CANCELLED
    cancelled.set()
    with pytest.raises(pellucid.CancelledError, match="ev-1 was cancelled"):
        stream.result()


def test_watching_gives_the_same_events(client: Any, evaluations: Any) -> None:
    report = client.watch_evaluation("ev-1").result()
    assert report["top_1"] == 0.875
    assert evaluations.requests[-1].evaluation == "ev-1"


def test_what_failed_goes_on_where_it_is_asked_to(client: Any, evaluations: Any) -> None:
    client.watch_evaluation("ev-1", resume=True).result()
    (request,) = evaluations.asked(evaluation_pb2.WatchEvaluationRequest)
    assert request.resume


def test_objects_come_where_they_are_asked_for(
    client: Any, evaluations: Any, rows_of_objects: Any
) -> None:
    evaluations.rows = rows_of_objects
    (row, empty) = client.examples("ev-1", objects=True)
    assert evaluations.asked(evaluation_pb2.ListExamplesRequest)[0].objects
    assert row.objects[0].category.label == "dog"
    assert row.objects[0].box == (1, 0, 3, 2)
    assert (row.objects[0].mask, row.objects[0].mask_size) == ("31225", (4, 3))
    assert empty.objects == ()


def test_evaluations_are_listed_page_by_page(client: Any, evaluations: Any) -> None:
    found = list(client.evaluations(model="lights", state="succeeded"))
    assert [each.name for each in found] == ["ev-1", "ev-2"]
    first, second = evaluations.asked(evaluation_pb2.ListEvaluationsRequest)
    assert (first.model_name, first.state, first.page_token) == ("lights", 3, "")
    assert second.page_token == "more"  # noqa: S105 - a place in a list


def test_a_state_that_there_is_not(client: Any) -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="pending, running") as caught:
        list(client.evaluations(state="asleep"))
    assert caught.value.field == "state"


def test_an_evaluation_with_its_report(client: Any) -> None:
    found = client.evaluation("ev-1")
    assert (found.state, found.seconds) == (pellucid.EvaluationState.SUCCEEDED, 90)
    assert found.create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found.report["ece"] == 0.042
    with pytest.raises(pellucid.NotFoundError, match="no evaluation 'ev-9'"):
        client.evaluation("ev-9")


def test_examples_are_paged(client: Any, evaluations: Any) -> None:
    found = list(client.examples("ev-1"))
    assert [each.index for each in found] == list(range(98))
    assert len(evaluations.asked(evaluation_pb2.ListExamplesRequest)) == 3
    assert (found[7].correct, found[7].rank, found[7].location) == (False, 2, "val.txt:8")
    assert found[8].annotated.label == "cat"


def test_filters_of_examples_are_sent(client: Any, evaluations: Any) -> None:
    filters = {
        "erroneous": True,
        "annotated": "cat",
        "predicted": "dog",
        "min_confidence": 0.0,
        "max_confidence": 0.5,
        "min_rank": 2,
        "order": "score",
        "descending": True,
        "page_size": 7,
    }
    next(iter(client.examples("ev-1", **filters)))
    (request,) = evaluations.asked(evaluation_pb2.ListExamplesRequest)
    assert (request.annotated_label, request.predicted_label) == ("cat", "dog")
    assert request.HasField("min_confidence")
    assert (request.min_confidence, request.max_confidence, request.min_rank) == (0, 0.5, 2)
    assert (request.erroneous, request.descending, request.page_size) == (True, True, 7)
    assert request.order == evaluation_pb2.EXAMPLE_ORDER_SCORE
    with pytest.raises(pellucid.InvalidArgumentError, match="dataset, confidence, rank, score"):
        list(client.examples("ev-1", order="name"))


def test_a_bad_annotation_has_a_reason_and_is_neither_right_nor_wrong(client: Any) -> None:
    bad = list(client.examples("ev-1", bad_annotations=True))
    assert len(bad) == 2
    assert (bad[0].correct, bad[0].predicted, bad[0].score) == (None, None, None)
    assert "zebra" in bad[0].reason


def test_a_row_is_drawn(client: Any, evaluations: Any) -> None:
    found = client.render_example("ev-1", 3, max_side=64, explanation=True)
    assert found.image.size == (32, 24)
    assert found.example.index == 3
    (request,) = evaluations.asked(evaluation_pb2.RenderExampleRequest)
    assert (request.max_side, request.annotation, request.explanation) == (64, True, True)


def test_an_evaluation_is_deleted(client: Any, evaluations: Any) -> None:
    client.delete_evaluation("ev-1")
    assert evaluations.requests[-1].evaluation == "ev-1"


def test_a_comparison_is_typed(client: Any, evaluations: Any) -> None:
    found = client.compare_evaluations("ev-1", "ev-2", explained_images=3, resamples=9, flips=8)
    (request,) = evaluations.asked(evaluation_pb2.CompareEvaluationsRequest)
    assert (request.explained_images, request.resamples, request.flips) == (3, 9, 8)
    assert found["top_1"].significant
    assert (found["map"].low, found["map"].significant) == (None, False)
    assert (found.speedup, found.size_ratio) == (2, 0.25)
    assert found.map_correlation == pytest.approx((0.99 + 0.9 + 0.5) / 3)
    assert [each.change for each in found.flips] == ["became wrong", "changed"]
    assert found.flips[1].baseline is None
    assert (found.only_baseline, found.only_candidate, found.changed_images) == (2, 0, 4)
    assert not found.confidence_shift.significant


def test_an_optimisation_streams_and_ends_with_the_new_version(client: Any) -> None:
    seen: list[str] = []
    version = client.optimize("lights", dataset="sets/val", preset="mixed").result(
        lambda progress: seen.append(f"{progress.stage} {progress.fraction}")
    )
    assert seen == ["calibrate 0.5", "calibrate 1.0"]
    assert (version.version, version.precision, version.size_bytes) == ("4", "int8", 5_000_000)
    assert (version.lineage.parent_version, version.lineage.optimization) == ("3", "int8")
    assert version.lineage.settings == {"preset": "mixed"}


def test_what_an_optimisation_asks_for(client: Any, evaluations: Any) -> None:
    asked: list[Any] = []

    def optimize(request: Any, context: Any) -> Iterator[Any]:
        asked.append(request)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too small")
        yield

    evaluations.optimize = optimize
    stream = client.optimize(
        "lights",
        dataset="s",
        version="3",
        format="coco",
        max_accuracy_drop=0.01,
        calibration_size=30,
        model_type="transformer",
        ignored_names=["a"],
        ignored_types=["MatMul"],
    )
    with pytest.raises(pellucid.InvalidArgumentError, match="too small"):
        stream.result()
    with pytest.raises(pellucid.InvalidArgumentError, match="int8 or fp16"):
        client.optimize("lights", kind="int4").result()
    assert asked[0] == model_pb2.OptimizeModelRequest(
        model_name="lights",
        model_version="3",
        optimization=model_pb2.OPTIMIZATION_INT8,
        dataset="s",
        dataset_format="coco",
        max_accuracy_drop=0.01,
        calibration_size=30,
        model_type="transformer",
        ignored_names=["a"],
        ignored_types=["MatMul"],
    )


def test_closing_an_optimisation_stops_it(client: Any, evaluations: Any) -> None:
    gone = threading.Event()

    def optimize(_request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(gone.set)
        yield model_pb2.OptimizeModelResponse(
            progress=model_pb2.OptimizeProgress(stage="calibrate")
        )
        gone.wait(20)

    evaluations.optimize = optimize
    with client.optimize("lights", dataset="s") as stream:
        next(stream)
    assert gone.wait(10)
