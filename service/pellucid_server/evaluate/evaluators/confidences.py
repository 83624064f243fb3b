"""What both kinds of classification share."""

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.annotations import Labels, Sample
from pellucid_server.evaluate.evaluator import BadAnnotation, Evaluator, Options
from pellucid_server.evaluate.match import matcher
from pellucid_server.types import Array, Category, ClassificationParameters, Task


class ConfidenceEvaluator(Evaluator):
    """Classes of a whole image by the confidence in each."""

    task = Task.CLASSIFICATION
    annotations = (Labels,)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._matcher = matcher(options)

    def parameters(self) -> ClassificationParameters:
        return ClassificationParameters(top_k=-1)

    def category(self, class_id: int, confidences: Array) -> Category:
        """A class with the model's confidence in it."""
        labels = self.options.labels
        label = labels[class_id] if class_id < len(labels) else ""
        return Category(class_id, label, float(confidences[class_id]))

    def annotated(self, sample: Sample, confidences: Array) -> list[int]:
        """The annotated classes, each once.

        Raises:
            BadAnnotation: the annotation is of another kind, or the model lacks a class.
        """
        if not isinstance(sample.annotation, Labels):
            raise BadAnnotation("the annotation has no classes of the whole image")
        found = list(dict.fromkeys(map(self._matcher.class_id, sample.annotation.names)))
        for name, class_id in zip(sample.annotation.names, found, strict=False):
            if class_id >= len(confidences):
                raise BadAnnotation(
                    f"the annotation says class {name!r} and the model has {len(confidences)}"
                )
        return found


def ranked(confidences: Array) -> NDArray[np.int64]:
    """Classes by falling confidence; of equals the first comes first."""
    return np.asarray(np.argsort(-confidences, kind="stable"))


def rank(class_id: int, confidences: Array) -> int:
    """Place of a class in that order, from 1."""
    better = confidences > confidences[class_id]
    equal = confidences[:class_id] == confidences[class_id]
    return 1 + int(np.count_nonzero(better)) + int(np.count_nonzero(equal))
