"""Rows of the dashboard: explanations, evaluations, models, limits, the process."""

from _panels import Panel, Row, mean, per_second, percentile

EXPLAIN = '<model>,method=~".+/Explain",outcome="success"'

EXPLANATIONS = Row(
    "Explanations",
    (
        Panel(
            "Masks",
            "ops",
            {
                "{{model}} {{method}}": per_second(
                    "pellucid_masks_total", "<model>", "model, method"
                )
            },
            stacked=True,
        ),
        Panel(
            "Explanations done",
            "ops",
            {
                "{{model}} {{method}}": per_second(
                    "pellucid_explanation_masks_count", "<model>", "model, method"
                )
            },
            stacked=True,
        ),
        Panel(
            "Masks of an explanation, mean",
            "short",
            {"{{model}}": mean("pellucid_explanation_masks", "<model>", "model")},
            "Fewer than asked for where its maps were known before.",
        ),
        Panel(
            "How well maps were known: the worst tenth, and the median",
            "percentunit",
            {
                f"{name} {{{{model}}}}": percentile(
                    part, "pellucid_explanation_correlation", "<model>", "model"
                )
                for name, part in (("10 %", 0.1), ("50 %", 0.5))
            },
            "Estimated correlation of a map with its limit, at the end of its explanation.",
        ),
        Panel(
            "Duration of Explain by model, 95 %",
            "s",
            {"{{model}}": percentile(0.95, "pellucid_request_duration_seconds", EXPLAIN, "model")},
        ),
    ),
)

EVALUATIONS = Row(
    "Evaluations",
    (
        Panel(
            "Run and wait",
            "short",
            {
                "run": "sum(pellucid_evaluations_running{<scope>})",
                "wait": "max(pellucid_evaluations_waiting{<scope>})",
            },
            "Replicas that share a store see the same wait.",
        ),
        Panel(
            "Images",
            "ops",
            {"{{model}}": per_second("pellucid_evaluation_images_total", "<model>", "model")},
            stacked=True,
        ),
        Panel(
            "Images to do",
            "short",
            {"{{pod}}": "sum by (pod) (pellucid_evaluation_images_left{<scope>})"},
            stacked=True,
        ),
        Panel(
            "Ended in an hour",
            "short",
            {"{{outcome}}": "sum by (outcome) (increase(pellucid_evaluations_total{<model>}[1h]))"},
            "Handed over or left: another server goes on.",
            stacked=True,
        ),
        Panel(
            "Age of the oldest that waits",
            "s",
            {"": "max(pellucid_evaluations_oldest_waiting_seconds{<scope>})"},
        ),
        Panel(
            "Failures of the store",
            "ops",
            {"{{pod}}": per_second("pellucid_evaluation_store_failures_total", "<scope>", "pod")},
        ),
    ),
)

MODELS = Row(
    "Models and memory",
    (
        Panel(
            "Versions by state",
            "short",
            {
                "{{state}}": "sum by (state) "
                "(max by (model, state) (pellucid_model_versions{<model>}))"
            },
            "Degraded: served, but newer files were refused.",
            stacked=True,
        ),
        Panel(
            "Versions that are not well",
            "short",
            {
                "{{model}} {{state}}": "max by (model, state) "
                '(pellucid_model_versions{<model>,state!~"ready|unloaded"})'
            },
        ),
        Panel(
            "Read in an hour",
            "short",
            {"{{outcome}}": "sum by (outcome) (increase(pellucid_model_loads_total{<model>}[1h]))"},
        ),
        Panel(
            "Compiled models, by estimate",
            "bytes",
            {
                "{{pod}}": "sum by (pod) (pellucid_compiled_model_bytes{<scope>})",
                "budget": "max(pellucid_compiled_model_limit_bytes{<scope>})",
            },
        ),
        Panel(
            "Compiled models",
            "short",
            {
                "{{pod}}": "sum by (pod) (pellucid_compiled_models{<scope>})",
                "given up in an hour": "sum(increase("
                "pellucid_compiled_model_evictions_total{<model>}[1h])) or vector(0)",
            },
        ),
        Panel(
            "Time to compile by model, mean",
            "s",
            {"{{model}}": mean("pellucid_compile_seconds", "<model>", "model")},
        ),
    ),
)

LIMITS = Row(
    "Limits, tenants, disk",
    (
        Panel(
            "Refusals by reason",
            "reqps",
            {"{{reason}}": per_second("pellucid_refusals_total", "<scope>", "reason")},
            stacked=True,
        ),
        Panel(
            "Refusals of tenants' rates and rights",
            "reqps",
            {
                "{{method}} {{reason}}": per_second(
                    "pellucid_refusals_total",
                    '<scope>,reason=~"tenant_.+|unauthenticated|permission_denied"',
                    "method, reason",
                )
            },
        ),
        Panel(
            "Changed files of access and certificates",
            "short",
            {
                "{{file}} {{outcome}}": "sum by (file, outcome) "
                "(increase(pellucid_reloads_total{<scope>}[1h]))"
            },
            "In an hour; where they were refused, what was read before stays in use.",
        ),
        Panel(
            "Certificate ends in",
            "s",
            {
                "{{pod}}": "min by (pod) "
                "((pellucid_certificate_expiry_timestamp_seconds{<scope>} > 0) - time())"
            },
        ),
        Panel(
            "Uploads",
            "bytes",
            {
                "{{pod}}": "sum by (pod) (pellucid_uploads_bytes{<scope>})",
                "quota": "max(pellucid_uploads_limit_bytes{<scope>})",
            },
        ),
        Panel(
            "Free disk of evaluations and uploads",
            "percentunit",
            {
                "{{pod}}": "min by (pod) "
                "(pellucid_state_free_bytes{<scope>} / pellucid_state_size_bytes{<scope>})"
            },
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Panel(
            "Memory",
            "bytes",
            {"{{pod}}": "sum by (pod) (process_resident_memory_bytes{<scope>})"},
        ),
        Panel(
            "Cores",
            "short",
            {"{{pod}}": per_second("process_cpu_seconds_total", "<scope>", "pod")},
        ),
        Panel(
            "File handles",
            "short",
            {"{{pod}}": "sum by (pod) (process_open_fds{<scope>})"},
        ),
        Panel(
            "Up for",
            "s",
            {"{{pod}}": "time() - max by (pod) (process_start_time_seconds{<scope>})"},
        ),
        Panel(
            "Garbage collections",
            "ops",
            {
                "generation {{generation}}": per_second(
                    "python_gc_collections_total", "<scope>", "generation"
                )
            },
        ),
        Panel(
            "Versions",
            "short",
            {
                "{{version}}, OpenVINO {{openvino}}": "count by (version, openvino) "
                "(pellucid_build_info{<scope>})"
            },
            "How many replicas run each.",
            stacked=True,
        ),
    ),
)
