"""Threads at the seats of devices: where one is stuck, another takes its seat."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from pellucid_server.runtime.device import Device
from pellucid_server.runtime.lanes import Lane
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.turns import GivenUp, Seat
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

MOST_STUCK = 8
"""Threads of a device that may be stuck at once: one more is not replaced."""
PARTING = 5.0
"""Seconds that threads have to end when the server does."""


class Crew:
    """A thread at each seat of each lane of each device; each does `serve` at its own."""

    def __init__(
        self, devices: Sequence[Device], serve: Callable[[Seat], None], metrics: Metrics
    ) -> None:
        self._devices = devices
        self._serve = serve
        self._metrics = metrics
        self.on_end: Callable[[], None] = lambda: None
        """Hears that there is a class that no thread is left for."""
        self._lock = threading.Lock()
        self._stuck: Counter[Device] = Counter()
        self._threads: dict[tuple[Device, Lane, int], threading.Thread] = {}
        for device in devices:
            metrics.stuck_threads.labels(device.spec.name)

    @property
    def exhausted(self) -> bool:
        """Whether there is a class that no thread is left for."""
        served = {each for _, lane, _ in tuple(self._threads) for each in lane.classes}
        return len(served) < len(Priority)

    def start(self) -> None:
        """Takes all seats."""
        for device in self._devices:
            for lane in device.lanes:
                busy = set[Seat]()
                for worker in range(device.seats(lane)):
                    self._take(Seat(device, lane, worker, busy=busy))

    def replace(self, seat: Seat) -> None:
        """Another thread takes the seat of one that is stuck."""
        self._count_stuck(seat.device, 1)
        if self._stuck[seat.device] <= MOST_STUCK:
            self._take(Seat(seat.device, seat.lane, seat.worker, busy=seat.busy))
            return
        del self._threads[seat.device, seat.lane, seat.worker]
        if self.exhausted:
            log.critical("every thread is stuck: nothing of its class can run any more")
            self.on_end()

    def join(self) -> None:
        """Waits for the threads to end, for a while."""
        until = time.monotonic() + PARTING
        for thread in tuple(self._threads.values()):
            thread.join(max(until - time.monotonic(), 0))

    def _take(self, seat: Seat) -> None:
        lane = seat.lane.classes[0].name.lower()
        name = f"{seat.device.spec.name}-{lane}-{seat.worker}"
        thread = threading.Thread(target=self._run, args=(seat,), name=name, daemon=True)
        self._threads[seat.device, seat.lane, seat.worker] = thread
        thread.start()

    def _run(self, seat: Seat) -> None:
        try:
            self._serve(seat)
        except GivenUp:
            self._count_stuck(seat.device, -1)
            log.warning("an inference that was given up came back", device=seat.device.spec.name)

    def _count_stuck(self, device: Device, more: int) -> None:
        with self._lock:
            self._stuck[device] += more
            self._metrics.stuck_threads.labels(device.spec.name).set(self._stuck[device])
