"""Each wrong request gets a status, the field's name and what to do; the server goes on."""

import io
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

import pellucid
from pellucid.v1 import common_pb2, explanation_pb2, inference_pb2, model_pb2
from pellucid.v1.explanation_pb2_grpc import ExplanationServiceStub
from pellucid.v1.inference_pb2_grpc import InferenceServiceStub
from pellucid.v1.model_pb2_grpc import ModelServiceStub

ROOT = Path(__file__).resolve().parents[2]
PHOTO = (ROOT / "samples" / "coffee.png").read_bytes()
JPEG = (ROOT / "samples" / "rocket.jpg").read_bytes()
Code = grpc.StatusCode
CLASSIFIER = "efficientnet-lite0"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and has almost no data: a bomb where it is believed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def image(data: bytes) -> common_pb2.Input:
    return common_pb2.Input(image=data)


def uri(value: str) -> common_pb2.Input:
    return common_pb2.Input(uri=value)


def tensor(**changes: Any) -> common_pb2.Input:
    values = {
        "name": "image",
        "datatype": "FP32",
        "shape": [1, 3, 224, 224],
        "data": bytes(4 * 3 * 224 * 224),
        **changes,
    }
    return common_pb2.Input(tensors=common_pb2.TensorList(tensors=[common_pb2.Tensor(**values)]))


def predict(source: common_pb2.Input | None = None, **changes: Any) -> inference_pb2.PredictRequest:
    values = {"model_name": CLASSIFIER, "inputs": [source or image(PHOTO)], **changes}
    return inference_pb2.PredictRequest(**values)


def explain(**changes: Any) -> explanation_pb2.ExplainRequest:
    values = {"model_name": CLASSIFIER, "input": image(PHOTO), **changes}
    return explanation_pb2.ExplainRequest(**values)


def number(value: float) -> common_pb2.ParameterValue:
    return common_pb2.ParameterValue(double_value=value)


def whole(value: int) -> common_pb2.ParameterValue:
    return common_pb2.ParameterValue(int_value=value)


NAN = np.full((1, 3, 224, 224), np.nan, np.float32).tobytes()
DETECTION = inference_pb2.DetectionParameters
HOLE = common_pb2.Box(x_min=5, y_min=5, x_max=900, y_max=20)

PREDICTIONS: dict[str, tuple[inference_pb2.PredictRequest, Code, str, str]] = {
    "not an image": (predict(image(b"hello")), Code.INVALID_ARGUMENT, "inputs[0].image", "JPEG"),
    "empty": (predict(image(b"")), Code.INVALID_ARGUMENT, "inputs[0].image", "empty"),
    "truncated PNG": (
        predict(image(PHOTO[:5000])), Code.INVALID_ARGUMENT, "inputs[0].image", "truncated"),
    "truncated JPEG": (
        predict(image(JPEG[:9000])), Code.INVALID_ARGUMENT, "inputs[0].image", "truncated"),
    "0x0": (predict(image(png_header(0, 0))), Code.INVALID_ARGUMENT, "inputs[0].image", ""),
    "a bomb": (
        predict(image(png_header(60_000, 60_000))),
        Code.INVALID_ARGUMENT, "inputs[0].image", "limits.image_pixels"),
    "no source": (
        predict(common_pb2.Input()), Code.INVALID_ARGUMENT, "inputs[0]", "image"),
    "no inputs": (
        inference_pb2.PredictRequest(model_name=CLASSIFIER),
        Code.INVALID_ARGUMENT, "inputs", "1 to 64"),
    "too many inputs": (
        inference_pb2.PredictRequest(model_name=CLASSIFIER, inputs=[image(b"x")] * 65),
        Code.INVALID_ARGUMENT, "inputs", "limits.inputs"),
    "tensor of wrong shape": (
        predict(tensor(shape=[1, 3, 224], data=bytes(4 * 3 * 224))),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].shape", "[1, 3, 224, 224]"),
    "tensor of wrong datatype": (
        predict(tensor(datatype="UINT8", data=bytes(3 * 224 * 224))),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].datatype", "FP32"),
    "unknown datatype": (
        predict(tensor(datatype="FP31")),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].datatype", "FP32"),
    "tensor of wrong byte count": (
        predict(tensor(data=bytes(7))),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].data", "602112"),
    "tensor of huge shape": (
        predict(tensor(shape=[2**40, 2**40], data=b"")),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].", ""),
    "tensor of negative shape": (
        predict(tensor(shape=[1, -3, 224, 224])),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].shape", ""),
    "tensor with NaN": (
        predict(tensor(data=NAN)),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].data", "NaN"),
    "tensor of unknown name": (
        predict(tensor(name="imgae")),
        Code.INVALID_ARGUMENT, "inputs[0].tensors.tensors[0].name", "'image'"),
    "unknown model": (
        predict(model_name="efficientnet-lite1"), Code.NOT_FOUND, "model_name", CLASSIFIER),
    "unknown version": (predict(model_version="7"), Code.NOT_FOUND, "model_version", "1"),
    "malformed version": (
        predict(model_version="new"), Code.INVALID_ARGUMENT, "model_version", ""),
    "parameters of another task": (
        predict(detection=DETECTION()), Code.INVALID_ARGUMENT, "detection", "classification"),
    "top_k out of range": (
        predict(classification=inference_pb2.ClassificationParameters(top_k=-5)),
        Code.INVALID_ARGUMENT, "classification.top_k", "-1"),
    "confidence out of range": (
        predict(model_name="nanodet", detection=DETECTION(confidence_threshold=1.5)),
        Code.INVALID_ARGUMENT, "detection.confidence_threshold", "1"),
    "confidence that is no number": (
        predict(model_name="nanodet", detection=DETECTION(confidence_threshold=float("nan"))),
        Code.INVALID_ARGUMENT, "detection.confidence_threshold", ""),
    "overlap out of range": (
        predict(model_name="nanodet", detection=DETECTION(iou_threshold=-0.1)),
        Code.INVALID_ARGUMENT, "detection.iou_threshold", ""),
    "unknown class": (
        predict(model_name="nanodet", detection=DETECTION(labels=["cpu"])),
        Code.NOT_FOUND, "detection.labels", "cup"),
    "segmentation threshold out of range": (
        predict(model_name="selfie-segmentation",
                semantic_segmentation=inference_pb2.SemanticSegmentationParameters(threshold=2)),
        Code.INVALID_ARGUMENT, "semantic_segmentation.threshold", ""),
    "style out of range": (
        predict(model_name="multistyle",
                style_transfer=inference_pb2.StyleTransferParameters(style_index=26)),
        Code.INVALID_ARGUMENT, "style_transfer.style_index", "25"),
    "tile too small": (
        predict(model_name="esrgan-slim",
                super_resolution=inference_pb2.SuperResolutionParameters(tile_size=3)),
        Code.INVALID_ARGUMENT, "super_resolution.tile_size", "32"),
    "nothing to fill": (
        predict(model_name="push-pull"), Code.INVALID_ARGUMENT, "inpainting", ""),
    "hole outside the image": (
        predict(model_name="push-pull",
                inpainting=inference_pb2.InpaintingParameters(rectangles=[HOLE])),
        Code.INVALID_ARGUMENT, "inpainting.rectangles[0]", ""),
    "URI outside by dots": (
        predict(uri("../secret.png")), Code.PERMISSION_DENIED, "inputs[0].uri", "folders"),
    "URI outside by link": (
        predict(uri("link.png")), Code.PERMISSION_DENIED, "inputs[0].uri", "folders"),
    "URI outside by encoding": (
        predict(uri("file:///%2e%2e/%2e%2e/etc/passwd")),
        Code.PERMISSION_DENIED, "inputs[0].uri", "folders"),
    "URI outside by path": (
        predict(uri("/etc/passwd")), Code.PERMISSION_DENIED, "inputs[0].uri", "folders"),
    "URI of nothing": (predict(uri("tea.png")), Code.NOT_FOUND, "inputs[0].uri", "no file"),
    "URI of another scheme": (
        predict(uri("http://localhost/a.png")), Code.INVALID_ARGUMENT, "inputs[0].uri", "http"),
}  # fmt: skip

EXPLANATIONS: dict[str, tuple[explanation_pb2.ExplainRequest, Code, str, str]] = {
    "unknown method": (explain(method="rice"), Code.NOT_FOUND, "method", "'rise'"),
    "unknown parameter": (
        explain(parameters={"num_mask": whole(5)}),
        Code.INVALID_ARGUMENT, "parameters[num_mask]", "'num_masks'"),
    "parameter out of range": (
        explain(parameters={"prob": number(1.5)}),
        Code.INVALID_ARGUMENT, "parameters[prob]", "0.01 to 0.99"),
    "parameter that is no number": (
        explain(parameters={"prob": number(float("nan"))}),
        Code.INVALID_ARGUMENT, "parameters[prob]", ""),
    "parameter of wrong type": (
        explain(parameters={"num_masks": number(1.5)}),
        Code.INVALID_ARGUMENT, "parameters[num_masks]", "int"),
    "parameter without a value": (
        explain(parameters={"num_masks": common_pb2.ParameterValue()}),
        Code.INVALID_ARGUMENT, "parameters[num_masks]", ""),
    "unknown class": (
        explain(targets=[explanation_pb2.Target(label="expresso")]),
        Code.NOT_FOUND, "targets[0].label", "'espresso'"),
    "class out of range": (
        explain(targets=[explanation_pb2.Target(class_id=1000)]),
        Code.NOT_FOUND, "targets[0].class_id", "0 to 999"),
    "empty target": (
        explain(targets=[explanation_pb2.Target()]), Code.INVALID_ARGUMENT, "targets[0]", ""),
    "top_k out of range": (explain(top_k=2000), Code.INVALID_ARGUMENT, "top_k", "1 to 1000"),
    "tensors instead of an image": (
        explain(input=tensor()), Code.INVALID_ARGUMENT, "input", "image"),
    "unknown colour map": (
        explain(overlay=explanation_pb2.OverlayOptions(enabled=True, color_map="jet")),
        Code.INVALID_ARGUMENT, "overlay.color_map", "inferno"),
}  # fmt: skip


def code_of(error: Any) -> grpc.StatusCode:
    """The status of a failed call: grpc-stubs do not know that the error has it."""
    code: grpc.StatusCode = error.code()
    return code


def check(error: Any, code: Code, field: str, telling: str) -> None:
    """The status, the field in google.rpc.BadRequest, and what to do in the message."""
    message = error.details() or ""
    assert error.code() is code, message
    assert telling in message
    assert "Traceback" not in message
    assert "/" not in message.replace("/etc", "") or "INVALID" in code.name
    details = rpc_status.from_call(error)
    assert details is not None
    violations = error_details_pb2.BadRequest()
    packed = next(each for each in details.details if each.Is(violations.DESCRIPTOR))
    packed.Unpack(violations)
    assert violations.field_violations[0].field.startswith(field)


@pytest.fixture(autouse=True)
def still_serving(client: pellucid.Client) -> Iterator[None]:
    """After each wrong request the server is healthy and answers right ones."""
    yield
    assert client.server_ready()
    assert client.predict(PHOTO, model=CLASSIFIER).top.label == "espresso"  # type: ignore[union-attr]  # a classification


@pytest.mark.parametrize("case", PREDICTIONS)
def test_wrong_predictions(channel: grpc.Channel, case: str) -> None:
    request, code, field, telling = PREDICTIONS[case]
    with pytest.raises(grpc.RpcError) as caught:
        InferenceServiceStub(channel).Predict(request, timeout=30)
    check(caught.value, code, field, telling)


@pytest.mark.parametrize("case", EXPLANATIONS)
def test_wrong_explanations(channel: grpc.Channel, case: str) -> None:
    request, code, field, telling = EXPLANATIONS[case]
    with pytest.raises(grpc.RpcError) as caught:
        list(ExplanationServiceStub(channel).Explain(request, timeout=30))
    check(caught.value, code, field, telling)


def test_an_image_over_the_pixel_limit_is_refused_before_it_is_decoded(
    channel: grpc.Channel,
) -> None:
    """A real image of 2,200 x 2,000 pixels, highly compressed; the limit here is four million."""
    buffer = io.BytesIO()
    Image.new("L", (2200, 2000)).save(buffer, "PNG")
    with pytest.raises(grpc.RpcError) as caught:
        InferenceServiceStub(channel).Predict(predict(image(buffer.getvalue())))
    check(caught.value, Code.INVALID_ARGUMENT, "inputs[0].image", "limits.image_pixels")


def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    """The transport refuses it before it is read: RESOURCE_EXHAUSTED."""
    with pytest.raises(grpc.RpcError) as caught:
        InferenceServiceStub(channel).Predict(predict(image(bytes(5_000_000))))
    assert code_of(caught.value) is Code.RESOURCE_EXHAUSTED


def test_a_deadline_that_passes_ends_the_work(channel: grpc.Channel) -> None:
    """DEADLINE_EXCEEDED, close to the deadline, in the middle of 100,000 masks."""
    request = explain(parameters={"num_masks": whole(100_000)})
    start = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        list(ExplanationServiceStub(channel).Explain(request, timeout=1))
    assert code_of(caught.value) is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 10


def test_callers_that_hang_up_leave_nothing_behind(server: Any, channel: grpc.Channel) -> None:
    """Twenty explanations abandoned while they run: soon none is in flight."""
    stub = ExplanationServiceStub(channel)
    request = explain(parameters={"num_masks": whole(100_000)})
    calls: list[Any] = [stub.Explain(request) for _ in range(20)]
    for call in calls:
        next(call)
    for call in calls:
        call.cancel()

    def in_flight() -> float:
        name = 'pellucid_requests_in_flight{method="pellucid.v1.ExplanationService/Explain"}'
        with urlopen(f"http://{server.metrics}/metrics") as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    eventually(lambda: in_flight() == 0)


def test_the_server_says_nothing_of_its_inside(serve: Callable[..., Any], tmp_path: Path) -> None:
    """A model that fails in inference is a bare INTERNAL or unavailable, with no path in it."""
    folder = tmp_path / "models" / "broken" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"no model at all")
    server = serve(tmp_path / "models")
    with pellucid.Client(server.target) as client:
        with pytest.raises(pellucid.FailedPreconditionError) as caught:
            client.predict({"x": np.zeros(1, np.float32)}, model="broken")
        assert str(tmp_path) not in str(caught.value)
        (version,) = client.model("broken").versions
        assert version.reason


@pytest.fixture
def own_models(tmp_path: Path) -> Path:
    """A repository of the classifier alone, to be damaged."""
    shutil.copytree(ROOT / "models" / CLASSIFIER, tmp_path / "models" / CLASSIFIER)
    return tmp_path / "models"


def test_a_model_that_breaks_or_vanishes_is_served_on(
    serve: Callable[..., Any], own_models: Path
) -> None:
    """The last good one answers, the reason is visible, a good version takes over in seconds.

    Its file becomes garbage, a newer version is broken, its file is gone.
    """
    server = serve(own_models, "--poll-interval=0.1")
    weights = own_models / CLASSIFIER / "1" / "model.bin"
    good = weights.read_bytes()
    with pellucid.Client(server.target) as client:

        def answer() -> str:
            result = client.predict(PHOTO, model=CLASSIFIER)
            assert isinstance(result, pellucid.ClassificationResult)
            return f"{result.top.label} {result.version}"

        def reasons() -> list[str]:
            return [version.reason for version in client.model(CLASSIFIER).versions]

        assert answer() == "espresso 1"
        weights.write_bytes(b"garbage")
        eventually(lambda: any(reasons()))
        assert answer() == "espresso 1"
        newer = own_models / CLASSIFIER / "2"
        newer.mkdir()
        (newer / "model.xml").write_text("<net>")
        eventually(lambda: len(reasons()) == 2 and all(reasons()))
        assert answer() == "espresso 1"
        weights.unlink()
        time.sleep(0.5)
        assert answer() == "espresso 1"
        shutil.copy(own_models / CLASSIFIER / "1" / "model.xml", newer / "model.xml")
        (newer / "model.bin").write_bytes(good)
        eventually(lambda: answer() == "espresso 2")


def test_unloading_and_loading_while_calls_run(serve: Callable[..., Any], own_models: Path) -> None:
    """Calls before and after succeed, those between are refused with what to do; none hangs."""
    server = serve(own_models)
    outcomes: list[str] = []
    with pellucid.Client(server.target) as client:
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    client.predict(PHOTO, model=CLASSIFIER)
                    outcomes.append("ok")
                except pellucid.FailedPreconditionError:
                    outcomes.append("unloaded")

        thread = threading.Thread(target=ask)
        thread.start()
        eventually(lambda: "ok" in outcomes)
        client.unload_model(CLASSIFIER)
        eventually(lambda: "unloaded" in outcomes)
        client.load_model(CLASSIFIER)
        eventually(lambda: outcomes[-1] == "ok")
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("name", ["../efficientnet-lite0", "nothing", ""])
def test_loading_what_is_not_there(channel: grpc.Channel, name: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ModelServiceStub(channel).LoadModel(model_pb2.LoadModelRequest(model_name=name))
    assert code_of(caught.value) in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
