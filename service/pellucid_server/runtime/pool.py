"""Compiled models, made on first use, and the inference requests that run them."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import openvino as ov
import structlog

from pellucid_server.call import Call
from pellucid_server.errors import InferenceFailed, ModelUnavailable, PellucidError
from pellucid_server.runtime.convert import from_openvino, to_openvino
from pellucid_server.runtime.graph import image_graph, masked_graph, normalizer_graph
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.workarounds import unpack_weights
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds, Outputs

log = structlog.get_logger()

MASK_BATCH = 4
"""Masks in one inference: on CPUs larger batches gain nothing and delay other work."""
PATIENCE = 0.05
"""Seconds between looks at whether a waiting caller hung up."""


class Variant(StrEnum):
    """A form of a model that is compiled on its own."""

    TENSORS = "tensors"
    """As the file has it."""
    IMAGE = "image"
    """With preprocessing in front."""
    NORMALIZER = "normalizer"
    """Preprocessing alone."""
    MASKED = "masked"
    """Behind masks, in batches of `MASK_BATCH`."""


PRECISIONS = {ov.Type.f32: "f32", ov.Type.bf16: "bf16", ov.Type.f16: "f16"}

GRAPHS: Mapping[Variant, Callable[[ServedModel], ov.Model]] = {
    Variant.TENSORS: lambda model: model.graph,
    Variant.IMAGE: image_graph,
    Variant.NORMALIZER: normalizer_graph,
    Variant.MASKED: lambda model: masked_graph(model, MASK_BATCH),
}


@dataclass(frozen=True)
class DeviceSettings:
    """Where and how models run."""

    device: str = "CPU"
    precision: str = "f32"
    streams: int = 2
    threads: int | None = None

    def properties(self, model: ServedModel) -> dict[str, Any]:
        """OpenVINO's properties for compiling a model."""
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": model.spec.precision or self.precision,
        }
        if self.device == "CPU":
            properties["NUM_STREAMS"] = self.streams
            # Several compiled models would pin their threads to the same cores.
            properties["ENABLE_CPU_PINNING"] = False
            if self.threads:
                properties["INFERENCE_NUM_THREADS"] = self.threads
        return properties


@dataclass(frozen=True)
class Inference:
    """The outputs of one inference, and where its time went, in seconds."""

    outputs: Outputs
    queue: float
    compute: float


class Compiled:
    """A compiled model with as many inference requests as it has streams."""

    def __init__(self, compiled: ov.CompiledModel, streams: int) -> None:
        self.inputs = [port.get_any_name() for port in compiled.inputs]
        self.types = {name: compiled.input(name).get_element_type() for name in self.inputs}
        self.outputs = list(compiled.outputs)
        self.precision = _precision(compiled)
        self.idle: queue.LifoQueue[ov.InferRequest] = queue.LifoQueue()
        for _ in range(streams):
            self.idle.put(compiled.create_infer_request())

    def infer(self, feeds: Feeds, names: list[str], call: Call) -> Inference:
        """Runs once, as soon as a request is free; `names` are the outputs' names."""
        arrival = time.perf_counter()
        request = self._acquire(call)
        try:
            start = time.perf_counter()
            tensors = {name: to_openvino(feeds[name], self.types[name]) for name in self.inputs}
            request.infer(tensors, share_inputs=True)
            outputs = {
                name: from_openvino(request.get_tensor(port))
                for name, port in zip(names, self.outputs, strict=True)
            }
        finally:
            self.idle.put(request)
        return Inference(outputs, start - arrival, time.perf_counter() - start)

    def _acquire(self, call: Call) -> ov.InferRequest:
        while True:
            call.check()
            try:
                return self.idle.get(timeout=min(PATIENCE, max(call.remaining, 0)))
            except queue.Empty:
                continue


def _precision(compiled: ov.CompiledModel) -> str:
    """The precision that the device really computes in, in OpenVINO's short form."""
    try:
        kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError:
        return ""
    return PRECISIONS.get(kind, str(kind))


Key = tuple[ServedModel, Variant]


class ModelPool:
    """One compiled model for each (model, variant), made once however many ask."""

    def __init__(self, settings: DeviceSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self._core = ov.Core()
        self._lock = threading.Lock()
        self._compiled: dict[Key, Future[Compiled]] = {}

    def infer(
        self, model: ServedModel, variant: Variant, feeds: Feeds, call: Call, *, batch: int = 1
    ) -> Inference:
        """Runs a model once.

        Raises:
            ModelUnavailable: the device cannot compile the model.
            InferenceFailed: the device failed on these inputs.
            Cancelled, DeadlineExceeded: while waiting.
        """
        compiled = self._get(model, variant)
        names = [port.name for port in model.outputs]
        if variant is Variant.NORMALIZER:
            names = [compiled.inputs[0]]
        try:
            inference = compiled.infer(feeds, names, call)
        except RuntimeError as error:
            log.warning(
                "inference failed", model=model.name, version=model.version, error=str(error)
            )
            raise InferenceFailed(
                f"{model.name} failed on this input; the server's log has the reason"
            ) from error
        self._observe(model, inference, batch)
        return inference

    def precision(self, model: ServedModel, variant: Variant | None = None) -> str:
        """The device's precision, read back from the compiled model; "" before first use."""
        with self._lock:
            futures = [
                future
                for (owner, kind), future in self._compiled.items()
                if owner is model and variant in {None, kind} and kind is not Variant.NORMALIZER
            ]
        for future in futures:
            if future.done() and not future.exception():
                return future.result().precision
        return ""

    def drop(self, model: ServedModel) -> None:
        """Forgets a model; inferences that run finish."""
        with self._lock:
            for key in [key for key in self._compiled if key[0] is model]:
                del self._compiled[key]
            self._metrics.compiled_models.set(len(self._compiled))

    def _get(self, model: ServedModel, variant: Variant) -> Compiled:
        with self._lock:
            future = self._compiled.get((model, variant))
            first = future is None
            if future is None:
                future = self._compiled[model, variant] = Future()
        if first:
            self._compile(model, variant, future)
        return future.result()

    def _compile(self, model: ServedModel, variant: Variant, future: "Future[Compiled]") -> None:
        try:
            graph = unpack_weights(GRAPHS[variant](model))
            properties = self.settings.properties(model)
            compiled = self._core.compile_model(graph, self.settings.device, properties)
            future.set_result(Compiled(compiled, self.settings.streams))
        except (RuntimeError, PellucidError) as error:
            with self._lock:
                self._compiled.pop((model, variant), None)
            log.warning("cannot compile", model=model.name, variant=variant, error=str(error))
            future.set_exception(
                error if isinstance(error, PellucidError) else _cannot_compile(model, variant)
            )
        with self._lock:
            self._metrics.compiled_models.set(len(self._compiled))

    def _observe(self, model: ServedModel, inference: Inference, batch: int) -> None:
        self._metrics.queue_seconds.labels(model.name).observe(inference.queue)
        self._metrics.compute_seconds.labels(model.name, self.settings.device).observe(
            inference.compute
        )
        self._metrics.batch_size.labels(model.name).observe(batch)


def _cannot_compile(model: ServedModel, variant: Variant) -> ModelUnavailable:
    return ModelUnavailable(
        f"{model.name} version {model.version} cannot be compiled for {variant} inputs; "
        "the server's log has the reason",
        field="model_name",
    )
