from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from pellucid.v1 import evaluation_pb2, evaluation_pb2_grpc
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.evaluation.renderer import RenderRequest
from pellucid_server.engine.evaluation.request import EvaluationEvent
from pellucid_server.evaluate.store import Evaluation
from pellucid_server.rpc.codec.comparisons import decode_comparison, encode_comparison
from pellucid_server.rpc.codec.evaluations import (
    decode_evaluation,
    decode_state,
    encode_evaluation,
    encode_event,
    encode_stored_report,
)
from pellucid_server.rpc.codec.examples import decode_filter, decode_order, encode_example
from pellucid_server.rpc.codec.uploads import UploadReader, encode_uploaded
from pellucid_server.rpc.exchange import Exchange, Observer
from pellucid_server.rpc.handler import answers, streams
from pellucid_server.rpc.naming import about


@dataclass(frozen=True)
class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    """pellucid.v1.EvaluationService."""

    engine: Engine
    observer: Observer
    service: ClassVar[str] = "pellucid.v1.EvaluationService"

    @streams
    def EvaluateDataset(
        self, request: evaluation_pb2.EvaluateDatasetRequest, exchange: Exchange
    ) -> Iterator[evaluation_pb2.EvaluateDatasetResponse]:
        about(exchange, self.engine.models, request.model_name)
        events = self.engine.evaluations.evaluate(decode_evaluation(request), exchange.call)
        for event in _told(events, exchange):
            yield evaluation_pb2.EvaluateDatasetResponse(**encode_event(event))

    @streams
    def WatchEvaluation(
        self, request: evaluation_pb2.WatchEvaluationRequest, exchange: Exchange
    ) -> Iterator[evaluation_pb2.WatchEvaluationResponse]:
        evaluations = self.engine.evaluations
        events = evaluations.watch(request.evaluation, exchange.call, resume=request.resume)
        for event in _told(events, exchange):
            yield evaluation_pb2.WatchEvaluationResponse(**encode_event(event))

    @answers
    def CancelEvaluation(
        self, request: evaluation_pb2.CancelEvaluationRequest, exchange: Exchange
    ) -> evaluation_pb2.CancelEvaluationResponse:
        evaluation = self.engine.evaluations.cancel(request.evaluation, exchange.call)
        return evaluation_pb2.CancelEvaluationResponse(evaluation=encode_evaluation(evaluation))

    @answers
    def FindUploadedFiles(
        self,
        requests: Iterator[evaluation_pb2.FindUploadedFilesRequest],
        _: Exchange,
    ) -> evaluation_pb2.FindUploadedFilesResponse:
        uploads = self.engine.uploads
        return evaluation_pb2.FindUploadedFilesResponse(
            received_bytes=[uploads.received(each.file.sha256, each.file.size) for each in requests]
        )

    @answers
    def UploadDataset(
        self, requests: Iterator[evaluation_pb2.UploadDatasetRequest], exchange: Exchange
    ) -> evaluation_pb2.UploadDatasetResponse:
        reader = UploadReader(requests, self.engine.uploads, exchange.call)
        return encode_uploaded(self.engine.uploads.commit(reader.files()))

    @answers
    def ListEvaluations(
        self, request: evaluation_pb2.ListEvaluationsRequest, exchange: Exchange
    ) -> evaluation_pb2.ListEvaluationsResponse:
        page = self.engine.evaluations.store.evaluations(
            model_name=request.model_name,
            state=decode_state(request.state),
            tenant=exchange.caller.whose,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return evaluation_pb2.ListEvaluationsResponse(
            evaluations=map(encode_evaluation, page.items), next_page_token=page.next_token
        )

    @answers
    def GetEvaluation(
        self, request: evaluation_pb2.GetEvaluationRequest, _: Exchange
    ) -> evaluation_pb2.GetEvaluationResponse:
        evaluation = self.engine.evaluations.store.get(request.evaluation)
        return evaluation_pb2.GetEvaluationResponse(
            evaluation=encode_evaluation(evaluation), report=encode_stored_report(evaluation)
        )

    @answers
    def ListExamples(
        self, request: evaluation_pb2.ListExamplesRequest, _: Exchange
    ) -> evaluation_pb2.ListExamplesResponse:
        evaluations = self.engine.evaluations
        page = evaluations.store.examples(
            request.evaluation,
            decode_filter(request),
            decode_order(request.order),
            descending=request.descending,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        labels = evaluations.labels(request.evaluation) if request.objects else {}
        return evaluation_pb2.ListExamplesResponse(
            examples=[encode_example(row, labels, objects=request.objects) for row in page.items],
            next_page_token=page.next_token,
        )

    @answers
    def RenderExample(
        self, request: evaluation_pb2.RenderExampleRequest, exchange: Exchange
    ) -> evaluation_pb2.RenderExampleResponse:
        wanted = RenderRequest(
            request.evaluation,
            request.index,
            request.max_side,
            annotation=request.annotation,
            explanation=request.explanation,
        )
        rendered = self.engine.renderer.render(wanted, exchange.call)
        return evaluation_pb2.RenderExampleResponse(
            picture=rendered.picture, example=encode_example(rendered.row, {})
        )

    @answers
    def DeleteEvaluation(
        self, request: evaluation_pb2.DeleteEvaluationRequest, _: Exchange
    ) -> evaluation_pb2.DeleteEvaluationResponse:
        self.engine.evaluations.store.delete(request.evaluation)
        return evaluation_pb2.DeleteEvaluationResponse()

    @answers
    def CompareEvaluations(
        self, request: evaluation_pb2.CompareEvaluationsRequest, exchange: Exchange
    ) -> evaluation_pb2.CompareEvaluationsResponse:
        return encode_comparison(
            self.engine.comparer.compare(decode_comparison(request), exchange.call)
        )


def _told(
    events: Generator[EvaluationEvent, None, None], exchange: Exchange
) -> Iterator[EvaluationEvent]:
    """The events, of which the log gets what it needs; closed with the stream."""
    with closing(events):
        for event in events:
            if isinstance(event, Evaluation):
                exchange.model, exchange.version = event.model_name, event.model_version
            yield event
