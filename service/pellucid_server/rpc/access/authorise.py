"""What a caller may do with a model or an evaluation, and what it sees of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf.message import Message

from pellucid.v1 import evaluation_pb2, explanation_pb2, model_pb2
from pellucid_server.engine.engine import Engine
from pellucid_server.errors import NotFound, PermissionDenied
from pellucid_server.evaluate.store.evaluations import no_evaluation
from pellucid_server.rpc.access.identity import Caller, Grant
from pellucid_server.rpc.access.subjects import evaluations_of, models_of

R = TypeVar("R")
MODEL_FIELDS = frozenset({"model_name", "name"})
NO_MODEL = "there is no model of that name"


@dataclass(frozen=True)
class Authoriser:
    """Decides by a caller's grant; what is hidden from it looks like what is not there."""

    engine: Engine

    def check(self, caller: Caller, request: object) -> None:
        """Refuses a request about what is not the caller's.

        Raises:
            PermissionDenied: it names a model outside the grant, there or not.
            NotFound: it names an evaluation that the caller does not see.
        """
        if caller.grant.everything or not isinstance(request, Message):
            return
        if not caller.grant.every_model:
            for field, name in models_of(request):
                self._check_model(caller, field, name)
        for name in evaluations_of(request):
            self._check_evaluation(caller, name)

    def _check_model(self, caller: Caller, field: str, name: str) -> None:
        try:
            real = self.engine.models.entry(name).name
        except NotFound:
            real = name
        if caller.grant.sees(real):
            return
        if caller.grant.sees(name):  # the alias of a hidden model
            raise NotFound(f"{NO_MODEL}: list the models to see names", field=field)
        raise PermissionDenied(
            f"{caller.who} may not use a model {name!r}: list the models to see those it may use",
            field=field,
        )

    def _check_evaluation(self, caller: Caller, name: str) -> None:
        found = self.engine.evaluations.store.get(name)
        theirs = caller.whose in {None, found.tenant}
        if not theirs or not caller.grant.sees(found.model_name):
            raise no_evaluation(name)


def visible(caller: Caller, response: R) -> R:
    """An answer without models that are hidden from the caller."""
    hide = HIDE.get(type(response))
    if hide and not caller.grant.every_model:
        hide(response, caller.grant)
    return response


def discreet(caller: Caller, error: Exception) -> Exception:
    """An error without the names of hidden models."""
    hidden = isinstance(error, NotFound) and error.field in MODEL_FIELDS
    if caller.grant.every_model or not hidden:
        return error
    return NotFound(f"{NO_MODEL}: list the models to see names", field=getattr(error, "field", ""))


def _hide_models(response: Any, grant: Grant) -> None:
    _keep(response.models, lambda model: grant.sees(model.name))


def _hide_names(response: Any, grant: Grant) -> None:
    for method in response.methods:
        _keep(method.model_names, grant.sees)


def _hide_evaluations(response: Any, grant: Grant) -> None:
    _keep(response.evaluations, lambda evaluation: grant.sees(evaluation.request.model_name))


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Removes the others from a repeated field."""
    for place in reversed(range(len(items))):
        if not wanted(items[place]):
            del items[place]


HIDE: Mapping[type, Callable[[Any, Grant], None]] = MappingProxyType(
    {
        model_pb2.ListModelsResponse: _hide_models,
        explanation_pb2.ListMethodsResponse: _hide_names,
        evaluation_pb2.ListEvaluationsResponse: _hide_evaluations,
    }
)
"""Answers that tell of models which their requests do not name."""
