"""A running server: how it starts, tells what it waits for, and stops."""

import gc
import threading
import time

import structlog

from pellucid_server.config import Settings
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.evaluation.sweeper import Sweeper
from pellucid_server.rpc.server import RpcServer, address
from pellucid_server.telemetry.exposition import MetricsEndpoint
from pellucid_server.telemetry.readiness import Readiness
from pellucid_server.telemetry.tracing import Tracer

log = structlog.get_logger()


class Application:
    """A server, wired and bound; `start` makes it answer."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        server: RpcServer,
        readiness: Readiness,
        endpoint: MetricsEndpoint | None,
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.server = server
        self.readiness = readiness
        self.endpoint = endpoint
        self._tracer = tracer
        self._sweeper = Sweeper(engine.uploads, settings.uploads.sweep_interval)
        self._first_look = threading.Thread(target=self._look, name="first-look", daemon=True)

    @property
    def target(self) -> str:
        """The address that clients connect to."""
        return address(self.settings.host, self.server.port)

    def start(self) -> None:
        """Listens at once; health says SERVING when the models of the repository are read."""
        self.readiness.watch(self._unread)
        self.server.start()
        self._sweeper.start()
        self._first_look.start()

    def wait_until_ready(self) -> None:
        """Waits until the models of the repository are read."""
        self._first_look.join()

    def stop(self) -> None:
        """Says that it goes, lets running calls end for `drain_seconds`, closes everything."""
        self.readiness.leave()
        self.server.health.stop()
        time.sleep(self.settings.drain_delay_seconds)
        self.engine.evaluations.drain()
        self.server.stop(self.settings.drain_seconds)
        self.engine.models.close()
        self._first_look.join()
        self.engine.evaluations.close()
        self._sweeper.close()
        self.engine.predictor.close()
        self.engine.pool.close()
        if self.endpoint:
            self.endpoint.close()
        if self._tracer:
            self._tracer.close()

    def tell_able(self, *, able: bool) -> None:
        """Says whether there is a device to run anything on."""
        if not able and self.readiness.pause("a device"):
            self.server.health.pause()
        if able and self.readiness.resume():
            self.server.health.start()

    def _unread(self) -> tuple[str, ...]:
        unread = self.engine.models.unread
        return tuple(f"model {name}" for name in unread) or ("a look at the models",)

    def _look(self) -> None:
        try:
            self.engine.models.scan()
        except Exception:  # the models that could be read are served
            log.exception("the first look at the models failed")
        self.engine.models.start()
        self.engine.evaluations.start()
        self.server.health.start()
        self.readiness.serve()
        self.tell_able(able=not self.engine.pool.lost)
        gc.freeze()  # what is here stays: to look through it again and again delays calls
        log.info("ready", models=[entry.name for entry in self.engine.models.entries()])
