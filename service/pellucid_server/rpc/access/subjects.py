"""What requests are about: by the names of their fields, so that a new call is covered too."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

MODELS = frozenset({"model_name"})
EVALUATIONS = frozenset({"evaluation", "baseline", "candidate"})
ELSEWHERE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "inference.ModelReadyRequest": frozenset({"name"}),
        "inference.ModelMetadataRequest": frozenset({"name"}),
    }
)
"""Models' fields with other names."""
OPTIONAL = frozenset({"pellucid.v1.ListMethodsRequest", "pellucid.v1.ListEvaluationsRequest"})
"""Requests that need not name a model: empty stands for all, of which callers see theirs."""


def models_of(request: Message) -> Iterator[tuple[str, str]]:
    """The fields that name models, with what they name."""
    fields, _ = fields_of(request.DESCRIPTOR)
    for field in fields:
        name = getattr(request, field)
        if name or request.DESCRIPTOR.full_name not in OPTIONAL:
            yield field, name


def evaluations_of(request: Message) -> Iterator[str]:
    """The evaluations that it names."""
    _, fields = fields_of(request.DESCRIPTOR)
    return (getattr(request, field) for field in fields)


@cache
def fields_of(kind: Descriptor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a request that name models, and those that name evaluations."""
    names = [each.name for each in kind.fields if each.type == each.TYPE_STRING]
    models = ELSEWHERE.get(kind.full_name, MODELS)
    return (
        tuple(name for name in names if name in models),
        tuple(name for name in names if name in EVALUATIONS),
    )
