"""Random evaluations of every task, made by the task's own judge."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pellucid_server.evaluate.annotations import (
    Annotation,
    LabelMap,
    Labels,
    Object,
    Objects,
    Picture,
    Sample,
    Values,
)
from pellucid_server.evaluate.evaluator import Evaluator, Options
from pellucid_server.evaluate.evaluators import evaluator
from pellucid_server.evaluate.report import Row
from pellucid_server.types import (
    Box,
    Category,
    Detection,
    DetectionResult,
    Image,
    ImageResult,
    RegressionResult,
    SemanticSegmentationResult,
    Size,
    Task,
)

NAMES = ("ant", "bee", "cat", "dog")
SIDE = 12
Case = tuple[Task, Options]
Pair = tuple[Annotation, Any, Image | None]


def classes(random: np.random.Generator) -> Pair:
    return Labels((str(random.choice(NAMES)),)), random.dirichlet(np.ones(4)).astype("f4"), None


def many_classes(random: np.random.Generator) -> Pair:
    names = tuple(name for name in NAMES if random.random() < 0.4)
    return Labels(names), random.random(4).astype("f4"), None


def boxes(random: np.random.Generator) -> Pair:
    objects, found = [], []
    for _ in range(int(random.integers(0, 4))):
        x, y = random.uniform(0, 50, 2)
        class_id = int(random.integers(4))
        objects.append(Object(NAMES[class_id], Box(x, y, x + 20, y + 20)))
        if random.random() < 0.8:
            moved = x + random.uniform(0, 10)
            category = Category(class_id, NAMES[class_id], float(random.random()))
            found.append(Detection(Box(moved, y, moved + 20, y + 20), category))
    found.sort(key=lambda each: -each.category.confidence)
    return Objects(tuple(objects)), DetectionResult(tuple(found)), None


def pixels(random: np.random.Generator) -> Pair:
    truth = random.integers(0, 4, (SIDE, SIDE)).astype(np.uint8)
    said = np.where(random.random(truth.shape) < 0.6, truth, random.integers(0, 3, truth.shape))
    result = SemanticSegmentationResult(said.astype(np.uint16), ())
    return LabelMap("map", NAMES), result, truth


def pictures(random: np.random.Generator) -> Pair:
    wanted = random.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    noise = random.integers(-20, 20, wanted.shape)
    return Picture("p"), ImageResult((wanted + noise).clip(0, 255).astype(np.uint8)), wanted


def numbers(random: np.random.Generator) -> Pair:
    targets = 1000 + 50 * random.random(2)
    values = targets + random.normal(0, 10, 2)
    return Values(tuple(targets.tolist())), RegressionResult(tuple(values.tolist())), None


MAKERS: dict[str, tuple[Task, Callable[[np.random.Generator], Pair]]] = {
    "single": (Task.CLASSIFICATION, classes),
    "multi": (Task.CLASSIFICATION, many_classes),
    "objects": (Task.DETECTION, boxes),
    "pixels": (Task.SEMANTIC_SEGMENTATION, pixels),
    "pictures": (Task.SUPER_RESOLUTION, pictures),
    "numbers": (Task.REGRESSION, numbers),
}


class Maker:
    """Rows and judges of one kind of evaluation."""

    def __init__(self, kind: str) -> None:
        self._task, self._make = MAKERS[kind]
        labels = ("price", "area") if kind == "numbers" else NAMES
        self._options = Options(labels, multi_label=kind == "multi")

    def judge(self) -> Evaluator:
        return evaluator(self._task, self._options)

    def rows(self, count: int, seed: int) -> list[Row]:
        return list(self._rows(count, seed))

    def _rows(self, count: int, seed: int) -> Iterator[Row]:
        judge = self.judge()
        for index in range(count):
            annotation, _, picture = self._make(np.random.default_rng([index]))
            answer = self._make(np.random.default_rng([index, seed]))[1]
            if not isinstance(annotation, Labels | Objects | Values):
                annotation, answer, picture = self._make(np.random.default_rng([index, seed]))
            shown = np.zeros((1, 1), np.uint8) if picture is None else picture
            row = judge.row(
                index,
                Sample(f"{index}.png", annotation),
                answer,
                lambda _, shown=shown: shown,  # type: ignore[misc]  # binds now, not later
                Size(100, 100),
            )
            yield replace(row, digest=f"{index:x}")


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> Maker:
    """Of every task that can be evaluated."""
    return Maker(request.param)


@pytest.fixture
def makers() -> Callable[[str], Maker]:
    return Maker
