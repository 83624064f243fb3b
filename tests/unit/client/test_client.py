"""Both clients against a server that answers from a script."""

import io
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

import pellucid
from pellucid.v1 import common_pb2, explanation_pb2, inference_pb2, model_pb2

Make = Callable[..., Any]


def test_predict_gives_the_typed_result(client: Any, scripted: Any) -> None:
    result = client.predict(scripted.png(), model="lights")
    assert isinstance(result, pellucid.ClassificationResult)
    assert result.top == pellucid.Category(1, "cat", 0.75)
    assert (result.model, result.version, result.input_size) == ("lights", "1", (8, 6))


def test_a_sequence_of_images_goes_in_one_call(client: Any, fake: Any, scripted: Any) -> None:
    results = client.predict([scripted.png()] * 3, model="lights", version="2", raw_outputs=True)
    (request,) = fake.asked(inference_pb2.PredictRequest)
    assert len(results) == len(request.inputs) == 3
    assert (request.model_version, request.raw_outputs) == ("2", True)


def test_parameters_of_one_task_are_sent_without_asking(
    client: Any, fake: Any, scripted: Any
) -> None:
    client.predict(scripted.png(), model="lights", top_k=3)
    assert not fake.asked(model_pb2.GetModelRequest)
    assert fake.requests[-1].classification.top_k == 3


def test_the_task_is_asked_once_where_parameters_leave_it_open(
    client: Any, fake: Any, scripted: Any
) -> None:
    fake.tasks["boxes"] = "INSTANCE_SEGMENTATION"
    for _ in range(2):
        client.predict(scripted.png(), model="boxes", iou_threshold=0.5, labels="cat")
    assert len(fake.asked(model_pb2.GetModelRequest)) == 1
    detection = fake.requests[-1].instance_segmentation.detection
    assert detection.iou_threshold == 0.5
    assert list(detection.labels) == ["cat"]


def test_loading_a_model_forgets_its_task(client: Any, fake: Any, scripted: Any) -> None:
    fake.tasks["boxes"] = "DETECTION"
    client.predict(scripted.png(), model="boxes", iou_threshold=0.5)
    fake.tasks["boxes"] = "INSTANCE_SEGMENTATION"
    client.load_model("boxes")
    client.predict(scripted.png(), model="boxes", iou_threshold=0.5)
    assert fake.requests[-1].WhichOneof("parameters") == "instance_segmentation"


def test_a_parameter_of_another_task_names_what_the_model_takes(
    client: Any, fake: Any, scripted: Any
) -> None:
    fake.tasks["lights"] = "CLASSIFICATION"
    with pytest.raises(TypeError, match="lights does classification, which takes top_k"):
        client.predict(scripted.png(), model="lights", iou_threshold=0.5)


def test_an_unknown_parameter_names_the_nearest(client: Any, fake: Any, scripted: Any) -> None:
    with pytest.raises(TypeError, match="unknown parameter 'topk'; did you mean 'top_k'"):
        client.predict(scripted.png(), model="lights", topk=3)
    assert not fake.requests


def test_many_come_back_with_their_index_and_errors_of_their_own(
    client: Any, scripted: Any, tmp_path: Path
) -> None:
    images = [scripted.png(), tmp_path / "none.png", scripted.png(), object()]
    outcomes = list(client.predict_many(images, model="lights", ordered=True, in_flight=2))
    assert [each.index for each in outcomes] == [0, 1, 2, 3]
    assert [type(each.error) for each in outcomes] == [
        type(None),
        FileNotFoundError,
        type(None),
        TypeError,
    ]
    assert outcomes[2].result.top.label == "cat"
    assert outcomes[1].input == tmp_path / "none.png"
    with pytest.raises(FileNotFoundError):
        _ = outcomes[1].result


def test_many_carry_the_servers_errors(client: Any, fake: Any) -> None:
    def answers(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for each in requests:
            error = inference_pb2.StreamError(code=3, message="no image", field="inputs[0].image")
            yield inference_pb2.PredictStreamResponse(id=each.id, error=error)

    fake.stream = answers
    (outcome,) = client.predict_many([b"?"], model="lights")
    assert isinstance(outcome.error, pellucid.InvalidArgumentError)
    assert (outcome.error.message, outcome.error.field) == ("no image", "inputs[0].image")


def test_many_in_completion_order(client: Any, fake: Any, scripted: Any) -> None:
    """Answers to all but the first come back to front; in order they wait for each other."""

    def backwards(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        yield from islice(scripted.streamed(requests, context), 1)
        yield from scripted.streamed(reversed(list(islice(requests, 3))), context)

    fake.stream = backwards
    images = [scripted.png()] * 4
    assert [each.index for each in client.predict_many(images, model="lights")] == [0, 3, 2, 1]
    ordered = client.predict_many(images, model="lights", ordered=True)
    assert [each.index for each in ordered] == [0, 1, 2, 3]


def test_many_keep_no_more_than_asked_in_flight(client: Any, scripted: Any) -> None:
    taken: list[int] = []

    def images() -> Iterator[bytes]:
        for index in range(6):
            taken.append(index)
            yield scripted.png()

    outcomes = iter(client.predict_many(images(), model="lights", in_flight=2))
    seen = [(next(outcomes).index, len(taken)) for _ in range(6)]
    assert [index for index, _ in seen] == list(range(6))
    assert all(count <= done + 2 for done, (_, count) in enumerate(seen))


def test_many_end_with_the_streams_error(client: Any, fake: Any, scripted: Any) -> None:
    def refuses(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        next(requests)
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        yield

    fake.stream = refuses
    with pytest.raises(pellucid.UnauthenticatedError, match="who are you"):
        list(client.predict_many([scripted.png()], model="lights"))


def test_many_end_where_the_stream_breaks_midway(client: Any, fake: Any, scripted: Any) -> None:
    def breaks(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        yield from islice(scripted.streamed(requests, context), 1)
        context.abort(grpc.StatusCode.UNAVAILABLE, "going down")

    fake.stream = breaks
    with pytest.raises(pellucid.UnavailableError):
        list(client.predict_many([scripted.png()] * 20, model="lights"))


def test_many_to_nobody(make: Make, scripted: Any) -> None:
    with pytest.raises(pellucid.UnavailableError, match="no answer from"):
        list(make("127.0.0.1:1").predict_many([scripted.png()] * 9, model="lights"))


def test_many_end_at_their_timeout(make: Make, fake: Any, scripted: Any) -> None:
    gone = threading.Event()

    def hangs(_requests: Iterator[Any], context: Any) -> Iterator[Any]:
        context.add_callback(gone.set)
        gone.wait(20)
        yield from ()

    fake.stream = hangs
    with pytest.raises(pellucid.DeadlineExceededError):
        list(make().predict_many([scripted.png()] * 9, model="lights", timeout=0.2))


def test_many_need_room_for_one(client: Any) -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="in_flight is at least 1"):
        list(client.predict_many([], model="lights", in_flight=0))


def test_answers_for_another_number_of_inputs(client: Any, fake: Any, scripted: Any) -> None:
    fake.predict = lambda _request, _context: inference_pb2.PredictResponse()
    with pytest.raises(pellucid.InternalError, match="1 inputs were sent, 0 came back"):
        client.predict(scripted.png(), model="lights")


def test_errors_do_not_drag_grpcs_along(client: Any, fake: Any, scripted: Any) -> None:
    fake.predict = lambda _request, context: context.abort(grpc.StatusCode.NOT_FOUND, "none")
    with pytest.raises(pellucid.NotFoundError) as caught:
        client.predict(scripted.png(), model="lights")
    assert caught.value.__suppress_context__


def test_many_of_none(client: Any) -> None:
    assert list(client.predict_many([], model="lights")) == []


def test_many_that_end_early_are_an_error(client: Any, fake: Any, scripted: Any) -> None:
    fake.stream = lambda _requests, _context: iter(())
    with pytest.raises(pellucid.InternalError, match="before the last answer"):
        list(client.predict_many([scripted.png()], model="lights"))


def test_explain_sends_what_was_asked(client: Any, fake: Any, scripted: Any) -> None:
    cat = pellucid.Category(7, "cat", 0.5)
    client.explain(
        scripted.png(),
        model="lights",
        targets=["dog", 3, cat],
        top_k=2,
        overlay=pellucid.Overlay("magma", 0.5, legend=False, format="jpeg"),
        progress_interval=0.5,
        partial_maps=2,
        num_masks=np.int64(10),
        prob=0.5,
        fill="mean",
        flag=True,
    ).results()
    request = fake.requests[-1]
    assert [each.WhichOneof("kind") for each in request.targets] == [
        "label",
        "class_id",
        "class_id",
    ]
    assert [request.targets[0].label, request.targets[2].class_id] == ["dog", 7]
    assert (request.method, request.top_k) == ("rise", 2)
    assert request.parameters["num_masks"].int_value == 10
    assert request.parameters["prob"].double_value == 0.5
    assert request.parameters["fill"].string_value == "mean"
    assert request.parameters["flag"].bool_value is True
    assert request.progress.interval.ToMilliseconds() == 500
    assert request.progress.partial_map_interval.ToSeconds() == 2
    assert request.overlay == explanation_pb2.OverlayOptions(
        enabled=True,
        color_map="magma",
        opacity=0.5,
        without_legend=True,
        format=common_pb2.PICTURE_FORMAT_JPEG,
    )


def test_a_single_target_needs_no_list(client: Any, fake: Any, scripted: Any) -> None:
    client.explain(scripted.png(), model="lights", targets="dog").result()
    assert [each.label for each in fake.requests[-1].targets] == ["dog"]


BOX = pellucid.Box(1, 2, 3.5, 4)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (BOX, {"box": BOX}),
        (pellucid.Detection(BOX, pellucid.Category(7, "cat", 0.5)), {"class_id": 7, "box": BOX}),
        (pellucid.Target(detection=0), {"detection": 0}),
        (pellucid.Target(label="cat", box=(1, 2, 3.5, 4)), {"label": "cat", "box": BOX}),
    ],
)
def test_objects_and_places_are_targets(
    client: Any, fake: Any, scripted: Any, named: Any, expected: dict[str, Any]
) -> None:
    client.explain(scripted.png(), model="lights", targets=named).result()
    (sent,) = fake.requests[-1].targets
    found = {field.name: value for field, value in sent.ListFields() if field.name != "box"}
    if sent.HasField("detection"):
        found["detection"] = sent.detection
    if sent.HasField("box"):
        box = sent.box
        found["box"] = pellucid.Box(box.x_min, box.y_min, box.x_max, box.y_max)
    assert found == expected


@pytest.mark.parametrize(
    "named", [pellucid.Target(label="cat", class_id=1), pellucid.Target(box=(1, 2, 3))]
)
def test_targets_that_are_none_are_refused(client: Any, scripted: Any, named: Any) -> None:
    with pytest.raises(pellucid.InvalidArgumentError) as caught:
        client.explain(scripted.png(), model="lights", targets=named).result()
    assert caught.value.field == "targets"


def test_the_tasks_parameters_go_along(client: Any, fake: Any, scripted: Any) -> None:
    """Those of several tasks ask for the model's first."""
    fake.tasks["lights"] = "DETECTION"
    for given in ({"rectangles": [BOX]}, {"confidence_threshold": 0.25}):
        client.explain(scripted.png(), model="lights", task_parameters=given).result()
    filled, found = fake.asked(explanation_pb2.ExplainRequest)
    assert filled.inpainting.rectangles[0].x_max == 3.5
    assert found.WhichOneof("task_parameters") == "detection"
    assert found.detection.confidence_threshold == 0.25


@pytest.mark.parametrize(
    ("given", "message"), [({"rectangle": 1}, "rectangles"), ({"min_confidence": 0.5}, "take no")]
)
def test_parameters_that_no_explanation_takes_are_refused(
    client: Any, scripted: Any, given: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        client.explain(scripted.png(), model="lights", task_parameters=given).result()


def test_a_result_says_where_its_target_is(client: Any, fake: Any, scripted: Any) -> None:
    """And nothing where the target has no place."""

    def explain(request: Any, context: Any) -> Iterator[Any]:
        box = common_pb2.Box(x_min=1, y_min=2, x_max=3.5, y_max=4)
        for index, event in enumerate(scripted.explained(request, context)):
            if event.HasField("accepted"):
                event.accepted.boxes.extend([box, common_pb2.Box()])
            elif index == 3:
                event.results.explanations[0].box.CopyFrom(box)
            yield event

    plain = next(iter(client.explain(scripted.png(), model="lights")))
    assert plain.boxes == (None, None)
    fake.explain = explain
    accepted, *_, first, second = client.explain(scripted.png(), model="lights")
    assert accepted.boxes == (BOX, None)
    assert (first.box, second.box) == (BOX, None)
    assert "in Box(1, 2, 3.5, 4)" in repr(first)


def test_explain_streams_its_events(client: Any, scripted: Any) -> None:
    events = list(client.explain(scripted.png(), model="lights", num_masks=10))
    accepted, half, whole, first, second = events
    assert isinstance(accepted, pellucid.Accepted)
    assert (accepted.total, accepted.parameters) == (10, {"num_masks": 10})
    assert isinstance(half, pellucid.Progress)
    assert (half.fraction, half.elapsed, whole.fraction) == (0.5, 0.5, 1.0)
    assert [each.target.label for each in (first, second)] == ["cat", "dog"]
    assert half.partial_maps[1].values.shape == (2, 3)


def test_results_call_back_and_come_in_order(client: Any, scripted: Any) -> None:
    seen: list[int] = []
    stream = client.explain(scripted.png(), model="lights", overlay=True)
    first, second = stream.results(lambda progress: seen.append(progress.done))
    assert seen == [5, 10]
    assert (first.target.label, second.target.label) == ("cat", "dog")
    assert first.saliency_map.dtype == np.float32
    np.testing.assert_array_equal(first.saliency_map, [[0, 1, 2], [3, 4, 5]])
    assert first.overlay.size == (8, 6)
    assert first.region == (1, 0, 7, 6)


def test_an_explanation_without_result_is_an_error(client: Any, fake: Any, scripted: Any) -> None:
    fake.explain = lambda request, context: islice(scripted.explained(request, context), 2)
    with pytest.raises(pellucid.InternalError, match="without an explanation"):
        client.explain(scripted.png(), model="lights").result()


def endless(scripted: Any, ended: threading.Event) -> Callable[[Any, Any], Iterator[Any]]:
    def explain(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(ended.set)
        accepted = next(scripted.explained(request, context))
        yield accepted
        ended.wait(20)

    return explain


def test_cancelling_stops_the_servers_work(client: Any, fake: Any, scripted: Any) -> None:
    ended = threading.Event()
    fake.explain = endless(scripted, ended)
    stream = client.explain(scripted.png(), model="lights")
    assert isinstance(next(stream), pellucid.Accepted)
    stream.cancel()
    assert ended.wait(10)
    with pytest.raises(pellucid.CancelledError):
        next(stream)


def test_leaving_the_block_stops_the_servers_work(client: Any, fake: Any, scripted: Any) -> None:
    ended = threading.Event()
    fake.explain = endless(scripted, ended)
    with client.explain(scripted.png(), model="lights") as stream:
        next(stream)
    assert ended.wait(10)


def test_a_failing_callback_stops_the_servers_work(client: Any, fake: Any, scripted: Any) -> None:
    ended = threading.Event()

    def explain(request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(ended.set)
        yield from islice(scripted.explained(request, context), 2)
        ended.wait(20)

    def fails(_progress: pellucid.Progress) -> None:
        raise RuntimeError("enough")

    fake.explain = explain
    with pytest.raises(RuntimeError, match="enough"):
        client.explain(scripted.png(), model="lights").result(fails)
    assert ended.wait(10)


def test_models_are_described(client: Any, fake: Any) -> None:
    fake.tasks["styles"] = "STYLE_TRANSFER"
    lights, styles = client.models()
    assert (lights.name, lights.task, styles.task) == (
        "lights",
        pellucid.Task.CLASSIFICATION,
        pellucid.Task.STYLE_TRANSFER,
    )
    broken, served = client.model("lights").versions
    assert (broken.state, broken.reason) == ("failed", "the file is cut short")
    assert served.inputs == (pellucid.TensorInfo("x", "FP32", (1, 3, -1, -1)),)
    assert served.layers == (pellucid.Layer("features", "Relu", (1, 8), True),)
    assert served.load_time is not None
    assert served.load_time.timestamp() == 1_700_000_000
    assert lights.ready


def test_models_of_one_task(client: Any, fake: Any) -> None:
    client.models("detection")
    assert fake.requests[-1].task == common_pb2.TASK_DETECTION
    with pytest.raises(pellucid.InvalidArgumentError, match="no task 'detecting'"):
        client.models("detecting")


def test_models_are_loaded_and_unloaded(client: Any, fake: Any) -> None:
    client.load_model("lights", "2")
    client.unload_model("lights")
    load, unload = fake.requests
    assert (load.model_version, unload.model_version) == ("2", "")


def test_methods_are_described(client: Any, fake: Any) -> None:
    (method,) = client.methods("lights")
    assert method.defaults == {"num_masks": 5000}
    assert (method.parameters[0].minimum, method.parameters[0].maximum) == (1, None)
    assert (method.tasks, method.models) == ((pellucid.Task.CLASSIFICATION,), ("lights",))
    assert fake.requests[-1].model_name == "lights"


def test_health_tells_the_states(client: Any, fake: Any) -> None:
    assert client.health("some.service") is pellucid.Health.SERVING
    assert fake.requests[-1].service == "some.service"
    assert client.server_ready()
    fake.serving = 2
    assert client.health() is pellucid.Health.NOT_SERVING
    assert not client.server_ready()


def test_nobody_at_the_target(make: Make, scripted: Any) -> None:
    client = make("127.0.0.1:1", retries=0)
    assert not client.server_ready()
    with pytest.raises(pellucid.UnavailableError, match=r"no answer from 127\.0\.0\.1:1"):
        client.predict(scripted.png(), model="lights")


def test_tensors_and_uris_go_as_they_are(client: Any, fake: Any) -> None:
    client.predict({"x": np.zeros((1, 2), np.float32)}, model="lights")
    assert fake.requests[-1].inputs[0].tensors.tensors[0].name == "x"
    client.predict(pellucid.Uri("cats/1.png"), model="lights")
    assert fake.requests[-1].inputs[0].uri == "cats/1.png"


def test_results_of_every_task(client: Any, fake: Any, scripted: Any) -> None:
    """A message of each kind, read back against what was put in."""
    category, box = scripted.category(), common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)
    size = common_pb2.ImageSize(width=8, height=6)
    label_map = io.BytesIO()
    Image.fromarray(np.full((6, 8), 1, np.uint8)).save(label_map, "PNG")
    picture = common_pb2.Picture(data=label_map.getvalue(), media_type="image/png", size=size)
    mask_png = io.BytesIO()
    Image.fromarray(np.full((6, 8), 255, np.uint8)).save(mask_png, "PNG")
    mask = common_pb2.BinaryMask(size=size, png=mask_png.getvalue())
    area = inference_pb2.ClassArea(category=category, pixels=48, share=1, color=0x102030)
    predictions = [
        inference_pb2.Prediction(
            detection=inference_pb2.DetectionResult(
                detections=[inference_pb2.Detection(box=box, category=category)]
            )
        ),
        inference_pb2.Prediction(
            instance_segmentation=inference_pb2.InstanceSegmentationResult(
                instances=[inference_pb2.Instance(box=box, category=category, mask=mask)]
            )
        ),
        inference_pb2.Prediction(
            semantic_segmentation=inference_pb2.SemanticSegmentationResult(
                label_map=picture, areas=[area]
            )
        ),
        inference_pb2.Prediction(image=inference_pb2.ImageResult(picture=picture)),
        inference_pb2.Prediction(regression=inference_pb2.RegressionResult(values=[0.1, 2])),
        inference_pb2.Prediction(
            raw_outputs=[
                common_pb2.Tensor(
                    name="y", datatype="FP32", shape=[1], data=np.float32(2).tobytes()
                )
            ]
        ),
    ]
    fake.predict = lambda _request, _context: inference_pb2.PredictResponse(
        model_name="lights", predictions=predictions
    )
    detected, instances, semantic, image, numbers, raw = client.predict(
        [scripted.png()] * 6, model="lights"
    )
    assert detected.detections == (
        pellucid.Detection(pellucid.Box(1, 2, 3, 4), detected.detections[0].category),
    )
    assert instances.instances[0].mask.all()
    assert instances.instances[0].pixels == 48
    assert (semantic.label_map == 1).all()
    assert semantic.areas[0].color == (0x10, 0x20, 0x30)
    assert np.asarray(image).shape == (6, 8)
    assert numbers.values == (0.1, 2.0)
    assert raw["y"].tolist() == [2.0]
