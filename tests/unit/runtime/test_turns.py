"""Seats at a device: predictions have one more than the device has streams."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from pellucid_server.call import Call
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.device import Device, device_specs
from pellucid_server.runtime.dispatcher import Dispatcher
from pellucid_server.runtime.lanes import SHARED, Lane, lanes_apart
from pellucid_server.runtime.scheduling import Priority, Scheduler
from pellucid_server.runtime.served import ServedModel, Subject
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.turns import Seat
from pellucid_server.runtime.units import Unit
from pellucid_server.runtime.variants import AS_IS
from pellucid_server.runtime.watchdog import Watchdog
from pellucid_server.telemetry.metrics import Metrics

APART = lanes_apart({Priority.EXPLAIN: 0.05})
STREAMS, SECONDS = 2, 0.02


class Streams:
    """Computes two things at once; a third waits inside, as in OpenVINO."""

    precision = "f32"

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(STREAMS)

    def infer(self, worker: int, feeds: object) -> dict[str, Any]:
        del worker, feeds
        self._threads.submit(time.sleep, SECONDS).result()
        return {}


class Model:
    """The little that is asked of one."""

    name, subject = "model", Subject("model", 1, "")


def device(lanes: tuple[Lane, ...]) -> Device:
    (spec,) = device_specs(("CPU",), STREAMS, None)
    return Device(spec, cast("Any", None), cast("Any", None), "f32", lanes=lanes)


def test_predictions_alone_have_a_seat_more_than_streams() -> None:
    """Where they share their threads, a seat more would be a longer wait for them."""
    first, others = APART
    apart = device(APART)
    assert (apart.seats(first), apart.seats(others)) == (STREAMS + 1, STREAMS)
    assert device(SHARED).seats(SHARED[0]) == STREAMS


def test_what_runs_beside_more_than_there_are_streams_has_its_part_of_one() -> None:
    busy = set[Seat]()
    seats = [Seat(device(APART), APART[0], worker, busy=busy) for worker in range(3)]
    shares = []
    for seat in seats:
        busy.add(seat)
        shares.append(seat.share)
    assert shares == [1, 1, pytest.approx(2 / 3)]
    busy.clear()
    assert seats[0].share == 1


def test_two_streams_are_never_told_to_have_worked_more_than_twice_the_time() -> None:
    """Three seats keep them busy, and what waits inside for a stream counts as waiting."""
    one, model = device(APART), cast("ServedModel", Model())
    one._at_hand[model, AS_IS, 0] = cast("Compiled", Streams())
    watchdog, metrics, suspects = Watchdog(60), Metrics(), Suspects()
    dispatcher = Dispatcher([one], Scheduler(), metrics, watchdog, suspects, patience=60)
    start = time.monotonic()
    futures = [dispatcher.submit(unit(model), job) for job in range(60)]
    done = [future.result(30) for future in futures]
    seconds = time.monotonic() - start
    dispatcher.close()
    watchdog.close()
    assert sum(each.compute for each in done) <= 1.1 * STREAMS * seconds
    assert all(each.queue >= 0 for each in done)


def unit(model: ServedModel) -> Unit:
    return Unit(model, AS_IS, {}, Call(), Priority.INTERACTIVE)
