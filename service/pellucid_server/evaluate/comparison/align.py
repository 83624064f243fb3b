from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pellucid_server.evaluate.report import Row


@dataclass
class Alignment:
    """Pairs the rows of two evaluations of one data set, and counts what has no pair.

    Rows are one image where index and path are equal. Rows whose annotation could not be used
    count as if they were not there.
    """

    images: int = 0
    only_baseline: int = 0
    only_candidate: int = 0
    differing_digests: int = 0
    """Pairs whose image or annotation was changed between the two evaluations."""

    def pairs(self, baseline: Iterable[Row], candidate: Iterable[Row]) -> Iterator[tuple[Row, Row]]:
        """The pairs, in the order of the data set.

        Raises:
            ValueError: rows do not come by rising index.
        """
        ones, others = _usable(baseline), _usable(candidate)
        one, other = next(ones, None), next(others, None)
        while one and other:
            if one.index == other.index and one.path == other.path:
                self.images += 1
                self.differing_digests += bool(one.digest) and one.digest != other.digest
                yield one, other
                one, other = next(ones, None), next(others, None)
                continue
            behind = min(one.index, other.index)
            is_one, is_other = one.index == behind, other.index == behind
            if is_one:
                self.only_baseline += 1
                one = next(ones, None)
            if is_other:
                self.only_candidate += 1
                other = next(others, None)
        self.only_baseline += bool(one) + sum(1 for _ in ones)
        self.only_candidate += bool(other) + sum(1 for _ in others)


def _usable(rows: Iterable[Row]) -> Iterator[Row]:
    last = -1
    for row in rows:
        if row.index <= last:
            raise ValueError(f"row {row.index} comes after row {last}")
        last = row.index
        if not row.reason:
            yield row
