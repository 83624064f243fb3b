"""Compiles models, a few at once, and gives up on what does not end."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from threading import Semaphore, Thread

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.served import Subject
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.watchdog import Watchdog, Watched

Work = Callable[[], Compiled]


class Compiler:
    """Each model gets a thread of its own, as one that hangs must not keep others from it."""

    def __init__(self, seconds: float, watchdog: Watchdog, suspects: Suspects) -> None:
        self._seconds = seconds
        self._watchdog = watchdog
        self._suspects = suspects
        self._room = Semaphore(max(2, os.cpu_count() or 2))

    def start(self, subject: Subject, work: Work, future: "Future[Compiled]") -> None:
        """Has `work` done in the background; the future gets what becomes of it."""
        arguments = (subject, work, future)
        Thread(target=self._run, args=arguments, name="compile", daemon=True).start()

    def _run(self, subject: Subject, work: Work, future: "Future[Compiled]") -> None:
        self._room.acquire()
        watched = Watched(
            self._seconds, ask=lambda: None, give_up=lambda: self._give_up(subject, future)
        )
        self._watchdog.watch(watched)
        compiled, failure = None, None
        try:
            with self._suspects.running(subject):
                compiled = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            failure = error
        if not self._watchdog.end(watched):
            return
        self._room.release()
        if compiled is not None:
            future.set_result(compiled)
        else:
            future.set_exception(failure)

    def _give_up(self, subject: Subject, future: "Future[Compiled]") -> None:
        reason = f"compiling it did not end within {self._seconds:.0f} s"
        self._suspects.give_up()
        self._suspects.refuse(subject, reason)
        self._room.release()
        future.set_exception(
            ModelUnavailable(
                f"{subject.name} version {subject.version} is not served: {reason}",
                field="model_name",
            )
        )
