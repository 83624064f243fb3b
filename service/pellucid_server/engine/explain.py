"""Explanations: from what callers send to a stream of events."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid_server.call import Call
from pellucid_server.engine.clock import Clock, convergence, saliency_maps
from pellucid_server.engine.explanation import (
    Convergence,
    ExplainAccepted,
    ExplainEvent,
    ExplainRequest,
    Explanation,
    MethodInfo,
    OverlayOptions,
)
from pellucid_server.engine.masked import MaskedModel, MaskedProblem
from pellucid_server.engine.predict import task_parameters
from pellucid_server.engine.sources import SourceReader
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.errors import DeadlineExceeded, InvalidInput, NotFound
from pellucid_server.explain import (
    METHODS,
    Method,
    Progress,
    describe,
    parse,
)
from pellucid_server.imaging.frame import Frame
from pellucid_server.imaging.overlay import COLOR_MAPS, draw_overlay
from pellucid_server.nearest import nearest
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.tasks.objectives import Subject, Target, Wanted
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Image


@dataclass(frozen=True)
class Explainer:
    """Explains what models say of images."""

    models: ModelRepository
    pool: ModelPool
    sources: SourceReader
    tasks: TaskModels
    metrics: Metrics

    def explain(self, request: ExplainRequest, call: Call) -> Iterator[ExplainEvent]:
        """Yields one ExplainAccepted, then progress, then one Explanation for each target.

        Raises:
            PellucidError: of any kind, before the first event where the request is wrong.
        """
        job = self._accept(request, call)
        yield job.accepted
        clock = Clock(job.accepted, job.start, request, job.frame.region)
        masks = self.metrics.masks.labels(job.served.name, job.method.name)
        last, told = Progress(0, lambda: iter(())), 0
        for progress in job.method.run(job.problem, job.parameters):
            call.check()
            masks.inc(progress.done - last.done)
            last = progress
            if clock.due(progress):
                event = clock.event(progress)
                told = progress.done
                yield event
        if told < last.done:  # it ended before all units were done: the maps are good enough
            yield clock.event(last)
        self._observe(job, last)
        yield from self._explanations(job, last)

    def methods(self, model_name: str = "") -> tuple[MethodInfo, ...]:
        """The methods, alphabetically; of one model where it is named."""
        entries = self.models.entries()
        if model_name:
            entries = (self.models.entry(model_name),)
        ready = [entry for entry in entries if entry.default_version is not None]
        infos = []
        for _, method in sorted(METHODS.items()):
            names = tuple(entry.name for entry in ready if entry.spec.task in method.tasks)
            if names or not model_name:
                infos.append(
                    MethodInfo(
                        method.name,
                        method.description,
                        method.reference,
                        describe(method.parameters),
                        method.tasks,
                        names,
                    )
                )
        return tuple(infos)

    def _accept(self, request: ExplainRequest, call: Call) -> "Job":
        start = time.perf_counter()
        served = self.models.get(request.model_name, request.model_version)
        method = _method(request.method)
        if served.spec.task not in method.tasks:
            raise InvalidInput(
                f"{method.name} does not serve {served.spec.task.value} models such as "
                f"{served.name}: it serves {', '.join(method.tasks)}",
                field="method",
            )
        check_overlay(request.overlay)
        parameters = parse(method.parameters, request.parameters)
        task = self.tasks.get(served)
        given = task_parameters(task, request.task_parameters, request.model_name)
        wanted = Wanted(tuple(map(Target.of, request.targets)), request.top_k)
        image = self.sources.image(request.input, "input")
        prepared = task.view(image, given, wanted)
        masked = MaskedModel(self.pool, served, task.image.name, prepared.feeds, call)
        whole = masked.unmasked()
        objective = task.objective(whole, prepared, given, wanted)
        check_distinct(objective.subjects)
        problem = MaskedProblem.of(prepared.frame.input, masked, objective, whole)
        total = method.units(parameters)
        check_time(self.pool.masks_seconds(served, method.fewest(parameters)), call)
        accepted = ExplainAccepted(
            model_name=served.name,
            model_version=str(served.version),
            method=method.name,
            parameters=asdict(parameters),
            targets=tuple(each.category for each in objective.subjects),
            total=total,
            map_size=prepared.frame.input,
            input_size=prepared.frame.image,
            boxes=tuple(each.box for each in objective.subjects),
        )
        return Job(
            request, start, served, method, parameters, problem, prepared.frame, image, accepted
        )

    def _observe(self, job: "Job", last: Progress) -> None:
        labels = job.served.name, job.method.name
        self.metrics.explanation_masks.labels(*labels).observe(last.done)
        for each in convergence(last):
            self.metrics.explanation_correlation.labels(*labels).observe(each.correlation)

    def _explanations(self, job: "Job", last: Progress) -> Iterator[Explanation]:
        subjects = job.problem.objective.subjects
        known: Sequence[Convergence | None] = convergence(last) or [None] * len(subjects)
        maps = saliency_maps(last, job.frame.region, len(known))
        precision = self.pool.precision(job.served)
        for subject, saliency, each in zip(subjects, maps, known, strict=True):
            yield Explanation(
                target=subject.category,
                saliency_map=saliency,
                overlay=job.overlay(subject, saliency.values),
                overlay_format=(job.request.overlay or OverlayOptions()).format,
                model_name=job.served.name,
                model_version=str(job.served.version),
                method=job.method.name,
                parameters=job.accepted.parameters,
                evaluations=last.done + 1,  # the whole image was seen once, for the confidences
                precision=precision,
                elapsed=time.perf_counter() - job.start,
                convergence=each,
                box=subject.box,
            )


@dataclass(frozen=True)
class Job:
    """An explanation that was accepted."""

    request: ExplainRequest
    start: float
    served: ServedModel
    method: Method
    parameters: Any
    problem: MaskedProblem
    frame: Frame
    image: Image
    accepted: ExplainAccepted

    def overlay(self, subject: Subject, values: NDArray[np.float32]) -> Image | None:
        """The map of a target drawn over the image, where asked for."""
        options = self.request.overlay
        if options is None:
            return None
        return draw_overlay(
            self.image,
            self.frame,
            values,
            title=subject.caption,
            box=subject.box,
            color_map=options.color_map,
            opacity=options.opacity,
            legend=options.legend,
        )


def _method(name: str) -> Method:
    if name not in METHODS:
        raise NotFound(f"no method is called {name!r}.{nearest(name, METHODS)}", field="method")
    return METHODS[name]


def check_distinct(subjects: Sequence[Subject]) -> None:
    """Refuses to explain the same twice.

    Raises:
        InvalidInput: two targets name one class or one object.
    """
    if len(set(subjects)) < len(subjects):
        raise InvalidInput("a target is named twice", field="targets")


def check_time(expected: float, call: Call) -> None:
    """Refuses what cannot end in time, before it starts.

    Raises:
        DeadlineExceeded: with how long it would take.
    """
    if expected > call.remaining:
        raise DeadlineExceeded(
            f"the explanation would take about {expected:.1f} s and {call.remaining:.1f} s are "
            "left: allow more time, or set fewer masks (num_masks)"
        )


def check_overlay(options: OverlayOptions | None) -> None:
    """Refuses what cannot be drawn.

    Raises:
        InvalidInput: an unknown colour map, or an opacity out of (0, 1].
    """
    if options is None:
        return
    if options.color_map not in COLOR_MAPS:
        raise InvalidInput(
            f"no colour map is called {options.color_map!r}."
            f"{nearest(options.color_map, COLOR_MAPS)}",
            field="overlay.color_map",
        )
    if not 0 < options.opacity <= 1:
        raise InvalidInput(
            f"the opacity must be in (0, 1], not {options.opacity:g}", field="overlay.opacity"
        )
