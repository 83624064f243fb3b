"""Others' RISE over ours: masks in a second, one target, same model, photo-sized input."""

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.frame import Series, Work, benchmark, interleave, ratios
from benchmarks.peers import environment
from benchmarks.photos import COFFEE
from benchmarks.server import CLASSIFIER, MODELS, serving
from benchmarks.worker import Worker

MODEL_FILE = MODELS / CLASSIFIER / "1" / "model.xml"


@dataclass(frozen=True)
class Size:
    """Pairs, and the masks of each side."""

    pairs: int
    masks: int


def _compare(name: str, worker: Worker, precision: str, size: Size) -> Series:
    with ExitStack() as stack:
        stack.enter_context(worker)
        server = stack.enter_context(serving(f"--precision={precision}"))
        worker.ask(masks=32)
        server.explain(COFFEE, num_masks=32)
        pairs = interleave(
            size.pairs,
            lambda: Work(**worker.ask(masks=size.masks)),
            lambda: server.explain(COFFEE, num_masks=size.masks),
        )
    return {
        name: ratios((peer.rate, ours.rate) for peer, ours in pairs),
        f"{name}_per_cpu": ratios((peer.rate_per_cpu, ours.rate_per_cpu) for peer, ours in pairs),
    }


@benchmark(
    {"peer_naive_loop_over_ours": "ratio", "peer_naive_loop_over_ours_per_cpu": "ratio"},
    quick=Size(2, 128),
    full=Size(3, 150),
)
def naive_loop(size: Size) -> Series:
    """The loop of the paper, batch 16, both in f32."""
    worker = Worker("benchmarks.peers.naive_loop", MODEL_FILE, "f32")
    return _compare("peer_naive_loop_over_ours", worker, "f32", size)


@benchmark(
    {"peer_openvino_xai_over_ours": "ratio", "peer_openvino_xai_over_ours_per_cpu": "ratio"},
    full=Size(5, 1000),
    note="only in the full run: it installs an environment of 700 MB",
)
def openvino_xai(size: Size) -> Series:
    """openvino-xai 1.1.0, both in bf16, which it takes without saying so."""
    worker = Worker("benchmarks.peers.openvino_xai", MODEL_FILE, python=environment.python())
    return _compare("peer_openvino_xai_over_ours", worker, "bf16", size)
