"""The models that are compiled, on all devices, and the way to run them."""

import os
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import openvino as ov
import structlog

from pellucid_server.call import Call
from pellucid_server.runtime.budget import Budget
from pellucid_server.runtime.device import Device, DeviceSpec
from pellucid_server.runtime.dispatcher import Dispatcher
from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.units import Inference, Unit
from pellucid_server.runtime.variants import NORMALIZER, Masked, Variant
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds

log = structlog.get_logger()

T = TypeVar("T")
NONE: Feeds = MappingProxyType({})
PATIENCE = 0.05
"""Seconds between looks at whether a waiting caller hung up."""


@dataclass(frozen=True)
class PoolSettings:
    """How models run."""

    devices: Sequence[DeviceSpec]
    policy: Policy
    precision: str = "f32"
    mask_batch: int = 1
    """Masks in one inference: 1 is best on CPUs, GPUs want more."""
    cache: str = ""
    """Folder in which OpenVINO keeps compiled models between starts."""
    memory_bytes: int | None = None
    """Budget of compiled models; the least recently used go first."""


class ModelPool:
    """Compiled models, made on first use, once however many ask, kept under a budget."""

    def __init__(self, settings: PoolSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        core = ov.Core()
        self.devices = [
            Device(spec, core, settings.precision, settings.cache) for spec in settings.devices
        ]
        self._budget = Budget(settings.memory_bytes)
        self._compiling = ThreadPoolExecutor(max(2, os.cpu_count() or 2), "compile")
        self._dispatcher = Dispatcher(self.devices, Scheduler(settings.policy), metrics)

    @property
    def workers(self) -> int:
        """Inferences that run at once, on all devices together."""
        return self._dispatcher.workers

    def infer(
        self,
        model: ServedModel,
        variant: Variant,
        feeds: Feeds,
        call: Call,
        *,
        priority: Priority = Priority.INTERACTIVE,
        images: int = 1,
    ) -> Inference:
        """Runs a model once, as soon as it is its turn.

        Raises:
            ModelUnavailable: a device cannot compile the model.
            InferenceFailed: every device failed on these inputs.
            Overloaded: too much waits already.
            Cancelled, DeadlineExceeded: while waiting, or known before.
        """
        job = object()
        future = self.submit(model, variant, feeds, call, job=job, priority=priority, images=images)
        try:
            return wait(future, call)
        finally:
            self.cancel(job)

    def submit(
        self,
        model: ServedModel,
        variant: Variant,
        feeds: Feeds,
        call: Call,
        *,
        job: Hashable,
        priority: Priority,
        images: int = 1,
        series: Feeds = NONE,
    ) -> "Future[Inference]":
        """Queues a unit of a job; as `infer` without the wait.

        `series` has feeds that change, with an entry for each of several inferences: they run
        one after another on one device, higher classes go first between them, and their outputs
        are joined along the batch. A unit of many costs little more than a unit of one.
        """
        self.prepare(model, variant)
        call.check()
        unit = Unit(model, variant, feeds, call, priority, images, series)
        return self._dispatcher.submit(unit, job)

    def masks_seconds(self, model: ServedModel, masks: int) -> float:
        """How long so many masks will take on all devices; 0 before any ran."""
        seconds = self._dispatcher.costs.of_kind(model, Masked)
        return seconds * masks / self.workers

    def cancel(self, job: Hashable) -> None:
        """Drops what waits of a job; what runs finishes."""
        self._dispatcher.cancel(job)

    def prepare(self, model: ServedModel, variant: Variant) -> None:
        """Compiles a model for every device, in the caller's time and not in the devices'.

        Raises:
            ModelUnavailable: a device cannot compile it.
        """
        if all(device.has(model, variant) for device in self.devices):
            self._budget.touch((model, variant))
            return
        self._make_room(model, variant)
        try:
            for _ in self._compiling.map(
                lambda device: device.compiled(model, variant), self.devices
            ):
                pass
        finally:
            self._count()

    def precision(self, model: ServedModel) -> str:
        """The precision read back from the first device that compiled it; "" before that."""
        for device in self.devices:
            for variant, compiled in device.known(model):
                if variant != NORMALIZER:
                    return compiled.precision
        return ""

    def drop(self, model: ServedModel) -> None:
        """Forgets a model; inferences that run finish."""
        for device in self.devices:
            device.drop(model)
        self._budget.forget(model)
        self._count()

    def close(self) -> None:
        """Ends the threads; what still waits is left, as its callers have gone."""
        self._dispatcher.close()
        self._compiling.shutdown()

    def _make_room(self, model: ServedModel, variant: Variant) -> None:
        for old, form in self._budget.add((model, variant), len(self.devices)):
            log.info("compiled model evicted", model=old.name, version=old.version)
            for device in self.devices:
                device.drop(old, form)

    def _count(self) -> None:
        self._metrics.compiled_models.set(sum(device.count for device in self.devices))
        self._metrics.compiled_bytes.set(self._budget.used)


def wait(future: "Future[T]", call: Call) -> T:
    """What is awaited, unless the caller hangs up or its deadline passes first.

    Raises:
        PellucidError: what the future raised, Cancelled, DeadlineExceeded.
    """
    while True:
        try:
            return future.result(min(PATIENCE, max(call.remaining, 0)))
        except NotYet:
            call.check()
