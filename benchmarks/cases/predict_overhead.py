"""What the service costs beside the inference."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.load import together
from benchmarks.photos import large_jpeg, small_jpeg
from benchmarks.server import CLASSIFIER, MODELS, Server, serving
from benchmarks.worker import Worker

STREAMS = 2
CALLERS = 8
PRECISION = "f32"
MODEL_FILE = MODELS / CLASSIFIER / "1" / "model.xml"


@dataclass(frozen=True)
class Size:
    """Pairs, and seconds of each side."""

    pairs: int
    seconds: float


def _served(server: Server, seconds: float) -> Work:
    """Predictions through gRPC; the callers' processor time is not the server's."""
    cpu, start = server.cpu, time.perf_counter()
    units = together(
        lambda: server.client.predict(small_jpeg(), model=CLASSIFIER), CALLERS, seconds
    )
    return Work(units, time.perf_counter() - start, server.cpu - cpu)


@benchmark(
    {"grpc_predict_over_inprocess": "ratio", "grpc_predict_over_inprocess_per_cpu": "ratio"},
    quick=Size(2, 0.8),
    full=Size(7, 4),
)
def grpc_predict(size: Size) -> Series:
    """Predictions of a 30 KB JPEG: 8 callers of the server, over 8 threads that do it alone."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(f"--precision={PRECISION}", f"--streams={STREAMS}"))
        worker = stack.enter_context(
            Worker("benchmarks.workers.inprocess", MODEL_FILE, PRECISION, STREAMS)
        )

        def alone(seconds: float) -> Work:
            return Work(**worker.ask(callers=CALLERS, seconds=seconds))

        _served(server, 0.3), alone(0.3)
        pairs = interleave(
            size.pairs, lambda: _served(server, size.seconds), lambda: alone(size.seconds)
        )
    return {
        "grpc_predict_over_inprocess": ratios((ours.rate, bare.rate) for ours, bare in pairs),
        "grpc_predict_over_inprocess_per_cpu": ratios(
            (ours.rate_per_cpu, bare.rate_per_cpu) for ours, bare in pairs
        ),
    }


@benchmark({"decode_large_jpeg_over_inference": "x time"}, quick=20, full=100)
def decode(calls: int) -> Series:
    """Decoding and fitting a 1280 x 960 JPEG over inferring it, as the server times them."""
    with serving(f"--precision={PRECISION}", f"--streams={STREAMS}") as server:
        timings = [
            server.client.predict(large_jpeg(), model=CLASSIFIER).timing for _ in range(calls + 5)
        ]
    return {
        "decode_large_jpeg_over_inference": [each.prepare / each.compute for each in timings[5:]]
    }
