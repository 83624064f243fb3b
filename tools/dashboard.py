"""Writes the chart's Grafana dashboard; --check only says whether it is current."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _panels import Panel, Row
from _panels_of_serving import CALLS, DEVICES, GLANCE, QUEUES
from _panels_of_work import EVALUATIONS, EXPLANATIONS, LIMITS, MODELS, PROCESS

PAGE = Path(__file__).parent.parent / "deploy/helm/pellucid/files/dashboard.json"
SCHEMA = 39
"""Of Grafana 11; later ones bring it up to theirs when they load it."""
ROWS = (
    GLANCE,
    CALLS,
    QUEUES,
    DEVICES,
    EXPLANATIONS,
    EVALUATIONS,
    MODELS,
    LIMITS,
    PROCESS,
)
ACROSS = 24
"""Columns of a page."""
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCOPES = {
    "scope": 'namespace=~"$namespace",job=~"$job",pod=~"$pod"',
    "model": 'namespace=~"$namespace",job=~"$job",pod=~"$pod",model=~"$model"',
}
"""What <scope> and <model> stand for in the queries of panels."""


@dataclass(frozen=True)
class Choice:
    """A variable at the top of the page, whose values are a label's."""

    label: str
    metric: str


CHOICES = (
    Choice("namespace", "pellucid_build_info"),
    Choice("job", 'pellucid_build_info{namespace=~"$namespace"}'),
    Choice("pod", 'pellucid_build_info{namespace=~"$namespace",job=~"$job"}'),
    Choice("model", 'pellucid_model_versions{namespace=~"$namespace",job=~"$job",pod=~"$pod"}'),
)


def dashboard() -> dict[str, Any]:
    """The page, as Grafana reads it."""
    return {
        "uid": "pellucid",
        "title": "Pellucid",
        "description": "Calls, queues, devices, explanations and evaluations of Pellucid servers.",
        "tags": ["pellucid"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [data_source(), *map(variable, CHOICES)]},
        "annotations": {"list": [starts()]},
        "links": [],
        "panels": list(panels(ROWS)),
    }


def panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows and their panels, each below the one before."""
    number, top = 1, 0
    for row in rows:
        place = {"x": 0, "y": top, "w": ACROSS, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        number, top, left = number + 1, top + 1, 0
        for panel in row.panels:
            if left + row.width > ACROSS:
                left, top = 0, top + row.height
            place = {"x": left, "y": top, "w": row.width, "h": row.height}
            yield {"id": number, "gridPos": place, **drawn(panel)}
            number, left = number + 1, left + row.width
        top += row.height


def drawn(panel: Panel) -> dict[str, Any]:
    """A panel but for its place."""
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATA_SOURCE,
        "fieldConfig": {"defaults": field(panel), "overrides": []},
        "options": OPTIONS[panel.kind],
        "targets": [
            target(panel, "ABCDEF"[index], query, legend)
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def field(panel: Panel) -> dict[str, Any]:
    """How values are written and coloured."""
    steps = [{"color": "green", "value": None}]
    steps += [{"color": color, "value": value} for value, color in panel.steps]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
    }
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "showPoints": "never",
        }
    return defaults


OPTIONS: dict[str, Any] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    },
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
        "yAxis": {"unit": "s"},
        "cellGap": 1,
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": False},
    },
}


def target(panel: Panel, name: str, query: str, legend: str) -> dict[str, Any]:
    """A query."""
    for word, selector in SCOPES.items():
        query = query.replace(f"<{word}>", selector)
    return {
        "refId": name,
        "datasource": DATA_SOURCE,
        "expr": query,
        "legendFormat": legend,
        "range": True,
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
    }


def variable(choice: Choice) -> dict[str, Any]:
    """Several values or all of them; `.*` also matches where there is no such label."""
    query = f"label_values({choice.metric}, {choice.label})"
    return {
        "name": choice.label,
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"query": query, "refId": choice.label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
    }


def data_source() -> dict[str, Any]:
    """Which Prometheus."""
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
    }


def starts() -> dict[str, Any]:
    """A line wherever a server was started."""
    scope = SCOPES["scope"]
    return {
        "name": "Starts",
        "datasource": DATA_SOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": f"changes(process_start_time_seconds{{{scope}}}[5m]) > 0",
        "titleFormat": "{{pod}} started",
        "step": "60s",
    }


def main() -> None:
    """Writes the page, or checks it."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        sys.exit(0 if current else "run: python tools/dashboard.py")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
