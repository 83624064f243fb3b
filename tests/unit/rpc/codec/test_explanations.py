from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.v1 import common_pb2
from pellucid.v1 import explanation_pb2 as pb
from pellucid_server.engine.explanation import (
    ExplainAccepted,
    ExplainRequest,
    Explanation,
    OverlayOptions,
    SaliencyMap,
)
from pellucid_server.errors import InvalidInput
from pellucid_server.rpc.codec.explanations import (
    ENOUGH,
    decode_encoding,
    encode_event,
    encode_events,
    write_map,
)
from pellucid_server.rpc.codec.explanations import decode_request as decode
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.rpc.codec.values import encode_value
from pellucid_server.tasks.objectives import Target
from pellucid_server.types import (
    Box,
    Category,
    DetectionParameters,
    EncodedImage,
    InpaintingParameters,
    PictureFormat,
    Size,
)

IMAGE = common_pb2.Input(image=b"png")
PROGRESS = {"interval": {"seconds": 0}, "partial_map_interval": {"nanos": 500_000_000}}
OVERLAY = {
    "enabled": True,
    "color_map": "magma",
    "opacity": 0,
    "without_legend": True,
    "format": common_pb2.PICTURE_FORMAT_JPEG,
}


def decode_request(message: pb.ExplainRequest) -> ExplainRequest:
    return decode(message, ParameterReader(cast("Any", None)))


def test_what_is_unset_takes_its_default() -> None:
    decoded = decode_request(pb.ExplainRequest(model_name="m", input=IMAGE))
    assert decoded == ExplainRequest("m", EncodedImage(b"png"))


def test_what_is_set_arrives() -> None:
    message = pb.ExplainRequest(
        model_name="m",
        model_version="2",
        input=IMAGE,
        targets=[pb.Target(class_id=0), pb.Target(label="cat")],
        top_k=3,
        method="other",
        parameters={"seed": encode_value(7), "soft": encode_value(True)},
        progress=cast("Any", PROGRESS),
        overlay=cast("Any", OVERLAY),
    )
    assert decode_request(message) == ExplainRequest(
        model_name="m",
        model_version="2",
        input=EncodedImage(b"png"),
        targets=(Target(class_id=0), Target(label="cat")),
        top_k=3,
        method="other",
        parameters={"seed": 7, "soft": True},
        progress_interval=0.0,
        partial_map_interval=0.5,
        overlay=OverlayOptions("magma", 0.0, legend=False, format=PictureFormat.JPEG),
    )


def test_an_overlay_that_is_not_enabled_is_none() -> None:
    message = pb.ExplainRequest(input=IMAGE, overlay=pb.OverlayOptions(color_map="magma"))
    assert decode_request(message).overlay is None


@pytest.mark.parametrize("value", [True, False, 0, -7, 2**40, 0.5, "", "text"])
def test_a_parameter_keeps_its_type(value: bool | float | str) -> None:  # noqa: FBT001 - a value
    message = pb.ExplainRequest(input=IMAGE, parameters={"p": encode_value(value)})
    decoded = decode_request(message).parameters["p"]
    assert (decoded, type(decoded)) == (value, type(value))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input": common_pb2.Input()}, "input"),
        ({"parameters": {"seed": common_pb2.ParameterValue()}}, "parameters[seed]"),
        ({"progress": {"interval": {"seconds": -1}}}, "progress.interval"),
        ({"progress": {"partial_map_interval": {"nanos": -1}}}, "progress.partial_map_interval"),
        ({"overlay": {"enabled": True, "format": cast("Any", 7)}}, "overlay.format"),
    ],
)
def test_bad_requests_are_refused_by_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_request(pb.ExplainRequest(**{"input": IMAGE, **wrong}))
    assert caught.value.field == field


def test_objects_and_places_are_targets() -> None:
    """The first object is number 0, which is not the same as none."""
    box = common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)
    targets = [pb.Target(detection=0), pb.Target(box=box), pb.Target(label="cat", box=box)]
    decoded = decode_request(pb.ExplainRequest(input=IMAGE, targets=[*targets, pb.Target()]))
    place = Box(1, 2, 3, 4)
    assert decoded.targets == (
        Target(detection=0),
        Target(box=place),
        Target(label="cat", box=place),
        Target(),
    )


def test_the_tasks_parameters_are_read_as_for_predictions() -> None:
    detection = {"confidence_threshold": 0.25, "labels": ["cat"]}
    found = decode_request(pb.ExplainRequest(input=IMAGE, detection=cast("Any", detection)))
    assert found.task_parameters == DetectionParameters(0.25, labels=("cat",))
    hole = common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)
    filled = decode_request(
        pb.ExplainRequest(input=IMAGE, inpainting=cast("Any", {"rectangles": [hole]}))
    )
    assert filled.task_parameters == InpaintingParameters((Box(1, 2, 3, 4),))


def test_targets_come_with_their_places() -> None:
    """A box without extent stands for none, so that the boxes are as many as the targets."""
    targets = (Category(0, "cat", 0.5), Category(1, "dog", 0.25))
    event = ExplainAccepted(
        "m", "1", "rise", {}, targets, 10, Size(2, 3), Size(4, 6), (None, Box(1, 2, 3, 4))
    )
    nowhere, place = encode_event(event, pb.MAP_ENCODING_FLOAT32).accepted.boxes
    assert nowhere == common_pb2.Box()
    assert place == common_pb2.Box(x_min=1, y_min=2, x_max=3, y_max=4)


def explained(name: str, side: int = 4, overlay: int = 0) -> Explanation:
    """Of a class, with a map and perhaps a picture of such sides."""
    values = np.arange(side * side, dtype=np.float32).reshape(side, side)
    return Explanation(
        target=Category(0, name, 0.5),
        saliency_map=SaliencyMap(values, Box(0, 0, 1, 1)),
        overlay=np.zeros((overlay, overlay, 3), np.uint8) if overlay else None,
        overlay_format=PictureFormat.PNG,
        model_name="m",
        model_version="1",
        method="rise",
        parameters={"seed": 7},
        evaluations=11,
        precision="f32",
        elapsed=1.5,
    )


def labels(messages: list[pb.ExplainResponse]) -> list[list[str]]:
    return [[each.target.label for each in m.results.explanations] for m in messages]


def test_small_maps_come_together_and_large_ones_alone() -> None:
    """No message has more than a map beyond what is enough; each tells what they share."""
    some = [explained(name) for name in "abc"]
    large = [explained(name, side=600) for name in "de"]
    pictures = [explained(name, overlay=700) for name in "fg"]
    messages = list(encode_events([*some, *large, *pictures], pb.MAP_ENCODING_FLOAT32))
    assert labels(messages) == [["a", "b", "c", "d"], ["e"], ["f"], ["g"]]
    assert all(message.results.evaluations == 11 for message in messages)
    assert all(message.results.parameters["seed"].int_value == 7 for message in messages)


def test_a_thousand_maps_fit_the_messages_that_clients_take() -> None:
    maps = (explained("x", side=224) for _ in range(1000))
    messages = list(encode_events(maps, pb.MAP_ENCODING_FLOAT32))
    assert sum(map(len, labels(messages))) == 1000
    assert max(message.ByteSize() for message in messages) < ENOUGH + 224 * 224 * 4 < 4 * 2**20
    assert len(messages) < 250


FINITE = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)


@given(
    arrays(np.float32, (3, 5), elements=FINITE | st.just(0.25) | st.floats(0, 2.0**-100, width=32))
)
def test_levels_are_at_most_half_a_step_off(values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    """And what float32 itself rounds, of the largest magnitude."""
    message = pb.SaliencyMap()
    write_map(SaliencyMap(values, Box(0, 0, 1, 1)), pb.MAP_ENCODING_UINT16, message)
    assert not message.values
    levels = np.frombuffer(message.levels, "<u2").reshape(3, 5).astype(float)
    low, high = float(values.min()), float(values.max())
    found = low + levels / 65535 * (high - low)
    rounding = 2e-7 * max(abs(low), abs(high))
    assert np.abs(found - values).max() <= (high - low) / 65535 * 0.501 + rounding
    assert (message.minimum, message.maximum) == (low, high)


def test_an_unknown_encoding_is_refused() -> None:
    message = pb.ExplainRequest(map_encoding=cast("Any", 7))
    with pytest.raises(InvalidInput, match="MAP_ENCODING_UINT16") as caught:
        decode_encoding(message)
    assert caught.value.field == "map_encoding"
