"""The models that are compiled, on all devices, and the way to run them."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from types import MappingProxyType
from typing import TypeVar
from weakref import WeakKeyDictionary

import openvino as ov
import structlog

from pellucid_server.call import Call
from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.batching import fastest_batch, takes
from pellucid_server.runtime.budget import Budget
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.compiler import Compiler
from pellucid_server.runtime.device import Device, DeviceSpec, Key
from pellucid_server.runtime.dispatcher import Dispatcher
from pellucid_server.runtime.lanes import SHARED, Lane, lanes_apart
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.scheduling import Priority, Scheduler
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.together import sizes
from pellucid_server.runtime.turns import Seat
from pellucid_server.runtime.units import Inference, Unit
from pellucid_server.runtime.variants import NORMALIZER, OF_IMAGE, Masked, OfImage, Variant
from pellucid_server.runtime.watchdog import Watchdog
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds

log = structlog.get_logger()

T = TypeVar("T")
NONE: Feeds = MappingProxyType({})
PATIENCE = 0.25
"""Seconds between looks at whether a waiting caller hung up; devices look before each unit."""


class ModelPool:
    """Compiled models, made on first use, once however many ask, kept under a budget."""

    def __init__(
        self, settings: PoolSettings, metrics: Metrics, suspects: Suspects | None = None
    ) -> None:
        self.settings = settings
        self._metrics = metrics
        self._suspects = suspects or Suspects(metrics=metrics)
        self._watchdog = Watchdog(min(settings.stall_seconds, settings.compile_seconds))
        core, compiler = ov.Core(), self._compiler()
        self.devices = [
            Device(
                spec, core, compiler, settings.precision, settings.cache, lanes=self._lanes(spec)
            )
            for spec in settings.devices
        ]
        self._budget = Budget(settings.memory_bytes)
        self._batches: WeakKeyDictionary[ServedModel, int] = WeakKeyDictionary()
        self._companies: WeakKeyDictionary[ServedModel, int] = WeakKeyDictionary()
        """How many predictions of a model may share an inference."""
        self._tell_limits()
        self._dispatcher = Dispatcher(
            self.devices,
            Scheduler(settings.policy),
            metrics,
            self._watchdog,
            self._suspects,
            patience=settings.stall_seconds,
            together=self._together if settings.predict_batch > 1 else None,
        )

    @property
    def workers(self) -> int:
        """Inferences that run at once, on all devices together."""
        return self._dispatcher.workers

    @property
    def lost(self) -> bool:
        """Whether there is no device."""
        return self._dispatcher.fleet.lost

    @property
    def exhausted(self) -> bool:
        """Whether some work will never run again in this process."""
        return self._dispatcher.crew.exhausted

    def hear(self, on_able: Callable[[bool], None], on_end: Callable[[], None]) -> None:
        """Tells whether there is any device, when that changes; and when it is exhausted."""
        self._dispatcher.fleet.on_able = on_able
        self._dispatcher.crew.on_end = on_end

    def infer(
        self,
        model: ServedModel,
        variant: Variant,
        feeds: Feeds,
        call: Call,
        *,
        priority: Priority = Priority.INTERACTIVE,
        images: int = 1,
        joins: bool = False,
    ) -> Inference:
        """Runs a model once, as soon as it is its turn; `joins`: beside others', if that pays.

        Raises:
            ModelUnavailable: a device cannot compile the model.
            InferenceFailed: every device failed on these inputs.
            DeviceUnavailable: there is no device.
            Overloaded: too much waits already.
            Cancelled, DeadlineExceeded: while waiting, or known before.
        """
        job = object()
        self.prepare(model, variant, call, priority=priority)
        call.check()
        unit = Unit(model, variant, feeds, call, priority, images, joins=joins)
        future = self._dispatcher.submit(unit, job)
        try:
            return wait(future, call)
        except BaseException:
            self.cancel(job)
            raise

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
        self.prepare(model, variant, call, priority=priority)
        call.check()
        unit = Unit(model, variant, feeds, call, priority, images, series)
        return self._dispatcher.submit(unit, job)

    def batch(self, model: ServedModel) -> int:
        """Images in one inference of a model that explanations and evaluations ask for.

        Where a Predict waits for the inference that runs, one; where it does not, as many as are
        fastest on CPUs, for models that take as many.
        """
        if not all(spec.single for spec in self.settings.devices):
            return 1
        if model not in self._batches:
            precision = model.spec.precision or self.settings.precision
            self._batches[model] = fastest_batch(model, precision)
        return self._batches[model]

    def mask_batch(self, model: ServedModel) -> int:
        """Masks in one inference of a model: those of the settings, if they have any."""
        return self.settings.mask_batch or self.batch(model)

    def masks_seconds(self, model: ServedModel, masks: int) -> float:
        """How long so many masks will take on all devices; 0 before any ran."""
        seconds = self._dispatcher.costs.of_kind(model, Masked)
        return seconds * masks / self.workers

    def cancel(self, job: Hashable) -> None:
        """Drops what waits of a job; what runs finishes."""
        self._dispatcher.cancel(job)

    def prepare(
        self,
        model: ServedModel,
        variant: Variant,
        call: Call | None = None,
        *,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        """Compiles a model for a class on every device, in the caller's time, not in the devices'.

        Raises:
            ModelUnavailable: a device cannot compile it, or it is refused.
            DeviceUnavailable: there is no device.
            Cancelled, DeadlineExceeded: meanwhile; it is compiled all the same.
        """
        self._suspects.check(model.subject)
        if self._ready(model, variant, priority):
            return
        devices = [device for device in self.devices if not device.lost]
        lanes = Counter([device.nice(priority) for device in devices])
        most = self.settings.predict_batch
        if variant == OF_IMAGE and most > 1 and model not in self._companies:
            self._companies[model] = most if takes(model, most) else 1
        for nice, count in lanes.items():
            self._make_room((model, variant, nice), count)
        try:
            with self._metrics.compile_seconds.labels(model.name).time():
                self._compile(
                    {each: each.compiling(model, variant, each.nice(priority)) for each in devices},
                    call or Call(),
                )
        finally:
            self._count()

    def _ready(self, model: ServedModel, variant: Variant, priority: Priority) -> bool:
        """Whether it is compiled wherever it may run; notes its use."""
        for device in self.devices:
            key = (model, variant, device.nice(priority))
            if not (device.lost or device.has(*key)):
                return False
            self._budget.touch(key)
        return True

    def _compile(self, futures: "Mapping[Device, Future[Compiled]]", call: Call) -> None:
        fleet = self._dispatcher.fleet
        for device, future in futures.items():
            try:
                wait(future, call)
            except ModelUnavailable:
                if fleet.examine(device):
                    raise
        fleet.check()

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
        self._watchdog.close()
        self._dispatcher.close()
        self._suspects.close()

    def _together(self, unit: Unit, seat: Seat, most: int) -> int:
        """How many of a unit's kind a device can run in one inference now; asks for more."""
        for size in sizes(min(most, self._companies.get(unit.model, 1))):
            key = (unit.model, OfImage(size), seat.lane.nice)
            if seat.device.has(*key):
                self._budget.touch(key)
                return size
            if not seat.device.compiles(*key) and self._budget.has_room(unit.model):
                self._make_room(key, 1)
                seat.device.compiling(*key).add_done_callback(partial(self._note, unit.model))
        return 1

    def _note(self, model: ServedModel, future: "Future[Compiled]") -> None:
        if future.exception():
            self._companies[model] = 1
        self._count()

    def _lanes(self, spec: DeviceSpec) -> Sequence[Lane]:
        return lanes_apart(self.settings.policy.shares) if spec.single else SHARED

    def _compiler(self) -> Compiler:
        return Compiler(self.settings.compile_seconds, self._watchdog, self._suspects)

    def _make_room(self, key: Key, devices: int) -> None:
        for old, form, nice in self._budget.add(key, devices):
            log.info("compiled model evicted", model=old.name, version=old.version)
            self._metrics.evictions.labels(old.name).inc()
            for device in self.devices:
                device.drop(old, form, nice)

    def _tell_limits(self) -> None:
        if (budget := self.settings.memory_bytes) is not None:
            self._metrics.compiled_limit.of_one(lambda: budget)
        for priority, limit in self.settings.policy.queue_limits.items():
            self._metrics.queue_limit.labels(priority.name.lower()).set(limit)

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
