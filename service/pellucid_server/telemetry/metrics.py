from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Every metric of the server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.requests = Counter(
            "pellucid_requests_total",
            "Calls that ended, by gRPC method, model and status.",
            ("method", "model", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "pellucid_request_duration_seconds",
            "Duration of calls, from arrival to the last byte.",
            ("method",),
            buckets=(*SECONDS, 60, 300),
            registry=registry,
        )
        self.in_flight = Gauge(
            "pellucid_requests_in_flight",
            "Calls that run now.",
            ("method",),
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "pellucid_queue_wait_seconds",
            "Time that inferences waited for their turn, by class.",
            ("model", "priority"),
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_length = Gauge(
            "pellucid_queue_length",
            "Units that wait, by class: an inference, or a few masks.",
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
        self.device_failures = Counter(
            "pellucid_device_failures_total",
            "Inferences that failed on a device.",
            ("device",),
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
        self.masks_per_second = Gauge(
            "pellucid_masks_per_second",
            "Rate of the explanation that reported last.",
            ("model", "method"),
            registry=registry,
        )
        self.models_loaded = Gauge(
            "pellucid_models_loaded",
            "Model versions that are served.",
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
