"""The composition root: settings become a wired server."""

import atexit
import os
import shutil
import socket
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

from pellucid._version import __version__
from pellucid_server.application import Application
from pellucid_server.config import Settings, StartError
from pellucid_server.engine.engine import Engine
from pellucid_server.engine.evaluation.board import Board
from pellucid_server.engine.evaluation.care import Care
from pellucid_server.engine.evaluation.comparer import Comparer
from pellucid_server.engine.evaluation.courtesy import Courtesy
from pellucid_server.engine.evaluation.optimizer import EvaluatedOptimizer
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.renderer import Renderer
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.engine.evaluation.samples import ImageLimits
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.optimize import ModelOptimizer
from pellucid_server.engine.predict import Predictor
from pellucid_server.engine.promises import Promises
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import PellucidError
from pellucid_server.evaluate.open import Places
from pellucid_server.evaluate.sources.limits import Limits as DataLimits
from pellucid_server.evaluate.store import Store, open_store
from pellucid_server.evaluate.uploads import Uploads
from pellucid_server.rpc.server import address, build_server
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.optimize.optimizer import Optimizer
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.scheduling import Policy, Priority
from pellucid_server.runtime.screening import screen
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.telemetry.exposition import MetricsEndpoint, expose
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.readiness import Readiness
from pellucid_server.telemetry.tracing import Tracer, open_tracer


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
    metrics.build.labels(__version__, version("openvino")).set(1)
    tracer = open_tracer(settings.tracing)
    readiness = Readiness(metrics)
    endpoint = _endpoint(settings, metrics, readiness)
    try:
        readiness.wait_for("the store of evaluations")
        engine = build_engine(settings, metrics, tracer)
        server = build_server(engine, settings, metrics, tracer)
    except BaseException:
        if endpoint:
            endpoint.close()
        raise
    return Application(settings, engine, server, readiness, endpoint, tracer=tracer)


def build_engine(settings: Settings, metrics: Metrics, tracer: Tracer | None = None) -> Engine:
    """Wires the use cases to the models, the device and what is kept.

    Raises:
        StartError: what is kept cannot be: a folder or the store cannot be used.
    """
    state, faults = _state(settings), settings.faults
    kept_faults = state / "faults" if settings.state else None
    suspects = Suspects(kept_faults, stalls=faults.stalls, metrics=metrics)
    pool = ModelPool(pool_settings(settings), metrics, suspects)
    tasks = TaskModels()
    models = ModelRepository(
        settings.model_repository,
        metrics,
        poll_interval=settings.poll_interval,
        on_unload=pool.drop,
        check=tasks.check,
        suspects=suspects,
        screen=partial(screen, seconds=faults.compile_seconds) if faults.screen else None,
    )
    limits = settings.limits
    sources = SourceReader(settings.data_roots, limits.image_pixels, limits.message_bytes, metrics)
    cores = settings.threads or os.cpu_count() or 1
    promises = Promises(
        limits.wait_seconds,
        workers=pool.workers,
        cores=cores,
        weights=pool.settings.policy.weights,
    )
    metrics.expected_wait.set_function(promises.expected)
    predictor = Predictor(models, pool, sources, tasks, limits.inputs, promises=promises)
    explainer = Explainer(models, pool, sources, tasks, metrics)
    data_limits = DataLimits(**settings.datasets.model_dump(exclude={"remotes"}))
    uploads = _uploads(settings, state / "uploads", data_limits)
    tell_storage(metrics, uploads, state, settings.uploads.quota_bytes)
    places = Places(settings.data_roots, settings.datasets.remotes, uploads, data_limits)
    store = _store(settings, state)
    planner = Planner(models, tasks, places, pool.batch)
    image_limits = ImageLimits(limits.image_pixels, limits.message_bytes)
    kept = settings.evaluations
    lease = kept.lease_seconds
    care = Care(kept.crashes, suspects.evaluating)
    courtesy = Courtesy(max(cores // 2, 1), promises)
    runner = Runner(
        store, planner, pool, image_limits, Board(), lease, metrics, tracer, care, courtesy
    )
    owner = f"{socket.gethostname()}-{os.getpid()}"
    optimizer = ModelOptimizer(models, tasks, Optimizer(settings.model_repository))
    return Engine(
        models=models,
        sources=sources,
        predictor=predictor,
        explainer=explainer,
        pool=pool,
        evaluations=Evaluations(
            store, planner, runner, owner, kept.concurrent, suspects.crashed_evaluations
        ),
        comparer=Comparer(store, planner, explainer, models),
        renderer=Renderer(store, planner, explainer, image_limits),
        optimizer=EvaluatedOptimizer(optimizer, planner, image_limits),
        uploads=uploads,
    )


def tell_storage(metrics: Metrics, uploads: Uploads, state: Path, quota: int) -> None:
    """Lets metrics tell how full the disk of evaluations and uploads is."""
    metrics.uploads_limit.set(quota)
    metrics.uploads_bytes.of_one(uploads.used)
    metrics.state_size.of_one(lambda: shutil.disk_usage(state).total)
    metrics.state_free.of_one(lambda: shutil.disk_usage(state).free)


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
        predict_batch=settings.predict_batch,
        cache=str(settings.model_cache or ""),
        memory_bytes=settings.memory_bytes,
        stall_seconds=settings.faults.stall_seconds,
        compile_seconds=settings.faults.compile_seconds,
    )


def _endpoint(settings: Settings, metrics: Metrics, readiness: Readiness) -> MetricsEndpoint | None:
    if settings.metrics_port is None:
        return None
    try:
        return expose(metrics.registry, readiness, settings.host, settings.metrics_port)
    except OSError as error:
        where = address(settings.host, settings.metrics_port)
        raise StartError(f"cannot listen on {where} for metrics: {error.strerror}") from error
