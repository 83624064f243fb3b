"""Runs inferences that may never come back."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Thread

import structlog

from pellucid_server.errors import PellucidError
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.turns import GivenUp, Stalled, Turn
from pellucid_server.runtime.units import Unit
from pellucid_server.runtime.watchdog import Watchdog, Watched
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Outputs

log = structlog.get_logger()

MANY = 50
"""Times what its kind took: an inference that takes longer does not come back."""


@dataclass(frozen=True)
class Guard:
    """Watches inferences, and tells what is known of the model to whoever runs it."""

    watchdog: Watchdog
    suspects: Suspects
    metrics: Metrics
    shortest: float
    """Seconds that an inference may take at least."""
    abandon: Callable[[Turn, Stalled], None]
    """Hears of a turn that is not waited for any more, on the watchdog's thread."""

    def run(self, turn: Turn) -> Outputs:
        """Runs a unit, as long as it is waited for.

        Raises:
            GivenUp: it was waited for no more.
            Stalled: it took too long, and ended when it was asked to.
            ModelUnavailable: the model is refused, or cannot be compiled.
            Exception: whatever the device throws.
        """
        unit, seat = turn.unit, turn.seat
        subject = unit.model.subject
        self.suspects.check(subject)
        turn.compiled = seat.device.compiled(unit.model, unit.variant, seat.lane.nice)
        with self.suspects.running(subject):
            seat.turns.append(turn)
            watched = turn.watched = self._watched(turn)
            self.watchdog.watch(watched)
            seat.busy.add(seat)
            outcome = _infer(turn, turn.compiled)
            turn.share = seat.share
            seat.busy.discard(seat)
            if not self.watchdog.end(watched):
                raise GivenUp
            seat.turns.pop()
        if not isinstance(outcome, Exception):
            return outcome
        if watched.asked and not isinstance(outcome, PellucidError):
            raise self._stalled(turn) from outcome
        raise outcome

    def _watched(self, turn: Turn) -> Watched:
        limit = longest(turn.unit, turn.unit.pace.seconds, self.shortest)
        return Watched(limit, partial(_ask, turn, limit), partial(self._give_up, turn))

    def _give_up(self, turn: Turn) -> None:
        for outer in turn.seat.turns[:-1]:
            self.watchdog.end(outer.watched)
        self.suspects.give_up()
        turn.seat.busy.discard(turn.seat)
        turn.seat.device.drop(turn.unit.model)  # what is compiled may wait for it for ever
        self.abandon(turn, self._stalled(turn))

    def _stalled(self, turn: Turn) -> Stalled:
        self.metrics.stalls.labels(turn.seat.device.spec.name).inc()
        error = Stalled(f"no answer within {turn.watched.limit:.3g} s")
        self.suspects.stalled(turn.unit.model.subject, f"it gave {error} again and again")
        return error


def longest(unit: Unit, usual: float, shortest: float) -> float:
    """Seconds that an inference of a unit may take; `usual`: what an image took, 0: unknown."""
    images = unit.images / unit.steps
    return max(shortest, MANY * usual * images) if usual else shortest * max(images, 1.0)


def _infer(turn: Turn, compiled: Compiled) -> Outputs | Exception:
    unit, worker = turn.unit, turn.seat.worker
    try:
        if unit.series:
            return compiled.infer_series(worker, unit.feeds, unit.series, turn)
        return compiled.infer(worker, unit.feeds)
    except Exception as error:  # noqa: BLE001 - first of all: is it still waited for?
        return error


def _ask(turn: Turn, limit: float) -> None:
    """Asks an inference that takes too long to end."""
    where = {"model": turn.unit.model.name, "device": turn.seat.device.spec.name}
    log.warning("an inference does not come back", seconds=limit, **where)
    if turn.compiled:  # on a thread of its own, as that may hang too
        arguments = (turn.seat.worker,)
        Thread(target=turn.compiled.cancel, args=arguments, name="cancel", daemon=True).start()
