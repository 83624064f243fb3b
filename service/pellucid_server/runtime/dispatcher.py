"""Threads that take units of work from the scheduler and run them on whichever device is free."""

import math
import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import structlog

from pellucid_server.errors import Cancelled, DeadlineExceeded, InferenceFailed, PellucidError
from pellucid_server.runtime.device import Device
from pellucid_server.runtime.scheduling import Priority, Scheduler, Taken
from pellucid_server.runtime.units import Costs, Inference, Unit
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()


class Dispatcher:
    """One thread for each stream of each device; a unit goes to whichever is free first."""

    def __init__(
        self, devices: Sequence[Device], scheduler: "Scheduler[Unit]", metrics: Metrics
    ) -> None:
        self._devices = devices
        self._scheduler = scheduler
        self._metrics = metrics
        self._changed = threading.Condition()
        self._closing = False
        self.costs = Costs()
        self._resting: set[Device] = set()
        self._count_workers()
        for priority in Priority:
            gauge = metrics.queue_length.labels(priority.name.lower())
            gauge.set_function(partial(scheduler.waiting_of, priority))
        self._threads = [
            threading.Thread(
                target=self._serve,
                args=(device, worker),
                name=f"{device.spec.name}-{worker}",
                daemon=True,
            )
            for device in devices
            for worker in range(device.spec.streams)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def workers(self) -> int:
        """Inferences that run at once."""
        return len(self._threads)

    def submit(self, unit: Unit, job: Hashable) -> "Future[Inference]":
        """Queues a unit of a job.

        Raises:
            Overloaded: the queue of its class is full.
            DeadlineExceeded: it could not end before its deadline.
        """
        with self._changed:
            self._scheduler.submit(
                unit,
                now=unit.arrival,
                priority=unit.priority,
                tenant=unit.call.tenant,
                deadline=unit.call.deadline,
                cost=self.costs.of(unit),
                steps=unit.steps,
                job=job,
            )
            # One free worker is enough, unless it may be one of a device that rests.
            self._changed.notify(self.workers if self._resting else 1)
        return unit.future

    def cancel(self, job: Hashable) -> None:
        """Drops the units of a job that still wait; those that run finish."""
        with self._changed:
            dropped = self._scheduler.cancel(job)
        for unit in dropped:
            unit.future.cancel()

    def close(self) -> None:
        """Ends the threads; what still waits is left, as its callers have gone."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self, device: Device, worker: int) -> None:
        while (taken := self._next(device)) is not None:
            self._run(device, worker, taken)

    def _next(self, device: Device) -> "Taken[Unit] | None":
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                if device.rest_until <= now:
                    taken = self._scheduler.take(now)
                    self._expire(now)
                    if taken is not None:
                        return taken
                self._changed.wait(self._patience(device, now))
        return None

    def _patience(self, device: Device, now: float) -> float | None:
        """Seconds until a worker without work must look again; None: until something changes."""
        until = self._scheduler.next_deadline
        if device.rest_until > now:
            until = min(until, device.rest_until)
        return None if math.isinf(until) else max(until - now, 0)

    def _expire(self, now: float) -> None:
        for unit in self._scheduler.expire(now):
            if unit.future.set_running_or_notify_cancel():
                unit.future.set_exception(DeadlineExceeded("the deadline passed while waiting"))

    def _run(self, device: Device, worker: int, taken: "Taken[Unit]") -> None:
        unit, aside = taken.unit, Aside(self, device, worker, taken)
        if unit.call.cancelled.is_set():
            self._finish(taken, None, Cancelled("the caller hung up"))
            return
        start = time.monotonic()
        try:
            compiled = device.compiled(unit.model, unit.variant)
            if unit.series:
                outputs = compiled.infer_series(worker, unit.feeds, unit.series, aside)
            else:
                outputs = compiled.infer(worker, unit.feeds)
        except PellucidError as error:
            self._finish(taken, None, error)
        except Exception as error:  # noqa: BLE001 - whatever a device throws, the unit is not lost
            self._failed(device, taken, error)
        else:
            self._recover(device)
            seconds = time.monotonic() - start - aside.seconds
            self.costs.observe(unit, seconds)
            self._finish(taken, Inference(outputs, start - unit.arrival, seconds), None)
            self._observe(device, unit, start - unit.arrival, seconds)
        if unit.call.cancelled.is_set():  # what ran meanwhile was for nobody
            masks = unit.images // unit.steps
            self._metrics.cancelled_inferences.labels(device.spec.name).inc(masks)

    def stand_aside(self, device: Device, worker: int, taken: "Taken[Unit]") -> bool:
        """Between two inferences of a unit: runs what goes first; whether there was any.

        Raises:
            Cancelled, DeadlineExceeded: nobody waits for the rest.
        """
        taken.unit.call.check()
        if self._scheduler.abandoned(taken):
            raise Cancelled("the rest is not needed")
        ran = False
        while self._scheduler.contended(taken) and device.rest_until <= time.monotonic():
            with self._changed:
                other = self._scheduler.overtaking(taken, time.monotonic())
            if other is None:
                return ran
            self._run(device, worker, other)
            ran = True
        return ran

    def _failed(self, device: Device, taken: "Taken[Unit]", error: Exception) -> None:
        """Tries the unit elsewhere; one that fails wherever it is tried is at fault itself."""
        unit = taken.unit
        unit.failed_on.add(device)
        where = {"device": device.spec.name, "model": unit.model.name, "error": str(error)}
        self._metrics.device_failures.labels(device.spec.name).inc()
        now = time.monotonic()
        with self._changed:
            others = [
                each
                for each in self._devices
                if each.rest_until <= now and each not in unit.failed_on
            ]
            if others:
                device.failed(now)
                self._resting.add(device)
                self._count_workers()
                if not self._scheduler.give_back(taken):
                    unit.future.cancel()
                self._changed.notify_all()
        if others:
            log.warning("device taken out, its work goes elsewhere", **where)
            return
        for innocent in unit.failed_on:
            self._recover(innocent)
        log.warning("inference failed", **where)
        self._finish(taken, None, _at_fault(unit))

    def _recover(self, device: Device) -> None:
        if device in self._resting:
            with self._changed:
                device.trusted()
                self._resting.discard(device)
                self._count_workers()
                self._changed.notify_all()
            log.info("device is back", device=device.spec.name)

    def _finish(
        self, taken: "Taken[Unit]", inference: Inference | None, error: Exception | None
    ) -> None:
        unit = taken.unit
        with self._changed:
            self._scheduler.done(taken, inference.compute if inference else 0.0)
        if unit.future.set_running_or_notify_cancel():
            if inference is not None:
                unit.future.set_result(inference)
            else:
                unit.future.set_exception(error)

    def _observe(self, device: Device, unit: Unit, queue: float, seconds: float) -> None:
        metrics, model = self._metrics, unit.model.name
        metrics.queue_seconds.labels(model, unit.priority.name.lower()).observe(queue)
        metrics.compute_seconds.labels(model, device.spec.name).observe(seconds)
        metrics.batch_size.labels(model).observe(unit.images)

    def _count_workers(self) -> None:
        up = [device for device in self._devices if device not in self._resting]
        self._scheduler.workers = sum(device.spec.streams for device in up)
        for device in self._devices:
            self._metrics.device_up.labels(device.spec.name).set(device in up)


@dataclass(eq=False)
class Aside:
    """A unit's pauses: lets others pass, and keeps how long they took, in seconds."""

    dispatcher: Dispatcher
    device: Device
    worker: int
    taken: "Taken[Unit]"
    seconds: float = 0.0

    def __call__(self) -> bool:
        """Whether something else ran."""
        start = time.monotonic()
        ran = self.dispatcher.stand_aside(self.device, self.worker, self.taken)
        self.seconds += time.monotonic() - start
        return ran


def _at_fault(unit: Unit) -> InferenceFailed:
    return InferenceFailed(
        f"{unit.model.name} failed on this input; the server's log has the reason"
    )
