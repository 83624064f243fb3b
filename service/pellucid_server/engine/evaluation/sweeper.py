"""Removes uploads that nobody used for long, now and then."""

import threading
from dataclasses import dataclass, field

import structlog

from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.uploads import Uploads

log = structlog.get_logger()


@dataclass
class Sweeper:
    """Sweeps every `interval` seconds, in the background, beginning at once."""

    uploads: Uploads
    interval: float
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends, after the sweep that runs."""
        self._closing.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.uploads.sweep()
            except PellucidError as error:  # the disk may be well next time
                log.warning("uploads are not swept", error=str(error))
            except Exception:
                log.exception("uploads are not swept")
            self._closing.wait(self.interval)
