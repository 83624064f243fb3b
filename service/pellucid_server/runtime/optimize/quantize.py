"""Post-training quantisation. The one place that imports NNCF; itself imported on first use."""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import nncf
import openvino as ov

from pellucid_server.runtime.optimize.plan import Quantization, Verdict
from pellucid_server.types import Feeds


@dataclass(frozen=True)
class CompiledJudge:
    """Judges a compiled model, which takes its own inputs, over items of these indices."""

    judge: Callable[[ov.CompiledModel, Sequence[int]], Verdict]
    items: int


def quantize(
    graph: ov.Model, feeds: Iterable[Feeds], how: Quantization, judge: CompiledJudge
) -> ov.Model:
    """The graph quantised to INT8.

    `feeds` are its own inputs, and are gone through more than once. Where a drop is limited,
    the judge sees the model as it was, quantised, and with ever more layers as they were until
    the drop is small enough.

    Raises:
        Exception: whatever NNCF says of a graph that it cannot quantise.
    """
    nncf.set_log_level(logging.ERROR)
    if how.max_drop is None:
        return nncf.quantize(graph, nncf.Dataset(feeds), **_arguments(how))
    return nncf.quantize_with_accuracy_control(
        graph,
        nncf.Dataset(feeds),
        nncf.Dataset(range(judge.items)),
        validation_fn=_validation(judge),
        max_drop=how.max_drop,
        # Ranking in several threads would ask the server several things at once.
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
            num_ranking_workers=1
        ),
        **_arguments(how),
    )


def _validation(judge: CompiledJudge) -> Callable[..., tuple[float, list[float] | None]]:
    def validate(
        compiled: ov.CompiledModel, items: Iterable[int]
    ) -> tuple[float, list[float] | None]:
        indices = tuple(items)
        verdict = judge.judge(compiled, indices)
        known = len(verdict.scores) == len(indices)
        # NNCF divides by the parent's metric, also where it has no use for the quotient.
        metric = verdict.metric or sys.float_info.min
        return metric, list(verdict.scores) if known else None

    return validate


def _arguments(how: Quantization) -> dict[str, Any]:
    return {
        "preset": nncf.QuantizationPreset(how.preset),
        "model_type": nncf.ModelType(how.model_type) if how.model_type else None,
        "subset_size": how.calibration_size,
        "fast_bias_correction": how.fast_bias_correction,
        "ignored_scope": nncf.IgnoredScope(
            names=list(how.ignored_names), types=list(how.ignored_types)
        ),
    }
