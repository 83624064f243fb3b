"""A device: what is compiled for it, and whether it can be trusted with work."""

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
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.variants import Variant
from pellucid_server.runtime.workarounds import unpack_weights
from pellucid_server.spec import ModelSpec

log = structlog.get_logger()

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
        specs.append(DeviceSpec(label, name, streams or min(share, MOST_STREAMS), limit))
    return tuple(specs)


def _shares(threads: int, parts: int) -> Iterator[int]:
    for part in range(parts):
        yield max(1, threads // parts + (part < threads % parts))


class Device:
    """A device and what is compiled for it; safe to share between threads."""

    def __init__(self, spec: DeviceSpec, core: ov.Core, precision: str, cache: str = "") -> None:
        self.spec = spec
        self.rest_until = 0.0
        self._rest = FIRST_REST
        self._precision = precision
        self._cache = cache
        self._core = core
        self._lock = threading.Lock()
        self._compiled: dict[tuple[ServedModel, Variant], Future[Compiled]] = {}

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
        self.rest_until, self._rest = 0.0, FIRST_REST

    def has(self, model: ServedModel, variant: Variant) -> bool:
        """Whether it is compiled already."""
        future = self._compiled.get((model, variant))
        return future is not None and future.done()

    def compiled(self, model: ServedModel, variant: Variant) -> Compiled:
        """The compiled model, made on first use, once however many ask.

        Raises:
            ModelUnavailable: the device cannot compile it.
        """
        key = (model, variant)
        with self._lock:
            future = self._compiled.get(key)
            first = future is None
            if future is None:
                future = self._compiled[key] = Future()
        if first:
            self._compile(model, variant, future)
        return future.result()

    def known(self, model: ServedModel) -> list[tuple[Variant, Compiled]]:
        """What is compiled of a model."""
        with self._lock:
            futures = [(key[1], each) for key, each in self._compiled.items() if key[0] is model]
        return [
            (variant, future.result())
            for variant, future in futures
            if future.done() and not future.exception()
        ]

    def drop(self, model: ServedModel, variant: Variant | None = None) -> None:
        """Forgets a model, or one variant of it; inferences that run finish."""
        with self._lock:
            for key in [key for key in self._compiled if key[0] is model]:
                if variant in {None, key[1]}:
                    del self._compiled[key]

    def _compile(self, model: ServedModel, variant: Variant, future: "Future[Compiled]") -> None:
        try:
            graph = unpack_weights(variant.graph(model))
            properties = self.spec.properties(model.spec, self._precision, self._cache)
            compiled = self._core.compile_model(graph, self.spec.device, properties)
            future.set_result(Compiled(compiled, variant.outputs(model), self.spec.streams))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            with self._lock:
                self._compiled.pop((model, variant), None)
            where = {"model": model.name, "version": model.version, "device": self.spec.name}
            log.warning("cannot compile", **where, variant=repr(variant), error=str(error))
            future.set_exception(
                error if isinstance(error, PellucidError) else _cannot_compile(model, self.spec)
            )


def _cannot_compile(model: ServedModel, spec: DeviceSpec) -> ModelUnavailable:
    return ModelUnavailable(
        f"{model.name} version {model.version} cannot be compiled for {spec.name}; "
        "the server's log has the reason",
        field="model_name",
    )
