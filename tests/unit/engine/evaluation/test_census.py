import threading
from typing import Any, cast

from pellucid_server.engine.evaluation.census import Census
from pellucid_server.evaluate.store import NewEvaluation, Store, StoreUnavailable
from pellucid_server.telemetry.metrics import Metrics


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


def test_what_waits_is_told(store: Store) -> None:
    metrics = Metrics()
    store.create(NewEvaluation("{}", "model", "1", "classification"))
    Census(store, metrics).look()
    assert value(metrics, "pellucid_evaluations_waiting") == 1
    store.claim("me", 60)
    Census(store, metrics).look()
    assert value(metrics, "pellucid_evaluations_waiting") == 0
    assert value(metrics, "pellucid_evaluations_oldest_waiting_seconds") == 0


def test_a_store_that_is_away_is_counted_and_looked_at_again() -> None:
    metrics, ending, answers = Metrics(), threading.Event(), iter([None, (3, 5.0)])

    class Flaky:
        def waiting(self) -> Any:
            answer = next(answers)
            if answer is None:
                raise StoreUnavailable("away")
            ending.set()
            return answer

    Census(cast("Store", Flaky()), metrics, interval=0.001).run(ending)
    assert value(metrics, "pellucid_evaluation_store_failures_total") == 1
    assert value(metrics, "pellucid_evaluations_waiting") == 3
    assert value(metrics, "pellucid_evaluations_oldest_waiting_seconds") == 5
