"""Evaluations that this server holds: their leases are renewed whatever takes long meanwhile."""

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import structlog

from pellucid_server.call import Call
from pellucid_server.errors import Cancelled, PellucidError
from pellucid_server.evaluate.store import Evaluation, Store, StoreUnavailable

log = structlog.get_logger()

T = TypeVar("T")
RENEWALS = 4
"""Tries to renew a lease before it runs out, at least."""
LONGEST_PAUSE = 1.0
"""Seconds after which a cancellation that another server was asked for is noticed."""


class Draining(Exception):
    """The server stops: somebody else goes on."""


class Hold:
    """A claimed evaluation, while its lease is renewed in the background.

    `call` is what it computes under: it is cancelled as soon as the work is to stop.
    """

    def __init__(self, store: Store, claimed: Evaluation, lease: float) -> None:
        self.claimed = claimed
        self.call = Call(request_id=claimed.name, tenant=claimed.tenant)
        self.careful = False
        """Whether it is computed alone, image by image, and each row is committed at once."""
        self._store = store
        self._lease = lease
        self._reason: Exception | None = None
        self._deciding = threading.Lock()
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.heed(claimed)

    def __enter__(self) -> Self:
        self._renewing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._renewing.join()

    def stop(self, reason: Exception) -> Exception:
        """Stops the work; returns why it was stopped first."""
        with self._deciding:
            self._reason = self._reason or reason
        self.call.cancelled.set()
        return self._reason

    def check(self) -> None:
        """Raises why the work was stopped, where it was."""
        if self._reason:
            raise self._reason

    def checked(self, items: Iterable[T]) -> Iterator[T]:
        """The items, as long as the work goes on."""
        for item in items:
            self.check()
            yield item

    def heed(self, evaluation: Evaluation) -> None:
        """Stops where the store says that somebody asked for it."""
        if evaluation.cancel_requested:
            self.stop(Cancelled("the evaluation was cancelled"))

    def _renew(self) -> None:
        name, token = self.claimed.name, self.claimed.token
        while not self._ended.wait(min(self._lease / RENEWALS, LONGEST_PAUSE)):
            try:
                self.heed(self._store.renew(name, token, self._lease))
            except StoreUnavailable as error:  # the next write of rows decides what comes of it
                log.warning("lease not renewed", evaluation=name, error=str(error))
            except PellucidError as error:
                self.stop(error)
                return
