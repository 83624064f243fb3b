from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest, PreprocessOverride
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.errors import Cancelled, InvalidInput, NotFound, OutsideRoot, PellucidError
from pellucid_server.evaluate.open import Places
from pellucid_server.evaluate.store import Store
from pellucid_server.evaluate.subset import Subset
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.types import ANY, Port

from .conftest import asked, picture, write_folders, write_list


def nothing() -> None:
    """Never gives up."""


def fixed_batch() -> ServedModel:
    """A classifier whose graph reshapes to one image, whatever comes in."""
    image = ops.parameter([1, 3, 4, 4], np.float32, name="image")
    image.output(0).get_tensor().set_names({"image"})
    logits = ops.reshape(image, ops.constant([1, 48]), special_zero=False)
    graph = ov.Model([ops.result(logits)], [image], "fixed")
    graph.output(0).get_tensor().set_names({"logits"})
    return ServedModel(
        name="fixed",
        version=1,
        spec=ModelSpec.model_validate({"task": "classification"}),
        format="openvino",
        path=Path("model.xml"),
        graph=graph,
        inputs=(Port("image", "FP32", (1, 3, 4, 4)),),
        outputs=(Port("logits", "FP32", (1, 48)),),
        layers=(),
    )


def test_what_was_left_out_is_filled_in(planner: Planner, twelve: str) -> None:
    """So that another server, or another day, evaluates the same."""
    plan = planner.plan(asked(twelve), nothing)
    assert plan.request.model_version == "1"
    assert plan.request.dataset_format == "imagenet"
    assert plan.count(nothing) == 12


@pytest.mark.parametrize(
    ("model", "asked_for", "batch"), [("quarters", 0, 3), ("quarters", 2, 2), ("free", 0, 1)]
)
def test_the_server_chooses_a_batch_where_the_caller_does_not(
    planner: Planner, models: Any, twelve: str, model: str, asked_for: int, batch: int
) -> None:
    """For models of images of one size; what it chose is kept with the request."""
    any_size = (Port("image", "FP32", (ANY, 3, ANY, ANY)),)
    models._models["free"] = replace(models.get("quarters"), name="free", inputs=any_size)
    choosing = replace(planner, batch=lambda _: 3)
    request = EvaluationRequest(model, twelve, batch=asked_for)
    assert choosing.plan(request, nothing).request.batch == batch


def test_rows_are_read_anew_each_time(planner: Planner, twelve: str) -> None:
    plan = planner.plan(asked(twelve, subset=Subset(5, random=True, seed=3)), nothing)
    assert [row.path for row in plan.rows()] == [row.path for row in plan.rows()]
    assert plan.count(nothing) == 5


def test_counting_gives_up_with_its_caller(planner: Planner, data: Path) -> None:
    write_list(data / "long", [f"{index % 4}.png,top left" for index in range(5000)])
    call = Call()
    plan = planner.plan(asked("long"), call.check)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        plan.count(call.check)


def test_preprocessing_is_changed_in_a_copy_of_the_model(planner: Planner, twelve: str) -> None:
    override = PreprocessOverride(resize="letterbox", color="BGR", mean=(1, 2, 3), scale=(4,))
    plan = planner.plan(asked(twelve, preprocess=override), nothing)
    changed, own = plan.served.spec.preprocess, planner.models.get("quarters").spec.preprocess
    assert (changed.resize, changed.color) == ("letterbox", "BGR")
    assert (changed.mean, changed.scale) == ((1, 2, 3), (4,))
    assert (own.resize, own.color, own.mean, own.scale) == ("stretch", "RGB", (0,), (255,))


def test_what_an_override_leaves_out_stays(planner: Planner, twelve: str) -> None:
    plan = planner.plan(asked(twelve, preprocess=PreprocessOverride(color="BGR")), nothing)
    assert plan.served.spec.preprocess.scale == (255,)


BAD: dict[str, tuple[dict[str, Any], type[PellucidError], str, str]] = {
    "unknown model": ({"model_name": "quarter"}, NotFound, "model_name", "quarter"),
    "model of tensors": ({"model_name": "raw"}, InvalidInput, "model_name", "task"),
    "unknown format": (
        {"dataset_format": "imagnet"}, InvalidInput, "dataset_format", "'imagenet'"),
    "format of another task": (
        {"dataset_format": "inpainting"}, InvalidInput, "dataset_format", "classification"),
    "unknown metric": ({"metrics": ("top_11",)}, InvalidInput, "metrics", "'top_1'"),
    "unknown parameter": (
        {"parameters": {"bin": "3"}}, InvalidInput, "parameters[bin]", "'bins'"),
    "parameter out of range": (
        {"parameters": {"bins": "0"}}, InvalidInput, "parameters[bins]", "1 to 1000"),
    "label map to no class": (
        {"label_map": {"a": "top lefd"}}, InvalidInput, "label_map", "'top left'"),
    "threshold above 1": ({"threshold": 1.5}, InvalidInput, "threshold", "0 to 1"),
    "threshold that is no number": (
        {"threshold": float("nan")}, InvalidInput, "threshold", "0 to 1"),
    "batch below 1": ({"batch": -1}, InvalidInput, "batch", "1 to 64"),
    "batch too large": ({"batch": 65}, InvalidInput, "batch", "1 to 64"),
    "unknown resize": (
        {"preprocess": PreprocessOverride(resize="squash")},
        InvalidInput, "preprocess.resize", "letterbox"),
    "unknown colours": (
        {"preprocess": PreprocessOverride(color="CMYK")}, InvalidInput, "preprocess.color", "BGR"),
    "scale of zero": (
        {"preprocess": PreprocessOverride(scale=(0,))},
        InvalidInput, "preprocess.scale", "greater than 0"),
    "mean that is no number": (
        {"preprocess": PreprocessOverride(mean=(float("nan"),))},
        InvalidInput, "preprocess.mean", "finite"),
    "outside of the roots": ({"dataset": "../secret"}, OutsideRoot, "dataset", "outside"),
    "no such set": ({"dataset": "thirteen"}, NotFound, "dataset", "no data set"),
    "no name of a set": ({"dataset": ""}, InvalidInput, "dataset", "name a data set"),
    "upload that is not there": (
        {"dataset": f"uploads/{'0' * 64}"}, NotFound, "dataset", "uploads"),
    "remote set": ({"dataset": "s3://bucket/set"}, OutsideRoot, "dataset", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_request_says_what_to_change(planner: Planner, twelve: str, case: str) -> None:
    settings, kind, field, telling = BAD[case]
    request = EvaluationRequest(**{"model_name": "quarters", "dataset": twelve, **settings})
    with pytest.raises(kind) as caught:
        planner.plan(request, nothing)
    assert caught.value.field == field
    assert telling in caught.value.message


def test_a_negative_subset_is_refused(waiting: Evaluations, twelve: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        waiting.submit(asked(twelve, subset=Subset(-1)), Call())
    assert caught.value.field == "subset.size"


def test_an_empty_set_is_refused(planner: Planner, data: Path) -> None:
    (data / "empty").mkdir()
    with pytest.raises(InvalidInput, match="empty") as caught:
        planner.plan(asked("empty"), nothing)
    assert caught.value.field == "dataset"


def test_a_list_of_nothing_is_refused(waiting: Evaluations, data: Path) -> None:
    write_list(data / "none", [])
    with pytest.raises(InvalidInput, match="nothing to evaluate") as caught:
        waiting.submit(asked("none"), Call())
    assert caught.value.field == "dataset"


def test_a_set_of_other_classes_is_refused(planner: Planner, data: Path) -> None:
    for name in ("cat", "dog"):
        (data / "pets" / name).mkdir(parents=True)
        (data / "pets" / name / "1.png").write_bytes(picture(0))
    with pytest.raises(InvalidInput, match="none of the data set's classes") as caught:
        planner.plan(asked("pets"), nothing)
    assert caught.value.field == "label_map"


def test_a_server_without_roots_reads_nothing(planner: Planner) -> None:
    bare = Planner(planner.models, planner.tasks, Places())
    with pytest.raises(OutsideRoot, match="data_roots"):
        bare.plan(asked("twelve"), nothing)


def test_preprocessing_that_the_model_cannot_take_is_refused_before_it_is_accepted(
    waiting: Evaluations, twelve: str, pool: ModelPool, store: Store
) -> None:
    """Two means for three channels: only the graph knows. Nothing of the try is kept."""
    override = PreprocessOverride(mean=(1, 2))
    with pytest.raises(InvalidInput) as caught:
        waiting.submit(asked(twelve, preprocess=override), Call())
    assert caught.value.field == "preprocess"
    assert store.evaluations().items == ()
    assert pool.devices[0].count == 0


def test_a_batch_that_the_graph_cannot_take_is_refused_before_it_is_accepted(
    waiting: Evaluations, planner: Planner, data: Path, models: Any
) -> None:
    models._models["fixed"] = fixed_batch()
    write_list(data / "four", [f"{index}.png,{index}" for index in range(4)])
    with pytest.raises(InvalidInput, match="unset batch") as caught:
        waiting.submit(EvaluationRequest("fixed", "four", batch=4), Call())
    assert caught.value.field == "batch"
    assert planner.plan(EvaluationRequest("fixed", "four"), nothing).count(nothing) == 4


def test_a_request_survives_the_store() -> None:
    """As JSON and back it is the same, floats to the last bit."""
    request = EvaluationRequest(
        "quarters",
        "twelve",
        model_version="1",
        subset=Subset(5, random=True, seed=-7, per_class=True),
        metrics=("top_1",),
        label_map={"Käse": "cheese"},
        strict=True,
        parameters={"bins": "7"},
        threshold=0.1 + 0.2,
        preprocess=PreprocessOverride("crop", "BGR", (1.5, 2.5, 3.5), (0.1,)),
        batch=4,
        progress_interval=1 / 3,
    )
    assert EvaluationRequest.from_json(request.to_json()) == request


def test_a_link_out_of_the_roots_is_not_followed(
    planner: Planner, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = write_folders(tmp_path_factory.mktemp("outside"), 4)
    (data / "link").symlink_to(outside)
    with pytest.raises(OutsideRoot) as caught:
        planner.plan(asked("link"), nothing)
    assert caught.value.field == "dataset"
