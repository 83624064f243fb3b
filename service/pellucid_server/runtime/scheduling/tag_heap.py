import itertools
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")

SLACK = 16


class TagHeap(Generic[K]):
    """Keys by their tags, smallest first; of equal tags, the one that was put first.

    Any key can be moved or discarded: what is stale stays in the heap until it comes up or makes
    up half of it. Every operation takes O(log n), amortised.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._live: dict[K, int] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._live)

    def put(self, key: K, tag: float) -> None:
        """Adds a key, or gives it another tag."""
        self._live[key] = number = next(self._numbers)
        heappush(self._heap, (tag, number, key))
        self._tidy()

    def discard(self, key: K) -> None:
        if self._live.pop(key, None) is not None:
            self._tidy()

    def first(self) -> tuple[float, K] | None:
        """The smallest tag and its key."""
        if not self._heap:
            return None
        tag, _, key = self._heap[0]
        return tag, key

    def clear(self) -> None:
        self._heap.clear()
        self._live.clear()

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._live) + SLACK:
            self._heap = [item for item in self._heap if self._is_live(item)]
            heapify(self._heap)
        while self._heap and not self._is_live(self._heap[0]):
            heappop(self._heap)

    def _is_live(self, item: tuple[float, int, K]) -> bool:
        return self._live.get(item[2]) == item[1]
