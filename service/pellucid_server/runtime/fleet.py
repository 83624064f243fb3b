"""The devices together: which of them take work, and what becomes of those that do not."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

import structlog

from pellucid_server.errors import DeviceUnavailable
from pellucid_server.runtime.device import FIRST_REST, LONGEST_REST, Device
from pellucid_server.runtime.scheduling import Priority, Scheduler
from pellucid_server.runtime.units import Unit
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

MANY = 2**16
"""More than there are threads."""


class Fleet:
    """Devices rest after a failure; those that do not answer at all are lost until they do.

    `lock` guards the scheduler and all that is said here.
    """

    def __init__(
        self, devices: Sequence[Device], scheduler: "Scheduler[Unit]", metrics: Metrics
    ) -> None:
        self.devices = devices
        self.lock = lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self.idle = {
            lane.classes: threading.Condition(lock) for device in devices for lane in device.lanes
        }
        """What threads without work wait for."""
        self.closing = False
        self.resting: set[Device] = set()
        self.on_able: Callable[[bool], None] = lambda _: None
        """Hears whether there is any device, whenever that changes."""
        self._scheduler = scheduler
        self._metrics = metrics
        self._count()

    @property
    def lost(self) -> bool:
        """Whether there is no device any more."""
        return bool(self.resting) and all(device.lost for device in self.devices)

    def check(self) -> None:
        """Raises DeviceUnavailable where there is none."""
        if self.lost:
            raise _none()

    def others(self, than: Collection[Device], now: float) -> list[Device]:
        """Those that take work, but for some."""
        return [each for each in self.devices if each.rest_until <= now and each not in than]

    def wake(self, priority: Priority) -> None:
        """Lets a thread look for a new unit; under `lock`."""
        for classes, condition in self.idle.items():
            if priority in classes:
                # One is enough, unless it may be one of a device that rests.
                condition.notify(MANY if self.resting else 1)

    def wake_all(self) -> None:
        """Lets all who wait look again; under `lock`."""
        for condition in (self.changed, *self.idle.values()):
            condition.notify_all()

    def rest(self, device: Device, now: float) -> None:
        """Leaves a device alone for a while; under `lock`."""
        if not device.lost:
            device.failed(now)
        self.resting.add(device)
        self._count()

    def recover(self, device: Device) -> None:
        """A device that did its work is trusted again."""
        if device not in self.resting:
            return
        with self.changed:
            none_before = self.lost
            device.trusted()
            self.resting.discard(device)
            self._count()
            self.wake_all()
        log.info("device is back", device=device.spec.name)
        if none_before:
            self.on_able(True)

    def examine(self, device: Device) -> bool:
        """Whether a device is there; one that is not gets no work, and is asked until it is."""
        if device.probe.answers():
            return True
        with self.changed:
            if device.lost:
                return False
            device.lose()
            self.rest(device, time.monotonic())
            none_left = self.lost
            waiting = self._scheduler.clear() if none_left else []
        log.error("device lost", device=device.spec.name, others=not none_left)
        threading.Thread(target=self._nurse, args=(device,), name="nurse", daemon=True).start()
        for unit in waiting:
            if unit.future.set_running_or_notify_cancel():
                unit.future.set_exception(_none())
        if none_left:
            self.on_able(False)
        return False

    def _nurse(self, device: Device) -> None:
        """Asks a lost device until it answers, ever less often."""
        pause = FIRST_REST
        while not device.probe.answers():
            with self.changed:
                if self.changed.wait_for(lambda: self.closing, pause):
                    return
            pause = min(2 * pause, LONGEST_REST)
        self.recover(device)

    def _count(self) -> None:
        up = [device for device in self.devices if device not in self.resting]
        self._scheduler.workers = sum(device.spec.streams for device in up)
        for device in self.devices:
            self._metrics.device_up.labels(device.spec.name).set(device in up)


def _none() -> DeviceUnavailable:
    return DeviceUnavailable("no device answers; the server looks for them: try again later")
