from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic

from pellucid_server.runtime.scheduling.entry import Entry, U


class Flow(Generic[U]):
    """The waiting units of one tenant: round robin between jobs, first in first out within one.

    Units that a device gave back go before all others, in the order of their submission.
    """

    def __init__(self) -> None:
        # OrderedDict: a dict looks at every deleted key again to find its first.
        self._jobs: OrderedDict[Hashable, OrderedDict[int, Entry[U]]] = OrderedDict()
        self._returned: dict[int, Entry[U]] = {}
        self._size = 0
        self.cost = 0.0

    def __len__(self) -> int:
        return self._size

    def add(self, entry: Entry[U]) -> None:
        self._jobs.setdefault(entry.job, OrderedDict())[entry.order] = entry
        self._count(1, entry.cost)

    def give_back(self, entry: Entry[U]) -> None:
        self._returned[entry.order] = entry
        self._count(1, entry.cost)

    def head(self) -> Entry[U]:
        """The unit that is next."""
        if self._returned:
            return self._returned[min(self._returned)]
        job = next(iter(self._jobs.values()))
        return next(iter(job.values()))

    def pop(self) -> Entry[U]:
        """Takes the unit that is next; then it is the next job's turn."""
        entry = self.head()
        from_job = entry.order not in self._returned
        self.remove(entry)
        if from_job and entry.job in self._jobs:
            self._jobs.move_to_end(entry.job)
        return entry

    def remove(self, entry: Entry[U]) -> None:
        if self._returned.pop(entry.order, None) is None:
            job = self._jobs[entry.job]
            del job[entry.order]
            if not job:
                del self._jobs[entry.job]
        self._count(-1, -entry.cost)

    def ahead(self, job: Hashable) -> float:
        """The work that would go before one more unit of a job: an estimate."""
        if not self._size:
            return 0.0
        mine = len(self._jobs.get(job, ()))
        rivals = len(self._jobs) - (job in self._jobs)
        units = mine + rivals * (mine + 0.5) + len(self._returned)
        return min(self.cost, units * self.cost / self._size)

    def _count(self, units: int, cost: float) -> None:
        self._size += units
        self.cost = self.cost + cost if self._size else 0.0
