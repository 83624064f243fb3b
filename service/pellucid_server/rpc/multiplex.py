"""Many requests on one stream: a few at a time, answered as they complete."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import grpc

from pellucid_server.errors import InvalidInput, PellucidError

IN_FLIGHT = 4
"""Requests of one stream that are worked on, or whose answers wait to be taken."""
PULSE = 0.25
"""Seconds between looks at whether the stream is to end."""


class Identified(Protocol):
    """A request with an id of the caller's choice."""

    @property
    def id(self) -> str:
        """Unique among those in flight."""


Request = TypeVar("Request", bound=Identified)
Response = TypeVar("Response")


class Multiplexer(Generic[Request, Response]):
    """Answers the requests of a stream in parallel; `refuse` makes an answer of an error.

    `check` hears now and then how many are in flight, and raises where the stream is to end.
    """

    def __init__(
        self,
        requests: Iterator[Request],
        answer: Callable[[Request], Response],
        refuse: Callable[[Request, Exception], Response],
        check: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._requests = requests
        self._answer = answer
        self._refuse = refuse
        self._check = check
        self._answers: queue.SimpleQueue[Response | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._broken: PellucidError | None = None
        self._stopped = False

    def responses(self) -> Iterator[Response]:
        """The answers as they complete; a request is read only where there is room for one.

        Raises:
            PellucidError: what came was no request.
        """
        workers, told = ThreadPoolExecutor(IN_FLIGHT + 1, "predict-stream"), False
        try:
            workers.submit(self._read, workers)
            while (response := self._next()) is not None:
                yield response
                self._room.release()
            if self._broken:
                raise self._broken
        except PellucidError:
            told = True
            raise
        finally:
            self._stopped = True
            self._room.release(IN_FLIGHT + 1)
            workers.shutdown(wait=not told)  # told, whoever reads ends when the call has ended

    def _next(self) -> Response | None:
        while True:
            self._check(len(self._ids))
            with suppress(queue.Empty):
                return self._answers.get(timeout=PULSE)

    def _read(self, workers: ThreadPoolExecutor) -> None:
        try:
            for request in self._requests:
                self._room.acquire()
                if self._stopped:
                    return
                self._start(request, workers)
            for _ in range(IN_FLIGHT):  # all are answered and taken
                self._room.acquire()
        except grpc.RpcError:
            pass  # the caller hung up
        except PellucidError as error:
            self._broken = error
        finally:
            self._answers.put(None)

    def _start(self, request: Request, workers: ThreadPoolExecutor) -> None:
        with self._lock:
            taken = request.id in self._ids
            self._ids.add(request.id)
        if taken:
            error = InvalidInput(f"a request with the id {request.id!r} is in flight", field="id")
            self._answers.put(self._refuse(request, error))
        else:
            workers.submit(self._work, request)

    def _work(self, request: Request) -> None:
        try:
            response = self._answer(request)
        except Exception as error:  # noqa: BLE001  # every request gets its answer
            response = self._refuse(request, error)
        with self._lock:
            self._ids.discard(request.id)
        self._answers.put(response)
