"""Explanations: requests out of what callers pass, events out of responses."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid._wire import common
from pellucid._wire.inputs import to_input
from pellucid._wire.predictions import Query
from pellucid.errors import InternalError, InvalidArgumentError
from pellucid.explanations import (
    Accepted,
    Convergence,
    Event,
    Explanation,
    Overlay,
    Progress,
    SaliencyMap,
    Target,
)
from pellucid.results import Detection
from pellucid.types import Box, Category, ImageLike, ParameterValue, Size, Task
from pellucid.v1 import common_pb2
from pellucid.v1 import explanation_pb2 as pb

FEW = 16
"""Targets whose maps come in full where nothing is said of it."""
Number = TypeVar("Number", np.float32, np.uint16)
TargetLike = str | int | Category | Box | Detection | Target
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
    compact_maps: bool | None = None,
    parameters: Mapping[str, ParameterValue] | None = None,
    asked: Query | None = None,
    task: Task | None = None,
) -> pb.ExplainRequest:
    """The request of an explanation; `asked` has the task's parameters."""
    listed = [_target(each) for each in _listed(targets)]
    if compact_maps is None:
        compact_maps = max(len(listed), top_k) > FEW
    request = pb.ExplainRequest(
        model_name=model,
        model_version=version,
        input=to_input(image),
        targets=listed,
        top_k=top_k,
        method=method,
        map_encoding=pb.MAP_ENCODING_UINT16 if compact_maps else pb.MAP_ENCODING_FLOAT32,
    )
    for name, value in (parameters or {}).items():
        request.parameters[name].CopyFrom(common.to_value(name, value))
    if progress_interval is not None:
        request.progress.interval.FromTimedelta(timedelta(seconds=progress_interval))
    if partial_maps is not None:
        request.progress.partial_map_interval.FromTimedelta(timedelta(seconds=partial_maps))
    if overlay:
        request.overlay.CopyFrom(_overlay(Overlay() if overlay is True else overlay))
    if asked is not None:
        _add_task_parameters(request, asked, task)
    return request


def _add_task_parameters(request: pb.ExplainRequest, asked: Query, task: Task | None) -> None:
    """Those of a prediction, which have the same names in both requests.

    Raises:
        TypeError: explanations of the task take none.
    """
    template = asked.request([], task)
    name = template.WhichOneof("parameters")
    if name is None:
        return
    if name not in pb.ExplainRequest.DESCRIPTOR.fields_by_name:
        raise TypeError(f"explanations of {name} models take no task_parameters")
    getattr(request, name).CopyFrom(getattr(template, name))


def _listed(targets: Targets) -> Sequence[TargetLike]:
    single = isinstance(targets, str | Category | Box) or not isinstance(targets, Sequence)
    return [targets] if single else targets  # type: ignore[list-item, return-value]  # told apart above


def _target(target: TargetLike) -> pb.Target:
    match target:
        case str():
            return pb.Target(label=target)
        case Category():
            return pb.Target(class_id=target.class_id)
        case Detection():
            return pb.Target(class_id=target.class_id, box=_box(target.box))
        case Box():
            return pb.Target(box=_box(target))
        case Target():
            return _described(target)
    return pb.Target(class_id=target)


def _described(target: Target) -> pb.Target:
    names = ("label", "class_id", "detection")
    named = {name: getattr(target, name) for name in names if getattr(target, name) is not None}
    if len(named) > 1:
        raise InvalidArgumentError(
            f"a target has one of {', '.join(named)}, not all", field="targets"
        )
    return pb.Target(**named, box=None if target.box is None else _box(target.box))


def _box(box: Sequence[float]) -> common_pb2.Box:
    if len(box) != 4:
        raise InvalidArgumentError(
            f"a box is x_min, y_min, x_max and y_max, not {list(box)}", field="targets"
        )
    x_min, y_min, x_max, y_max = map(float, box)
    return common_pb2.Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)


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

    def read(self, response: pb.ExplainResponse) -> list[Event]:
        """The events of a message; none of one of a newer contract."""
        match response.WhichOneof("event"):
            case "accepted":
                accepted = _accepted(response.accepted)
                self._input_size = accepted.input_size
                return [accepted]
            case "progress":
                return [_progress(response.progress)]
            case "results":
                return _explanations(response.results, self._input_size)
        return []


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
        boxes=tuple(map(_place, message.boxes)) or (None,) * len(message.targets),
    )


def _place(message: common_pb2.Box) -> Box | None:
    """A box without extent is none."""
    box = common.box(message)
    return box if box.x_min < box.x_max else None


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
    levels, errors = message.levels, message.standard_errors
    stored = _array(levels, np.uint16, message) if levels else None
    return SaliencyMap(
        _array(message.values, np.float32, message) if stored is None else stored,
        common.box(message.region),
        _array(errors, np.float32, message) if errors else None,
        (message.minimum, message.maximum),
    )


def _array(data: bytes, kind: type[Number], message: pb.SaliencyMap) -> NDArray[Number]:
    width, height = common.size(message.size)
    little = np.dtype(kind).newbyteorder("<")
    if len(data) != width * height * little.itemsize or not data:
        raise InternalError(f"the server's map does not have {width} x {height} values")
    return np.frombuffer(data, little).astype(kind, copy=False).reshape(height, width)


def _explanations(message: pb.Explanations, input_size: Size) -> list[Event]:
    parameters = common.values(message.parameters)
    elapsed = common.seconds(message.elapsed)
    return [
        Explanation(
            target=common.category(each.target),
            map=_map(each.saliency_map),
            input_size=input_size,
            model=message.model_name,
            version=message.model_version,
            method=message.method,
            parameters=parameters,
            evaluations=message.evaluations,
            precision=message.precision,
            elapsed=elapsed,
            convergence=_convergence(each.convergence) if each.HasField("convergence") else None,
            box=common.box(each.box) if each.HasField("box") else None,
            overlay_data=each.overlay.data if each.HasField("overlay") else None,
            overlay_media_type=each.overlay.media_type or "image/png",
        )
        for each in message.explanations
    ]
