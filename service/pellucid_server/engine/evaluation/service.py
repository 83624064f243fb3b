"""Evaluations as callers see them: accepted, watched, cancelled, read."""

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.census import Census
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.request import (
    EvaluationEvent,
    EvaluationRequest,
    Finished,
    Progress,
)
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.errors import (
    Cancelled,
    DeadlineExceeded,
    EvaluationFailed,
    PellucidError,
    Stopping,
)
from pellucid_server.evaluate.row_json import report_from_json
from pellucid_server.evaluate.store import Evaluation, NewEvaluation, State, Store
from pellucid_server.evaluate.store.evaluation import ENDED
from pellucid_server.runtime.digest import model_digest

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds that `cancel` waits for an evaluation to end."""
LOOK = 1.0
"""Seconds between looks for evaluations to go on with, and at those that run elsewhere."""


@dataclass
class Evaluations:
    """Accepts evaluations and runs them in the background, those of dead servers too."""

    store: Store
    planner: Planner
    runner: Runner
    owner: str
    threads: int = 1
    crashed: Sequence[str] = ()
    """Evaluations that an earlier server crashed in."""
    _wake: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begins to run what waits."""
        try:
            for name in self.crashed:
                self.store.crashed(name)
        except PellucidError as error:
            log.warning("crashes of evaluations are not counted", error=str(error))
        self._running = [
            threading.Thread(target=self._work, name=f"evaluations-{index}", daemon=True)
            for index in range(self.threads)
        ]
        census = Census(self.store, self.runner.metrics)
        counting = threading.Thread(
            target=census.run, args=(self.runner.draining,), name="census", daemon=True
        )
        self._running.append(counting)
        for thread in self._running:
            thread.start()

    def drain(self) -> None:
        """Hands over what runs, after its rows so far are committed; who watches is told."""
        self.runner.drain()
        self._wake.set()

    def close(self) -> None:
        """Waits until all is handed over, where the store answers, and closes it."""
        self.drain()
        self.store.hurry()
        for thread in self._running:
            thread.join()
        self.store.close()

    def submit(self, request: EvaluationRequest, call: Call) -> Evaluation:
        """Accepts an evaluation, after all that can be wrong with it was looked at.

        Raises:
            PellucidError: of any kind, with the field at fault.
        """
        if call.span is not None:
            request = replace(request, trace=call.span.parent)
        plan = self.planner.plan(request, call.check)
        self.runner.try_out(plan, request)
        total = plan.count(call.check)
        evaluation = self.store.create(
            NewEvaluation(
                request=plan.request.to_json(),
                model_name=plan.request.model_name,
                model_version=plan.request.model_version,
                task=plan.task.task,
                model_digest=model_digest(plan.served),
                precision=plan.served.spec.precision or self.runner.pool.settings.precision,
                tenant=call.tenant,
                total=total,
            )
        )
        self._wake.set()
        return evaluation

    def evaluate(
        self, request: EvaluationRequest, call: Call
    ) -> Generator[EvaluationEvent, None, None]:
        """Submits and watches; a caller that hangs up stops it where it asked for that."""
        evaluation = self.submit(request, call)
        try:
            yield from self.watch(evaluation.name, call)
        except (GeneratorExit, Cancelled, DeadlineExceeded):  # the caller has gone
            if request.cancel_on_disconnect:
                self._stop(evaluation.name)
            raise

    def cancel(self, name: str, call: Call) -> Evaluation:
        """Stops an evaluation and waits, a few seconds at most, until it stands still.

        Raises:
            NotFound: there is none of that name.
        """
        evaluation = self._stop(name)
        until = time.monotonic() + PATIENCE
        while evaluation.state not in ENDED and time.monotonic() < until:
            call.check()
            call.cancelled.wait(LOOK / 10)
            evaluation = self.store.get(name)
        return evaluation

    def _stop(self, name: str) -> Evaluation:
        evaluation = self.store.request_cancel(name)
        self.runner.cancel(name)
        return evaluation

    def labels(self, name: str) -> Mapping[int, str]:
        """Names of the classes of the model that was evaluated, while it is served."""
        evaluation = self.store.get(name)
        with suppress(PellucidError):
            served = self.planner.models.get(evaluation.model_name, evaluation.model_version)
            return dict(enumerate(served.spec.labels))
        return {}

    def watch(
        self, name: str, call: Call, *, resume: bool = False
    ) -> Generator[EvaluationEvent, None, None]:
        """The evaluation as it stands, then progress, then its end.

        Raises:
            NotFound: there is none of that name.
            EvaluationFailed: it ended with an error.
            Cancelled: it was cancelled.
            Stopping: the server stops before it ended.
        """
        evaluation = self.store.get(name)
        if resume and evaluation.state in {State.FAILED, State.CANCELLED}:
            evaluation = self.store.resume(name)
            self._wake.set()
        yield evaluation
        evaluation = yield from self._until_its_end(evaluation, call)
        if evaluation.state is State.FAILED:
            raise EvaluationFailed(evaluation.reason)
        if evaluation.state is State.CANCELLED or evaluation.report is None:
            raise Cancelled(f"{name} was cancelled")
        yield Finished(evaluation, report_from_json(evaluation.report))

    def _until_its_end(
        self, evaluation: Evaluation, call: Call
    ) -> Generator[EvaluationEvent, None, Evaluation]:
        """Progress while it runs, here or elsewhere; returns it as it ended."""
        interval = EvaluationRequest.from_json(evaluation.request).progress_interval
        seen: Progress | None = None
        age = _Age(evaluation.created)
        while evaluation.state not in ENDED:
            call.check()
            if self.runner.draining.is_set():
                raise Stopping("the server stops, the evaluation does not: join it again")
            here = self.runner.board.latest(evaluation.name, seen, LOOK / 4)
            if here is None:  # it waits, runs elsewhere, or has ended
                evaluation = self.store.get(evaluation.name)
            latest = here or _from_store(evaluation, seen, age.seconds)
            if latest is not seen:
                seen = latest
                yield replace(seen, elapsed=age.seconds)
            if here is None and evaluation.state not in ENDED:
                self.runner.board.appears(evaluation.name, min(max(interval, LOOK / 4), LOOK))
        return evaluation

    def _work(self) -> None:
        while not self.runner.draining.is_set():
            try:
                claimed = self.store.claim(self.owner, self.runner.lease)
                if claimed is not None:
                    self.runner.run(claimed)
                    continue
            except PellucidError as error:  # the store is away: it is looked for again
                self.runner.metrics.store_failures.inc()
                log.warning("evaluations wait", error=str(error))
            except Exception:
                log.exception("evaluations wait")
            self._wake.wait(LOOK)
            self._wake.clear()


class _Age:
    """Of an evaluation that is watched: the clock may be set meanwhile."""

    def __init__(self, created: float) -> None:
        self._born = time.monotonic() - max(time.time() - created, 0.0)

    @property
    def seconds(self) -> float:
        """Since it was created."""
        return time.monotonic() - self._born


def _from_store(evaluation: Evaluation, seen: Progress | None, age: float) -> Progress:
    """What the store knows of how far it is, unless more was seen before."""
    if seen and evaluation.done <= seen.done:
        return seen
    elapsed = max(age, 1e-6)
    rate = evaluation.done / elapsed
    total = evaluation.total or 0
    remaining = (total - evaluation.done) / rate if rate else float("inf")
    return Progress(evaluation.done, total, elapsed, remaining, rate)
