"""The composition root: settings become a running server."""

import atexit
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import structlog

from pellucid._version import __version__
from pellucid_server.command_line import PROGRAM, SettingsError, read_settings
from pellucid_server.config import Settings, StartError
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.evaluation.board import Board
from pellucid_server.engine.evaluation.comparer import Comparer
from pellucid_server.engine.evaluation.optimizer import EvaluatedOptimizer
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.renderer import Renderer
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.engine.evaluation.samples import ImageLimits
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.engine.evaluation.sweeper import Sweeper
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.optimize import ModelOptimizer
from pellucid_server.engine.predict import Predictor
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.open import Places
from pellucid_server.evaluate.sources.limits import Limits as DataLimits
from pellucid_server.evaluate.store import Store, open_store
from pellucid_server.evaluate.uploads import Uploads
from pellucid_server.rpc.server import RpcServer, address, build_server
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.pool import ModelPool, PoolSettings
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.scheduling import Policy, Priority
from pellucid_server.telemetry.exposition import MetricsEndpoint, expose
from pellucid_server.telemetry.logs import set_up_logs
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

BAD_SETTINGS = 2
CANNOT_START = 1


class Application:
    """A server, wired and bound; `start` makes it answer."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        server: RpcServer,
        endpoint: MetricsEndpoint | None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self.server = server
        self.endpoint = endpoint
        self._sweeper = Sweeper(engine.uploads, settings.uploads.sweep_interval)
        self._first_look = threading.Thread(target=self._look, name="first-look", daemon=True)

    @property
    def target(self) -> str:
        """The address that clients connect to."""
        return address(self.settings.host, self.server.port)

    def start(self) -> None:
        """Listens at once; health says SERVING when the models of the repository are read."""
        self.server.start()
        self._sweeper.start()
        self._first_look.start()

    def wait_until_ready(self) -> None:
        """Waits until the models of the repository are read."""
        self._first_look.join()

    def stop(self) -> None:
        """Lets running calls end for `drain_seconds`, then closes everything."""
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

    def _look(self) -> None:
        try:
            self.engine.models.scan()
        except Exception:  # the models that could be read are served
            log.exception("the first look at the models failed")
        self.engine.models.start()
        self.engine.evaluations.start()
        self.server.health.start()
        log.info("ready", models=[entry.name for entry in self.engine.models.entries()])


def compose(settings: Settings) -> Application:
    """Wires a server and binds its ports.

    Raises:
        StartError: the model repository is missing, an address cannot be bound, or a
            certificate cannot be used.
    """
    if not settings.model_repository.is_dir():
        raise StartError(
            f"the model repository {settings.model_repository} is no folder: set --model-repository"
        )
    metrics = Metrics()
    engine = build_engine(settings, metrics)
    server = build_server(engine, settings, metrics)
    return Application(settings, engine, server, _endpoint(settings, metrics))


def build_engine(settings: Settings, metrics: Metrics) -> Engine:
    """Wires the use cases to the models, the device and what is kept.

    Raises:
        StartError: what is kept cannot be: a folder or the store cannot be used.
    """
    pool = ModelPool(pool_settings(settings), metrics)
    tasks = TaskModels()
    models = ModelRepository(
        settings.model_repository,
        metrics,
        poll_interval=settings.poll_interval,
        on_unload=pool.drop,
        check=tasks.check,
    )
    limits = settings.limits
    sources = SourceReader(settings.data_roots, limits.image_pixels, limits.message_bytes, metrics)
    predictor = Predictor(models, pool, sources, tasks, limits.inputs)
    explainer = Explainer(models, pool, sources, tasks, metrics)
    state = _state(settings)
    data_limits = DataLimits(**settings.datasets.model_dump(exclude={"remotes"}))
    uploads = _uploads(settings, state / "uploads", data_limits)
    places = Places(settings.data_roots, settings.datasets.remotes, uploads, data_limits)
    store = _store(settings, state)
    planner = Planner(models, tasks, places)
    image_limits = ImageLimits(limits.image_pixels, limits.message_bytes)
    kept = settings.evaluations
    runner = Runner(store, planner, pool, image_limits, Board(), kept.lease_seconds)
    owner = f"{socket.gethostname()}-{os.getpid()}"
    optimizer = ModelOptimizer(models, tasks, Optimizer(settings.model_repository))
    return Engine(
        models=models,
        sources=sources,
        predictor=predictor,
        explainer=explainer,
        pool=pool,
        evaluations=Evaluations(store, planner, runner, owner, kept.concurrent),
        comparer=Comparer(store, planner, explainer, models),
        renderer=Renderer(store, planner, explainer, image_limits),
        optimizer=EvaluatedOptimizer(optimizer, planner, image_limits),
        uploads=uploads,
    )


def _state(settings: Settings) -> Path:
    """The folder of what is kept."""
    if settings.state is None:
        folder = tempfile.TemporaryDirectory(prefix="pellucid-")
        atexit.register(folder.cleanup)
        return Path(folder.name)
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"cannot use the folder {settings.state}: {error.strerror}") from error
    return settings.state


def _uploads(settings: Settings, folder: Path, limits: DataLimits) -> Uploads:
    kept = settings.uploads
    try:
        return Uploads(folder, quota=kept.quota_bytes, expiry=kept.expiry, limits=limits)
    except OSError as error:
        raise StartError(f"cannot use the folder {folder}: {error.strerror}") from error


def _store(settings: Settings, state: Path) -> Store:
    url = settings.evaluations.store or f"sqlite:///{state.resolve() / 'evaluations.db'}"
    try:
        return open_store(url)
    except PellucidError as error:
        raise StartError(f"cannot open the store of evaluations: {error.message}") from error


def pool_settings(settings: Settings) -> PoolSettings:
    """How models run, with defaults for this machine."""
    limits = settings.limits
    policy = Policy(
        queue_limits={
            Priority.INTERACTIVE: limits.queue_interactive,
            Priority.EXPLAIN: limits.queue_explain,
            Priority.BULK: limits.queue_bulk,
        },
        shares={Priority.EXPLAIN: settings.explain_share, Priority.BULK: settings.bulk_share},
        weights={
            name: float(share)
            for name, share in (each.split("=") for each in settings.tenant_weights)
        },
    )
    return PoolSettings(
        devices=device_specs(settings.devices, settings.streams, settings.threads),
        policy=policy,
        precision=settings.precision,
        mask_batch=settings.mask_batch,
        cache=str(settings.model_cache or ""),
        memory_bytes=settings.memory_bytes,
    )


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once."""
    set_up_logs(settings.log)
    stopping = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    application = compose(settings)
    application.start()
    endpoint = application.endpoint
    log.info(
        "listening",
        version=__version__,
        grpc=application.target,
        metrics=address(settings.host, endpoint.port) if endpoint else None,
        encrypted=settings.tls.certificate is not None,
    )
    if settings.state is None:
        log.warning("evaluations and uploads are gone when the server ends: set --state")
    stopping.wait()
    log.info("stopping", drain_seconds=settings.drain_seconds)
    application.stop()
    log.info("stopped")


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the settings and serves."""
    try:
        run(read_settings(sys.argv[1:] if argv is None else argv))
    except SettingsError as error:
        _fail(error.problems, BAD_SETTINGS)
    except StartError as error:
        _fail([str(error)], CANNOT_START)


def _endpoint(settings: Settings, metrics: Metrics) -> MetricsEndpoint | None:
    if settings.metrics_port is None:
        return None
    try:
        return expose(metrics.registry, settings.host, settings.metrics_port)
    except OSError as error:
        where = address(settings.host, settings.metrics_port)
        raise StartError(f"cannot listen on {where} for metrics: {error.strerror}") from error


def _fail(problems: Sequence[str], code: int) -> None:
    for problem in problems:
        sys.stderr.write(f"{PROGRAM}: {problem}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
