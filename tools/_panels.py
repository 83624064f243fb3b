"""What the dashboard shows. <scope> and <model> stand for the labels chosen at the top of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Panel:
    """A graph, a number (`stat`) or a `heatmap`: queries by their legend."""

    title: str
    unit: str
    queries: Mapping[str, str]
    description: str = ""
    kind: str = "timeseries"
    stacked: bool = False
    steps: tuple[tuple[float, str], ...] = field(default=())
    """Colours from values on; green below."""


@dataclass(frozen=True)
class Row:
    """Panels side by side, of one size, in columns of 24."""

    title: str
    panels: tuple[Panel, ...]
    width: int = 8
    height: int = 8


PER = "$__rate_interval"
OVERLOAD = "concurrent_calls|concurrent_streams|queue_full|wait"
ERRORS = "DATA_LOSS|DEADLINE_EXCEEDED|INTERNAL|RESOURCE_EXHAUSTED|UNAVAILABLE|UNKNOWN"


def per_second(metric: str, labels: str, by: str) -> str:
    """A counter's rate, added up by labels."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{PER}]))"


def percentile(part: float, metric: str, labels: str, by: str = "") -> str:
    """A histogram's, by labels."""
    groups = f"{by}, le" if by else "le"
    return f"histogram_quantile({part}, {per_second(f'{metric}_bucket', labels, groups)})"


def mean(metric: str, labels: str, by: str) -> str:
    """A histogram's, by labels."""
    total, count = (per_second(f"{metric}_{each}", labels, by) for each in ("sum", "count"))
    return f"{total} / {count}"


def percentiles(metric: str, labels: str) -> dict[str, str]:
    """Three of them."""
    parts = {"50 %": 0.5, "95 %": 0.95, "99 %": 0.99}
    return {name: percentile(part, metric, labels) for name, part in parts.items()}


def failing(labels: str, by: str) -> str:
    """The part of calls that the server did not answer."""
    failed = per_second("pellucid_requests_total", f'{labels},status=~"{ERRORS}"', by)
    calls = per_second("pellucid_requests_total", labels, by)
    return f"({failed} or 0 * {calls}) / {calls}"
