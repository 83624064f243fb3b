from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from pellucid.v1 import evaluation_pb2_grpc
from pellucid_server.errors import NotServed
from pellucid_server.rpc.exchange import Observer
from pellucid_server.rpc.handler import answers, streams


def _unserved(name: str, handler: Callable[[Any], Any] = answers) -> Any:
    def method(*_: object) -> NoReturn:
        raise NotServed("this server does not evaluate models on data sets yet")

    method.__name__ = name
    return handler(method)


@dataclass(frozen=True)
class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    """pellucid.v1.EvaluationService: part of the contract, not served yet."""

    observer: Observer
    service: ClassVar[str] = "pellucid.v1.EvaluationService"

    EvaluateDataset = _unserved("EvaluateDataset", streams)
    WatchEvaluation = _unserved("WatchEvaluation", streams)
    CancelEvaluation = _unserved("CancelEvaluation")
    UploadDataset = _unserved("UploadDataset")
    ListEvaluations = _unserved("ListEvaluations")
    GetEvaluation = _unserved("GetEvaluation")
    ListExamples = _unserved("ListExamples")
    CompareEvaluations = _unserved("CompareEvaluations")
