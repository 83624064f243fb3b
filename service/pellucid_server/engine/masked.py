"""Masked inference: what explanations ask of the pool."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.call import Call
from pellucid_server.explain.masks import Masks
from pellucid_server.runtime.pool import MASK_BATCH, ModelPool, Variant
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import image_layout
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import Array, Size

Scores = NDArray[np.float32]


class MaskedModel:
    """A model that looks at one image through masks."""

    def __init__(
        self,
        pool: ModelPool,
        served: ServedModel,
        task: TaskModel[Any, Any],
        pixels: Array,
        call: Call,
    ) -> None:
        self._pool = pool
        self._served = served
        self._task = task
        self._call = call
        name = task.image.name
        feeds = {name: pixels}
        self._image = pool.infer(served, Variant.NORMALIZER, feeds, call).outputs[name]
        self._nchw = image_layout(served.spec, task.image) == "NCHW"
        height, width = self._image.shape[2:] if self._nchw else self._image.shape[1:3]
        self._size = Size(height, width)

    def unmasked_scores(self) -> Scores:
        """Scores of the whole image, one for each class."""
        whole = np.ones((1, *self._size), np.float32)
        whole_image: Scores = self.scores(whole, 0.0)[0]
        return whole_image

    def scores(self, masks: Masks, fill: float) -> Scores:
        """Scores of at most `MASK_BATCH` masks: masks x classes."""
        batch = np.zeros((MASK_BATCH, *self._size), self._image.dtype)
        batch[: len(masks)] = masks
        feeds = {
            "image": self._image,
            "mask": batch[:, None] if self._nchw else batch[..., None],
            "fill": np.asarray([fill], self._image.dtype),
        }
        inference = self._pool.infer(
            self._served, Variant.MASKED, feeds, self._call, batch=len(masks)
        )
        return self._task.scores(inference.outputs)[: len(masks)].astype(np.float32)

    def blocks(
        self, blocks: Iterable[Masks], fill: float, targets: Sequence[int]
    ) -> Iterator[tuple[Masks, Scores]]:
        """Each block with the scores of its masks, in order, computed on all streams at once.

        The next blocks are started before the first is awaited, so that the device never
        waits for the caller; at most two blocks are ahead, so memory stays bounded.
        """
        streams = self._pool.settings.streams
        with ThreadPoolExecutor(streams, "masks") as workers:
            pending: deque[tuple[Masks, list[Future[Scores]]]] = deque()
            try:
                for block in blocks:
                    parts = range(0, len(block), MASK_BATCH)
                    futures = [
                        workers.submit(self.scores, block[part : part + MASK_BATCH], fill)
                        for part in parts
                    ]
                    pending.append((block, futures))
                    if len(pending) > 2:
                        yield _finished(*pending.popleft(), targets)
                while pending:
                    yield _finished(*pending.popleft(), targets)
            finally:
                workers.shutdown(wait=False, cancel_futures=True)


def _finished(
    block: Masks, futures: list["Future[Scores]"], targets: Sequence[int]
) -> tuple[Masks, Scores]:
    scores = np.concatenate([future.result() for future in futures])
    return block, scores[:, list(targets)]


@dataclass(frozen=True)
class MaskedProblem:
    """What a method of explanation asks: `explain.Problem`."""

    size: Size
    targets: Sequence[int]
    model: MaskedModel

    def masked_scores(self, blocks: Iterable[Masks], fill: float) -> Iterator[tuple[Masks, Scores]]:
        """Each block of masks with the targets' scores, in order."""
        return self.model.blocks(blocks, fill, self.targets)
