"""Who was taken for whom."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pellucid_server.evaluate.metrics.counts import Counts
from pellucid_server.evaluate.report import NOTHING, Confusion


@dataclass
class ConfusionMatrix:
    """Counts of pairs that occurred; memory is bounded by the square of the classes."""

    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, annotated: int, predicted: int, count: int = 1) -> None:
        """Counts a pair."""
        self.pairs[annotated, predicted] += count

    def classes(self) -> Mapping[int, Counts]:
        """Counts of every class that was annotated or predicted, by class."""
        right: Counter[int] = Counter()
        predicted: Counter[int] = Counter()
        annotated: Counter[int] = Counter()
        for (truth, said), count in self.pairs.items():
            annotated[truth] += count
            predicted[said] += count
            right[truth] += count if truth == said else 0
        return {
            each: Counts(right[each], predicted[each], annotated[each])
            for each in sorted(annotated.keys() | predicted.keys())
            if each != NOTHING
        }

    def entries(self) -> tuple[Confusion, ...]:
        """The pairs, by annotated class, then predicted class."""
        pairs: Iterable[tuple[tuple[int, int], int]] = sorted(self.pairs.items())
        return tuple(Confusion(*pair, count) for pair, count in pairs if count)
