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

AHEAD = 4
"""Units in flight for each worker: enough that none waits for the thread that collects."""


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
            for block in blocks:
                run.submit(block)
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
        self._pending: deque[Pending] = deque()
        self._constant: Feeds = {
            "image": model.normalized(),
            "fill": np.asarray([fill], np.float32),
            "rows": tables.rows,
            "columns": tables.columns,
        }

    def submit(self, block: MaskBlock) -> None:
        """Queues the masks of a block.

        Raises:
            Overloaded: the queue is full, and nothing of ours is in it to wait for.
        """
        pending = Pending(block, [])
        self._pending.append(pending)
        for start in range(0, len(block), self._batch):
            pending.futures.append(self._queue(self._feeds(block, start)))

    def finished(self, ahead: int) -> Iterator[tuple[MaskBlock, Scores]]:
        """Waits for the oldest blocks, as long as `ahead` units of later ones are queued."""
        while self._pending and self._later() >= ahead:
            pending = self._pending.popleft()
            yield pending.block, self._scores(pending)

    def _queue(self, feeds: Feeds) -> "Future[Inference]":
        model = self._model
        while True:
            try:
                return model.pool.submit(
                    model.served,
                    self._variant,
                    feeds,
                    model.call,
                    job=self,
                    priority=Priority.EXPLAIN,
                    images=self._batch,
                )
            except Overloaded:
                running = [each for p in self._pending for each in p.futures if not each.done()]
                if not running:
                    raise
                wait(running[0], model.call)

    @property
    def _variant(self) -> Masked:
        tables = self._tables
        return Masked(MaskShape(self._batch, tables.rows.shape[2], tables.shifts, clip=tables.clip))

    def _feeds(self, block: MaskBlock, start: int) -> Feeds:
        part = block[start : start + self._batch]
        grids, shifts = part.grids, part.shifts
        missing = self._batch - len(grids)
        if missing:
            grids = np.pad(grids, ((0, missing), (0, 0), (0, 0)))
            shifts = np.pad(shifts, ((0, missing), (0, 0)))
        return {**self._constant, "grid": grids, "shift": shifts}

    def _scores(self, pending: Pending) -> Scores:
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
