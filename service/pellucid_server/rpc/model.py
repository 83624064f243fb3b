from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from pellucid.v1 import model_pb2, model_pb2_grpc
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.optimize import OptimizeProgress
from pellucid_server.rpc.codec.choices import decode_task
from pellucid_server.rpc.codec.models import ModelWriter
from pellucid_server.rpc.codec.optimizations import decode_optimization, encode_progress
from pellucid_server.rpc.exchange import Exchange, Observer
from pellucid_server.rpc.handler import answers, streams
from pellucid_server.rpc.naming import about
from pellucid_server.runtime.repository import ModelEntry


@dataclass(frozen=True)
class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """pellucid.v1.ModelService."""

    engine: Engine
    observer: Observer
    service: ClassVar[str] = "pellucid.v1.ModelService"

    @answers
    def ListModels(
        self, request: model_pb2.ListModelsRequest, _: Exchange
    ) -> model_pb2.ListModelsResponse:
        task = decode_task(request.task, "task")
        entries = [
            entry for entry in self.engine.models.entries() if task in {None, entry.spec.task}
        ]
        return model_pb2.ListModelsResponse(models=map(self._describe, entries))

    @answers
    def GetModel(
        self, request: model_pb2.GetModelRequest, exchange: Exchange
    ) -> model_pb2.GetModelResponse:
        about(exchange, self.engine.models, request.model_name)
        return model_pb2.GetModelResponse(
            model=self._describe(self.engine.models.entry(request.model_name))
        )

    @answers
    def LoadModel(
        self, request: model_pb2.LoadModelRequest, exchange: Exchange
    ) -> model_pb2.LoadModelResponse:
        about(exchange, self.engine.models, request.model_name)
        entry = self.engine.models.load(request.model_name, request.model_version)
        return model_pb2.LoadModelResponse(model=self._describe(entry))

    @answers
    def UnloadModel(
        self, request: model_pb2.UnloadModelRequest, exchange: Exchange
    ) -> model_pb2.UnloadModelResponse:
        about(exchange, self.engine.models, request.model_name)
        entry = self.engine.models.unload(request.model_name, request.model_version)
        return model_pb2.UnloadModelResponse(model=self._describe(entry))

    @streams
    def OptimizeModel(
        self, request: model_pb2.OptimizeModelRequest, exchange: Exchange
    ) -> Iterator[model_pb2.OptimizeModelResponse]:
        about(exchange, self.engine.models, request.model_name)
        wanted = decode_optimization(request)
        with closing(self.engine.optimizer.optimize(wanted, exchange.call)) as events:
            for event in events:
                if isinstance(event, OptimizeProgress):
                    yield model_pb2.OptimizeModelResponse(progress=encode_progress(event))
                else:
                    result = self._writer.version(event.version)
                    yield model_pb2.OptimizeModelResponse(result=result)

    def _describe(self, entry: ModelEntry) -> model_pb2.Model:
        return self._writer.model(entry)

    @property
    def _writer(self) -> ModelWriter:
        pool = self.engine.pool
        return ModelWriter(", ".join(device.spec.name for device in pool.devices), pool.precision)
