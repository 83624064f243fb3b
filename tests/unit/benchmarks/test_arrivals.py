"""The generator of overload, and its HTTP/2 by hand, against a gRPC server that is none of ours."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from benchmarks.workers.arrivals import METHOD, Generator, generator

Seen = dict[str, float]


class Answers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # a generic in its stubs alone
    """Answers calls in turn as told: with a message, a refusal, or an error without a delay."""

    def __init__(self) -> None:
        self.turns = "a"
        self.received: list[bytes] = []
        self._lock = threading.Lock()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        assert details.method == METHOD
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        with self._lock:
            turn = self.turns[len(self.received) % len(self.turns)]
            self.received.append(message)
        if turn == "r":
            status = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
            status.details.add().Pack(error_details_pb2.RetryInfo())
            context.abort_with_status(rpc_status.to_status(status))
        if turn == "e":
            context.abort(grpc.StatusCode.INTERNAL, "broken")
        return b"fine"


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def ask(answers: Answers) -> Iterator[Callable[..., Seen]]:
    """Asks the generator, connected to a server."""
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((answers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    async def run(method: Any, question: Seen) -> Seen:
        async with generator(f"127.0.0.1:{port}", "model") as calls:
            seen: Seen = await method(calls, **question)
            return seen

    yield lambda method, **question: asyncio.run(run(method, question))
    server.stop(0).wait()


def test_every_call_arrives_whole_and_is_answered(
    ask: Callable[..., Seen], answers: Answers
) -> None:
    """300 messages of 30 KB, far beyond what servers take before they say that there is room."""
    seen = ask(Generator.at_rate, rate=1000, seconds=0.3)
    assert (seen["answered"], seen["refused"], seen["failed"]) == (300, 0, 0)
    assert len(answers.received) == 300
    assert len(set(answers.received)) == 1
    assert len(answers.received[0]) > 29_000


def test_refusals_are_told_from_answers_and_from_errors(
    ask: Callable[..., Seen], answers: Answers
) -> None:
    answers.turns = "aarre"
    seen = ask(Generator.at_rate, rate=500, seconds=0.1)
    assert (seen["answered"], seen["refused"], seen["failed"]) == (20, 20, 10)
    assert seen["refusal_p99"] > 0


def test_callers_of_a_closed_loop_ask_again_and_again(ask: Callable[..., Seen]) -> None:
    seen = ask(Generator.together, callers=3, seconds=0.2)
    assert seen["answered"] >= 3
    assert seen["goodput"] > 0


def test_a_calm_server_has_recovered_at_once(ask: Callable[..., Seen]) -> None:
    assert ask(Generator.at_rate, rate=100, seconds=0.05, normal=10)["recovery"] < 10
