"""RISE, end to end, over the compiled model alone."""

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.nets import RESNET, repository
from benchmarks.photos import COFFEE
from benchmarks.server import CLASSIFIER, MODELS, Server, serving
from benchmarks.worker import Worker

STREAMS = 2
BATCHES = (1, 4)


@dataclass(frozen=True)
class Size:
    """Pairs, the masks of an explanation, and seconds of the model alone."""

    pairs: int
    masks: int
    seconds: float


def _raw(worker: Worker, batch: int, seconds: float) -> Work:
    return Work(**worker.ask(batch=batch, seconds=seconds))


def _best_batch(worker: Worker, seconds: float) -> int:
    """The batch with which the model alone does most for its processor time."""
    for batch in BATCHES:
        _raw(worker, batch, 0.1)
    return max(BATCHES, key=lambda batch: _raw(worker, batch, seconds).rate_per_cpu)


def measure(name: str, models: Path, model: str, precision: str, size: Size) -> Series:
    """Both rates in turn: by the clock, and by processor time."""
    path = models / model / "1" / "model.xml"
    flags = (f"--precision={precision}", f"--streams={STREAMS}")
    with ExitStack() as stack:
        server: Server = stack.enter_context(serving(*flags, models=models))
        worker = stack.enter_context(Worker("benchmarks.workers.raw", path, precision, STREAMS))
        server.explain(COFFEE, model=model, num_masks=32)
        batch = _best_batch(worker, size.seconds)
        pairs = interleave(
            size.pairs,
            lambda: server.explain(COFFEE, model=model, num_masks=size.masks),
            lambda: _raw(worker, batch, size.seconds),
        )
    return {
        name: ratios((ours.rate, raw.rate) for ours, raw in pairs),
        f"{name}_per_cpu": ratios((ours.rate_per_cpu, raw.rate_per_cpu) for ours, raw in pairs),
    }


def _register(name: str, model: str, precision: str, quick: Size, full: Size) -> None:
    @benchmark({name: "ratio", f"{name}_per_cpu": "ratio"}, quick=quick, full=full)
    def run(size: Size) -> Series:
        with repository() if model == RESNET else nullcontext(MODELS) as models:
            return measure(name, models, model, precision, size)


_register("rise_over_raw_f32", CLASSIFIER, "f32", Size(2, 128, 0.6), Size(7, 1000, 5))
_register("rise_over_raw_bf16", CLASSIFIER, "bf16", Size(2, 256, 0.6), Size(7, 2000, 5))
_register("rise_over_raw_resnet50", RESNET, "bf16", Size(1, 32, 0.5), Size(5, 256, 6))
