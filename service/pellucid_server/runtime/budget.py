"""Which compiled models stay in memory."""

import math
import threading
from collections import OrderedDict
from weakref import WeakKeyDictionary

import openvino as ov

from pellucid_server.runtime.device import Key
from pellucid_server.runtime.served import ServedModel

COPIES = 2
"""The weights are in memory once as read and once as the device lays them out, in float32."""


def footprint(graph: ov.Model) -> int:
    """Estimate of the bytes that one compiled form of a model takes on one device."""
    constants = (node for node in graph.get_ops() if node.get_type_name() == "Constant")
    elements: int = sum(math.prod(node.get_output_shape(0)) for node in constants)
    return COPIES * 4 * elements


class Budget:
    """Least recently used goes first; pinned models stay, whatever the budget."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, int] = OrderedDict()
        self._footprints: WeakKeyDictionary[ServedModel, int] = WeakKeyDictionary()

    @property
    def used(self) -> int:
        """Bytes, by estimate."""
        with self._lock:
            return sum(self._held.values())

    def touch(self, key: Key) -> None:
        """Notes a use."""
        if self._limit is None:
            return
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)

    def add(self, key: Key, devices: int) -> list[Key]:
        """Notes a new compiled model, and says which to give up for it."""
        evicted = []
        with self._lock:
            self._held[key] = self._footprint(key[0]) * devices
            used = sum(self._held.values())
            for old in list(self._held):
                if self._limit is None or used <= self._limit:
                    break
                if old != key and not old[0].spec.pinned:
                    used -= self._held.pop(old)
                    evicted.append(old)
        return evicted

    def has_room(self, model: ServedModel) -> bool:
        """Whether one more form of a model fits without giving up any."""
        return self._limit is None or self.used + self._footprint(model) <= self._limit

    def _footprint(self, model: ServedModel) -> int:
        if model not in self._footprints:
            self._footprints[model] = footprint(model.graph)
        return self._footprints[model]

    def forget(self, model: ServedModel) -> None:
        """Notes that a model is gone."""
        with self._lock:
            for key in [key for key in self._held if key[0] is model]:
                del self._held[key]
