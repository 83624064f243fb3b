"""What an Explain that saturates the machine does to Predict, and Predict to it."""

import time
from dataclasses import dataclass

from benchmarks.frame import Series, Work, benchmark, ratios
from benchmarks.load import Explaining, Latencies, at_rate
from benchmarks.photos import COFFEE, small_jpeg
from benchmarks.server import CLASSIFIER, Server, serving

RATE = 10
"""Predictions a second: a tenth of what the machine could do."""


@dataclass(frozen=True)
class Size:
    """Rounds of three phases, and seconds of each."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Round:
    """What three phases, one after another, saw."""

    idle: Latencies
    loaded: Latencies
    solo: Work
    beside: Work


@dataclass(frozen=True)
class Phases:
    """Predict alone, Explain alone, both: on one server."""

    server: Server
    seconds: float

    def round(self) -> Round:
        """Each phase once."""
        idle = at_rate(self._predict, RATE, self.seconds)
        with self._explaining() as solo:
            time.sleep(self.seconds)
        with self._explaining() as beside:
            loaded = at_rate(self._predict, RATE, self.seconds)
        return Round(idle, loaded, solo.work(), beside.work())

    def _predict(self) -> object:
        return self.server.client.predict(small_jpeg(), model=CLASSIFIER)

    def _explaining(self) -> Explaining:
        return Explaining(self.server, COFFEE)


@benchmark(
    {
        "predict_p50_loaded_over_idle": "x time",
        "predict_p99_loaded_over_idle": "x time",
        "explain_rate_beside_predict_over_solo": "ratio",
        "explain_rate_beside_predict_over_solo_per_cpu": "ratio",
    },
    quick=Size(1, 1),
    full=Size(4, 10),
)
def predict_beside_explain(size: Size) -> Series:
    """Predictions come at fixed times from one client; one Explain runs beside them."""
    with serving("--precision=bf16") as server:
        Phases(server, 0.5).round()
        rounds = [Phases(server, size.seconds).round() for _ in range(size.rounds)]
    return {
        "predict_p50_loaded_over_idle": ratios((r.loaded.at(50), r.idle.at(50)) for r in rounds),
        "predict_p99_loaded_over_idle": ratios((r.loaded.at(99), r.idle.at(99)) for r in rounds),
        "explain_rate_beside_predict_over_solo": ratios(
            (r.beside.rate, r.solo.rate) for r in rounds
        ),
        "explain_rate_beside_predict_over_solo_per_cpu": ratios(
            (r.beside.rate_per_cpu, r.solo.rate_per_cpu) for r in rounds
        ),
    }
