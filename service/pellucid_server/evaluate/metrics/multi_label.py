"""Reports on images of any number of classes, as scikit-learn has their figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pellucid_server.evaluate.metrics.counts import KINDS, Counts, macro, mean, micro, ratio
from pellucid_server.evaluate.metrics.histogram import Histogram
from pellucid_server.evaluate.report import NOTHING, ClassReport, Confusion, Curve, Metric, Report
from pellucid_server.types import Category

METRICS = (
    "map",
    *(f"{kind}_{average}" for average in ("macro", "micro") for kind in KINDS),
    "exact_match",
)
STEP = 1 / 64
"""Width of a bin of log odds: confidences in one bin are taken for equal."""
LAST = 17.0
"""Log odds beyond which all are alike: what single precision cannot tell from 1."""
BINS = round(2 * LAST / STEP) + 1
CURVES = 20
"""Classes that get a curve: those annotated most."""
POINTS = 100


def log_odds_bin(confidences: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which of `BINS` each confidence is in, the lowest first."""
    values = confidences.astype(np.float64)
    with np.errstate(divide="ignore"):
        odds = np.log(values) - np.log1p(-values)
    return np.asarray(np.rint((odds.clip(-LAST, LAST) + LAST) / STEP).astype(np.int64))


@dataclass
class Classes:
    """Counts of every class; 18 kB each."""

    count: int
    right: NDArray[np.int64] = field(init=False)
    predicted: NDArray[np.int64] = field(init=False)
    annotated: NDArray[np.int64] = field(init=False)
    said: NDArray[np.int64] = field(init=False)
    """Predictions, those of images that are not annotated too."""
    confidence: NDArray[np.float64] = field(init=False)
    """Sum over these."""
    bins: NDArray[np.uint32] = field(init=False)
    """Images without and with the class x classes x bins."""

    def __post_init__(self) -> None:
        zeros = np.zeros((4, self.count), np.int64)
        self.right, self.predicted, self.annotated, self.said = zeros
        self.confidence = np.zeros(self.count)
        self.bins = np.zeros((2, self.count, BINS), np.uint32)

    def counts(self) -> list[Counts]:
        """Those of each class."""
        columns = (self.right.tolist(), self.predicted.tolist(), self.annotated.tolist())
        return [Counts(*each) for each in zip(*columns, strict=True)]

    def sweep(self, class_id: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision from each confidence on that occurred, the highest first."""
        without, having = self.bins[:, class_id, ::-1].astype(np.int64)
        occurred = without + having > 0
        right = having.cumsum()[occurred]
        predicted = (without + having).cumsum()[occurred]
        return right / right[-1], right / predicted

    def average_precision(self, class_id: int) -> float:
        """The sum of precision times each step of recall, without interpolation."""
        recall, precision = self.sweep(class_id)
        return float(np.diff(recall, prepend=0.0) @ precision)


@dataclass
class MultiLabelTally:
    """Images of any number of classes; memory is that of `Classes`, however many images.

    Average precision takes confidences as equal whose odds differ by less than 1.6 %: it is
    that of scikit-learn on confidences rounded so.
    """

    labels: Sequence[str]
    _images: int = 0
    _exact: int = 0
    _classes: Classes = field(default_factory=lambda: Classes(0))
    _scores: Histogram = field(default_factory=Histogram)

    def add(
        self, confidences: NDArray[np.float32], predicted: Sequence[int], annotated: Sequence[int]
    ) -> None:
        """Counts an image: the classes predicted at the threshold, and those annotated."""
        classes = self._predict(confidences, predicted)
        truth = np.zeros(classes.count, np.int64)
        truth[list(annotated)] = 1
        self._images += 1
        self._exact += set(predicted) == set(annotated)
        classes.annotated += truth
        classes.predicted[list(predicted)] += 1
        classes.right[sorted(set(predicted) & set(annotated))] += 1
        classes.bins[truth, np.arange(classes.count), log_odds_bin(confidences)] += 1

    def add_unknown(self, confidences: NDArray[np.float32], predicted: Sequence[int]) -> None:
        """Counts an image that is not annotated."""
        self._predict(confidences, predicted)
        self._scores.add_all(confidences[list(predicted)])

    def running(self) -> Iterator[Metric]:
        """Those that cost next to nothing."""
        if self._images:
            yield Metric("exact_match", self._exact / self._images)
            yield from micro(self._classes.counts())

    def report(self) -> Report:
        """All figures and curves; of images that are not annotated, counts and histogram."""
        if not self._images:
            return Report((), tuple(self._reports()), (), (self._scores.curve("scores", ""),))
        having = np.flatnonzero(self._classes.annotated)
        shown = having[np.argsort(-self._classes.annotated[having], kind="stable")[:CURVES]]
        return Report(
            tuple(self._metrics(having.tolist())),
            tuple(self._reports()),
            tuple(self._confusions()),
            tuple(self._curve(each) for each in shown.tolist()),
        )

    def _predict(self, confidences: NDArray[np.float32], predicted: Sequence[int]) -> Classes:
        if not self._classes.count:
            self._classes = Classes(len(confidences))
        rows = list(predicted)
        self._classes.said[rows] += 1
        self._classes.confidence[rows] += confidences[rows]
        return self._classes

    def _metrics(self, having: Sequence[int]) -> Iterator[Metric]:
        if having:
            yield Metric("map", mean([self._classes.average_precision(each) for each in having]))
        yield from macro(self._classes.counts())
        yield from self.running()

    def _reports(self) -> Iterator[ClassReport]:
        for class_id, each in enumerate(self._classes.counts()):
            said = int(self._classes.said[class_id])
            if each.annotated or said:
                confidence = ratio(float(self._classes.confidence[class_id]), said)
                category = Category(class_id, self._name(class_id), confidence)
                metrics = [Metric("predictions", said)]
                if each.annotated:
                    metrics.append(Metric("ap", self._classes.average_precision(class_id)))
                yield ClassReport(
                    category, each.precision, each.recall, each.f1, each.annotated, tuple(metrics)
                )

    def _confusions(self) -> Iterator[Confusion]:
        """Each class with itself and with nothing: which was taken for which is not known."""
        counts = list(enumerate(self._classes.counts()))
        pairs = [(NOTHING, each, found.predicted - found.right) for each, found in counts]
        for each, found in counts:
            pairs.append((each, NOTHING, found.annotated - found.right))
            pairs.append((each, each, found.right))
        return (Confusion(*pair) for pair in pairs if pair[2])

    def _curve(self, class_id: int) -> Curve:
        recall, precision = self._classes.sweep(class_id)
        places = np.unique(np.linspace(0, len(recall) - 1, POINTS).round().astype(int))
        label = self._name(class_id) or str(class_id)
        x, y = recall[places].tolist(), precision[places].tolist()
        return Curve("precision_recall", label, tuple(x), tuple(y))

    def _name(self, class_id: int) -> str:
        return self.labels[class_id] if class_id < len(self.labels) else ""
