"""Which output is which: by the name that model.yaml gives, by shape, by words in names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from pellucid_server.errors import InvalidInput
from pellucid_server.nearest import nearest
from pellucid_server.tasks.decoders.base import DecodeOptions
from pellucid_server.types import ANY, Port

Role = Literal["boxes", "scores", "labels", "masks", "count", "prototypes"]

WORDS: dict[Role, tuple[str, ...]] = {
    "boxes": ("detection_boxes", "box"),
    "scores": ("detection_scores", "score", "logit", "conf"),
    "labels": ("detection_classes", "label", "class"),
    "masks": ("detection_masks", "mask"),
    "count": ("num_detections",),
    "prototypes": ("proto",),
}
"""Words in the names of outputs; the first that one name alone has decides."""

ASIDE = ("raw_", "feature_vector", "saliency_map")
"""Starts of names of outputs that TensorFlow and OpenVINO Training Extensions add."""

Fits = Callable[[Port], bool]


class NamedOutputs(DecodeOptions):
    """Decoders that read several outputs."""

    outputs: Mapping[Role, str] = Field(default_factory=dict)
    """Role to output name, where neither shapes nor names tell."""


def find(role: Role, ports: Sequence[Port], named: Mapping[Role, str], fits: Fits) -> Port | None:
    """The output of a role: the named one, the only one that fits, or by its name.

    Raises:
        InvalidInput: the named output does not exist.
    """
    if role in named:
        return _named(role, ports, named[role])
    fitting = [port for port in ports if fits(port) and not port.name.startswith(ASIDE)]
    for word in WORDS[role]:
        having = [port for port in fitting if word in port.name.lower()]
        if len(having) == 1:
            return having[0]
    return fitting[0] if len(fitting) == 1 else None


def need(role: Role, ports: Sequence[Port], named: Mapping[Role, str], fits: Fits) -> Port:
    """As `find`.

    Raises:
        InvalidInput: no output, or several, may have the role.
    """
    found = find(role, ports, named, fits)
    if found is None:
        has = ", ".join(f"{port.name} {list(port.shape)}" for port in ports)
        raise InvalidInput(
            f"no output is surely the one with {role}: set decode.outputs.{role} to one of {has}",
            field=f"decode.outputs.{role}",
        )
    return found


def ranked(*ranks: int, last: Sequence[int] = ()) -> Fits:
    """Outputs of so many dimensions, the last of these extents or unknown."""
    return lambda port: len(port.shape) in ranks and (not last or port.shape[-1] in {*last, ANY})


def _named(role: Role, ports: Sequence[Port], name: str) -> Port:
    for port in ports:
        if port.name == name:
            return port
    raise InvalidInput(
        f"the model has no output {name!r}.{nearest(name, [port.name for port in ports])}",
        field=f"decode.outputs.{role}",
    )
