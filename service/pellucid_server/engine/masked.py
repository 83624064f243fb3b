"""Masked inference: what explanations ask of the pool."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pellucid_server.call import Call
from pellucid_server.errors import Overloaded
from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.runtime.graph import MaskShape
from pellucid_server.runtime.pool import ModelPool, wait
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.units import Inference
from pellucid_server.runtime.variants import NORMALIZER, OF_IMAGE, Masked
from pellucid_server.tasks.objectives import Objective
from pellucid_server.types import Array, Feeds, Outputs, Size

Scores = NDArray[np.float32]

AHEAD = 2
"""Units in flight for each worker: enough that none waits for the thread that collects."""
STEPS = 8
"""Inferences of a unit: their common cost is shared, and the last units end nearly together."""
ROOM = 2**26
"""Bytes that the outputs of a unit may take."""


@dataclass(frozen=True)
class MaskedModel:
    """A model that looks at one image, whole or through masks."""

    pool: ModelPool
    served: ServedModel
    image: str
    """The input that masks hide parts of."""
    feeds: Feeds
    """What the task prepared: uint8 RGB of the input's size, and the other inputs."""
    call: Call

    def unmasked(self) -> Outputs:
        """Outputs for the whole image."""
        # As a prediction: it is one, and is compiled for these already.
        return self.pool.infer(self.served, OF_IMAGE, self.feeds, self.call).outputs

    def others(self, batch: int) -> Feeds:
        """The other inputs, as many times as there are masks in an inference."""
        return {
            name: _repeated(values, batch)
            for name, values in self.feeds.items()
            if name != self.image
        }

    def normalized(self) -> NDArray[np.float32]:
        """The image as the model's input takes it."""
        feeds = {self.image: self.feeds[self.image]}
        inference = self.pool.infer(
            self.served, NORMALIZER, feeds, self.call, priority=Priority.EXPLAIN
        )
        image: NDArray[np.float32] = inference.outputs["image"].astype(np.float32)
        return image


def _repeated(values: Array, batch: int) -> Array:
    """An input of one image as that of a batch; one without a batch is for all of them."""
    return np.repeat(values, batch, axis=0) if values.ndim > 1 and len(values) == 1 else values


def _with_end(blocks: Iterable[MaskBlock]) -> Iterator[tuple[MaskBlock, bool]]:
    """Each block, and whether it is the last."""
    blocks = iter(blocks)
    block = next(blocks, None)
    while block is not None:
        following = next(blocks, None)
        yield block, following is None
        block = following


@dataclass(eq=False)
class Pending:
    """A block whose masks run."""

    block: MaskBlock
    futures: "list[Future[Scores]]"
    start: float = field(default_factory=time.monotonic)


class MaskRun:
    """The masks of one explanation: submitted block by block, collected in order."""

    def __init__(self, problem: "MaskedProblem", tables: MaskTables, fill: float) -> None:
        self._model = model = problem.model
        self._objective = problem.objective
        self._steps = problem.steps
        self._tables = tables
        self._batch = model.pool.mask_batch(model.served)
        self._variant = Masked(MaskShape(self._batch, tables.rows.shape[2], tables.clip))
        self._pending: deque[Pending] = deque()
        self._constant: Feeds = {
            "shown": model.normalized() - np.float32(fill),
            "fill": np.asarray([fill], np.float32),
            **model.others(self._batch),
        }

    def submit(self, block: MaskBlock, *, last: bool) -> None:
        """Queues the masks of a block; those of the last in ever smaller units.

        Raises:
            Overloaded: the queue is full, and nothing of ours is in it to wait for.
        """
        pending = Pending(block, [])
        self._pending.append(pending)
        start = 0
        while start < len(block):
            inferences = -(-(len(block) - start) // self._batch)
            share = inferences // (2 * self._model.pool.workers) if last else self._steps
            stop = start + min(max(share, 1), self._steps) * self._batch
            pending.futures.append(self._queue(block[start:stop]))
            start = stop

    def finished(self, ahead: int) -> Iterator[tuple[MaskBlock, Scores]]:
        """Waits for the oldest blocks, as long as `ahead` units of later ones are queued."""
        while self._pending and self._later() >= ahead:
            pending = self._pending.popleft()
            yield pending.block, self._joined(pending)

    def _queue(self, masks: MaskBlock) -> "Future[Scores]":
        model, series = self._model, self._series(masks)
        while True:
            try:
                unit = model.pool.submit(
                    model.served,
                    self._variant,
                    self._constant,
                    model.call,
                    job=self,
                    priority=Priority.EXPLAIN,
                    images=len(masks),
                    series=series,
                )
            except Overloaded:
                running = [each for p in self._pending for each in p.futures if not each.done()]
                if not running:
                    raise
                wait(running[0], model.call)
            else:
                return _then(unit, partial(self._scores, len(next(iter(series.values())))))

    def _series(self, masks: MaskBlock) -> Feeds:
        """The masks' strips and columns, inferences x batch x pixels x cells."""
        series = {"strips": masks.strips(self._tables), "columns": masks.columns(self._tables)}
        if missing := -len(masks) % self._batch:
            padding = ((0, missing), (0, 0), (0, 0))
            series = {name: np.pad(each, padding) for name, each in series.items()}
        return {
            name: each.reshape(-1, self._batch, *each.shape[1:]) for name, each in series.items()
        }

    def _scores(self, steps: int, unit: Inference) -> Scores:
        """Masks x targets."""
        scores = self._objective.scores(unit.outputs, steps * self._batch)
        return np.asarray(scores, np.float32)

    def _joined(self, pending: Pending) -> Scores:
        """Those of a block; a unit that was filled up ends with masks that are none."""
        scores = [wait(future, self._model.call) for future in pending.futures]
        joined: Scores = np.concatenate(scores)[: len(pending.block)]
        self._note(pending)
        return joined

    def _note(self, pending: Pending) -> None:
        """Tells the trace of a block, from when it was queued."""
        model = self._model
        if model.call.span is not None:
            model.call.span.record(
                "masks",
                pending.start,
                time.monotonic(),
                model=model.served.name,
                version=model.served.version,
                precision=model.pool.precision(model.served),
                masks=len(pending.block),
                units=len(pending.futures),
            )

    def _later(self) -> int:
        return sum(len(pending.futures) for pending in self._pending) - len(
            self._pending[0].futures
        )


def _then(future: "Future[Inference]", read: Callable[[Inference], Scores]) -> "Future[Scores]":
    """What is read of an inference as soon as it ends, so that its outputs need no room."""
    scores: Future[Scores] = Future()

    def pass_on(ended: "Future[Inference]") -> None:
        try:
            scores.set_result(read(ended.result()))
        except CancelledError:
            scores.cancel()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for who waits
            scores.set_exception(error)

    future.add_done_callback(pass_on)
    return scores


@dataclass(frozen=True)
class MaskedProblem:
    """What a method of explanation asks: `explain.Problem`."""

    size: Size
    model: MaskedModel
    objective: Objective
    steps: int
    """Inferences of a unit, at most."""

    @classmethod
    def of(cls, size: Size, model: MaskedModel, objective: Objective, whole: Outputs) -> Self:
        """The problem of an image with these outputs."""
        each = sum(values.nbytes for values in whole.values()) * model.pool.mask_batch(model.served)
        steps = min(max(ROOM // max(each, 1), 1), STEPS) if objective.joined else 1
        return cls(size, model, objective, steps)

    @property
    def targets(self) -> Sequence[int]:
        """Columns of the scores."""
        return range(len(self.objective.subjects))

    def masked_scores(
        self, tables: MaskTables, blocks: Iterable[MaskBlock], fill: float
    ) -> Iterator[tuple[MaskBlock, Scores]]:
        """Each block with the scores of its masks, in order, computed wherever there is room."""
        run = MaskRun(self, tables, fill)
        pool = self.model.pool
        try:
            for block, last in _with_end(blocks):
                run.submit(block, last=last)
                yield from run.finished(AHEAD * pool.workers)
            yield from run.finished(ahead=0)
        finally:
            pool.cancel(run)
