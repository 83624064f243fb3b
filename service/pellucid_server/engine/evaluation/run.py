"""One evaluation, from where it stands to its end."""

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice

import structlog

from pellucid_server.engine.evaluation.board import Board
from pellucid_server.engine.evaluation.care import Care
from pellucid_server.engine.evaluation.chunk import CHUNK, Chunk
from pellucid_server.engine.evaluation.courtesy import Courtesy
from pellucid_server.engine.evaluation.hold import Draining, Hold
from pellucid_server.engine.evaluation.judge import ImageLimits, Judge, storable
from pellucid_server.engine.evaluation.pipeline import batched, in_order
from pellucid_server.engine.evaluation.plan import Plan, Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.evaluation.tally import Tally
from pellucid_server.errors import (
    Cancelled,
    InvalidInput,
    ModelUnavailable,
    NotFound,
    PellucidError,
)
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.row_json import report_to_json
from pellucid_server.evaluate.store import (
    Evaluation,
    LeaseLost,
    State,
    Store,
    StoreFull,
    StoreUnavailable,
)
from pellucid_server.runtime.digest import model_digest
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import OfImage
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.tracing import Tracer

log = structlog.get_logger()

LEASE = 20.0
PULSE = 0.25
"""Seconds between looks at what else is to be done while an item takes long."""
AHEAD = 3
"""Items in work for each inference that runs: while one infers, others are read and decoded."""
INTERNAL = "internal error: the server's log has the reason"


@dataclass
class Runner:
    """Runs evaluations that were claimed; one at a time a thread."""

    store: Store
    planner: Planner
    pool: ModelPool
    limits: ImageLimits
    board: Board
    lease: float = LEASE
    """Seconds after which a server that says nothing is taken for dead."""
    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer | None = None
    care: Care = field(default_factory=Care)
    courtesy: Courtesy = field(default_factory=Courtesy)
    draining: threading.Event = field(default_factory=threading.Event)
    _held: set[Hold] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.metrics.evaluation_images_left.of_one(lambda: self.board.left)

    def try_out(self, plan: Plan, request: EvaluationRequest) -> None:
        """Compiles what the caller changed of a model: nothing else tells if that works.

        Raises:
            InvalidInput: it does not.
        """
        asked = {"preprocess": request.preprocess, "batch": request.batch > 1}
        field_name = next((name for name, given in asked.items() if given), None)
        if field_name is None:
            return
        try:
            self.pool.prepare(plan.served, OfImage(plan.request.batch), priority=Priority.BULK)
        except ModelUnavailable as error:
            raise InvalidInput(
                f"{plan.served.name} cannot run so: unset {field_name}, or change it",
                field=field_name,
            ) from error
        finally:
            self._let_go(plan.served)

    def run(self, claimed: Evaluation) -> None:
        """Runs it to its end, or until the lease is lost or the server stops."""
        facts = {"evaluation": claimed.name, "model": claimed.model_name}
        log.info("evaluation runs", start=claimed.next_index, token=claimed.token, **facts)
        outcome, running = "left", self.metrics.evaluations_running
        for each in ("failed", "left"):  # a rate needs to see the 0
            self.metrics.evaluations.labels(claimed.model_name, each)
        try:
            with running.track_inprogress(), self._holding(claimed) as hold:
                outcome = self._execute(hold)
        except (LeaseLost, StoreUnavailable, NotFound) as error:
            # Whoever has it now, or sees the store again first, goes on; or it was deleted.
            log.warning("evaluation left", error=str(error), **facts)
            if isinstance(error, StoreUnavailable):
                self.metrics.store_failures.inc()
        finally:
            self.board.remove(claimed.name)
            self.metrics.evaluations.labels(claimed.model_name, outcome).inc()

    def cancel(self, name: str) -> None:
        """Stops an evaluation within the batch in work, where it runs here."""
        for hold in tuple(self._held):
            if hold.claimed.name == name:
                hold.stop(Cancelled("the evaluation was cancelled"))

    def drain(self) -> None:
        """Hands over what runs here: the rows so far are committed first."""
        self.draining.set()
        for hold in tuple(self._held):
            hold.stop(Draining())

    @contextmanager
    def _holding(self, claimed: Evaluation) -> Iterator[Hold]:
        with Hold(self.store, claimed, self.lease) as hold:
            self._held.add(hold)
            if self.draining.is_set():
                hold.stop(Draining())
            try:
                yield hold
            finally:
                self._held.remove(hold)

    def _execute(self, hold: Hold) -> str:
        """Runs it; returns how it ended here."""
        name, token = hold.claimed.name, hold.claimed.token
        try:
            tally = self._evaluate(hold)
            report = report_to_json(tally.report())
        except Exception as error:  # noqa: BLE001  # every end is told, to the store or the log
            return self._end(hold.claimed, hold.stop(error))
        digest = tally.dataset_digest
        self.store.finish(name, token, State.SUCCEEDED, report=report, dataset_digest=digest)
        log.info("evaluation done", evaluation=name, model=hold.claimed.model_name)
        return State.SUCCEEDED.value

    def _end(self, claimed: Evaluation, error: Exception) -> str:
        name, token = claimed.name, claimed.token
        facts = {"evaluation": name, "model": claimed.model_name}
        match error:
            case Draining():
                self.store.release(name, token)
                log.info("evaluation handed over", **facts)
                return "handed_over"
            case Cancelled():
                self.store.finish(name, token, State.CANCELLED)
                log.info("evaluation cancelled", **facts)
                return State.CANCELLED.value
            case LeaseLost():
                raise error
            case StoreUnavailable() if not isinstance(error, StoreFull):
                raise error
            case PellucidError():
                reason = f"{error.field}: {error.message}" if error.field else error.message
                self.store.finish(name, token, State.FAILED, reason=storable(reason))
                log.warning("evaluation failed", error=reason, **facts)
            case _:
                self.store.finish(name, token, State.FAILED, reason=INTERNAL)
                log.error("evaluation failed", exc_info=error, **facts)
        return State.FAILED.value

    def _evaluate(self, hold: Hold) -> Tally:
        claimed = hold.claimed
        hold.check()
        self.care.check(claimed)
        plan = self.planner.plan(EvaluationRequest.from_json(claimed.request), hold.check)
        _check_model(plan.served, claimed)
        total = claimed.total
        if total is None:
            total = plan.count(hold.check)
            self.store.set_total(claimed.name, claimed.token, total)
        tally = Tally(plan.evaluator(), total)
        tally.replay(hold.checked(self.store.rows(claimed.name)))
        self.board.post(claimed.name, tally.progress())
        images = self.metrics.evaluation_images.labels(claimed.model_name)
        chunk = Chunk(self.store, hold, images.inc, self.tracer, plan.request.trace)
        try:
            with closing(self._rows(plan, hold)) as rows:
                self._collect(rows, plan, tally, chunk)
        finally:
            self._let_go(plan.served)
        return tally

    def _let_go(self, served: ServedModel) -> None:
        """Forgets a model that was made for one evaluation, or was unloaded meanwhile."""
        with suppress(PellucidError):
            if self.planner.models.get(served.name, str(served.version)) is served:
                return
        self.pool.drop(served)

    def _collect(
        self, rows: Iterator[list[Row] | None], plan: Plan, tally: Tally, chunk: Chunk
    ) -> None:
        shown, interval = time.monotonic(), plan.request.progress_interval
        try:
            for some in rows:
                for row in some or ():
                    if row.reason and plan.request.strict:
                        raise InvalidInput(f"{_place(row)}: {row.reason}", field="dataset")
                    chunk.add(row)
                    tally.add(row)
                chunk.keep()
                if time.monotonic() - shown >= interval:
                    shown = time.monotonic()
                    self.board.post(chunk.name, tally.progress())
        finally:
            chunk.hold.call.cancelled.set()  # whatever is still in work is left
            chunk.commit()
        self.board.post(chunk.name, tally.progress())

    def _rows(self, plan: Plan, hold: Hold) -> Generator[list[Row] | None, None, None]:
        evaluator = plan.evaluator()
        judge = Judge(self.pool, plan, evaluator, self.limits, hold.call, courtesy=self.courtesy)
        left = hold.checked(islice(enumerate(plan.rows()), hold.claimed.next_index, None))
        ahead = AHEAD * self.pool.workers
        with ThreadPoolExecutor(ahead, "evaluate") as threads:
            with self.care.taken(hold):
                if hold.careful:
                    some = islice(batched(left, 1), CHUNK + ahead)
                    yield from in_order(threads, judge.rows, some, ahead=1, pulse=PULSE)
            items = batched(left, plan.request.batch)
            with self.care.computing(hold.claimed.name):
                yield from in_order(threads, judge.rows, items, ahead=ahead, pulse=PULSE)


def _check_model(served: ServedModel, claimed: Evaluation) -> None:
    """Rows of two models must not mix."""
    if claimed.model_digest and claimed.model_digest != model_digest(served):
        raise ModelUnavailable(
            f"{served.name} version {served.version} was changed since the evaluation was "
            "accepted: start a new one",
            field="model_version",
        )


def _place(row: Row) -> str:
    """Of an image, and of its annotation."""
    if row.path and row.location:
        return f"{row.path} ({row.location})"
    return row.path or row.location
