from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from pellucid.v1 import explanation_pb2, explanation_pb2_grpc
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.explanation import ExplainAccepted, ExplainEvent, Explanation
from pellucid_server.rpc.codec.explanations import decode_encoding, decode_request, encode_events
from pellucid_server.rpc.codec.methods import encode_method
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.rpc.exchange import Exchange, Observer
from pellucid_server.rpc.handler import answers, streams
from pellucid_server.rpc.naming import about


@dataclass(frozen=True)
class ExplanationServicer(explanation_pb2_grpc.ExplanationServiceServicer):
    """pellucid.v1.ExplanationService."""

    engine: Engine
    observer: Observer
    service: ClassVar[str] = "pellucid.v1.ExplanationService"

    @streams
    def Explain(
        self, request: explanation_pb2.ExplainRequest, exchange: Exchange
    ) -> Iterator[explanation_pb2.ExplainResponse]:
        about(exchange, self.engine.models, request.model_name)
        asked = decode_request(request, ParameterReader(self.engine.sources))
        encoding = decode_encoding(request)
        events = self.engine.explainer.explain(asked, exchange.call)
        with closing(events):  # type: ignore[type-var]  # a generator, which can be closed
            yield from encode_events(_noted(exchange, events), encoding)

    @answers
    def ListMethods(
        self, request: explanation_pb2.ListMethodsRequest, exchange: Exchange
    ) -> explanation_pb2.ListMethodsResponse:
        about(exchange, self.engine.models, request.model_name)
        methods = self.engine.explainer.methods(request.model_name)
        return explanation_pb2.ListMethodsResponse(methods=map(encode_method, methods))


def _noted(exchange: Exchange, events: Iterator[ExplainEvent]) -> Iterator[ExplainEvent]:
    for event in events:
        if isinstance(event, ExplainAccepted):
            exchange.version = event.model_version
        elif isinstance(event, Explanation):
            exchange.facts["evaluations"] = event.evaluations
        yield event
