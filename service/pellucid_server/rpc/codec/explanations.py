"""Requests for explanations, and the events of their streams: one writer for each event."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

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


def encode_event(event: ExplainEvent) -> explanation_pb2.ExplainResponse:
    """One message of the stream."""
    field, write = _WRITERS[type(event)]
    return explanation_pb2.ExplainResponse(**{field: write(event)})


def encode_map(saliency: SaliencyMap) -> explanation_pb2.SaliencyMap:
    """A map as it is, with its range."""
    values = saliency.values
    return explanation_pb2.SaliencyMap(
        size=encode_size(Size(*values.shape)),
        values=_floats(values),
        minimum=float(np.min(values)),
        maximum=float(np.max(values)),
        region=encode_box(saliency.region),
        standard_errors=_floats(saliency.standard_errors),
    )


def _floats(values: NDArray[np.float32] | None) -> bytes:
    return b"" if values is None else values.astype("<f4", copy=False).tobytes()


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
        partial_maps=map(encode_map, event.partial_maps),
        convergence=map(_convergence, event.convergence),
    )


def _result(event: Explanation) -> explanation_pb2.Explanation:
    overlay = event.overlay
    return explanation_pb2.Explanation(
        target=encode_category(event.target),
        saliency_map=encode_map(event.saliency_map),
        overlay=None if overlay is None else picture(overlay, event.overlay_format),
        model_name=event.model_name,
        model_version=event.model_version,
        method=event.method,
        parameters=_values(event.parameters),
        evaluations=event.evaluations,
        precision=event.precision,
        elapsed=encode_duration(event.elapsed),
        convergence=_convergence(event.convergence) if event.convergence else None,
        box=encode_box(event.box) if event.box else None,
    )


_WRITERS: Mapping[type, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        ExplainAccepted: ("accepted", _accepted),
        ExplainProgress: ("progress", _progress),
        Explanation: ("result", _result),
    }
)
