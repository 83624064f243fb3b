"""Charts of a comparison."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from pellucid.comparisons import Comparison, MetricDelta
from pellucid.evaluations import Curve
from pellucid.report.charts import histogram
from pellucid.report.drawing import (
    ACCENT,
    CONTRAST,
    GREY,
    WIDTH,
    color,
    draw,
    named,
)
from pellucid.report.glossary import meaning


def deltas(found: Sequence[MetricDelta]) -> str:
    """Differences in percentage points with their intervals; colours are better and worse."""
    rows = [_delta(each) for each in found]
    names = [row["m"] for row in rows]
    shared = {
        "y": named("m", names, None),
        "color": color("better", [True, False], [ACCENT, CONTRAST]),
    }
    zero = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "color": GREY, "aria": False},
        "encoding": {"x": {"datum": 0, "type": "quantitative"}},
    }
    interval = {
        "transform": [{"filter": "datum.low != null"}],
        "mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.55, "aria": False},
        "encoding": shared
        | {
            "x": {
                "field": "low",
                "type": "quantitative",
                "title": "percentage points, candidate less baseline",
            },
            "x2": {"field": "high"},
        },
    }
    dot = {
        "mark": {"type": "circle", "size": 90, "opacity": 1},
        "encoding": shared
        | {
            "x": {"field": "d", "type": "quantitative"},
            "description": {"field": "text"},
        },
    }
    return draw(
        {
            "width": WIDTH,
            "height": {"step": 24},
            "data": {"values": rows},
            "layer": [zero, interval, dot],
        }
    )


def correlations(comparison: Comparison) -> str:
    """How many maps agree how well."""
    values = [each.correlation for each in comparison.map_correlations]
    counts, edges = np.histogram([each for each in values if isfinite(each)], 20, (-1, 1))
    curve = Curve("", "", tuple(edges[:-1].tolist()), tuple(counts.tolist()))
    return histogram([curve], "correlation of two maps", "images")


def _delta(found: MetricDelta) -> Mapping[str, Any]:
    known = meaning(found.name)
    spread = (
        f", 95 % between {100 * found.low:+.2f} and {100 * found.high:+.2f}"
        if found.low is not None and found.high is not None
        else ""
    )
    return {
        "m": known.title,
        "d": 100 * found.delta,
        "low": None if found.low is None else 100 * found.low,
        "high": None if found.high is None else 100 * found.high,
        "better": (found.delta < 0) == known.lower_is_better or not found.delta,
        "text": f"{known.title}: {100 * found.delta:+.2f} points{spread}",
    }
