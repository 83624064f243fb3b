"""Calls that would wait too long, refused by the thread that serves all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pellucid.v1 import common_pb2, inference_pb2, inference_pb2_grpc
from pellucid_server.call import Call
from pellucid_server.config import Settings
from pellucid_server.errors import Overloaded
from pellucid_server.rpc.access.tokens import digest_of
from pellucid_server.rpc.server import build_server
from pellucid_server.telemetry.metrics import Metrics

from .conftest import SETTINGS, FakeEngine

REQUEST = inference_pb2.PredictRequest(model_name="pets", inputs=[common_pb2.Input(image=b"png")])
TOKEN = "pel_" + "a" * 43
Metadata = tuple[tuple[str, str], ...]


@dataclass
class Room:
    """Refuses all calls while it is full; notes who asked, and on which thread."""

    full: bool = True
    tenants: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def check(self, call: Call) -> None:
        self.tenants.append(call.tenant)
        self.threads.append(threading.current_thread().name)
        if self.full:
            raise Overloaded("a long wait", retry_after=0.5, reason="wait")


@contextmanager
def serving(room: Room, **auth: Any) -> Iterator[Any]:
    """A stub of a server with a room."""
    fake = FakeEngine(on_check=room.check)
    settings = Settings.model_validate({**SETTINGS.model_dump(), "auth": auth})
    server = build_server(fake.engine(), settings, Metrics())
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield inference_pb2_grpc.InferenceServiceStub(channel)
    server.stop(0)


def code(stub: Any, metadata: Metadata = ()) -> grpc.StatusCode:
    """How a prediction ends."""
    try:
        stub.Predict(REQUEST, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        found: Any = error
        return found.code()  # type: ignore[no-any-return]  # of a call
    return grpc.StatusCode.OK


def test_a_refusal_wakes_no_thread_of_calls() -> None:
    """The room is asked once, by gRPC's own thread; one that lets a call in is asked again."""
    room = Room()
    with serving(room) as stub:
        assert code(stub) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert [name.startswith("rpc") for name in room.threads] == [False]
        room.full = False
        assert code(stub) is grpc.StatusCode.OK
    assert [name.startswith("rpc") for name in room.threads] == [False, False, True]


def test_the_room_knows_whose_call_it_is() -> None:
    room = Room()
    with serving(room) as stub:
        code(stub, (("x-pellucid-tenant", "team"),))
        code(stub, (("x-pellucid-tenant", "no name\n".strip()),))
    assert room.tenants == ["team", ""]


def test_a_refused_caller_is_told_its_id_and_when_to_come_again() -> None:
    with serving(Room()) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.Predict(REQUEST, metadata=(("x-request-id", "mine"),))
    call: Any = caught.value
    found: Any = rpc_status.from_call(call)
    retry, asked = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
    assert any(each.Unpack(retry) for each in found.details)
    assert any(each.Unpack(asked) for each in found.details)
    assert asked.request_id == "mine"
    assert 0.5 <= retry.retry_delay.nanos / 1e9 + retry.retry_delay.seconds <= 1


def test_who_has_to_prove_something_is_refused_by_a_thread_of_calls(tmp_path: Path) -> None:
    """A stranger is told that first, and tokens are looked at elsewhere."""
    room, tokens = Room(), tmp_path / "tokens.yaml"
    tokens.write_text(f"tokens: [{{tenant: team, sha256: {digest_of(TOKEN).hex()}}}]")
    with serving(room, tokens=tokens) as stub:
        assert code(stub) is grpc.StatusCode.UNAUTHENTICATED
        own = (("authorization", f"Bearer {TOKEN}"),)
        assert code(stub, own) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert room.tenants == ["team"]
    assert all(name.startswith("rpc") for name in room.threads)


def test_other_calls_are_let_through() -> None:
    with serving(Room()) as stub:
        item = inference_pb2.PredictStreamRequest(id="1", request=REQUEST)
        (answer,) = stub.PredictStream(iter([item]))
    assert not answer.HasField("error")
