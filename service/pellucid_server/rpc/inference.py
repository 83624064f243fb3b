from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from pellucid.v1 import inference_pb2, inference_pb2_grpc
from pellucid_server.call import Call
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.predict import PredictRequest, PredictResponse
from pellucid_server.rpc.access.authorise import discreet
from pellucid_server.rpc.codec.inputs import decode_input
from pellucid_server.rpc.codec.parameters import ParameterReader
from pellucid_server.rpc.codec.results import encode_response
from pellucid_server.rpc.exchange import Exchange, Observer
from pellucid_server.rpc.handler import answers, streams
from pellucid_server.rpc.multiplex import Multiplexer
from pellucid_server.rpc.naming import about
from pellucid_server.rpc.status import stream_error


@dataclass(frozen=True)
class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """pellucid.v1.InferenceService."""

    engine: Engine
    observer: Observer
    service: ClassVar[str] = "pellucid.v1.InferenceService"

    @answers
    def Predict(
        self, request: inference_pb2.PredictRequest, exchange: Exchange
    ) -> inference_pb2.PredictResponse:
        about(exchange, self.engine.models, request.model_name)
        response = self._predict(request, exchange, exchange.call)
        exchange.version = response.model_version
        return response

    @streams
    def PredictStream(
        self, requests: Iterator[inference_pb2.PredictStreamRequest], exchange: Exchange
    ) -> Iterator[inference_pb2.PredictStreamResponse]:
        def answer(
            item: inference_pb2.PredictStreamRequest,
        ) -> inference_pb2.PredictStreamResponse:
            self.observer.admission.charge(exchange.call)
            self.observer.access.authoriser.check(exchange.caller, item.request)
            with exchange.call.part("request", id=item.id) as call:
                response = self._predict(item.request, exchange, call)
            return inference_pb2.PredictStreamResponse(id=item.id, response=response)

        def refuse(
            item: inference_pb2.PredictStreamRequest, error: Exception
        ) -> inference_pb2.PredictStreamResponse:
            self.observer.report_item(exchange, error)
            failure = stream_error(discreet(exchange.caller, error), exchange.call.request_id)
            return inference_pb2.PredictStreamResponse(id=item.id, error=failure)

        check = partial(self.observer.departure.check, exchange.call)
        yield from Multiplexer(requests, answer, refuse, check).responses()

    def _predict(
        self, message: inference_pb2.PredictRequest, exchange: Exchange, call: Call
    ) -> inference_pb2.PredictResponse:
        response = self.engine.predictor.predict(
            self._decode(message), call, patient=exchange.stream
        )
        exchange.add(inputs=len(response.predictions), **_seconds(response))
        with call.part("response"):
            return encode_response(response, self._datatypes(response))

    def _decode(self, message: inference_pb2.PredictRequest) -> PredictRequest:
        return PredictRequest(
            model_name=message.model_name,
            model_version=message.model_version,
            inputs=[
                decode_input(item, f"inputs[{index}]") for index, item in enumerate(message.inputs)
            ],
            parameters=ParameterReader(self.engine.sources).read(message),
            raw_outputs=message.raw_outputs,
        )

    def _datatypes(self, response: PredictResponse) -> dict[str, str]:
        if not any(prediction.raw_outputs for prediction in response.predictions):
            return {}
        served = self.engine.models.get(response.model_name, response.model_version)
        return {port.name: port.datatype for port in served.outputs}


def _seconds(response: PredictResponse) -> dict[str, float]:
    queue = compute = 0.0
    for prediction in response.predictions:
        queue += prediction.timing.queue
        compute += prediction.timing.compute
    return {"queue_seconds": queue, "compute_seconds": compute}
