import time

import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.explanation import (
    ExplainAccepted,
    ExplainProgress,
    ExplainRequest,
    Explanation,
    OverlayOptions,
)
from pellucid_server.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    PellucidError,
)
from pellucid_server.explain.designs import DESIGNS
from pellucid_server.explain.masks import MaskTables
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Box, EncodedImage, Size


def request(photo: EncodedImage, **changes: object) -> ExplainRequest:
    parameters = {"num_masks": 256, "num_cells": 4, "design": "plain"}
    return ExplainRequest("quarters", photo, parameters=parameters, **changes)  # type: ignore[arg-type]  # fields by name


def test_events_are_accepted_then_progress_then_a_result_a_target(
    explainer: Explainer, photo: EncodedImage
) -> None:
    events = list(explainer.explain(request(photo, top_k=2, progress_interval=0), Call()))
    accepted, *progress, first, second = events
    assert isinstance(accepted, ExplainAccepted)
    assert accepted.total == 256
    assert accepted.map_size == Size(16, 24)
    assert accepted.parameters["prob"] == 0.5
    assert all(isinstance(event, ExplainProgress) for event in progress)
    assert [event.done for event in progress] == list(range(32, 257, 32))  # type: ignore[union-attr]  # as above
    assert isinstance(first, Explanation)
    assert isinstance(second, Explanation)
    assert [first.target, second.target] == list(accepted.targets)
    assert first.target.label == "bottom right"
    assert (first.evaluations, first.precision) == (257, "f32")


def test_the_map_is_rise_computed_by_hand(explainer: Explainer, photo: EncodedImage) -> None:
    """The model's formula applied to each mask in NumPy gives the same map to 1e-4."""
    *_, result = explainer.explain(request(photo, targets=("bottom right",)), Call())
    assert isinstance(result, Explanation)
    image = np.full((16, 24), 30 / 255)
    image[8:, 12:] = 250 / 255
    total = np.zeros((16, 24))
    tables = MaskTables.of(Size(16, 24), 4)
    blocks = DESIGNS["plain"](4, tables.shifts, 0.5, 0).blocks(256)
    for mask in np.concatenate([block.render(tables) for block in blocks]):
        logits = 10 * (image * mask).reshape(2, 8, 2, 12).mean((1, 3)).ravel()
        total += np.exp(logits[3]) / np.exp(logits).sum() * mask
    expected = total / (256 * 0.5)
    assert np.abs(result.saliency_map.values - expected).max() < 1e-4
    assert result.saliency_map.region == Box(0, 0, 48, 32)
    peak = np.unravel_index(expected.argmax(), expected.shape)
    assert peak[0] >= 8
    assert peak[1] >= 12


def test_partial_maps_come_where_asked_for(explainer: Explainer, photo: EncodedImage) -> None:
    """The last partial map is the result's map."""
    call = request(photo, top_k=2, progress_interval=0, partial_map_interval=0)
    *progress, first, _ = list(explainer.explain(call, Call()))[1:]
    assert isinstance(first, Explanation)
    assert all(len(event.partial_maps) == 2 for event in progress)  # type: ignore[union-attr]  # progress alone
    last = progress[-1].partial_maps[0].values  # type: ignore[union-attr]  # progress alone
    assert np.array_equal(last, first.saliency_map.values)


def test_an_overlay_is_drawn_where_asked_for(explainer: Explainer, photo: EncodedImage) -> None:
    """Without a legend it has the photo's size; it is brightest where the map is highest."""
    options = OverlayOptions(opacity=1, legend=False)
    *_, result = explainer.explain(request(photo, overlay=options), Call())
    assert isinstance(result, Explanation)
    assert result.overlay is not None
    assert result.overlay.shape == (32, 48, 3)


def test_metrics_tell_what_an_explanation_took_and_how_well_its_maps_are_known(
    explainer: Explainer, photo: EncodedImage, metrics: Metrics
) -> None:
    parameters = {"num_masks": 4000}
    *_, result = explainer.explain(ExplainRequest("quarters", photo, parameters=parameters), Call())
    assert isinstance(result, Explanation)
    assert result.convergence is not None
    labels, value = {"model": "quarters", "method": "rise"}, metrics.registry.get_sample_value
    assert value("pellucid_explanation_masks_sum", labels) == result.evaluations - 1
    assert value("pellucid_explanation_masks_count", labels) == 1
    told = value("pellucid_explanation_correlation_sum", labels)
    assert told == pytest.approx(result.convergence.correlation)


def test_the_work_stops_when_the_caller_hangs_up(
    explainer: Explainer, photo: EncodedImage, metrics: Metrics
) -> None:
    """After the first of 3,000 blocks the caller leaves: Cancelled, and nothing waits."""
    call = Call()
    events = explainer.explain(
        ExplainRequest("quarters", photo, parameters={"num_masks": 96_000}, progress_interval=0),
        call,
    )
    assert isinstance(next(events), ExplainAccepted)
    next(events)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        list(events)
    labels = {"model": "quarters", "method": "rise"}
    done = metrics.registry.get_sample_value("pellucid_masks_total", labels)
    assert done is not None
    assert done < 1000
    assert queued(metrics) == 0


def queued(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("pellucid_queue_length", {"priority": "explain"})


def test_closing_the_stream_stops_the_work(
    explainer: Explainer, photo: EncodedImage, metrics: Metrics
) -> None:
    events = explainer.explain(
        ExplainRequest("quarters", photo, parameters={"num_masks": 96_000}, progress_interval=0),
        Call(),
    )
    next(events), next(events)
    events.close()  # type: ignore[attr-defined]  # it is a generator
    assert queued(metrics) == 0


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"method": "rice"}, NotFound, "method"),
        ({"targets": ("top",)}, NotFound, "targets[0].label"),
        ({"parameters": {"masks": 3}}, InvalidInput, "parameters[masks]"),
        ({"parameters": {"num_masks": 0}}, InvalidInput, "parameters[num_masks]"),
        ({"overlay": OverlayOptions(color_map="jet")}, InvalidInput, "overlay.color_map"),
        ({"overlay": OverlayOptions(opacity=0)}, InvalidInput, "overlay.opacity"),
        ({"model_name": "raw"}, InvalidInput, "method"),
        ({"input": EncodedImage(b"x")}, InvalidInput, "input.image"),
        ({"top_k": 9}, InvalidInput, "top_k"),
    ],
)
def test_wrong_requests_are_refused_before_the_first_event(
    explainer: Explainer,
    photo: EncodedImage,
    changes: dict[str, object],
    error: type[PellucidError],
    field: str,
) -> None:
    wrong = ExplainRequest(**{"model_name": "quarters", "input": photo, **changes})  # type: ignore[arg-type]  # fields by name
    with pytest.raises(error) as caught:
        next(explainer.explain(wrong, Call()))
    assert caught.value.field == field


def test_methods_tell_which_models_they_serve(explainer: Explainer) -> None:
    """RISE serves the classifier and not the model without a task."""
    (rise,) = explainer.methods()
    assert rise.model_names == ("quarters",)
    assert explainer.methods("raw") == ()
    assert [info.name for info in rise.parameters][:2] == ["num_masks", "num_cells"]


def test_what_cannot_end_in_time_is_refused_before_it_starts(
    explainer: Explainer, photo: EncodedImage, metrics: Metrics
) -> None:
    """Once the speed is known, a million masks in a second are refused with an estimate."""
    list(explainer.explain(request(photo), Call()))
    labels = {"model": "quarters", "method": "rise"}
    before = metrics.registry.get_sample_value("pellucid_masks_total", labels)
    wrong = ExplainRequest("quarters", photo, parameters={"num_masks": 1_000_000})
    with pytest.raises(DeadlineExceeded, match="num_masks"):
        next(explainer.explain(wrong, Call(deadline=time.monotonic() + 1)))
    assert metrics.registry.get_sample_value("pellucid_masks_total", labels) == before
