"""Threads that take units of work from the scheduler and run them on whichever device is free."""

import math
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial

import structlog

from pellucid_server.errors import (
    Cancelled,
    DeadlineExceeded,
    DeviceUnavailable,
    InferenceFailed,
    PellucidError,
)
from pellucid_server.runtime.crew import Crew
from pellucid_server.runtime.device import Device
from pellucid_server.runtime.fleet import Fleet
from pellucid_server.runtime.guard import Guard
from pellucid_server.runtime.scheduling import Priority, Scheduler, Taken
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.together import Group, can_join, gather, joined, parted, separate
from pellucid_server.runtime.traced import note_inference, note_queue
from pellucid_server.runtime.turns import Seat, Stalled, Turn
from pellucid_server.runtime.units import Costs, Inference, Unit
from pellucid_server.runtime.watchdog import Watchdog
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()


class Dispatcher:
    """Threads at the seats of each lane of each device; a unit goes to whichever is free."""

    def __init__(
        self,
        devices: Sequence[Device],
        scheduler: "Scheduler[Unit]",
        metrics: Metrics,
        watchdog: Watchdog,
        suspects: Suspects,
        *,
        patience: float,
        together: "Callable[[Unit, Seat, int], int] | None" = None,
    ) -> None:
        self.fleet = fleet = Fleet(devices, scheduler, metrics)
        self._lock = fleet.lock
        self._scheduler = scheduler
        self._metrics = metrics
        self._together = together
        """How many of a unit's kind may run in one inference now; None: never more than one."""
        self.costs = Costs()
        self._guard = Guard(watchdog, suspects, metrics, patience, self._abandon)
        for priority in Priority:
            gauge = metrics.queue_length.labels(priority.name.lower())
            gauge.set_function(partial(scheduler.waiting_of, priority))
        for device in devices:
            metrics.device_streams.labels(device.spec.name).set(device.spec.streams)
            metrics.device_failures.labels(device.spec.name)  # a rate needs to see the 0
            metrics.stalls.labels(device.spec.name)
        self.crew = Crew(devices, self._serve, metrics)
        self.crew.start()

    @property
    def workers(self) -> int:
        """Inferences of a class that run at once."""
        return sum(device.spec.streams for device in self.fleet.devices)

    def submit(self, unit: Unit, job: Hashable) -> "Future[Inference]":
        """Queues a unit of a job.

        Raises:
            Overloaded: the queue of its class is full.
            DeadlineExceeded: it could not end before its deadline.
            DeviceUnavailable: there is no device.
        """
        unit.pace = self.costs.pace(unit)
        with self._lock:
            self.fleet.check()
            self._scheduler.submit(
                unit,
                now=unit.arrival,
                priority=unit.priority,
                tenant=unit.call.tenant,
                deadline=unit.call.deadline,
                cost=unit.cost,
                steps=unit.steps,
                job=job,
            )
            self.fleet.wake(unit.priority)
        return unit.future

    def cancel(self, job: Hashable) -> None:
        """Drops the units of a job that still wait; those that run finish."""
        with self._lock:
            dropped = self._scheduler.cancel(job)
        for unit in dropped:
            unit.future.cancel()

    def close(self) -> None:
        """Ends the threads; what still waits is left, as its callers have gone."""
        with self._lock:
            self.fleet.closing = True
            self.fleet.wake_all()
        self.crew.join()

    def _serve(self, seat: Seat) -> None:
        while group := self._next(seat):
            if len(group) > 1:
                self._run_together(seat, group)
            else:
                self._run(seat, group[0])

    def _next(self, seat: Seat) -> Group:
        device, classes = seat.device, seat.lane.classes
        with self._lock:
            while not self.fleet.closing:
                now = time.monotonic()
                if device.rest_until <= now:
                    taken = self._scheduler.take(now, classes)
                    self._expire(now)
                    if taken is not None:
                        return self._with_company(seat, taken, now)
                self.fleet.idle[classes].wait(self._patience(device, now))
        return []

    def _with_company(self, seat: Seat, taken: "Taken[Unit]", now: float) -> Group:
        """A unit, and those that wait behind it, are like it, and leave the other threads some."""
        unit = taken.unit
        if self._together is None or not can_join(unit):
            return [taken]
        spare = self._scheduler.waiting_of(unit.priority) - (self.workers - 1)
        if spare < 1:
            return [taken]
        return gather(self._scheduler, taken, self._together(unit, seat, 1 + spare), now)

    def _patience(self, device: Device, now: float) -> float | None:
        """Seconds until a worker without work must look again; None: until something changes."""
        until = self._scheduler.next_deadline
        if device.rest_until > now:
            until = min(until, device.rest_until)
        return None if math.isinf(until) else max(until - now, 0)

    def _expire(self, now: float) -> None:
        for unit in self._scheduler.expire(now):
            note_queue(unit, now, DeadlineExceeded("the deadline passed while waiting"))
            if unit.future.set_running_or_notify_cancel():
                unit.future.set_exception(
                    DeadlineExceeded("the deadline passed while waiting", reason="deadline")
                )

    def _run(self, seat: Seat, taken: "Taken[Unit]") -> None:
        unit, device = taken.unit, seat.device
        if unit.call.cancelled.is_set():
            self._finish(taken, None, Cancelled("the caller hung up"))
            return
        turn, start = Turn(seat, unit, (taken,), self._stand_aside), time.monotonic()
        try:
            outputs = self._guard.run(turn)
        except PellucidError as error:
            note_inference(unit, device, start, time.monotonic(), error=error)
            self._finish(taken, None, error)
        except Exception as error:  # noqa: BLE001 - whatever a device throws, the unit is not lost
            note_inference(unit, device, start, time.monotonic(), error=error)
            self._failed(device, taken, error)
        else:
            self.fleet.recover(device)
            end = time.monotonic() - turn.seconds
            seconds = (end - start) * turn.share
            queue = end - seconds - unit.arrival
            note_inference(unit, device, end - seconds, end, precision=turn.precision)
            unit.pace.observe(seconds / unit.images)
            self._finish(taken, Inference(outputs, queue, seconds), None)
            self._observe(device, unit, queue, seconds)
        self._count_wasted(device, unit)

    def _run_together(self, seat: Seat, group: Group) -> None:
        """Runs units in one inference; where that fails, each is tried alone."""
        unit, device = joined([taken.unit for taken in group]), seat.device
        unit.pace = self.costs.pace(unit)
        turn, start = Turn(seat, unit, group, self._stand_aside), time.monotonic()
        try:
            outputs = parted(self._guard.run(turn), len(group))
        except Exception as error:  # noqa: BLE001 - whatever it was, it may have been the company
            log.warning("inference failed", units=len(group), error=str(error))
            self._run_apart(group)
            return
        self.fleet.recover(device)
        end = time.monotonic()
        seconds = (end - start) * turn.share
        start = end - seconds
        unit.pace.observe(seconds / unit.images)
        for taken, own in zip(group, outputs, strict=True):
            part = taken.unit
            note_inference(part, device, start, end, precision=turn.precision, images=len(group))
            inference = Inference(own, start - part.arrival, seconds, len(group))
            self._finish(taken, inference, None)
            self._count_wasted(device, part)
        self._observe(device, unit, start - unit.arrival, seconds)

    def _run_apart(self, group: Group) -> None:
        separate(group)
        for taken in reversed(group):
            self._give_back(taken)

    def _abandon(self, turn: Turn, error: Stalled) -> None:
        """Leaves a thread to its fate: another one takes its seat, and its units run elsewhere."""
        seat = turn.seat
        for outer in seat.turns[:-1]:
            self._give_back(outer.parts[0])
        self.crew.replace(seat)
        if len(turn.parts) > 1:
            self._run_apart(turn.parts)
        else:
            self._failed(seat.device, turn.parts[0], error)

    def _give_back(self, taken: "Taken[Unit]") -> None:
        with self._lock:
            if not self._scheduler.give_back(taken):
                taken.unit.future.cancel()
            self.fleet.wake_all()

    def _stand_aside(self, turn: Turn) -> bool:
        """Between two inferences of a unit: runs what goes first; whether there was any.

        Raises:
            Cancelled, DeadlineExceeded: nobody waits for the rest.
        """
        taken, device = turn.parts[0], turn.seat.device
        taken.unit.call.check()
        if self._scheduler.abandoned(taken):
            raise Cancelled("the rest is not needed")
        ran = False
        while self._scheduler.contended(taken) and device.rest_until <= time.monotonic():
            with self._lock:
                other = self._scheduler.overtaking(taken, time.monotonic())
            if other is None:
                return ran
            self._run(turn.seat, other)
            ran = True
        return ran

    def _failed(self, device: Device, taken: "Taken[Unit]", error: Exception) -> None:
        """Tries the unit elsewhere; one that fails wherever it is tried is at fault itself."""
        unit = taken.unit
        unit.failed_on.add(device)
        where = {"device": device.spec.name, "model": unit.model.name, "error": str(error)}
        self._metrics.device_failures.labels(device.spec.name).inc()
        self.fleet.examine(device)
        now = time.monotonic()
        with self._lock:
            others = self.fleet.others(unit.failed_on, now)
            if others:
                self.fleet.rest(device, now)
        if others:
            self._give_back(taken)
            log.warning("device taken out, its work goes elsewhere", **where)
            return
        for tried in unit.failed_on:
            if not tried.lost:
                self.fleet.recover(tried)
        log.warning("inference failed", **where)
        self._finish(taken, None, self._blame(unit, error))

    def _blame(self, unit: Unit, error: Exception) -> PellucidError:
        """Why a unit failed everywhere: there is nothing to run it, or it is at fault itself."""
        try:
            self.fleet.check()
        except DeviceUnavailable as gone:
            return gone
        if isinstance(error, Stalled):
            return InferenceFailed(f"{unit.model.name} gave {error} on this input")
        return InferenceFailed(
            f"{unit.model.name} failed on this input; the server's log has the reason"
        )

    def _finish(
        self, taken: "Taken[Unit]", inference: Inference | None, error: Exception | None
    ) -> None:
        unit = taken.unit
        with self._lock:
            self._scheduler.done(taken, inference.share if inference else 0.0)
        if unit.future.set_running_or_notify_cancel():
            if inference is not None:
                unit.future.set_result(inference)
            else:
                unit.future.set_exception(error)

    def _count_wasted(self, device: Device, unit: Unit) -> None:
        """What ran while its caller hung up was for nobody."""
        if unit.call.cancelled.is_set():
            masks = unit.images // unit.steps
            self._metrics.cancelled_inferences.labels(device.spec.name).inc(masks)

    def _observe(self, device: Device, unit: Unit, queue: float, seconds: float) -> None:
        metrics, model = self._metrics, unit.model.name
        metrics.queue_seconds.labels(model, unit.priority.name.lower()).observe(queue)
        metrics.compute_seconds.labels(model, device.spec.name).observe(seconds)
        metrics.batch_size.labels(model).observe(unit.images)
