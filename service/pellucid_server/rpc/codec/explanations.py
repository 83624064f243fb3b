"""Requests for explanations, and the events of their streams: one writer for each event."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import common_pb2, explanation_pb2, inference_pb2
from pellucid_server.engine.explanation import (
    Convergence,
    ExplainAccepted,
    ExplainEvent,
    ExplainProgress,
    ExplainRequest,
    Explanation,
    OverlayOptions,
    SaliencyMap,
)
from pellucid_server.errors import InvalidInput
from pellucid_server.explain import ParameterValue
from pellucid_server.rpc.codec.choices import decode_format
from pellucid_server.rpc.codec.durations import decode_duration, encode_duration
from pellucid_server.rpc.codec.geometry import decode_box, encode_box, encode_category, encode_size
from pellucid_server.rpc.codec.inputs import decode_input
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.rpc.codec.pictures import picture
from pellucid_server.rpc.codec.values import decode_value, encode_value
from pellucid_server.tasks.objectives import Target
from pellucid_server.types import Box, Size

Message = explanation_pb2.ExplainResponse
Encoding: TypeAlias = "explanation_pb2.MapEncoding.ValueType"

ENOUGH = 2**20
"""Bytes of arrays from which a message is sent: clients take 4 MiB unless they say otherwise."""
HIGHEST = 0xFFFF
"""Level of a map's greatest value."""
NOWHERE = Box(0, 0, 0, 0)
"""Of a target that has no place of its own."""


def decode_request(
    message: explanation_pb2.ExplainRequest, reader: ParameterReader
) -> ExplainRequest:
    """What to explain; what is left out takes its default."""
    progress = message.progress
    return ExplainRequest(
        model_name=message.model_name,
        model_version=message.model_version,
        input=decode_input(message.input, "input"),
        targets=tuple(map(_target, message.targets)),
        top_k=message.top_k or ExplainRequest.top_k,
        method=message.method or ExplainRequest.method,
        parameters={
            name: decode_value(value, f"parameters[{name}]")
            for name, value in message.parameters.items()
        },
        progress_interval=_interval(progress, "interval", ExplainRequest.progress_interval),
        partial_map_interval=_interval(progress, "partial_map_interval", None),
        overlay=_overlay(message.overlay) if message.overlay.enabled else None,
        task_parameters=reader.read(_as_of_predict(message)),
    )


def _as_of_predict(message: explanation_pb2.ExplainRequest) -> inference_pb2.PredictRequest:
    """The task's parameters, which have the same names there."""
    name = message.WhichOneof("task_parameters")
    given: dict[str, Any] = {} if name is None else {name: getattr(message, name)}
    return inference_pb2.PredictRequest(**given)


def decode_encoding(message: explanation_pb2.ExplainRequest) -> Encoding:
    """How maps are to be written.

    Raises:
        InvalidInput: in a way that this server does not know.
    """
    if message.map_encoding not in explanation_pb2.MapEncoding.values():
        raise InvalidInput(
            f"map_encoding is {message.map_encoding}: give MAP_ENCODING_FLOAT32 or "
            "MAP_ENCODING_UINT16",
            field="map_encoding",
        )
    return message.map_encoding


def encode_events(events: Iterable[ExplainEvent], encoding: Encoding) -> Iterator[Message]:
    """The messages of a stream: the maps of many targets come several to a message."""
    results, size = Message(), 0
    for event in events:
        if isinstance(event, Explanation):
            if not size:
                results.results.CopyFrom(_in_common(event))
            write_result(event, encoding, results.results.explanations.add())
            size += _bytes(event)
            if size >= ENOUGH:
                yield results
                results, size = Message(), 0
        else:
            yield encode_event(event, encoding)
    if size:
        yield results


def _bytes(event: Explanation) -> int:
    """What its arrays take, pictures before they are compressed."""
    saliency = event.saliency_map
    arrays = (saliency.values, saliency.standard_errors, event.overlay)
    return sum(each.nbytes for each in arrays if each is not None)


def encode_event(event: ExplainAccepted | ExplainProgress, encoding: Encoding) -> Message:
    """What will be done, or how far it is."""
    if isinstance(event, ExplainAccepted):
        return Message(accepted=_accepted(event))
    message = Message(progress=_progress(event))
    for each in event.partial_maps:
        write_map(each, encoding, message.progress.partial_maps.add())
    return message


def write_result(
    event: Explanation, encoding: Encoding, message: explanation_pb2.Explanation
) -> None:
    """The explanation of a target. Maps are written in their place: each copy of one costs time."""
    write_map(event.saliency_map, encoding, message.saliency_map)
    message.target.CopyFrom(encode_category(event.target))
    if event.overlay is not None:
        message.overlay.CopyFrom(picture(event.overlay, event.overlay_format))
    if event.convergence is not None:
        message.convergence.CopyFrom(_convergence(event.convergence))
    if event.box is not None:
        message.box.CopyFrom(encode_box(event.box))


def write_map(
    saliency: SaliencyMap, encoding: Encoding, message: explanation_pb2.SaliencyMap
) -> None:
    """A map as it is, with its range."""
    values = saliency.values
    message.size.MergeFrom(encode_size(Size(*values.shape)))
    message.minimum, message.maximum = low, high = float(values.min()), float(values.max())
    if encoding == explanation_pb2.MAP_ENCODING_UINT16:
        message.levels = _levels(values, low, high)
    else:
        message.values = _floats(values)
    message.region.MergeFrom(encode_box(saliency.region))
    if saliency.standard_errors is not None:
        message.standard_errors = _floats(saliency.standard_errors)


def _floats(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f4", copy=False).tobytes()


def _levels(values: NDArray[np.float32], low: float, high: float) -> bytes:
    levels, step = values - np.float32(low), np.float32((high - low) / HIGHEST)
    if step:
        levels /= step
    levels += np.float32(0.5)  # cutting off the rest rounds, then
    return levels.astype("<u2").tobytes()


def _convergence(known: Convergence) -> explanation_pb2.Convergence:
    return explanation_pb2.Convergence(
        correlation=known.correlation, standard_error=known.standard_error
    )


def _target(message: explanation_pb2.Target) -> Target:
    box = decode_box(message.box) if message.HasField("box") else None
    kind = message.WhichOneof("kind")
    named: dict[str, Any] = {} if kind is None else {kind: getattr(message, kind)}
    return Target(**named, box=box)


def _interval(progress: explanation_pb2.ProgressOptions, name: str, default: Any) -> Any:
    if not progress.HasField(name):  # type: ignore[arg-type]  # the stubs want a literal
        return default
    return decode_duration(getattr(progress, name), f"progress.{name}")


def _overlay(message: explanation_pb2.OverlayOptions) -> OverlayOptions:
    return OverlayOptions(
        color_map=message.color_map or OverlayOptions.color_map,
        opacity=message.opacity if message.HasField("opacity") else OverlayOptions.opacity,
        legend=not message.without_legend,
        format=decode_format(message.format, "overlay.format"),
    )


def _values(parameters: Mapping[str, ParameterValue]) -> dict[str, common_pb2.ParameterValue]:
    return {name: encode_value(value) for name, value in parameters.items()}


def _accepted(event: ExplainAccepted) -> explanation_pb2.ExplainAccepted:
    return explanation_pb2.ExplainAccepted(
        model_name=event.model_name,
        model_version=event.model_version,
        method=event.method,
        parameters=_values(event.parameters),
        targets=map(encode_category, event.targets),
        total=event.total,
        map_size=encode_size(event.map_size),
        input_size=encode_size(event.input_size),
        boxes=[encode_box(box or NOWHERE) for box in event.boxes],
    )


def _progress(event: ExplainProgress) -> explanation_pb2.ExplainProgress:
    return explanation_pb2.ExplainProgress(
        done=event.done,
        total=event.total,
        elapsed=encode_duration(event.elapsed),
        remaining=encode_duration(event.remaining),
        units_per_second=event.units_per_second,
        convergence=map(_convergence, event.convergence),
    )


def _in_common(event: Explanation) -> explanation_pb2.Explanations:
    return explanation_pb2.Explanations(
        model_name=event.model_name,
        model_version=event.model_version,
        method=event.method,
        parameters=_values(event.parameters),
        evaluations=event.evaluations,
        precision=event.precision,
        elapsed=encode_duration(event.elapsed),
    )
