from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.optimizer import DatasetOptimizeRequest, EvaluatedOptimizer
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.optimize import (
    ModelOptimizer,
    OptimizeEvent,
    OptimizeProgress,
    OptimizeRequest,
)
from pellucid_server.errors import Cancelled, InvalidInput, NotFound
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize.plan import Quantization
from pellucid_server.types import Feeds, Outputs

from .conftest import LIMITS, write_folders, write_list

EVENT = OptimizeProgress("calibrate", 1, 2, 0.5)


class Recorder:
    """An optimizer that keeps what it is asked for, and makes nothing."""

    def __init__(self) -> None:
        self.requests: list[OptimizeRequest] = []
        self.closed = False

    def optimize(
        self, request: OptimizeRequest, call: Call
    ) -> Generator[OptimizeEvent, None, None]:
        del call
        self.requests.append(request)
        try:
            yield EVENT
        finally:
            self.closed = True


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def optimizer(recorder: Recorder, planner: Planner) -> EvaluatedOptimizer:
    return EvaluatedOptimizer(cast("ModelOptimizer", recorder), planner, LIMITS)


def int8(dataset: str = "", **settings: Any) -> DatasetOptimizeRequest:
    wanted = Quantization(**settings)
    return DatasetOptimizeRequest(
        "quarters", Optimization.INT8, dataset=dataset, quantization=wanted
    )


def brightness(feeds: Feeds) -> Outputs:
    """What the model of quarters says, computed here."""
    pixels = np.asarray(feeds["image"], np.float64).mean(axis=3)[0] / 255
    means = [pixels[top : top + 8, left : left + 12].mean() for top in (0, 8) for left in (0, 12)]
    return {"logits": np.array([means]) * 10}


def test_images_of_the_set_calibrate_as_often_as_asked(
    optimizer: EvaluatedOptimizer, recorder: Recorder, twelve: str
) -> None:
    assert list(optimizer.optimize(int8(twelve, calibration_size=10), Call())) == [EVENT]
    (request,) = recorder.requests
    assert (request.judge, request.judged) == (None, 0)
    for _ in range(2):
        samples = list(request.samples())
        assert len(samples) == 10
        assert {sample.image.shape for sample in samples} == {(16, 24, 3)}


def test_the_images_are_drawn_alike_from_all_of_a_sorted_set(
    optimizer: EvaluatedOptimizer, recorder: Recorder, data: Path
) -> None:
    """Of all four classes, not the first one's alone."""
    write_folders(data / "many", 200)
    for _ in range(2):
        list(optimizer.optimize(int8("many", calibration_size=12), Call()))
    first, second = ([s.image for s in each.samples()] for each in recorder.requests)
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    bright = {int(brightness({"image": image[None]})["logits"].argmax()) for image in first}
    assert bright == {0, 1, 2, 3}


def test_images_that_cannot_be_read_are_left_out(
    optimizer: EvaluatedOptimizer, recorder: Recorder, data: Path
) -> None:
    names = ["0.png", "9.png", "broken.png", "1.png"] * 5
    write_list(data / "mixed", [f"{name},top left" for name in names])
    (data / "mixed" / "broken.png").write_bytes(b"no image")
    list(optimizer.optimize(int8("mixed"), Call()))
    assert len(list(recorder.requests[0].samples())) == 10


def test_a_limited_drop_is_judged_by_the_main_metric(
    optimizer: EvaluatedOptimizer, recorder: Recorder, twelve: str
) -> None:
    """Ten of twelve images are right; of some of them, as many as there are."""
    list(optimizer.optimize(int8(twelve, max_drop=0.01), Call()))
    (request,) = recorder.requests
    assert request.judged == 12
    assert request.judge is not None
    assert request.judge(brightness, range(12)).metric == pytest.approx(10 / 12)
    assert request.judge(brightness, [0, 1]).metric in {0.0, 0.5, 1.0}
    assert request.judge(brightness, []).metric == 0.0


def test_a_limited_drop_needs_annotations(
    optimizer: EvaluatedOptimizer, data: Path, recorder: Recorder
) -> None:
    write_list(data / "plain", [])
    (data / "plain" / "list.csv").unlink()
    request = DatasetOptimizeRequest(
        "quarters",
        Optimization.INT8,
        dataset="plain",
        dataset_format="images",
        quantization=Quantization(max_drop=0.1),
    )
    with pytest.raises(InvalidInput, match="with annotations") as caught:
        list(optimizer.optimize(request, Call()))
    assert caught.value.field == "dataset"
    assert recorder.requests == []


def test_weights_are_compressed_without_a_set(
    optimizer: EvaluatedOptimizer, recorder: Recorder
) -> None:
    request = DatasetOptimizeRequest("quarters", Optimization.FP16, "1")
    assert list(optimizer.optimize(request, Call())) == [EVENT]
    (made,) = recorder.requests
    assert (made.model_name, made.model_version) == ("quarters", "1")
    assert list(made.samples()) == []


def test_int8_needs_a_set(optimizer: EvaluatedOptimizer) -> None:
    with pytest.raises(InvalidInput, match="calibration set") as caught:
        list(optimizer.optimize(int8(), Call()))
    assert caught.value.field == "dataset"


def test_a_set_that_is_not_there_is_not_found(optimizer: EvaluatedOptimizer) -> None:
    with pytest.raises(NotFound) as caught:
        list(optimizer.optimize(int8("thirteen"), Call()))
    assert caught.value.field == "dataset"


def test_closing_ends_the_work(
    optimizer: EvaluatedOptimizer, recorder: Recorder, twelve: str
) -> None:
    events = optimizer.optimize(int8(twelve), Call())
    next(events)
    events.close()
    assert recorder.closed


def test_who_hangs_up_gets_no_more_samples(
    optimizer: EvaluatedOptimizer, recorder: Recorder, twelve: str
) -> None:
    call = Call()
    list(optimizer.optimize(int8(twelve), call))
    samples: Iterator[Any] = iter(recorder.requests[0].samples())
    next(samples)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        next(samples)
