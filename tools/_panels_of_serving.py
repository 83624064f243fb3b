"""Rows of the dashboard: calls, queues and devices."""

from _panels import (
    ERRORS,
    OVERLOAD,
    PER,
    Panel,
    Row,
    failing,
    mean,
    per_second,
    percentile,
    percentiles,
)

PREDICT = '<model>,method=~".+/(Predict|ModelInfer)",outcome="success"'

GLANCE = Row(
    "At a glance",
    (
        Panel(
            "Ready replicas",
            "short",
            {"": "sum(pellucid_ready{<scope>})"},
            kind="stat",
        ),
        Panel(
            "Calls",
            "reqps",
            {"": f"sum(rate(pellucid_requests_total{{<scope>}}[{PER}]))"},
            kind="stat",
        ),
        Panel(
            "Not answered",
            "percentunit",
            {
                "": f'(sum(rate(pellucid_requests_total{{<scope>,status=~"{ERRORS}"}}[1h])) '
                "or vector(0)) / sum(rate(pellucid_requests_total{<scope>}[1h]))"
            },
            "Calls of the last hour that ended with an error of the server, or were refused.",
            kind="stat",
            steps=((0.001, "orange"), (0.01, "red")),
        ),
        Panel(
            "Predict, 95 %",
            "s",
            {"": percentile(0.95, "pellucid_request_duration_seconds", PREDICT)},
            kind="stat",
            steps=((0.5, "orange"), (1, "red")),
        ),
        Panel(
            "Refused for want of room",
            "reqps",
            {
                "": f'sum(rate(pellucid_refusals_total{{<scope>,reason=~"{OVERLOAD}"}}[{PER}])) '
                "or vector(0)"
            },
            kind="stat",
            steps=((0.1, "orange"), (10, "red")),
        ),
        Panel(
            "Devices left alone",
            "short",
            {"": "count(pellucid_device_up{<scope>} == 0) or vector(0)"},
            kind="stat",
            steps=((1, "red"),),
        ),
        Panel(
            "Versions refused",
            "short",
            {
                "": "sum(max by (model, state) (pellucid_model_versions{<model>,"
                'state=~"failed|degraded"})) or vector(0)'
            },
            kind="stat",
            steps=((1, "orange"),),
        ),
        Panel(
            "Evaluations that run",
            "short",
            {"": "sum(pellucid_evaluations_running{<scope>})"},
            kind="stat",
        ),
    ),
    width=3,
    height=4,
)

CALLS = Row(
    "Traffic, errors, latency",
    (
        Panel(
            "Calls by method",
            "reqps",
            {"{{method}}": per_second("pellucid_requests_total", "<model>", "method")},
            stacked=True,
        ),
        Panel(
            "Calls by model",
            "reqps",
            {"{{model}}": per_second("pellucid_requests_total", "<model>", "model")},
            stacked=True,
        ),
        Panel(
            "Calls by status, without OK",
            "reqps",
            {"{{status}}": per_second("pellucid_requests_total", '<model>,status!="OK"', "status")},
            stacked=True,
        ),
        Panel(
            "Not answered, by method",
            "percentunit",
            {"{{method}}": failing("<model>", "method")},
            "Errors of the server and refusals; callers' mistakes do not count.",
        ),
        Panel(
            "Calls that run",
            "short",
            {
                "{{method}}": "sum by (method) (pellucid_requests_in_flight{<scope>})",
                "may run": 'sum(pellucid_limit{<scope>,setting="limits.concurrent_calls"})',
            },
        ),
        Panel(
            "Duration of Predict",
            "s",
            percentiles("pellucid_request_duration_seconds", PREDICT),
            "Of calls that went well.",
        ),
        Panel(
            "Duration of Predict by model, 95 %",
            "s",
            {"{{model}}": percentile(0.95, "pellucid_request_duration_seconds", PREDICT, "model")},
        ),
        Panel(
            "Duration by method, 95 %",
            "s",
            {
                "{{method}}": percentile(
                    0.95, "pellucid_request_duration_seconds", "<model>", "method"
                )
            },
        ),
        Panel(
            "Durations of Predict",
            "short",
            {"{{le}}": per_second("pellucid_request_duration_seconds_bucket", PREDICT, "le")},
            kind="heatmap",
        ),
    ),
)

QUEUES = Row(
    "Queues and scheduling, by class",
    (
        Panel(
            "Units that wait",
            "short",
            {"{{priority}}": "sum by (priority) (pellucid_queue_length{<scope>})"},
            "A unit is an inference, or up to eight of masks.",
            stacked=True,
        ),
        Panel(
            "Fullest queue",
            "percentunit",
            {
                "{{priority}}": "max by (priority) "
                "(pellucid_queue_length{<scope>} / pellucid_queue_limit{<scope>})"
            },
            "When it is full, more is refused.",
        ),
        Panel(
            "Wait, 95 %",
            "s",
            {
                "{{priority}}": percentile(
                    0.95, "pellucid_queue_wait_seconds", "<model>", "priority"
                )
            },
        ),
        Panel(
            "Units that started",
            "ops",
            {
                "{{priority}}": per_second(
                    "pellucid_queue_wait_seconds_count", "<model>", "priority"
                )
            },
            stacked=True,
        ),
        Panel(
            "Wait of predictions by model, 95 %",
            "s",
            {
                "{{model}}": percentile(
                    0.95,
                    "pellucid_queue_wait_seconds",
                    '<model>,priority="interactive"',
                    "model",
                )
            },
        ),
        Panel(
            "Inferences for nobody",
            "ops",
            {
                "{{device}}": per_second(
                    "pellucid_inferences_after_cancel_total", "<scope>", "device"
                )
            },
            "They ended after their caller had hung up.",
        ),
    ),
)

DEVICES = Row(
    "Devices and batches",
    (
        Panel(
            "Streams in use",
            "percentunit",
            {
                "{{pod}} {{device}}": "sum by (namespace, job, instance, pod, device) "
                f"(rate(pellucid_compute_seconds_sum{{<scope>}}[{PER}])) "
                "/ on (namespace, job, instance, pod, device) pellucid_device_streams{<scope>}"
            },
            "1: every stream computes all the time.",
        ),
        Panel(
            "Time on the device by model, 95 %",
            "s",
            {"{{model}}": percentile(0.95, "pellucid_compute_seconds", "<model>", "model")},
        ),
        Panel(
            "Where the devices' time goes",
            "percentunit",
            {"{{model}}": per_second("pellucid_compute_seconds_sum", "<model>", "model")},
            "1: as much as one stream can do.",
            stacked=True,
        ),
        Panel(
            "Images or masks in a unit, mean",
            "short",
            {"{{model}}": mean("pellucid_batch_size", "<model>", "model")},
        ),
        Panel(
            "Failures and stalls",
            "ops",
            {
                "{{device}} failed": per_second(
                    "pellucid_device_failures_total", "<scope>", "device"
                ),
                "{{device}} stalled": per_second(
                    "pellucid_inference_stalls_total", "<scope>", "device"
                ),
            },
            "Stalled: given up, as they did not come back in time.",
        ),
        Panel(
            "Threads that hang, versions set aside",
            "short",
            {
                "{{pod}} {{device}}": "max by (pod, device) (pellucid_stuck_threads{<scope>})",
                "versions": "max(pellucid_models_refused{<scope>})",
            },
            "Versions that crashed the server or hung are not served.",
        ),
        Panel(
            "Reading and decoding an image",
            "s",
            percentiles("pellucid_decode_seconds", "<scope>"),
        ),
    ),
)
