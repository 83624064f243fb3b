"""Samples as a task takes them: images decoded, parameters and pictures of the annotation read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pellucid_server.engine.evaluation.plan import Plan, takes_several_runs
from pellucid_server.evaluate.annotations import LabelMap, Sample
from pellucid_server.evaluate.evaluator import Evaluator
from pellucid_server.imaging.decode import Decoded, decode_image, decode_reduced, decode_values
from pellucid_server.tasks.base import Prepared
from pellucid_server.tasks.classification import Classification
from pellucid_server.types import Array, Image, Infer, Outputs, Size


@dataclass(frozen=True)
class ImageLimits:
    """Of the images of data sets."""

    pixels: int
    bytes: int


@dataclass(frozen=True)
class SampleReader:
    """Reads samples of a plan; errors that are the sample's own fault are its caller's to sort."""

    plan: Plan
    evaluator: Evaluator
    limits: ImageLimits

    def read(self, sample: Sample) -> tuple[Any, Decoded]:
        """What the task is asked for of an image, and the image."""
        parameters = self.evaluator.parameters_for(sample, self.pictures_of(sample))
        return parameters, self.decoded(self.data(sample))

    def data(self, sample: Sample) -> bytes:
        """The image's file."""
        return self.plan.files.read(sample.path, self.limits.bytes)

    def decoded(self, data: bytes) -> Decoded:
        """The image as Predict would decode it."""
        task = self.plan.task
        if task.reducible and task.input_size:
            return decode_reduced(
                data, task.input_size, max_pixels=self.limits.pixels, field="image"
            )
        image = decode_image(data, max_pixels=self.limits.pixels, field="image")
        return Decoded(image, Size(*image.shape[:2]))

    def pictures_of(self, sample: Sample) -> Callable[[str], Array]:
        """Reads pictures of the annotation: values, or colours where those name classes."""
        colored = isinstance(sample.annotation, LabelMap) and sample.annotation.palette is not None
        decode = decode_image if colored else decode_values

        def load(path: str) -> Array:
            data = self.plan.files.read(path, self.limits.bytes)
            return decode(data, max_pixels=self.limits.pixels, field="annotation")

        return load

    def answer(self, image: Image, parameters: Any, infer: Infer) -> Any:
        """What the evaluator is given."""
        task = self.plan.task
        if takes_several_runs(task):
            return task.predict(image, parameters, infer)
        prepared = task.prepare(image, parameters)
        return self.answer_of(infer(prepared.feeds), prepared, parameters)

    def answer_of(self, outputs: Outputs, prepared: Prepared, parameters: Any) -> Any:
        """From outputs for one image: confidences of all classes, or the task's result."""
        task = self.plan.task
        if isinstance(task, Classification):
            return task.scores(outputs)[0]
        return task.read(outputs, prepared, parameters)
