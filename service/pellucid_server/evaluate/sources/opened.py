import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from pellucid_server.evaluate.files import Files

F = TypeVar("F", bound=Files | None)


@dataclass
class _Place:
    lock: threading.Lock = field(default_factory=threading.Lock)
    files: Files | None = None


class Opened:
    """Keeps the archives used last, whose index or temporary copy took long to make.

    What it keeps holds its disk space, also where the archive was deleted since.
    """

    def __init__(self, keep: int = 4) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], F]) -> F:
        """What `make` gave for this key, called once also where several ask at a time.

        Nothing is kept where it gives None or raises.
        """
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > self._keep:
                self._places.popitem(last=False)
        with place.lock:
            if place.files is None:
                place.files = make()
            return cast("F", place.files)
