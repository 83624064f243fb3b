"""From samples to rows: reads, prepares, infers and judges."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.courtesy import Courtesy
from pellucid_server.engine.evaluation.plan import Plan, takes_several_runs
from pellucid_server.engine.evaluation.samples import ImageLimits, SampleReader
from pellucid_server.errors import (
    DeviceUnavailable,
    InvalidInput,
    NotFound,
    OutsideRoot,
    Overloaded,
)
from pellucid_server.evaluate.annotations import Flaw, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Evaluator
from pellucid_server.evaluate.report import Row
from pellucid_server.imaging.decode import Decoded
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.variants import AS_IS, OF_IMAGE, OfImage, Variant
from pellucid_server.types import Feeds, Outputs

__all__ = ["UNUSABLE", "ImageLimits", "Item", "Judge", "storable"]

Item = tuple[int, Sample | Flaw]
"""A row's place in the data set, and what the data set says there."""
DIGEST_BYTES = 16
NO_DEVICE = 5.0
"""Seconds after which an image is tried again where there was no device."""
UNUSABLE = (BadAnnotation, InvalidInput, NotFound, OutsideRoot)
"""What makes a row a bad one instead of ending the evaluation."""


@dataclass(frozen=True)
class Ready:
    """A sample on its way to the model; `prepared` is the task's, or feeds of a table's row."""

    place: int
    sample: Sample
    digest: str
    parameters: Any
    prepared: Any = None
    decoded: Decoded | None = None


class Judge:
    """Judges a few items at a time; safe in several threads at once."""

    def __init__(
        self,
        pool: ModelPool,
        plan: Plan,
        evaluator: Evaluator,
        limits: ImageLimits,
        call: Call,
        *,
        courtesy: Courtesy,
    ) -> None:
        self._pool = pool
        self._plan = plan
        self._evaluator = evaluator
        self._reader = SampleReader(plan, evaluator, limits)
        self._call = call
        self._courtesy = courtesy
        self._several = takes_several_runs(plan.task)

    def rows(self, items: Sequence[Item]) -> list[Row]:
        """A row for each item, in order.

        Raises:
            PellucidError: of the storage, the model or the device; never of an annotation.
        """
        made = [self._ready(place, each) for place, each in items]
        ready = [each for each in made if isinstance(each, Ready)]
        answers = iter(self._answers(ready))
        return [
            self._row(each, *next(answers)) if isinstance(each, Ready) else each for each in made
        ]

    def _ready(self, place: int, each: Sample | Flaw) -> Ready | Row:
        try:
            if isinstance(each, Sample):
                with self._courtesy.reading():
                    return self._prepared(place, each)
            reason = each.reason
        except UNUSABLE as error:
            reason = _reason(error)
        path, location = storable(each.path), storable(each.location)
        return Row(place, path, _digest(b"", each), location, reason=storable(reason))

    def _prepared(self, place: int, sample: Sample) -> Ready:
        reader, task = self._reader, self._plan.task
        parameters = self._evaluator.parameters_for(sample, reader.pictures_of(sample))
        if sample.features is not None:
            digest = _digest(np.asarray(sample.features).tobytes(), sample)
            feeds = task.feeds(sample.features)  # type: ignore[attr-defined]  # of regression alone
            return Ready(place, sample, digest, parameters, feeds)
        data = reader.data(sample)
        decoded = reader.decoded(data)
        prepared = None if self._several else task.prepare(decoded.image, parameters)
        return Ready(place, sample, _digest(data, sample), parameters, prepared, decoded)

    def _answers(self, ready: Sequence[Ready]) -> list[tuple[Any, float]]:
        """What the model says of each, and the seconds of inference.

        An image's place in an inference follows from its place in the set: where a kernel rounds
        otherwise from place to place, an evaluation that was resumed still has the same rows.
        """
        batch = self._plan.request.batch
        if batch == 1 or not ready:
            return [self._answer(each) for each in ready]
        name = self._plan.task.image.name
        first = ready[0].prepared.feeds[name]
        pixels = np.zeros((batch, *first.shape[1:]), first.dtype)
        for each in ready:
            pixels[each.place % batch] = each.prepared.feeds[name][0]
        outputs, seconds = self._infer(OfImage(batch), {name: pixels}, len(ready))
        return [
            (self._read(each, _part(outputs, each.place % batch)), seconds / len(ready))
            for each in ready
        ]

    def _answer(self, each: Ready) -> tuple[Any, float]:
        task = self._plan.task
        if each.decoded is None:
            outputs, seconds = self._infer(AS_IS, each.prepared)
            return task.read(outputs, None, each.parameters), seconds  # type: ignore[arg-type]  # no image
        if not self._several:
            outputs, seconds = self._infer(OF_IMAGE, each.prepared.feeds)
            return self._read(each, outputs), seconds
        spent: list[float] = []

        def infer(feeds: Feeds) -> Outputs:
            outputs, seconds = self._infer(OF_IMAGE, feeds)
            spent.append(seconds)
            return outputs

        try:
            return task.predict(each.decoded.image, each.parameters, infer), sum(spent)
        except InvalidInput as error:  # of the image or its mask: of this row
            return BadAnnotation(error.message), sum(spent)

    def _read(self, each: Ready, outputs: Outputs) -> Any:
        return self._reader.answer_of(outputs, each.prepared, each.parameters)

    def _infer(self, variant: Variant, feeds: Feeds, images: int = 1) -> tuple[Outputs, float]:
        while True:
            try:
                inference = self._pool.infer(
                    self._plan.served,
                    variant,
                    feeds,
                    self._call,
                    priority=Priority.BULK,
                    images=images,
                )
            except Overloaded as error:  # bulk work has time
                self._call.cancelled.wait(error.retry_after)
            except DeviceUnavailable:
                self._call.cancelled.wait(NO_DEVICE)
            else:
                return inference.outputs, inference.compute

    def _row(self, each: Ready, answer: Any, seconds: float) -> Row:
        sample = each.sample
        try:
            if isinstance(answer, BadAnnotation):
                raise answer
            size = each.decoded.size if each.decoded else None
            load = self._reader.pictures_of(sample)
            row = self._evaluator.row(each.place, sample, answer, load, size)
        except UNUSABLE as error:
            row = Row(each.place, sample.path, reason=storable(_reason(error)))
        return replace(row, digest=each.digest, location=sample.location, seconds=seconds)


def _part(outputs: Outputs, place: int) -> Outputs:
    return {name: value[place : place + 1] for name, value in outputs.items()}


def _digest(data: bytes, what: Sample | Flaw) -> str:
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES)
    digest.update(repr(what).encode(errors="backslashreplace"))
    return digest.hexdigest()


def storable(text: str) -> str:
    """A text of a data set without what no database keeps."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


def _reason(error: Exception) -> str:
    return getattr(error, "message", "") or str(error)
