"""The page of a comparison."""

from math import isfinite

from pellucid.client import Client
from pellucid.comparisons import Comparison, MetricDelta
from pellucid.report import comparison_charts
from pellucid.report.glossary import meaning
from pellucid.report.page import render
from pellucid.report.pictures import thumbnails

PICTURES = 30
"""Flips that are shown, each with two pictures."""


def comparison_page(
    client: Client,
    baseline: str,
    candidate: str,
    comparison: Comparison,
    *,
    pictures: int = PICTURES,
) -> str:
    """The page of a comparison of two evaluations, by their names.

    Raises:
        ImportError: the extra is not installed.
    """
    flips = comparison.flips[:pictures]
    indices = [each.index for each in flips]
    sides = (thumbnails(client, name, indices, annotation=False) for name in (baseline, candidate))
    drawn = zip(*sides, strict=True)
    correlations = sorted(comparison.map_correlations, key=lambda each: each.correlation)
    return render(
        "comparison.html.j2",
        names=(baseline, candidate),
        comparison=comparison,
        charts=_charts(comparison),
        flips=list(zip(flips, drawn, strict=True)),
        further=comparison.flips[pictures:],
        correlations=[each for each in correlations if isfinite(each.correlation)],
    )


def _charts(comparison: Comparison) -> dict[str, str]:
    found = {}
    shares = [each for each in comparison.deltas if _is_share(each)]
    if shares:
        found["deltas"] = comparison_charts.deltas(shares)
    if comparison.map_correlations:
        found["correlations"] = comparison_charts.correlations(comparison)
    return found


def _is_share(delta: MetricDelta) -> bool:
    return meaning(delta.name).share and isfinite(delta.delta)
