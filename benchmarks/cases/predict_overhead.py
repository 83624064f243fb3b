"""What the service costs beside the inference."""

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.callers import Callers
from benchmarks.frame import Series, Work, benchmark, ratios
from benchmarks.photos import large_jpeg
from benchmarks.server import CLASSIFIER, MODELS, serving
from benchmarks.worker import Worker

STREAMS = 2
CALLERS = 8
PRECISION = "f32"
MODEL_FILE = MODELS / CLASSIFIER / "1" / "model.xml"


@dataclass(frozen=True)
class Size:
    """Rounds, and seconds of each side."""

    pairs: int
    seconds: float


@benchmark(
    {
        "grpc_predict_over_inprocess": "ratio",
        "grpc_predict_over_inprocess_per_cpu": "ratio",
        "grpc_alone_over_inprocess": "ratio",
    },
    quick=Size(2, 0.6),
    full=Size(7, 4),
)
def grpc_predict(size: Size) -> Series:
    """Predictions of a 30 KB JPEG: 8 callers of the server, over 8 threads that do it alone.

    And 8 callers of gRPC's own server with those threads' function in it, and nothing else.
    """
    what = (MODEL_FILE, PRECISION, STREAMS)
    with ExitStack() as stack:
        server = stack.enter_context(serving(f"--precision={PRECISION}", f"--streams={STREAMS}"))
        threads, bare = (
            stack.enter_context(Worker(f"benchmarks.workers.{name}", *what))
            for name in ("inprocess", "grpc_alone")
        )
        ours = Callers(stack, server.target, server)
        grpc = Callers(stack, f"127.0.0.1:{bare.ask()['units']:.0f}")

        def round_of(seconds: float) -> tuple[Work, Work, Work]:
            alone = Work(**threads.ask(callers=CALLERS, seconds=seconds))
            return ours.work(CALLERS, seconds), grpc.work(CALLERS, seconds), alone

        round_of(0.3)
        rounds = [round_of(size.seconds) for _ in range(size.pairs)]
    return {
        "grpc_predict_over_inprocess": ratios((our.rate, alone.rate) for our, _, alone in rounds),
        "grpc_predict_over_inprocess_per_cpu": ratios(
            (our.rate_per_cpu, alone.rate_per_cpu) for our, _, alone in rounds
        ),
        "grpc_alone_over_inprocess": ratios((bare.rate, alone.rate) for _, bare, alone in rounds),
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
