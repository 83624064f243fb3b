"""Masked inference: what explanations ask of the pool."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.call import Call
from pellucid_server.errors import Overloaded
from pellucid_server.explain.masks import MaskBlock, MaskTables
from pellucid_server.runtime.dispatcher import Inference
from pellucid_server.runtime.graph import MaskShape
from pellucid_server.runtime.pool import ModelPool, wait
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import NORMALIZER, OF_IMAGE, Masked
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import Array, Feeds, Size

Scores = NDArray[np.float32]

AHEAD = 2
"""Units in flight for each worker: enough that none waits for the thread that collects."""
STEPS = 8
"""Inferences of a unit: their common cost is shared, and the last units end nearly together."""


@dataclass(frozen=True)
class MaskedModel:
    """A model that looks at one image, whole or through masks."""

    pool: ModelPool
    served: ServedModel
    task: TaskModel[Any, Any]
    pixels: Array
    """What the task prepared: uint8 RGB of the input's size."""
    call: Call

    def unmasked_scores(self) -> Scores:
        """Scores of the whole image, one for each class."""
        feeds = {self.task.image.name: self.pixels}
        inference = self.pool.infer(self.served, OF_IMAGE, feeds, self.call, Priority.EXPLAIN)
        scores: Scores = self.task.scores(inference.outputs)[0].astype(np.float32)
        return scores

    def masked_scores(
        self, tables: MaskTables, blocks: Iterable[MaskBlock], fill: float, targets: Sequence[int]
    ) -> Iterator[tuple[MaskBlock, Scores]]:
        """Each block with the scores of its masks, in order, computed wherever there is room."""
        run = MaskRun(self, tables, fill, list(targets))
        try:
            for block, last in _with_end(blocks):
                run.submit(block, last=last)
                yield from run.finished(AHEAD * self.pool.workers)
            yield from run.finished(ahead=0)
        finally:
            self.pool.cancel(run)

    def normalized(self) -> NDArray[np.float32]:
        """The image as the model's input takes it."""
        feeds = {self.task.image.name: self.pixels}
        inference = self.pool.infer(self.served, NORMALIZER, feeds, self.call, Priority.EXPLAIN)
        image: NDArray[np.float32] = inference.outputs["image"].astype(np.float32)
        return image


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
    futures: "list[Future[Inference]]"


class MaskRun:
    """The masks of one explanation: submitted block by block, collected in order."""

    def __init__(
        self, model: MaskedModel, tables: MaskTables, fill: float, targets: list[int]
    ) -> None:
        self._model = model
        self._tables = tables
        self._targets = targets
        self._batch = model.pool.settings.mask_batch
        self._variant = Masked(MaskShape(self._batch, tables.rows.shape[2], tables.clip))
        self._pending: deque[Pending] = deque()
        self._constant: Feeds = {
            "shown": model.normalized() - np.float32(fill),
            "fill": np.asarray([fill], np.float32),
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
            share = inferences // (2 * self._model.pool.workers) if last else STEPS
            stop = start + min(max(share, 1), STEPS) * self._batch
            pending.futures.append(self._queue(block[start:stop]))
            start = stop

    def finished(self, ahead: int) -> Iterator[tuple[MaskBlock, Scores]]:
        """Waits for the oldest blocks, as long as `ahead` units of later ones are queued."""
        while self._pending and self._later() >= ahead:
            pending = self._pending.popleft()
            yield pending.block, self._scores(pending)

    def _queue(self, masks: MaskBlock) -> "Future[Inference]":
        model, series = self._model, self._series(masks)
        while True:
            try:
                return model.pool.submit(
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

    def _series(self, masks: MaskBlock) -> Feeds:
        """The masks' strips and columns, inferences x batch x pixels x cells."""
        series = {"strips": masks.strips(self._tables), "columns": masks.columns(self._tables)}
        if missing := -len(masks) % self._batch:
            padding = ((0, missing), (0, 0), (0, 0))
            series = {name: np.pad(each, padding) for name, each in series.items()}
        return {
            name: each.reshape(-1, self._batch, *each.shape[1:]) for name, each in series.items()
        }

    def _scores(self, pending: Pending) -> Scores:
        """Masks x targets; a unit that was filled up ends with masks that are none."""
        outputs = [wait(future, self._model.call).outputs for future in pending.futures]
        scores = [self._model.task.scores(each)[:, self._targets] for each in outputs]
        joined: Scores = np.concatenate(scores)[: len(pending.block)].astype(np.float32)
        return joined

    def _later(self) -> int:
        return sum(len(pending.futures) for pending in self._pending) - len(
            self._pending[0].futures
        )


@dataclass(frozen=True)
class MaskedProblem:
    """What a method of explanation asks: `explain.Problem`."""

    size: Size
    targets: Sequence[int]
    model: MaskedModel

    def masked_scores(
        self, tables: MaskTables, blocks: Iterable[MaskBlock], fill: float
    ) -> Iterator[tuple[MaskBlock, Scores]]:
        """Each block of masks with the targets' scores, in order."""
        return self.model.masked_scores(tables, blocks, fill, self.targets)
