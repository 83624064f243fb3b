"""Files that are read again when they change."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from pellucid_server.config import StartError
from pellucid_server.telemetry.metrics import Metrics

T = TypeVar("T")
INTERVAL = 1.0
"""Seconds between looks."""

log = structlog.get_logger()


class Looks(Protocol):
    """What is brought up to date now and then."""

    def look(self) -> None:
        """Brings itself up to date, where there is anything new."""


class Watched(Generic[T]):
    """What files say; where new ones cannot be used, what they said last stays.

    `parse` takes the files' contents, and says by a ValueError what is wrong with them.

    Raises:
        StartError: the files cannot be used at start.
    """

    def __init__(
        self,
        kind: str,
        paths: Sequence[Path],
        parse: Callable[[Sequence[bytes]], T],
        metrics: Metrics,
    ) -> None:
        self._kind = kind
        self._paths = tuple(paths)
        self._parse = parse
        self._metrics = metrics
        self._seen: Sequence[bytes] | str = self._read()
        if isinstance(self._seen, str):
            raise StartError(self._seen)
        try:
            self.value = parse(self._seen)
        except ValueError as error:
            raise StartError(str(error)) from None
        metrics.reloads.labels(kind, "refused")  # a rate needs to see the 0

    def look(self) -> None:
        """Reads the files; each change is used, or refused once."""
        found = self._read()
        if found == self._seen:
            return
        self._seen = found
        try:
            if isinstance(found, str):
                raise ValueError(found)  # noqa: TRY301, TRY004  # one way for all that is wrong
            self.value = self._parse(found)
        except ValueError as error:
            self._metrics.reloads.labels(self._kind, "refused").inc()
            log.error(  # noqa: TRY400  # whoever changed them wants the reason, not our lines
                "changed files are not used", what=self._kind, reason=str(error)
            )
        else:
            self._metrics.reloads.labels(self._kind, "used").inc()
            log.info("changed files are used", what=self._kind)

    def _read(self) -> Sequence[bytes] | str:
        """Contents, which tell a change where times and sizes may not; or why there are none."""
        contents = []
        for path in self._paths:
            try:
                contents.append(path.read_bytes())
            except OSError as error:
                return f"cannot read {path}: {error.strerror}"
        return contents


class Watcher:
    """A thread that looks."""

    def __init__(self, watched: Sequence[Looks], interval: float = INTERVAL) -> None:
        self._watched = tuple(watched)
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-files", daemon=True)

    def start(self) -> None:
        """Looks from now on, where there is anything to look at."""
        if self._watched:
            self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for each in self._watched:
                try:
                    each.look()
                except Exception:  # the next look may go well
                    log.exception("a look at changed files failed")
            self._stopping.wait(self._interval)
