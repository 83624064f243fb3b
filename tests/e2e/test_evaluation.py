"""Data sets evaluated by a real server: reports, rows, uploads, comparisons, INT8, bad input."""

import hashlib
import io
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from PIL import Image

import pellucid
from pellucid.v1 import evaluation_pb2 as messages
from pellucid.v1 import model_pb2
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub
from pellucid.v1.model_pb2_grpc import ModelServiceStub

from .conftest import SAMPLES, write_classifier, write_noise

pytestmark = pytest.mark.e2e

CLASSIFIER, DETECTOR = "efficientnet-lite0", "nanodet"
Code = grpc.StatusCode
Request = messages.EvaluateDatasetRequest
PHOTOS = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png")
LIST = """\
path,label
coffee.png,espresso
chelsea.png,tabby cat
rocket.jpg,missile
astronaut.png,space shuttle
"""
VOC = """\
<annotation><filename>{name}</filename><object><name>{label}</name><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object></annotation>
"""


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Any:
    """The service; untyped, as stubs are."""
    return EvaluationServiceStub(channel)


def copy(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(SAMPLES / name, folder / name)


@pytest.fixture(scope="module")
def photos(data_root: Path) -> str:
    """Four photos: the model knows two of them, a third at its third guess."""
    copy(data_root / "photos", *PHOTOS)
    # The same picture as other bytes: nobody else uploads it.
    Image.open(SAMPLES / "coffee.png").save(data_root / "photos" / "coffee.png", compress_level=1)
    (data_root / "photos" / "list.csv").write_text(LIST)
    return "photos"


def evaluated(stub: Any, **settings: Any) -> tuple[Any, Any]:
    """An evaluation and its report."""
    first, *between, last = stub.EvaluateDataset(Request(**settings), timeout=120)
    assert {event.WhichOneof("event") for event in between} <= {"progress"}
    return first.accepted, last.report


def classified(stub: Any, dataset: str, **settings: Any) -> tuple[Any, Any]:
    return evaluated(stub, model_name=CLASSIFIER, dataset=dataset, **settings)


def metrics(report: Any) -> dict[str, float]:
    return {metric.name: metric.value for metric in report.metrics}


def examples(stub: Any, evaluation: Any, **settings: Any) -> list[Any]:
    request = messages.ListExamplesRequest(evaluation=evaluation.name, **settings)
    return list(stub.ListExamples(request).examples)


def test_a_classifier_is_measured(stub: Any, photos: str) -> None:
    """Espresso and missile are right; the cat comes third, the astronaut nowhere."""
    accepted, report = classified(stub, photos)
    assert accepted.total == 4
    assert accepted.request.dataset_format == "csv"
    assert accepted.model_version == "1"
    assert accepted.request.batch in {1, 2}  # by the cores of the machine
    found = metrics(report)
    assert (found["top_1"], found["top_5"]) == (0.5, 0.75)
    assert (report.images, report.bad_annotations) == (4, 0)
    assert report.images_per_second > 0
    assert sum(each.count for each in report.confusions) == 4
    assert {each.category.label for each in report.classes} >= {"espresso", "missile"}
    assert {curve.name for curve in report.curves} >= {"reliability"}


def test_an_evaluation_is_found_again_with_its_report(stub: Any, photos: str) -> None:
    accepted, report = classified(stub, photos)
    got = stub.GetEvaluation(messages.GetEvaluationRequest(evaluation=accepted.name))
    assert got.report == report
    assert got.evaluation.state == messages.EVALUATION_STATE_SUCCEEDED
    assert (got.evaluation.done, got.evaluation.precision) == (4, "f32")
    assert got.evaluation.end_time.seconds >= got.evaluation.create_time.seconds
    assert len(got.evaluation.dataset_digest) == 32
    request = messages.ListEvaluationsRequest(page_size=1, model_name=CLASSIFIER)
    page = stub.ListEvaluations(request)
    assert [each.name for each in page.evaluations] == [accepted.name]
    request.page_token = page.next_page_token
    if page.next_page_token:
        assert stub.ListEvaluations(request).evaluations[0].name != accepted.name


def test_rows_are_filtered_sorted_and_paged(stub: Any, photos: str) -> None:
    evaluation, _ = classified(stub, photos)
    rows = examples(stub, evaluation)
    assert [row.path for row in rows] == list(PHOTOS)
    assert [row.correct for row in rows] == [True, False, True, False]
    cat = rows[1]
    assert (cat.predicted.label, cat.annotated.label, cat.rank) == ("tiger cat", "tabby cat", 3)
    assert cat.annotation_location == "list.csv:3"
    assert [row.index for row in examples(stub, evaluation, erroneous=True)] == [1, 3]
    assert [row.index for row in examples(stub, evaluation, annotated_label="missile")] == [2]
    assert [row.index for row in examples(stub, evaluation, predicted_label="espresso")] == [0]
    assert [row.index for row in examples(stub, evaluation, min_confidence=0.9)] == [0]
    assert [row.index for row in examples(stub, evaluation, max_confidence=0.2)] == [3]
    assert [row.index for row in examples(stub, evaluation, min_rank=2)] == [1, 3]
    order = messages.EXAMPLE_ORDER_CONFIDENCE
    ordered = examples(stub, evaluation, order=order, descending=True)
    assert [row.index for row in ordered] == [0, 1, 2, 3]
    request = messages.ListExamplesRequest(evaluation=evaluation.name, page_size=3)
    first = stub.ListExamples(request)
    request.page_token = first.next_page_token
    second = stub.ListExamples(request)
    assert [len(first.examples), len(second.examples), second.next_page_token] == [3, 1, ""]


def test_wrong_annotations_are_told_with_file_and_line(
    stub: Any, data_root: Path, photos: str
) -> None:
    del photos
    copy(data_root / "flawed", "coffee.png")
    (data_root / "flawed" / "broken.png").write_bytes(b"no image")
    lines = ["coffee.png,espresso", "tea.png,espresso", "coffee.png,teapod", "broken.png,espresso"]
    (data_root / "flawed" / "list.csv").write_text("\n".join(["path,label", *lines]))
    evaluation, report = classified(stub, "flawed")
    assert (report.images, report.bad_annotations) == (1, 3)
    bad = examples(stub, evaluation, bad_annotation=True)
    assert [row.annotation_location for row in bad] == [f"list.csv:{line}" for line in (3, 4, 5)]
    assert ["tea.png" in bad[0].reason, "'teapot'" in bad[1].reason, "JPEG" in bad[2].reason] == [
        True, True, True,
    ]  # fmt: skip
    assert [row.index for row in examples(stub, evaluation)] == [0]
    with pytest.raises(grpc.RpcError, match=r"list\.csv:3") as caught:
        classified(stub, "flawed", strict=True)
    assert code_of(caught.value) is Code.FAILED_PRECONDITION


def test_names_of_the_set_are_mapped_to_those_of_the_model(stub: Any, data_root: Path) -> None:
    copy(data_root / "drinks", "coffee.png")
    (data_root / "drinks" / "list.csv").write_text("path,label\ncoffee.png,Kaffee\n")
    _, plain = classified(stub, "drinks")
    _, mapped = classified(stub, "drinks", label_map={"Kaffee": "espresso"})
    assert (plain.images, plain.bad_annotations) == (0, 1)
    assert (mapped.images, metrics(mapped)["top_1"]) == (1, 1.0)


def test_a_subset_is_drawn_alike_each_time(stub: Any, photos: str) -> None:
    def paths(**settings: Any) -> list[str]:
        subset = messages.Subset(**settings)
        evaluation, report = classified(stub, photos, subset=subset)
        assert report.images == evaluation.total == settings["size"]
        return [row.path for row in examples(stub, evaluation)]

    assert paths(size=2) == list(PHOTOS[:2])
    drawn = [paths(size=2, random=True, seed=seed) for seed in (5, 5)]
    assert drawn[0] == drawn[1]


def test_a_batch_changes_rows_by_no_more_than_rounding(stub: Any, photos: str) -> None:
    """Confidences of four images at once and one by one are equal to 1e-4."""
    alone, _ = classified(stub, photos, batch=1)
    together, _ = classified(stub, photos, batch=4)
    for one, other in zip(examples(stub, alone), examples(stub, together), strict=True):
        assert (one.path, one.rank, one.predicted.label) == (
            other.path, other.rank, other.predicted.label,
        )  # fmt: skip
        assert other.predicted.confidence == pytest.approx(one.predicted.confidence, abs=1e-4)


def test_preprocessing_in_place_of_the_model_s_own_changes_the_result(
    stub: Any, photos: str
) -> None:
    """Pixels of 0 to 255 where the model wants -1 to 1: it recognises nothing."""
    override = messages.PreprocessOverride(mean=[0], scale=[1], color="BGR")
    accepted, report = classified(stub, photos, preprocess=override)
    assert accepted.request.preprocess == override
    assert metrics(report)["top_1"] < 0.5


def test_photos_without_annotations_are_predicted(stub: Any, data_root: Path) -> None:
    copy(data_root / "plain", *PHOTOS)
    evaluation, report = classified(stub, "plain", dataset_format="images")
    rows = examples(stub, evaluation)
    assert "espresso" in {row.predicted.label for row in rows}
    assert not any(row.HasField("annotated") for row in rows)
    assert report.images == 4
    assert "top_1" not in metrics(report)


@pytest.fixture(scope="module")
def objects(data_root: Path) -> str:
    """A person and a cat where they are, and a dog where there is none."""
    folder = data_root / "objects"
    copy(folder / "JPEGImages", "astronaut.png", "chelsea.png", "coffee.png")
    (folder / "Annotations").mkdir()
    boxes = {
        "astronaut": ("person", 15, 14, 364, 508),
        "chelsea": ("cat", 2, 1, 440, 296),
        "coffee": ("dog", 10, 10, 100, 100),
    }
    for name, (label, *box) in boxes.items():
        xml = VOC.format(*box, name=f"{name}.png", label=label)
        (folder / "Annotations" / f"{name}.xml").write_text(xml)
    return "objects"


def test_a_detector_is_measured(stub: Any, objects: str) -> None:
    """Two of three objects are found, each well placed; the table on the photo is extra."""
    evaluation, report = evaluated(stub, model_name=DETECTOR, dataset=objects)
    assert evaluation.request.dataset_format == "voc"
    found = metrics(report)
    assert 0.5 < found["map_50"] < 0.7
    rows = {row.path.rpartition("/")[2]: row for row in examples(stub, evaluation, objects=True)}
    assert (rows["astronaut.png"].missed, rows["chelsea.png"].missed) == (0, 0)
    assert (rows["coffee.png"].missed, rows["coffee.png"].score) == (1, 0)
    labels = {each.category.label for each in rows["chelsea.png"].objects}
    assert "cat" in labels
    recall = {each.category.label: each.recall for each in report.classes}
    assert (recall["cat"], recall["person"], recall["dog"]) == (1, 1, 0)


def test_a_threshold_decides_what_counts_as_detected(stub: Any, objects: str) -> None:
    """Above every confidence nothing counts; mean average precision does not change."""
    _, low = evaluated(stub, model_name=DETECTOR, dataset=objects)
    evaluation, high = evaluated(stub, model_name=DETECTOR, dataset=objects, threshold=0.99)
    assert [row.extra for row in examples(stub, evaluation)] == [0, 0, 0]
    assert all(row.missed == 1 for row in examples(stub, evaluation))
    assert metrics(low)["map_50"] == metrics(high)["map_50"]


def test_a_segmenter_is_measured(stub: Any, data_root: Path, client: pellucid.Client) -> None:
    """Against its own mask every pixel is right; against the inverse of it none is."""
    result: Any = client.predict(SAMPLES / "astronaut.png", model="selfie-segmentation")
    person = (np.asarray(result.label_map) > 0).astype(np.uint8)
    for name, mask in (("own", person), ("inverse", 1 - person)):
        copy(data_root / name / "images", "astronaut.png")
        (data_root / name / "masks").mkdir()
        Image.fromarray(mask).save(data_root / name / "masks" / "astronaut.png")
        (data_root / name / "classes.txt").write_text("background\nperson\n")
    _, own = evaluated(stub, model_name="selfie-segmentation", dataset="own")
    _, inverse = evaluated(stub, model_name="selfie-segmentation", dataset="inverse")
    assert metrics(own)["mean_iou"] == 1.0
    assert metrics(inverse)["mean_iou"] == 0.0


def test_super_resolution_is_measured(stub: Any, data_root: Path) -> None:
    """A photo made three times smaller and brought back: between 20 and 45 dB."""
    photo = Image.open(SAMPLES / "coffee.png").convert("RGB").crop((0, 0, 240, 180))
    for name, picture in (("hr", photo), ("lr", photo.resize((80, 60), Image.Resampling.BICUBIC))):
        (data_root / "pairs" / name).mkdir(parents=True)
        picture.save(data_root / "pairs" / name / "coffee.png")
    evaluation, report = evaluated(stub, model_name="esrgan-slim", dataset="pairs")
    assert 20 < metrics(report)["psnr"] < 45
    assert 0.5 < metrics(report)["ssim"] < 1
    (row,) = examples(stub, evaluation)
    assert row.score == pytest.approx(metrics(report)["psnr"])


def test_a_row_is_drawn(stub: Any, photos: str) -> None:
    evaluation, _ = classified(stub, photos)
    request = messages.RenderExampleRequest(
        evaluation=evaluation.name, index=1, max_side=300, annotation=True
    )
    rendered = stub.RenderExample(request)
    assert rendered.example.path == "chelsea.png"
    with Image.open(io.BytesIO(rendered.picture)) as picture:
        assert picture.format == "JPEG"
        assert picture.width >= 300


def test_a_finished_evaluation_is_deleted_with_its_rows(stub: Any, photos: str) -> None:
    evaluation, _ = classified(stub, photos)
    stub.DeleteEvaluation(messages.DeleteEvaluationRequest(evaluation=evaluation.name))
    with pytest.raises(grpc.RpcError) as caught:
        examples(stub, evaluation)
    assert code_of(caught.value) is Code.NOT_FOUND


def opened(path: str, data: bytes, offset: int = 0) -> messages.UploadDatasetRequest:
    digest = hashlib.sha256(data).digest()
    file = messages.UploadFile(path=path, size=len(data), sha256=digest, offset=offset)
    return messages.UploadDatasetRequest(file=file)


def sent(files: dict[str, bytes], offsets: dict[str, int]) -> Iterator[Any]:
    """The parts of an upload, in chunks of 10,000 bytes."""
    for path, data in files.items():
        offset = offsets.get(path, 0)
        yield opened(path, data, offset)
        for start in range(offset, len(data), 10_000):
            yield messages.UploadDatasetRequest(chunk=data[start : start + 10_000])


def there(stub: Any, files: dict[str, bytes]) -> dict[str, int]:
    """How much of each file the server has."""
    requests = (
        messages.FindUploadedFilesRequest(file=opened(path, data).file)
        for path, data in files.items()
    )
    return dict(zip(files, stub.FindUploadedFiles(requests).received_bytes, strict=True))


def test_a_folder_is_uploaded_where_it_broke_off_and_evaluated(
    stub: Any, data_root: Path, photos: str
) -> None:
    """As the same folder on the server is: equal digests, equal rows."""
    files = {name: (data_root / photos / name).read_bytes() for name in (*PHOTOS, "list.csv")}

    def breaking() -> Iterator[Any]:
        parts = sent(files, {})
        for _ in range(12):
            yield next(parts)
        until(lambda: there(stub, files)["coffee.png"] > 0)  # what is on its way would be dropped
        raise RuntimeError("the network")

    with pytest.raises(grpc.RpcError):
        stub.UploadDataset(breaking())
    size = len(files["coffee.png"])
    until(lambda: 0 < there(stub, files)["coffee.png"] < size)
    missing = there(stub, files)
    uploaded = stub.UploadDataset(sent(files, missing))
    assert (uploaded.files, uploaded.bytes) == (5, sum(map(len, files.values())))
    assert uploaded.expire_time.seconds > 0
    assert there(stub, files) == {path: len(data) for path, data in files.items()}
    again = stub.UploadDataset(sent(files, there(stub, files)))
    assert again.dataset == uploaded.dataset
    here, _ = classified(stub, uploaded.dataset)
    local, _ = classified(stub, photos)
    assert examples(stub, here) == examples(stub, local)
    digests = {
        stub.GetEvaluation(
            messages.GetEvaluationRequest(evaluation=each.name)
        ).evaluation.dataset_digest
        for each in (here, local)
    }
    assert len(digests) == 1


def test_a_zip_is_uploaded_and_evaluated_unextracted(stub: Any, photos: str) -> None:
    del photos
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(SAMPLES / "coffee.png", "coffee.png")
        file.writestr("list.csv", "path,label\ncoffee.png,espresso\n")
    uploaded = stub.UploadDataset(sent({"set.zip": archive.getvalue()}, {}))
    assert uploaded.files == 1
    _, report = classified(stub, uploaded.dataset)
    assert (report.images, metrics(report)["top_1"]) == (1, 1.0)


def test_models_are_compared_on_one_set(stub: Any, photos: str) -> None:
    """The same model with its colours turned around: what was right becomes wrong."""
    one, _ = classified(stub, photos)
    other, _ = classified(
        stub, photos, preprocess=messages.PreprocessOverride(mean=[0], scale=[1], color="BGR")
    )
    request = messages.CompareEvaluationsRequest(baseline=one.name, candidate=other.name)
    found = stub.CompareEvaluations(request)
    assert found.images == 4
    assert found.became_wrong >= 1
    assert found.disagreements >= len(found.flips) > 0
    assert found.baseline.size_bytes == found.candidate.size_bytes > 1_000_000
    assert found.baseline.inference_time.nanos > 0
    delta = {each.name: each for each in found.deltas}["top_1"]
    assert delta.delta == pytest.approx(delta.candidate - delta.baseline)
    assert delta.low <= delta.delta <= delta.high
    same = messages.CompareEvaluationsRequest(baseline=one.name, candidate=one.name)
    unchanged = stub.CompareEvaluations(same)
    assert (unchanged.became_wrong, unchanged.became_right, list(unchanged.flips)) == (0, 0, [])


def test_a_model_is_quantised_evaluated_and_compared(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    """INT8 is a version of its own, served at once, and its maps are like its parent's."""
    models = write_classifier(tmp_path / "models", "net", side=32, layers=3, channels=16)
    write_noise(tmp_path / "data" / "set", 24, 32)
    write_noise(tmp_path / "data" / "few", 4, 32)
    server = serve(models, f"--data-roots={tmp_path / 'data'}", f"--state={tmp_path / 'state'}")
    with grpc.insecure_channel(server.target) as channel:
        stub: Any = EvaluationServiceStub(channel)
        optimizer: Any = ModelServiceStub(channel)
        wanted = model_pb2.OptimizeModelRequest(
            model_name="net", optimization=model_pb2.OPTIMIZATION_INT8, dataset="set",
            calibration_size=20,
        )  # fmt: skip
        *progress, last = optimizer.OptimizeModel(wanted, timeout=110)
        assert {event.progress.stage for event in progress} >= {"calibrate", "save"}
        assert last.result.version == "2"
        assert last.result.lineage.parent_version == "1"
        assert last.result.lineage.settings["calibration_size"] == "20"
        pair = [
            evaluated(stub, model_name="net", model_version=version, dataset="set")[0]
            for version in ("1", "2")
        ]
        found = stub.CompareEvaluations(
            messages.CompareEvaluationsRequest(
                baseline=pair[0].name, candidate=pair[1].name, explained_images=2
            )
        )
        assert found.images == 24
        assert found.candidate.model_version == "2"
        assert len(found.map_correlations) == 2
        wanted.model_version, wanted.dataset = "1", "few"
        with pytest.raises(grpc.RpcError) as caught:
            list(optimizer.OptimizeModel(wanted, timeout=60))
        check(caught.value, Code.INVALID_ARGUMENT, "dataset", "at least 10")
        wanted.dataset = ""
        with pytest.raises(grpc.RpcError) as caught:
            list(optimizer.OptimizeModel(wanted, timeout=60))
        check(caught.value, Code.INVALID_ARGUMENT, "dataset", "calibration set")


BAD: dict[str, tuple[dict[str, Any], Code, str, str]] = {
    "empty set": ({"dataset": "empty"}, Code.INVALID_ARGUMENT, "dataset", "empty"),
    "unknown format": (
        {"dataset_format": "vox"}, Code.INVALID_ARGUMENT, "dataset_format", "'voc'"),
    "format of another task": (
        {"dataset_format": "table"}, Code.INVALID_ARGUMENT, "dataset_format", "csv"),
    "format that is not plain": (
        {"dataset": "mixed"}, Code.INVALID_ARGUMENT, "dataset_format", "'notes.txt'"),
    "labels that fit nothing": (
        {"dataset": "misfit"}, Code.INVALID_ARGUMENT, "label_map", "'wug'"),
    "label map to no class": (
        {"label_map": {"x": "expresso"}}, Code.INVALID_ARGUMENT, "label_map", "'espresso'"),
    "unknown metric": ({"metrics": ["top1"]}, Code.INVALID_ARGUMENT, "metrics", "'top_1'"),
    "unknown parameter": (
        {"parameters": {"delimeter": ";"}},
        Code.INVALID_ARGUMENT, "parameters[delimeter]", "'delimiter'"),
    "unknown model": (
        {"model_name": "efficientnet"}, Code.NOT_FOUND, "model_name", CLASSIFIER),
    "unknown version": ({"model_version": "9"}, Code.NOT_FOUND, "model_version", "1"),
    "batch of a detector's many": (
        {"batch": 65}, Code.INVALID_ARGUMENT, "batch", "1 to 64"),
    "batch of a model that works in tiles": (
        {"model_name": "esrgan-slim", "dataset": "pair", "batch": 2},
        Code.INVALID_ARGUMENT, "batch", "set batch to 1"),
    "threshold out of range": (
        {"threshold": -0.5}, Code.INVALID_ARGUMENT, "threshold", "0 to 1"),
    "negative subset": (
        {"subset": messages.Subset(size=-1)}, Code.INVALID_ARGUMENT, "subset.size", "0 for all"),
    "unknown resize": (
        {"preprocess": messages.PreprocessOverride(resize="fit")},
        Code.INVALID_ARGUMENT, "preprocess.resize", "letterbox"),
    "means of too many channels": (
        {"preprocess": messages.PreprocessOverride(mean=[1, 2, 3, 4])},
        Code.INVALID_ARGUMENT, "preprocess", ""),
    "crop where every pixel has a class": (
        {"model_name": "selfie-segmentation", "dataset": "pair",
         "preprocess": messages.PreprocessOverride(resize="crop")},
        Code.INVALID_ARGUMENT, "preprocess", "letterbox"),
    "outside by dots": ({"dataset": "../x"}, Code.PERMISSION_DENIED, "dataset", "outside"),
    "outside by path": ({"dataset": "/etc"}, Code.PERMISSION_DENIED, "dataset", "outside"),
    "outside by encoding": (
        {"dataset": "file:///%2e%2e/%2e%2e/etc"}, Code.PERMISSION_DENIED, "dataset", "outside"),
    "remote set": ({"dataset": "s3://bucket/set"}, Code.PERMISSION_DENIED, "dataset", ""),
    "nothing there": ({"dataset": "tea"}, Code.NOT_FOUND, "dataset", "no data set"),
    "no name": ({"dataset": ""}, Code.INVALID_ARGUMENT, "dataset", "path"),
    "upload that is not there": (
        {"dataset": f"uploads/{'0' * 64}"}, Code.NOT_FOUND, "dataset", "upload it again"),
}  # fmt: skip


@pytest.fixture(scope="module")
def odd(data_root: Path) -> None:
    """Sets that cannot be evaluated, or not by every model."""
    (data_root / "empty").mkdir()
    (data_root / "mixed").mkdir()
    (data_root / "mixed" / "notes.txt").write_text("nothing")
    for name in ("wug", "blicket"):
        copy(data_root / "misfit" / name, "coffee.png")
    for name in ("lr", "hr"):
        copy(data_root / "pair" / name, "coffee.png")


@pytest.mark.parametrize("case", BAD)
@pytest.mark.usefixtures("odd")
def test_a_wrong_request_is_refused_with_what_to_change(stub: Any, photos: str, case: str) -> None:
    settings, code, field, telling = BAD[case]
    request = Request(**{"model_name": CLASSIFIER, "dataset": photos, **settings})
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.EvaluateDataset(request, timeout=30))
    check(caught.value, code, field, telling)


UNKNOWN = "evaluations/01ARZ3NDEKTSV4RRFFQ69G5FAV"
CALLS: dict[str, tuple[str, Any, str]] = {
    "watch": ("WatchEvaluation", messages.WatchEvaluationRequest(evaluation=UNKNOWN), "evaluation"),
    "cancel": (
        "CancelEvaluation", messages.CancelEvaluationRequest(evaluation=UNKNOWN), "evaluation"),
    "get": ("GetEvaluation", messages.GetEvaluationRequest(evaluation=UNKNOWN), "evaluation"),
    "list": ("ListExamples", messages.ListExamplesRequest(evaluation=UNKNOWN), "evaluation"),
    "render": ("RenderExample", messages.RenderExampleRequest(evaluation=UNKNOWN), "evaluation"),
    "delete": (
        "DeleteEvaluation", messages.DeleteEvaluationRequest(evaluation=UNKNOWN), "evaluation"),
    "compare": (
        "CompareEvaluations",
        messages.CompareEvaluationsRequest(baseline=UNKNOWN, candidate=UNKNOWN), "baseline"),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_evaluation_is_not_found(stub: Any, call: str) -> None:
    method, request, field = CALLS[call]
    ask: Any = getattr(stub, method)
    with pytest.raises(grpc.RpcError) as caught:
        list(ask(request, timeout=30))
    check(caught.value, Code.NOT_FOUND, field, "list them")


def test_what_does_not_go_together_is_not_compared(
    stub: Any, photos: str, objects: str, data_root: Path
) -> None:
    """One that failed, one of another task, one of other images, too much asked for."""
    right, _ = classified(stub, photos)
    detected, _ = evaluated(stub, model_name=DETECTOR, dataset=objects)
    copy(data_root / "alone", "rocket.jpg")
    (data_root / "alone" / "rocket.jpg").rename(data_root / "alone" / "another.jpg")
    alone, _ = classified(stub, "alone", dataset_format="images")
    (data_root / "alone" / "list.csv").write_text("path,label\nnothing.png,espresso\n")
    with pytest.raises(grpc.RpcError):
        classified(stub, "alone", dataset_format="csv", strict=True)
    wanted = messages.ListEvaluationsRequest(state=messages.EVALUATION_STATE_FAILED, page_size=1)
    (failed,) = stub.ListEvaluations(wanted).evaluations
    cases = [
        ({"candidate": detected.name}, "candidate", "one task"),
        ({"resamples": 5}, "resamples", "100 to 10000"),
        ({"flips": -1}, "flips", "0 to"),
        ({"explained_images": 1000}, "explained_images", "0 to 200"),
        ({"candidate": failed.name}, "candidate", "succeeded"),
        ({"candidate": alone.name}, "candidate", "no image in common"),
        (
            {"baseline": detected.name, "candidate": detected.name, "explained_images": 1},
            "explained_images",
            "set explained_images to 0",
        ),
    ]
    for settings, field, telling in cases:
        asked = {"baseline": right.name, "candidate": right.name, **settings}
        with pytest.raises(grpc.RpcError) as caught:
            stub.CompareEvaluations(messages.CompareEvaluationsRequest(**asked))
        check(caught.value, Code.INVALID_ARGUMENT, field, telling)


@pytest.mark.parametrize(
    ("settings", "field", "telling"),
    [
        ({"page_size": -1}, "page_size", ""),
        ({"page_token": "nonsense"}, "page_token", ""),
        ({"order": 99}, "order", "EXAMPLE_ORDER_CONFIDENCE"),
        ({"min_confidence": float("nan")}, "min_confidence", ""),
        ({"min_rank": -1}, "min_rank", ""),
    ],
)
def test_a_wrong_page_is_refused(
    stub: Any, photos: str, settings: dict[str, Any], field: str, telling: str
) -> None:
    evaluation, _ = classified(stub, photos)
    with pytest.raises(grpc.RpcError) as caught:
        examples(stub, evaluation, **settings)
    check(caught.value, Code.INVALID_ARGUMENT, field, telling)


UPLOADS: dict[str, tuple[list[Any], str, str]] = {
    "nothing": ([], "file", "begins with a file"),
    "a chunk first": ([messages.UploadDatasetRequest(chunk=b"x")], "file", "begins with a file"),
    "an empty part": (
        [opened("a.png", b"xy"), messages.UploadDatasetRequest()], "part", "a file or a chunk"),
    "wrong digest": (
        [opened("a.png", b"xy"), messages.UploadDatasetRequest(chunk=b"yx")], "", ""),
    "too many bytes": (
        [opened("a.png", b"xy"), messages.UploadDatasetRequest(chunk=b"xyz")], "", ""),
    "too few bytes": (
        [opened("a.png", b"pq"), messages.UploadDatasetRequest(chunk=b"p")], "file", "not arrived"),
    "path that leads out": (
        [opened("../a.png", b"r"), messages.UploadDatasetRequest(chunk=b"r")], "file.path", ".."),
    "digest of other length": (
        [messages.UploadDatasetRequest(file=messages.UploadFile(path="a", sha256=b"1"))],
        "file.sha256", "32 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", UPLOADS)
def test_a_wrong_upload_is_refused(stub: Any, case: str) -> None:
    parts, field, telling = UPLOADS[case]
    with pytest.raises(grpc.RpcError) as caught:
        stub.UploadDataset(iter(parts), timeout=30)
    code = Code.PERMISSION_DENIED if "leads out" in case else Code.INVALID_ARGUMENT
    check(caught.value, code, field, telling)


def code_of(error: Any) -> grpc.StatusCode:
    """The status of a failed call: grpc-stubs do not know that the error has it."""
    code: grpc.StatusCode = error.code()
    return code


def check(error: Any, code: grpc.StatusCode, field: str, telling: str) -> None:
    """The status, the field in google.rpc.BadRequest, and what to do in the message."""
    message = error.details() or ""
    assert error.code() is code, message
    assert telling in message
    assert "Traceback" not in message
    details = rpc_status.from_call(error)
    assert details is not None
    violations = error_details_pb2.BadRequest()
    packed = next(each for each in details.details if each.Is(violations.DESCRIPTOR))
    packed.Unpack(violations)
    assert violations.field_violations[0].field.startswith(field), message


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that the server does by itself."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
