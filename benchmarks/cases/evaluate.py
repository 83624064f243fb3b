"""What an evaluation costs beside decoding and inference, what it keeps, whom it holds up."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.callers import Callers, Latencies
from benchmarks.datasets import TINY, photos, tiny_jpeg, tiny_model
from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.server import CLASSIFIER, MODELS, Server, serving
from benchmarks.worker import Worker

STREAMS = 2
CALLERS = 6
"""As many threads as the server decodes with."""
PRECISION = "f32"
MODEL_FILE = MODELS / CLASSIFIER / "1" / "model.xml"
RATE = 10
WARM = 0.5
"""Seconds that an evaluation runs before predictions come beside it."""
FEW = 1000


def _evaluate(server: Server, model: str) -> Work:
    """Evaluates as a caller does, from the call to the report; the server's cpu."""
    cpu, start = server.cpu, time.perf_counter()
    report = server.client.evaluate("set", model=model).result()
    return Work(report.images, time.perf_counter() - start, server.cpu - cpu)


@dataclass(frozen=True)
class Size:
    """Pairs, and images of an evaluation."""

    pairs: int
    images: int


@benchmark(
    {"evaluate_over_limit": "ratio", "evaluate_over_limit_per_cpu": "ratio"},
    quick=Size(1, 200),
    full=Size(5, 600),
)
def evaluate_over_limit(size: Size) -> Series:
    """EvaluateDataset of 30 KB JPEGs, over threads that decode and infer and do nothing else."""
    with ExitStack() as stack:
        root = stack.enter_context(photos(size.images))
        flags = (f"--precision={PRECISION}", f"--streams={STREAMS}", f"--data-roots={root}")
        server = stack.enter_context(serving(*flags))
        worker = stack.enter_context(
            Worker("benchmarks.workers.inprocess", MODEL_FILE, PRECISION, STREAMS)
        )

        def alone() -> Work:
            return Work(**worker.ask(callers=CALLERS, images=size.images))

        _evaluate(server, CLASSIFIER), alone()
        pairs = interleave(size.pairs, lambda: _evaluate(server, CLASSIFIER), alone)
    return {
        "evaluate_over_limit": ratios((ours.rate, bare.rate) for ours, bare in pairs),
        "evaluate_over_limit_per_cpu": ratios(
            (ours.rate_per_cpu, bare.rate_per_cpu) for ours, bare in pairs
        ),
    }


def _peak(models: Path, images: int) -> float:
    with (
        photos(images, tiny_jpeg()) as root,
        serving(f"--data-roots={root}", models=models) as server,
    ):
        _evaluate(server, TINY)
        return server.peak_bytes


@benchmark({"evaluate_rss_100k_over_1k": "ratio"}, quick=Size(1, 2000), full=Size(1, 100_000))
def evaluate_memory(size: Size) -> Series:
    """The most memory of a fresh server that evaluates a tiny model; 2,000 in the quick run."""
    with tiny_model() as models:
        pairs = interleave(
            size.pairs, lambda: _peak(models, size.images), lambda: _peak(models, FEW)
        )
    return {"evaluate_rss_100k_over_1k": ratios(pairs)}


@dataclass(frozen=True)
class Rounds:
    """Rounds of two phases, seconds of each, and more images than an evaluation does meanwhile."""

    rounds: int
    seconds: float
    images: int


@benchmark(
    {
        "predict_p50_beside_evaluate_over_idle": "x time",
        "predict_p99_beside_evaluate_over_idle": "x time",
    },
    quick=Rounds(1, 1, 8000),
    full=Rounds(5, 12, 100_000),
)
def predict_beside_evaluate(size: Rounds) -> Series:
    """Predictions come at fixed times; an evaluation runs beside them."""
    with (
        ExitStack() as stack,
        photos(size.images) as root,
        serving("--precision=bf16", f"--data-roots={root}") as server,
    ):
        callers = Callers(stack, server.target)
        callers.at_rate(RATE, 0.5)
        pairs = [
            (_beside(server, callers, size.seconds), callers.at_rate(RATE, size.seconds))
            for _ in range(size.rounds)
        ]
    return {
        "predict_p50_beside_evaluate_over_idle": ratios(
            (beside.p50, idle.p50) for beside, idle in pairs
        ),
        "predict_p99_beside_evaluate_over_idle": ratios(
            (beside.p99, idle.p99) for beside, idle in pairs
        ),
    }


def _beside(server: Server, callers: Callers, seconds: float) -> Latencies:
    with server.client.evaluate("set", model=CLASSIFIER, cancel_on_disconnect=True) as stream:
        next(iter(stream))
        time.sleep(WARM)
        latencies = callers.at_rate(RATE, seconds)
        stream.cancel()
    return latencies
