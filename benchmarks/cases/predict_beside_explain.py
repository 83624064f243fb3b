"""What an Explain that saturates the machine does to Predict, and Predict to it."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.callers import Callers, Latencies
from benchmarks.frame import Series, Work, benchmark, ratios
from benchmarks.load import Explaining
from benchmarks.photos import COFFEE
from benchmarks.server import Server, serving

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
    callers: Callers

    def round(self, seconds: float) -> Round:
        """Each phase once, for so many seconds."""
        idle = self.callers.at_rate(RATE, seconds)
        with self._explaining() as solo:
            time.sleep(seconds)
        with self._explaining() as beside:
            loaded = self.callers.at_rate(RATE, seconds)
        return Round(idle, loaded, solo.work(), beside.work())

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
    full=Size(5, 12),
)
def predict_beside_explain(size: Size) -> Series:
    """Predictions come at fixed times; one Explain runs beside them."""
    with serving("--precision=bf16") as server, ExitStack() as stack:
        phases = Phases(server, Callers(stack, server.target))
        phases.round(0.5)
        rounds = [phases.round(size.seconds) for _ in range(size.rounds)]
    return {
        "predict_p50_loaded_over_idle": ratios((r.loaded.p50, r.idle.p50) for r in rounds),
        "predict_p99_loaded_over_idle": ratios((r.loaded.p99, r.idle.p99) for r in rounds),
        "explain_rate_beside_predict_over_solo": ratios(
            (r.beside.rate, r.solo.rate) for r in rounds
        ),
        "explain_rate_beside_predict_over_solo_per_cpu": ratios(
            (r.beside.rate_per_cpu, r.solo.rate_per_cpu) for r in rounds
        ),
    }
