"""The Open Inference Protocol over gRPC, as Triton, KServe and OpenVINO Model Server speak it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pellucid._version import __version__
from pellucid_server.engine.engine import Engine
from pellucid_server.errors import ModelUnavailable
from pellucid_server.open_inference import open_inference_pb2 as pb
from pellucid_server.open_inference import open_inference_pb2_grpc
from pellucid_server.rpc.codec.open_inference import (
    decode_infer,
    encode_infer,
    encode_ports,
    wanted_outputs,
)
from pellucid_server.rpc.exchange import Exchange, Observer
from pellucid_server.rpc.handler import answers
from pellucid_server.rpc.naming import about


@dataclass(frozen=True)
class OpenInferenceServicer(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """inference.GRPCInferenceService."""

    engine: Engine
    observer: Observer
    ready: Callable[[], bool]
    service: ClassVar[str] = "inference.GRPCInferenceService"

    @answers
    def ServerLive(self, _: pb.ServerLiveRequest, __: Exchange) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    @answers
    def ServerReady(self, _: pb.ServerReadyRequest, __: Exchange) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self.ready())

    @answers
    def ModelReady(
        self, request: pb.ModelReadyRequest, exchange: Exchange
    ) -> pb.ModelReadyResponse:
        about(exchange, self.engine.models, request.name)
        try:
            self.engine.models.get(request.name, request.version)
        except ModelUnavailable:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    @answers
    def ServerMetadata(
        self, _: pb.ServerMetadataRequest, __: Exchange
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="pellucid", version=__version__)

    @answers
    def ModelMetadata(
        self, request: pb.ModelMetadataRequest, exchange: Exchange
    ) -> pb.ModelMetadataResponse:
        about(exchange, self.engine.models, request.name)
        served = self.engine.models.get(request.name, request.version)
        versions = self.engine.models.entry(request.name).versions
        return pb.ModelMetadataResponse(
            name=served.name,
            versions=[str(item.version) for item in versions if item.served],
            platform="openvino",
            inputs=encode_ports(served.inputs),
            outputs=encode_ports(served.outputs),
        )

    @answers
    def ModelInfer(
        self, request: pb.ModelInferRequest, exchange: Exchange
    ) -> pb.ModelInferResponse:
        about(exchange, self.engine.models, request.model_name)
        name, version = request.model_name, request.model_version
        wanted = wanted_outputs(request, self.engine.models.get(name, version).outputs)
        served, outputs = self.engine.predictor.infer(
            name, version, decode_infer(request), exchange.call
        )
        exchange.version = str(served.version)
        response = encode_infer(request, wanted, outputs)
        response.model_name, response.model_version = served.name, exchange.version
        return response
