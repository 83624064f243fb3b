"""What cannot be optimised: each is refused with its field, and leaves nothing behind."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest

from pellucid_server.errors import InvalidInput, ModelUnavailable, NotServed, Overloaded
from pellucid_server.runtime.lineage import Optimization
from pellucid_server.runtime.optimize import graphs
from pellucid_server.runtime.optimize.plan import Plan, Quantization, Verdict
from pellucid_server.types import Feeds, Infer

if TYPE_CHECKING:
    from tests.unit.runtime.optimize.conftest import Workplace

Make = Callable[..., ov.Model]
Items = Callable[..., Callable[[], Iterator[Feeds]]]


def never(infer: Infer, indices: Sequence[int]) -> Verdict:
    raise AssertionError((infer, indices))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"preset": "mixt"}, "preset"),
        ({"model_type": "transformers"}, "model_type"),
        ({"calibration_size": 9}, "calibration_size"),
        ({"max_drop": -0.1}, "max_accuracy_drop"),
        ({"max_drop": float("nan")}, "max_accuracy_drop"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Quantization(**settings)
    assert refused.value.field == field


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="mixed"):
        Quantization(preset="mixt")


@pytest.mark.parametrize(
    "judge", [{}, {"judge": never, "judged": 9}], ids=["no judge", "too few to judge"]
)
def test_a_limit_without_enough_to_check_it(judge: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        Plan(Optimization.INT8, Quantization(max_drop=0.1), **judge)
    assert refused.value.field == "dataset"


def refused(place: "Workplace", model: ov.Model, plan: Plan) -> InvalidInput:
    served = place.serve(model)
    with pytest.raises(InvalidInput) as error:
        place.run(served, plan)
    assert place.left == ["1"]
    return error.value


def test_a_model_without_anything_to_quantise(
    workplace: "Workplace", unquantizable: ov.Model, int8: Plan
) -> None:
    error = refused(workplace, unquantizable, int8)
    assert error.field == "optimization"


def test_items_that_the_model_cannot_run_on(workplace: "Workplace", graph: Make) -> None:
    wrong = {"image": np.zeros((1, 3, 4, 4), np.float32)}
    error = refused(
        workplace, graph(), Plan(Optimization.INT8, calibration=lambda: iter([wrong] * 12))
    )
    assert error.field == "optimization"
    assert "NNCF cannot quantise" in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize(
    ("how", "field", "near"),
    [
        (Quantization(ignored_names=("bodi",)), "ignored_names", "body"),
        (Quantization(ignored_types=("Convolutions",)), "ignored_types", "Convolution"),
    ],
)
def test_ignored_layers_that_are_not_there(
    workplace: "Workplace", graph: Make, how: Quantization, field: str, near: str
) -> None:
    error = refused(workplace, graph(), Plan(Optimization.INT8, how))
    assert error.field == field
    assert near in error.message


def test_a_drop_that_cannot_be_kept(workplace: "Workplace", graph: Make, tensors: Items) -> None:
    """A judge that likes only what is not quantised at all."""
    model = graph()
    items = list(tensors(12)())
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    truth = [compiled(dict(each))[0].copy() for each in items]

    def judge(infer: Infer, indices: Sequence[int]) -> Verdict:
        equal = [
            float(np.abs(infer(items[each])["scores"] - truth[each]).max() < 1e-5)
            for each in indices
        ]
        return Verdict(float(np.mean(equal)), tuple(equal))

    how = Quantization(calibration_size=12, max_drop=0.01)
    error = refused(workplace, model, Plan(Optimization.INT8, how, tensors(12), judge, 12))
    assert error.field == "max_accuracy_drop"


def test_a_server_without_nncf_says_what_to_install(
    workplace: "Workplace", graph: Make, int8: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "find_spec", lambda _: None)
    served = workplace.serve(graph())
    with pytest.raises(NotServed, match=r"pip install 'pellucid\[optimize\]'") as error:
        workplace.run(served, int8)
    assert error.value.field == "optimization"


def test_a_second_optimisation_is_told_to_come_again(
    workplace: "Workplace", graph: Make, int8: Plan
) -> None:
    served = workplace.serve(graph())
    first = workplace.optimizer.run(served, int8, _call())
    next(first)
    with pytest.raises(Overloaded) as error:
        workplace.run(served, int8)
    assert error.value.retry_after > 0
    first.close()
    next(workplace.optimizer.run(served, int8, _call()))


def _call() -> Any:
    from pellucid_server.call import Call  # noqa: PLC0415 - only here

    return Call()


def unavailable(place: "Workplace", model: ov.Model, plan: Plan) -> ModelUnavailable:
    served = place.serve(model)
    with pytest.raises(ModelUnavailable, match="repository cannot take a new version") as error:
        place.run(served, plan)
    assert error.value.field == "model_name"
    assert place.left == ["1"]
    return error.value


def test_a_read_only_repository(
    workplace: "Workplace", graph: Make, int8: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> str:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert "Read-only file system" in unavailable(workplace, graph(), int8).message


def test_a_disk_without_room_is_seen_before_the_work(
    workplace: "Workplace", graph: Make, int8: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=2**20))
    assert "1 MiB are free" in unavailable(workplace, graph(), int8).message


def test_a_disk_that_fills_up_while_the_version_is_written(
    workplace: "Workplace", graph: Make, int8: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full answers every write with "no space left on device"."""
    real = Path.mkdir

    def with_full_disk(path: Path, *arguments: Any, **options: Any) -> None:
        real(path, *arguments, **options)
        if path.name == "1":
            (path / "model.bin").symlink_to("/dev/full")

    served = workplace.serve(graph())
    monkeypatch.setattr(Path, "mkdir", with_full_disk)
    with pytest.raises(ModelUnavailable) as error:
        workplace.run(served, int8)
    assert error.value.field == "model_name"
    assert workplace.left == ["1"]
