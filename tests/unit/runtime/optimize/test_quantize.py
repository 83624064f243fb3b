"""Versions of INT8, made by the real process and the real NNCF on tiny models."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.runtime.graph import image_graph
from pellucid_server.runtime.lineage import Lineage, Optimization, read_lineage
from pellucid_server.runtime.optimize.plan import Plan, Progress, Quantization, Stage, Verdict
from pellucid_server.types import Feeds, Infer

if TYPE_CHECKING:
    from tests.unit.runtime.optimize.conftest import Quantized, Workplace

Make = Callable[..., ov.Model]
Items = Callable[..., Callable[[], Iterator[Feeds]]]


def kinds(graph: ov.Model) -> set[str]:
    return {node.get_type_name() for node in graph.get_ops()}


def weights(graph: ov.Model) -> set[str]:
    """Types of the constants that have four dimensions."""
    return {
        node.get_element_type().get_type_name()
        for node in graph.get_ops()
        if node.get_type_name() == "Constant" and len(node.get_output_shape(0)) == 4
    }


def scores(graph: ov.Model, feeds: Sequence[Feeds]) -> np.ndarray:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(dict(each))[0] for each in feeds])


def test_the_new_version_is_quantised_and_agrees_with_its_parent(quantized: "Quantized") -> None:
    """Scores within 5 % of their range, on the items that it was calibrated with."""
    parent, made = quantized.parent, quantized.made
    assert (parent.version, made.version) == (1, 2)
    assert "FakeQuantize" in kinds(made.graph)
    assert "i8" in weights(made.graph)
    assert (made.inputs, made.outputs) == (parent.inputs, parent.outputs)
    items = list(quantized.plan.calibration())
    before, after = (scores(image_graph(each), items) for each in (parent, made))
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()


def test_the_file_s_description_of_itself_is_kept(quantized: "Quantized") -> None:
    assert quantized.made.spec == quantized.parent.spec
    assert quantized.made.spec.labels == ("cat", "dog")


def test_progress_counts_items_then_tells_the_stages(quantized: "Quantized") -> None:
    assert quantized.progress == [
        *(Progress(Stage.CALIBRATE, done, 12) for done in range(1, 12)),
        Progress(Stage.QUANTISE, 0, 1),
        Progress(Stage.SAVE, 0, 1),
        Progress(Stage.SAVE, 1, 1),
    ]


def test_the_lineage_tells_what_was_done_with_what(quantized: "Quantized") -> None:
    lineage = lineage_of(quantized.place, 2)
    assert (lineage.parent_version, lineage.optimization) == (1, Optimization.INT8)
    assert lineage.settings == {
        "preset": "performance",
        "calibration_size": "12",
        "fast_bias_correction": "true",
    }
    assert lineage.tools.keys() == {"openvino", "nncf"}


def test_the_digest_is_of_what_the_model_was_calibrated_with(quantized: "Quantized") -> None:
    digest = hashlib.sha256()
    for item in quantized.plan.calibration():
        digest.update(b"image uint8 (1, 8, 8, 3)" + item["image"].tobytes())
    assert lineage_of(quantized.place, 2).dataset_digest == digest.hexdigest()


def test_a_quantised_version_is_not_quantised_again(quantized: "Quantized") -> None:
    with pytest.raises(InvalidInput, match="quantised already") as error:
        quantized.place.run(quantized.made, quantized.plan)
    assert error.value.field == "model_version"


def lineage_of(place: "Workplace", version: int) -> Lineage:
    lineage = read_lineage(place.root / "tiny" / str(version))
    assert lineage
    return lineage


def test_a_transformer_is_calibrated_in_several_passes(
    workplace: "Workplace", graph: Make, tensors: Items
) -> None:
    """Each begins anew, what is done never falls, and a smaller set is used whole."""
    how = Quantization(model_type="transformer", preset="mixed", calibration_size=30)
    plan = Plan(Optimization.INT8, how, tensors(11))
    number, progress = workplace.run(workplace.serve(graph()), plan)
    done = [each.done for each in progress if each.stage is Stage.CALIBRATE]
    assert done == sorted(done)
    settings = lineage_of(workplace, number).settings
    assert (settings["model_type"], settings["preset"]) == ("transformer", "mixed")
    assert settings["calibration_size"] == "11"


def test_layers_that_are_ignored_stay_as_they_are(
    workplace: "Workplace", graph: Make, tensors: Items
) -> None:
    how = Quantization(ignored_types=("Convolution",), calibration_size=10)
    number, _ = workplace.run(workplace.serve(graph()), Plan(Optimization.INT8, how, tensors(10)))
    made = workplace.models.load("tiny", str(number)).versions[0].served
    assert made
    assert weights(made.graph) == {"f32"}
    assert "FakeQuantize" in kinds(made.graph)


class Examiner:
    """Judges by how near the scores are to the parent's: 0 where they are equal."""

    def __init__(self, parent: ov.Model, items: Sequence[Feeds], *, by_item: bool = True) -> None:
        self._truth = scores(parent, items)
        self._items = items
        self._by_item = by_item

    def __call__(self, infer: Infer, indices: Sequence[int]) -> Verdict:
        near = []
        for index in indices:
            found = infer(self._items[index])["scores"]
            near.append(-float(np.abs(found - self._truth[index]).max()))
        return Verdict(float(np.mean(near)), tuple(near) if self._by_item else ())


def test_the_judge_s_inference_prepares_images_as_predictions_do(
    workplace: "Workplace", graph: Make, described: str, pictures: Items
) -> None:
    """Colour order, mean and scale: the parent's metric is 0 against its own image variant."""
    parent = workplace.serve(graph(), described)
    items = list(pictures(12)())
    examiner = Examiner(image_graph(parent), items)
    how = Quantization(calibration_size=12, max_drop=10.0)
    plan = Plan(Optimization.INT8, how, pictures(12), examiner, judged=12)
    number, progress = workplace.run(parent, plan)
    settings = lineage_of(workplace, number).settings
    assert float(settings["parent_metric"]) == pytest.approx(0, abs=1e-4)
    assert -10 < float(settings["metric"]) < -1e-3
    validated = [each for each in progress if each.stage is Stage.VALIDATE]
    assert validated[-1] == Progress(Stage.VALIDATE, 3, 3)
    assert not [each for each in progress if each.stage is Stage.RESTORE_ACCURACY]


def test_accuracy_is_restored_by_leaving_layers_as_they_were(
    workplace: "Workplace", graph: Make, tensors: Items
) -> None:
    """An outlier spoils one layer: that one is given back, others stay quantised."""
    parent = workplace.serve(graph(outlier=3000.0))
    items = list(tensors(12)())
    drop = 2.0
    how = Quantization(calibration_size=12, max_drop=drop)
    examiner = Examiner(parent.graph, items, by_item=False)
    plan = Plan(Optimization.INT8, how, tensors(12), examiner, judged=12)
    number, progress = workplace.run(parent, plan)
    made = workplace.models.load("tiny", str(number)).versions[0].served
    assert made
    error = np.abs(scores(made.graph, items) - scores(parent.graph, items)).max(axis=1).mean()
    assert error <= drop
    assert "FakeQuantize" in kinds(made.graph)
    assert {"f32", "i8"} & weights(made.graph)
    assert [each for each in progress if each.stage is Stage.RESTORE_ACCURACY]
