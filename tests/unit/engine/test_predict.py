import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.engine.predict import Predictor, PredictRequest
from pellucid_server.errors import InvalidInput, PellucidError
from pellucid_server.types import (
    ClassificationParameters,
    ClassificationResult,
    DetectionParameters,
    EncodedImage,
    Source,
    TaskParameters,
    TensorInput,
)

TENSOR = TensorInput((("image", np.ones((1, 3, 16, 24), np.float32)),))


def test_an_image_becomes_a_typed_result(predictor: Predictor, photo: EncodedImage) -> None:
    """The bright quarter comes first; its softmax is that of NumPy to 1e-4."""
    response = predictor.predict(PredictRequest("quarters", [photo]), Call())
    (prediction,) = response.predictions
    assert isinstance(prediction.result, ClassificationResult)
    best = prediction.result.categories[0]
    assert (response.model_name, response.model_version) == ("quarters", "1")
    assert best.label == "bottom right"
    logits = np.asarray([30, 30, 30, 250]) / 25.5
    assert best.confidence == pytest.approx(np.exp(logits[3]) / np.exp(logits).sum(), abs=1e-4)
    assert prediction.input_size == (32, 48)
    assert prediction.raw_outputs == {}
    assert prediction.timing.compute > 0
    assert prediction.timing.prepare > 0


def test_predictions_come_in_the_order_of_the_inputs(
    predictor: Predictor, photo: EncodedImage
) -> None:
    """Images and tensors mix; tensors give raw outputs and no result."""
    response = predictor.predict(PredictRequest("quarters", [photo, TENSOR, photo]), Call())
    results = [type(prediction.result) for prediction in response.predictions]
    assert results == [ClassificationResult, type(None), ClassificationResult]
    assert response.predictions[1].raw_outputs["logits"].tolist() == [[10, 10, 10, 10]]


def test_raw_outputs_come_beside_the_result(predictor: Predictor, photo: EncodedImage) -> None:
    request = PredictRequest("quarters", [photo], raw_outputs=True)
    (prediction,) = predictor.predict(request, Call()).predictions
    assert prediction.raw_outputs["logits"].argmax() == 3


def test_parameters_reach_the_task(predictor: Predictor, photo: EncodedImage) -> None:
    request = PredictRequest("quarters", [photo], parameters=ClassificationParameters(top_k=2))
    (prediction,) = predictor.predict(request, Call()).predictions
    assert isinstance(prediction.result, ClassificationResult)
    assert len(prediction.result.categories) == 2


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "field", "telling"),
    [
        ("quartres", [TENSOR], None, "model_name", "quartres"),
        ("quarters", [], None, "inputs", "1 to 4"),
        ("quarters", [TENSOR] * 5, None, "inputs", r"limits\.inputs"),
        ("quarters", [EncodedImage(b"x")], DetectionParameters(), "detection", "classification"),
        ("quarters", [TENSOR, EncodedImage(b"x")], None, "inputs[1].image", "not an image"),
        ("raw", [EncodedImage(b"x")], None, "model_name", "tensors only"),
        ("raw", [TensorInput((("image", np.zeros(3)),))], None,
         "inputs[0].tensors.tensors[0].datatype", "FP32"),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused_by_field(
    predictor: Predictor,
    model: str,
    inputs: list[Source],
    parameters: TaskParameters | None,
    field: str,
    telling: str,
) -> None:
    with pytest.raises(PellucidError, match=telling) as caught:
        predictor.predict(PredictRequest(model, inputs, parameters=parameters), Call())
    assert caught.value.field == field


def test_tensors_that_only_the_model_can_refuse_are_the_callers_mistake(
    predictor: Predictor,
) -> None:
    """A free dimension that the graph cannot take is INVALID_ARGUMENT, never INTERNAL."""
    empty = TensorInput((("image", np.ones((0, 3, 16, 24), np.float32)),))
    with pytest.raises(InvalidInput):
        predictor.infer("raw", "", empty, Call())
    served, outputs = predictor.infer("raw", "", TENSOR, Call())
    assert served.name == "raw"
    assert outputs["logits"].shape == (1, 4)
