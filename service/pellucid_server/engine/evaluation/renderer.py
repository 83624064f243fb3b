"""The picture of a row: what was predicted, what is annotated, and what the model looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.importance import Importance, check_explained, has_subject
from pellucid_server.engine.evaluation.judge import UNUSABLE
from pellucid_server.engine.evaluation.panels import PAINTERS, REPLAYED, Replay, Scene
from pellucid_server.engine.evaluation.plan import LOOK_EVERY, Plan, Planner, threshold_of
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.evaluation.samples import ImageLimits, SampleReader
from pellucid_server.engine.explain import Explainer
from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.evaluate.annotations import Sample
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.open import open_dataset_files
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, Store
from pellucid_server.imaging.decode import Decoded, decode_image, decode_reduced
from pellucid_server.imaging.draw import MISSED, MOST_SIDE, Canvas, beside
from pellucid_server.imaging.encode import encode_picture
from pellucid_server.imaging.letters import name_of
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import OF_IMAGE
from pellucid_server.tasks.base import TaskModel
from pellucid_server.types import (
    Feeds,
    Image,
    Outputs,
    PictureFormat,
    Size,
)

LEAST_SIDE = 16
USUAL_THRESHOLD = 0.5
"""Where neither the caller nor the model says one, as evaluators have it."""


@dataclass(frozen=True)
class RenderRequest:
    """Which row, how large, and what beside the prediction."""

    evaluation: str
    index: int
    max_side: int = 0
    """Of each panel, heading included; 0: as large as the image, at most `MOST_SIDE`."""
    annotation: bool = False
    explanation: bool = False


@dataclass(frozen=True)
class Rendered:
    """A picture as JPEG, and the row that it shows."""

    picture: bytes
    row: Row


@dataclass(frozen=True)
class Renderer:
    """Draws rows; the model runs again only where the row does not have its answer."""

    store: Store
    planner: Planner
    explainer: Explainer
    limits: ImageLimits

    def render(self, request: RenderRequest, call: Call) -> Rendered:
        """Draws a row.

        Raises:
            NotFound: there is no such evaluation or row, or its image, data set or model is gone.
            InvalidInput: `max_side` is out of range, or the task has no importance maps.
        """
        _check_side(request.max_side)
        evaluation = self.store.get(request.evaluation)
        row = self.store.row(request.evaluation, request.index)
        drawing = Drawing(self, request, evaluation, row, call)
        panels = [drawing.flawed()] if row.reason else list(drawing.panels())
        return Rendered(encode_picture(beside(panels), PictureFormat.JPEG), row)


@dataclass(frozen=True)
class Drawing:
    """One row on its way to a picture."""

    renderer: Renderer
    request: RenderRequest
    evaluation: Evaluation
    row: Row
    call: Call

    @cached_property
    def wanted(self) -> EvaluationRequest:
        """What was evaluated."""
        return EvaluationRequest.from_json(self.evaluation.request)

    @cached_property
    def files(self) -> Files:
        """The data set."""
        with _still_there("evaluation"):
            places = self.renderer.planner.places
            return open_dataset_files(self.wanted.dataset, places, self.call.check)

    def flawed(self) -> Image:
        """A bad annotation with its reason, and the image where it can be read."""
        row, _ = self.row, self.files
        try:
            scene = Scene(row, self.request.max_side, *self._shown(self._data()))
        except UNUSABLE:
            scene = Scene(row, self.request.max_side)
        canvas = scene.canvas()
        canvas.note(f"{row.location}: {row.reason}" if row.location else row.reason)
        return canvas.framed("Bad annotation", MISSED)

    def panels(self) -> Iterator[Image]:
        """What was predicted, and the others asked for."""
        planner, request, wanted = self.renderer.planner, self.request, self.wanted
        with _still_there("evaluation"):
            served = planner.models.get(wanted.model_name, wanted.model_version)
            task = planner.tasks.get(served)
            if task.task != self.evaluation.task:
                raise NotFound(f"the model does {task.task} now")
        if request.explanation:
            check_explained(task)
        with _still_there("index"):
            painted = PAINTERS[task.task](self._scene(task))
            yield from painted if request.annotation else islice(painted, 1)
            if request.explanation and has_subject(self.row, task.task):
                yield self._importance(served)

    def _scene(self, task: TaskModel[Any, Any]) -> Scene:
        image, size = None, None
        if not getattr(task, "takes_features", False):
            image, size = self._shown(self._data())
        asked = threshold_of(self.wanted, task)
        threshold = USUAL_THRESHOLD if asked is None else asked
        side = self.request.max_side
        return Scene(self.row, side, image, size, task.label, threshold, lambda: self._replayed)

    def _data(self) -> bytes:
        return self.files.read(self.row.path, self.renderer.limits.bytes)

    def _shown(self, data: bytes) -> Decoded:
        """Not much larger than it is drawn."""
        side = self.request.max_side or MOST_SIDE
        most = self.renderer.limits.pixels
        return decode_reduced(data, Size(side, side), max_pixels=most, field="index")

    @cached_property
    def _plan(self) -> Plan:
        return self.renderer.planner.plan(self.wanted, self.call.check)

    @cached_property
    def _replayed(self) -> Replay:
        """Runs the model again as it was judged, before everything that nobody waits for."""
        plan, call = self._plan, self.call
        sample, evaluator = self._sample(plan), plan.evaluator()
        reader = SampleReader(plan, evaluator, self.renderer.limits)
        parameters, decoded = reader.read(sample)
        pool = self.renderer.explainer.pool

        def infer(feeds: Feeds) -> Outputs:
            return pool.infer(plan.served, OF_IMAGE, feeds, call).outputs

        with self._borrowed(plan.served):
            answer = reader.answer(decoded.image, parameters, infer)
        load = reader.pictures_of(sample)
        return Replay(sample, parameters, answer, evaluator, load, self._picture)

    def _sample(self, plan: Plan) -> Sample:
        """The row's, found by walking there."""
        for place, each in enumerate(plan.rows()):
            if place % LOOK_EVERY == 0:
                self.call.check()
            if place == self.row.index:
                if isinstance(each, Sample) and each.path == self.row.path:
                    return each
                break
        raise NotFound("the data set was changed since", field="index")

    def _picture(self, path: str) -> Image:
        limits = self.renderer.limits
        data = self.files.read(path, limits.bytes)
        return decode_image(data, max_pixels=limits.pixels, field="index")

    @contextmanager
    def _borrowed(self, served: ServedModel) -> Iterator[None]:
        """A model that was made for this evaluation alone is forgotten again."""
        try:
            yield
        finally:
            if self.wanted.preprocess:
                self.renderer.explainer.pool.drop(served)

    def _importance(self, served: ServedModel) -> Image:
        """The importance map of what was predicted."""
        explainer, predicted = self.renderer.explainer, self.row.predicted
        if self.wanted.preprocess:
            served = self._plan.served
        replayed = served.spec.task in REPLAYED
        parameters = self._replayed.parameters if replayed else None
        with self._borrowed(served):
            importance = Importance(explainer, served, self.call)
            overlay = importance.drawn(self._data(), self.row, parameters)
        name = f" for {name_of(predicted.class_id, predicted.label)}" if predicted else ""
        return Canvas(overlay, self.request.max_side).framed(f"Importance{name}")


@contextmanager
def _still_there(field: str) -> Iterator[None]:
    """What was there when the evaluation ran may have been removed or changed since."""
    try:
        yield
    except UNUSABLE as error:
        message = getattr(error, "message", "") or str(error)
        raise NotFound(f"the row cannot be drawn any more: {message}", field=field) from error


def _check_side(side: int) -> None:
    if side and not LEAST_SIDE <= side <= MOST_SIDE:
        raise InvalidInput(
            f"max_side is {side}: give {LEAST_SIDE} to {MOST_SIDE}, or 0 for as it is",
            field="max_side",
        )
