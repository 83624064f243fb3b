"""Sends a data set, and goes on where a connection broke.

Synchronous for both flavours: asyncio's gRPC loses the status of a server that refuses a
part while another is on its way, so that flavour calls it in a thread.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from pellucid._transport import local_files
from pellucid._transport.calls import Attempt
from pellucid._transport.local_files import OnProgress
from pellucid._transport.patience import Patience
from pellucid._transport.sending import Sending, uploaded
from pellucid._wire.evaluations import Place
from pellucid.uploads import UploadedDataset
from pellucid.v1 import evaluation_pb2 as pb
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub


def upload(
    stub: EvaluationServiceStub,
    path: Place,
    progress: OnProgress | None,
    attempt: Callable[[], Attempt],
) -> UploadedDataset:
    """Sends what the server has not; every try asks it anew.

    Raises:
        PellucidError: the server's error, or what became of a file meanwhile; OSError.
    """
    sending = Sending(local_files.read(path, progress), progress)
    patience = Patience(attempt().endpoint.attempts > 1)
    while True:
        this = attempt()
        try:
            answer = stub.FindUploadedFiles(sending.questions(), **this.options())
            if sending.received(answer):
                patience.renew()
            return uploaded(_sent(stub, sending, this))
        except grpc.RpcError as error:
            delay = patience.delay_after(this.error(error))
        time.sleep(delay)


def _sent(
    stub: EvaluationServiceStub, sending: Sending, attempt: Attempt
) -> pb.UploadDatasetResponse:
    parts = _Parts(sending.parts())
    call: Any = stub.UploadDataset.future(parts, **attempt.options())
    call.add_done_callback(lambda _: parts.ended.set())
    try:
        parts.ended.wait()
        if parts.failure is not None:
            raise parts.failure
        if call.code() is not grpc.StatusCode.OK:
            raise call
        response: pb.UploadDatasetResponse = call.result()
        return response
    finally:
        call.cancel()
        parts.hung_up.set()


class _Parts:
    """Messages for gRPC's own thread, which would print what goes wrong with them."""

    def __init__(self, messages: Iterator[pb.UploadDatasetRequest]) -> None:
        self._messages = messages
        self.failure: Exception | None = None
        self.ended = threading.Event()
        self.hung_up = threading.Event()

    def __iter__(self) -> Iterator[pb.UploadDatasetRequest]:
        return self

    def __next__(self) -> pb.UploadDatasetRequest:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - raised again where the call is waited for
            self.failure = error
            self.ended.set()
            self.hung_up.wait()  # an end here would pass for the end of the data set
            raise StopIteration from None
