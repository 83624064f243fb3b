"""A device: what is compiled for it, and whether it can be trusted with work."""

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import openvino as ov
import structlog

from pellucid_server.errors import ModelUnavailable, PellucidError
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.compiler import Compiler
from pellucid_server.runtime.lanes import SHARED, Lane, starting_threads
from pellucid_server.runtime.probe import Probe
from pellucid_server.runtime.scheduling import Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import Variant
from pellucid_server.runtime.workarounds import unpack_weights
from pellucid_server.spec import ModelSpec

log = structlog.get_logger()

Key = tuple[ServedModel, Variant, int]
"""A model, its form and the nice value of its lane."""

MOST_STREAMS = 8
OTHER_STREAMS = 2
"""Of devices other than CPUs: one computes while the other's data travel."""
FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds for which a device that failed is left alone: doubled at each failure."""


@dataclass(frozen=True)
class DeviceSpec:
    """A device of the settings: `name` is ours, `device` is OpenVINO's."""

    name: str
    device: str
    streams: int
    threads: int | None = None
    single: bool = False
    """Whether a stream has one thread: OpenVINO's streams share the others among all models."""

    def properties(self, spec: ModelSpec, precision: str, cache: str) -> dict[str, Any]:
        """OpenVINO's properties for compiling a model."""
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": spec.precision or precision,
        }
        if cache:
            properties["CACHE_DIR"] = cache
        if self.device == "CPU":
            properties["NUM_STREAMS"] = spec.streams or self.streams
            # Several compiled models would pin their threads to the same cores.
            properties["ENABLE_CPU_PINNING"] = False
            if self.threads:
                properties["INFERENCE_NUM_THREADS"] = self.threads
        return properties


def device_specs(
    names: Sequence[str], streams: int | None, threads: int | None
) -> tuple[DeviceSpec, ...]:
    """The devices of the settings; `CPU` named several times shares the threads evenly."""
    cpus = names.count("CPU")
    shares = iter(_shares(threads or len(os.sched_getaffinity(0)), cpus))
    specs = []
    for index, name in enumerate(names):
        several = names.count(name) > 1
        label = f"{name}#{names[:index].count(name)}" if several else name
        if name != "CPU":
            specs.append(DeviceSpec(label, name, streams or OTHER_STREAMS))
            continue
        share = next(shares)
        limit = share if several or threads else None
        count = streams or min(share, MOST_STREAMS)
        specs.append(DeviceSpec(label, name, count, limit, single=count >= share))
    return tuple(specs)


def _shares(threads: int, parts: int) -> Iterator[int]:
    for part in range(parts):
        yield max(1, threads // parts + (part < threads % parts))


class Device:
    """A device and what is compiled for it; safe to share between threads."""

    def __init__(
        self,
        spec: DeviceSpec,
        core: ov.Core,
        compiler: Compiler,
        precision: str,
        cache: str = "",
        *,
        lanes: Sequence[Lane] = SHARED,
    ) -> None:
        self.spec = spec
        self.lanes = lanes
        self._nice = {priority: lane.nice for lane in lanes for priority in lane.classes}
        self.rest_until = 0.0
        self.lost = False
        """Whether it does not even answer a probe."""
        self.probe = Probe(core, spec.device)
        self._rest = FIRST_REST
        self._precision = precision
        self._cache = cache
        self._core = core
        self._compiler = compiler
        self._lock = threading.Lock()
        self._compiled: dict[Key, Future[Compiled]] = {}
        self._at_hand: dict[Key, Compiled] = {}
        """Those that were asked for: a future's result takes ten steps of Python."""

    @property
    def count(self) -> int:
        """Compiled models in memory."""
        return len(self._compiled)

    def failed(self, now: float) -> None:
        """Leaves the device alone for a while, longer at each failure."""
        self.rest_until = now + self._rest
        self._rest = min(2 * self._rest, LONGEST_REST)

    def trusted(self) -> None:
        """The device did its work: the next failure is a first one again."""
        self.lost, self.rest_until, self._rest = False, 0.0, FIRST_REST

    def lose(self) -> None:
        """The device is gone, and what was compiled for it: no work until it is trusted again."""
        self.lost, self.rest_until = True, math.inf
        with self._lock:
            self._compiled.clear()
            self._at_hand.clear()

    def seats(self, lane: Lane) -> int:
        """Threads of ours for a lane: predictions have one more than streams.

        So the next inference waits inside the device, and not for Python's lock. Of a longer one, a
        class that goes first would have to wait for the end.
        """
        return self.spec.streams + (lane.classes == (Priority.INTERACTIVE,))

    def nice(self, priority: Priority) -> int:
        """Of what is compiled for a class."""
        return self._nice[priority]

    def has(self, model: ServedModel, variant: Variant, nice: int = 0) -> bool:
        """Whether it is compiled already."""
        key = (model, variant, nice)
        if key in self._at_hand:
            return True
        future = self._compiled.get(key)
        return future is not None and future.done()

    def compiles(self, model: ServedModel, variant: Variant, nice: int = 0) -> bool:
        """Whether it is being compiled."""
        future = self._compiled.get((model, variant, nice))
        return future is not None and not future.done()

    def compiled(self, model: ServedModel, variant: Variant, nice: int = 0) -> Compiled:
        """The compiled model for a lane, made on first use, once however many ask.

        Raises:
            ModelUnavailable: the device cannot compile it.
        """
        key = (model, variant, nice)
        at_hand = self._at_hand.get(key)
        if at_hand is not None:
            return at_hand
        future = self.compiling(*key)
        compiled = future.result()
        with self._lock:
            if self._compiled.get(key) is future:
                self._at_hand[key] = compiled
        return compiled

    def compiling(self, model: ServedModel, variant: Variant, nice: int = 0) -> "Future[Compiled]":
        """As `compiled`, without the wait."""
        key = (model, variant, nice)
        with self._lock:
            future = self._compiled.get(key)
            first = future is None
            if future is None:
                future = self._compiled[key] = Future()
        if first:
            self._compiler.start(model.subject, lambda: self._compile(*key), future)
        return future

    def known(self, model: ServedModel) -> list[tuple[Variant, Compiled]]:
        """What is compiled of a model."""
        with self._lock:
            futures = [(key[1], each) for key, each in self._compiled.items() if key[0] is model]
        return [
            (variant, future.result())
            for variant, future in futures
            if future.done() and not future.exception()
        ]

    def drop(self, model: ServedModel, variant: Variant | None = None, nice: int = 0) -> None:
        """Forgets a model, or one form of it; inferences that run finish."""
        with self._lock:
            for key in [key for key in self._compiled if key[0] is model]:
                if variant is None or key[1:] == (variant, nice):
                    del self._compiled[key]
                    self._at_hand.pop(key, None)

    def _compile(self, model: ServedModel, variant: Variant, nice: int) -> Compiled:
        try:
            graph = unpack_weights(variant.graph(model))
            properties = self.spec.properties(model.spec, self._precision, self._cache)
            compiled = starting_threads(
                0 if model.spec.streams else nice,  # its streams may have several threads
                lambda: self._core.compile_model(graph, self.spec.device, properties),
            )
            seats = max(self.seats(lane) for lane in self.lanes if lane.nice == nice)
            return Compiled(compiled, variant.outputs(model), seats)
        except Exception as error:
            self.drop(model, variant, nice)
            where = {"model": model.name, "version": model.version, "device": self.spec.name}
            log.warning("cannot compile", **where, variant=repr(variant), error=str(error))
            if isinstance(error, PellucidError):
                raise
            raise _cannot_compile(model, self.spec) from error


def _cannot_compile(model: ServedModel, spec: DeviceSpec) -> ModelUnavailable:
    return ModelUnavailable(
        f"{model.name} version {model.version} cannot be compiled for {spec.name}; "
        "the server's log has the reason",
        field="model_name",
    )
