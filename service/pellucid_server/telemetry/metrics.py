from collections.abc import Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from pellucid_server.telemetry.lookup import Lookup

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
MINUTES = (*SECONDS, 60, 300)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MASKS = (50, 100, 250, 500, 1000, 2000, 4000, 8000, 16000)
CORRELATIONS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


class Metrics:
    """Every metric of the server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.build = Gauge(
            "pellucid_build_info",
            "Always 1; the versions are labels.",
            ("version", "openvino"),
            registry=registry,
        )
        self.ready = Gauge(
            "pellucid_ready",
            "Whether the server takes calls: 0 while it starts, and from SIGTERM on.",
            registry=registry,
        )
        self.requests = Counter(
            "pellucid_requests_total",
            "Calls that ended, by gRPC method, model and status.",
            ("method", "model", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "pellucid_request_duration_seconds",
            "Duration of calls, from arrival to the last byte; success: their status is OK.",
            ("method", "model", "outcome"),
            buckets=MINUTES,
            registry=registry,
        )
        self.in_flight = Gauge(
            "pellucid_requests_in_flight",
            "Calls that run now.",
            ("method",),
            registry=registry,
        )
        self.refusals = Counter(
            "pellucid_refusals_total",
            "Calls, or requests of a stream, that a limit refused, by the limit.",
            ("method", "reason"),
            registry=registry,
        )
        self.expected_wait = Gauge(
            "pellucid_expected_wait_seconds",
            "What a new Predict would wait for its turn, by estimate, if it were let in.",
            registry=registry,
        )
        self.limits = Gauge(
            "pellucid_limit",
            "The limits of the settings; absent: none.",
            ("setting",),
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "pellucid_queue_wait_seconds",
            "Time that inferences waited for their turn, by class.",
            ("model", "priority"),
            buckets=MINUTES,
            registry=registry,
        )
        self.queue_length = Gauge(
            "pellucid_queue_length",
            "Units that wait, by class: an inference, or a few masks.",
            ("priority",),
            registry=registry,
        )
        self.queue_limit = Gauge(
            "pellucid_queue_limit",
            "Units that may wait, by class; more are refused, or wait with their caller.",
            ("priority",),
            registry=registry,
        )
        self.cancelled_inferences = Counter(
            "pellucid_inferences_after_cancel_total",
            "Images or masks whose inference ended after its caller had hung up.",
            ("device",),
            registry=registry,
        )
        self.device_up = Gauge(
            "pellucid_device_up",
            "Whether a device takes work; 0 while it is left alone after a failure.",
            ("device",),
            registry=registry,
        )
        self.device_streams = Gauge(
            "pellucid_device_streams",
            "Inferences that run at once on a device.",
            ("device",),
            registry=registry,
        )
        self.device_failures = Counter(
            "pellucid_device_failures_total",
            "Inferences that failed on a device.",
            ("device",),
            registry=registry,
        )
        self.stalls = Counter(
            "pellucid_inference_stalls_total",
            "Inferences that did not come back in time and were given up.",
            ("device",),
            registry=registry,
        )
        self.stuck_threads = Gauge(
            "pellucid_stuck_threads",
            "Threads in inferences that were given up and have not come back.",
            ("device",),
            registry=registry,
        )
        self.models_refused = Lookup(
            "pellucid_models_refused",
            "Model versions that are not served because they crashed the server or hung.",
            registry=registry,
        )
        self.compute_seconds = Histogram(
            "pellucid_compute_seconds",
            "Time of units on the device: an inference, or a few masks one after another.",
            ("model", "device"),
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "pellucid_batch_size",
            "Images or masks in one unit of work.",
            ("model",),
            buckets=COUNTS,
            registry=registry,
        )
        self.decode_seconds = Histogram(
            "pellucid_decode_seconds",
            "Time of reading and decoding one image.",
            buckets=SECONDS,
            registry=registry,
        )
        self.masks = Counter(
            "pellucid_masks_total",
            "Masked inferences done for explanations.",
            ("model", "method"),
            registry=registry,
        )
        self.explanation_masks = Histogram(
            "pellucid_explanation_masks",
            "Masks of an explanation that ended: fewer than asked for where its maps were known.",
            ("model", "method"),
            buckets=MASKS,
            registry=registry,
        )
        self.explanation_correlation = Histogram(
            "pellucid_explanation_correlation",
            "Estimated correlation of a map with its limit, when its explanation ended.",
            ("model", "method"),
            buckets=CORRELATIONS,
            registry=registry,
        )
        self.models_loaded = Gauge(
            "pellucid_models_loaded",
            "Model versions that are served.",
            registry=registry,
        )
        self.model_versions = Lookup(
            "pellucid_model_versions",
            "Versions of a model by state; degraded: served, but what came after was refused.",
            ("model", "state"),
            registry=registry,
        )
        self.model_loads = Counter(
            "pellucid_model_loads_total",
            "Attempts to load a model version, by outcome.",
            ("model", "outcome"),
            registry=registry,
        )
        self.compiled_models = Gauge(
            "pellucid_compiled_models",
            "Compiled models that are held in memory.",
            registry=registry,
        )
        self.compiled_bytes = Gauge(
            "pellucid_compiled_model_bytes",
            "Estimate of the memory of compiled models.",
            registry=registry,
        )
        self.compiled_limit = Lookup(
            "pellucid_compiled_model_limit_bytes",
            "Budget of compiled models; absent: none.",
            registry=registry,
        )
        self.evictions = Counter(
            "pellucid_compiled_model_evictions_total",
            "Compiled models that were given up for others, to keep to the budget.",
            ("model",),
            registry=registry,
        )
        self.compile_seconds = Histogram(
            "pellucid_compile_seconds",
            "Time until a model was compiled for every device, well or not.",
            ("model",),
            buckets=MINUTES,
            registry=registry,
        )
        self.evaluations = Counter(
            "pellucid_evaluations_total",
            "Evaluations that ended here: succeeded, failed, cancelled, handed_over, or left.",
            ("model", "outcome"),
            registry=registry,
        )
        self.evaluations_running = Gauge(
            "pellucid_evaluations_running",
            "Evaluations whose lease this server holds.",
            registry=registry,
        )
        self.evaluations_waiting = Gauge(
            "pellucid_evaluations_waiting",
            "Evaluations in the store that nobody runs; replicas that share it tell the same.",
            registry=registry,
        )
        self.evaluations_waited = Gauge(
            "pellucid_evaluations_oldest_waiting_seconds",
            "Age of the oldest evaluation that waits; 0: none does.",
            registry=registry,
        )
        self.evaluation_images = Counter(
            "pellucid_evaluation_images_total",
            "Rows of evaluations that were judged and kept.",
            ("model",),
            registry=registry,
        )
        self.evaluation_images_left = Lookup(
            "pellucid_evaluation_images_left",
            "Images that the evaluations which run here have yet to do.",
            registry=registry,
        )
        self.store_failures = Counter(
            "pellucid_evaluation_store_failures_total",
            "Times that the store of evaluations did not answer, or refused.",
            registry=registry,
        )
        self.uploads_bytes = Lookup(
            "pellucid_uploads_bytes",
            "Bytes of uploads, those on their way counted whole.",
            registry=registry,
        )
        self.uploads_limit = Gauge(
            "pellucid_uploads_limit_bytes",
            "Bytes that uploads may take.",
            registry=registry,
        )
        self.reloads = Counter(
            "pellucid_reloads_total",
            "Changed files of tokens, policy or certificate: used, or refused and the old kept.",
            ("file", "outcome"),
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "pellucid_certificate_expiry_timestamp_seconds",
            "When the server's certificate ends; 0: it has none.",
            registry=registry,
        )
        self.state_size = Lookup(
            "pellucid_state_size_bytes",
            "Disk of the folder of evaluations and uploads.",
            registry=registry,
        )
        self.state_free = Lookup(
            "pellucid_state_free_bytes",
            "What is free of that disk.",
            registry=registry,
        )
        _remember_children(vars(self).values())


def _remember_children(metrics: Iterable[object]) -> None:
    """They are looked up in Python and under a lock, at each call again."""
    for metric in metrics:
        if isinstance(metric, MetricWrapperBase):
            metric.labels = cache(metric.labels)  # type: ignore[method-assign]  # the same, kept
