"""Explanations: requests out of what callers pass, events out of responses."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from pellucid._wire import common
from pellucid._wire.inputs import to_input
from pellucid.errors import InternalError
from pellucid.explanations import (
    Accepted,
    Convergence,
    Event,
    Explanation,
    Overlay,
    Progress,
    SaliencyMap,
)
from pellucid.types import Category, ImageLike, ParameterValue, Size
from pellucid.v1 import explanation_pb2 as pb

TargetLike = str | int | Category
Targets = TargetLike | Sequence[TargetLike]


def explain_request(
    image: ImageLike,
    *,
    model: str,
    version: str = "",
    targets: Targets = (),
    top_k: int = 0,
    method: str = "",
    overlay: bool | Overlay = False,
    progress_interval: float | None = None,
    partial_maps: float | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
) -> pb.ExplainRequest:
    """The request of an explanation."""
    request = pb.ExplainRequest(
        model_name=model,
        model_version=version,
        input=to_input(image),
        targets=map(_target, _listed(targets)),
        top_k=top_k,
        method=method,
    )
    for name, value in (parameters or {}).items():
        request.parameters[name].CopyFrom(common.to_value(name, value))
    if progress_interval is not None:
        request.progress.interval.FromTimedelta(timedelta(seconds=progress_interval))
    if partial_maps is not None:
        request.progress.partial_map_interval.FromTimedelta(timedelta(seconds=partial_maps))
    if overlay:
        request.overlay.CopyFrom(_overlay(Overlay() if overlay is True else overlay))
    return request


def _listed(targets: Targets) -> Sequence[TargetLike]:
    single = isinstance(targets, str | Category) or not isinstance(targets, Sequence)
    return [targets] if single else targets  # type: ignore[list-item, return-value]  # told apart above


def _target(target: TargetLike) -> pb.Target:
    if isinstance(target, str):
        return pb.Target(label=target)
    return pb.Target(class_id=target.class_id if isinstance(target, Category) else target)


def _overlay(overlay: Overlay) -> pb.OverlayOptions:
    return pb.OverlayOptions(
        enabled=True,
        color_map=overlay.color_map,
        opacity=overlay.opacity,
        without_legend=not overlay.legend,
        format=common.picture_format(overlay.format),
    )


class EventReader:
    """Reads the events of one explanation; the size of its image comes with the first."""

    def __init__(self) -> None:
        self._input_size = Size(0, 0)

    def read(self, response: pb.ExplainResponse) -> Event | None:
        """The event; `None` for one of a newer contract."""
        match response.WhichOneof("event"):
            case "accepted":
                accepted = _accepted(response.accepted)
                self._input_size = accepted.input_size
                return accepted
            case "progress":
                return _progress(response.progress)
            case "result":
                return _explanation(response.result, self._input_size)
        return None


def _accepted(message: pb.ExplainAccepted) -> Accepted:
    return Accepted(
        model=message.model_name,
        version=message.model_version,
        method=message.method,
        parameters=common.values(message.parameters),
        targets=tuple(map(common.category, message.targets)),
        total=message.total,
        map_size=common.size(message.map_size),
        input_size=common.size(message.input_size),
    )


def _progress(message: pb.ExplainProgress) -> Progress:
    return Progress(
        done=message.done,
        total=message.total,
        elapsed=common.seconds(message.elapsed),
        remaining=common.seconds(message.remaining),
        units_per_second=message.units_per_second,
        partial_maps=tuple(map(_map, message.partial_maps)),
        convergence=tuple(map(_convergence, message.convergence)),
    )


def _convergence(message: pb.Convergence) -> Convergence:
    return Convergence(message.correlation, message.standard_error)


def _map(message: pb.SaliencyMap) -> SaliencyMap:
    values = _floats(message.values, message)
    errors = _floats(message.standard_errors, message) if message.standard_errors else None
    return SaliencyMap(values, common.box(message.region), errors)


def _floats(data: bytes, message: pb.SaliencyMap) -> NDArray[np.float32]:
    width, height = common.size(message.size)
    values = np.frombuffer(data, "<f4").astype(np.float32)
    if values.size != width * height or not values.size:
        raise InternalError(f"the server's map is not {width} x {height} float32 values")
    return values.reshape(height, width)


def _explanation(message: pb.Explanation, input_size: Size) -> Explanation:
    return Explanation(
        target=common.category(message.target),
        map=_map(message.saliency_map),
        input_size=input_size,
        model=message.model_name,
        version=message.model_version,
        method=message.method,
        parameters=common.values(message.parameters),
        evaluations=message.evaluations,
        precision=message.precision,
        elapsed=common.seconds(message.elapsed),
        convergence=_convergence(message.convergence) if message.HasField("convergence") else None,
        overlay_data=message.overlay.data if message.HasField("overlay") else None,
        overlay_media_type=message.overlay.media_type or "image/png",
    )
