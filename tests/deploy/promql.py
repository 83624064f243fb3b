"""Enough of PromQL to find the metrics and labels that an expression names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from pellucid_server.telemetry.lookup import Lookup
from pellucid_server.telemetry.metrics import Metrics

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\w*\s*\()")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
KEYWORDS = {"and", "or", "unless", "bool", "offset"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
TARGET = frozenset({"namespace", "job", "pod", "instance", "service", "container", "endpoint"})
"""Labels that Prometheus adds to whatever it scrapes on Kubernetes."""


def exposed() -> dict[str, frozenset[str]]:
    """Labels of every series that a server may expose, by name."""
    metrics = Metrics()
    own = dict(series for each in vars(metrics).values() for series in _series(each))
    default = {
        sample.name: frozenset(sample.labels)
        for family in metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")  # the endpoint leaves them out
    }
    return {**default, **own, "up": frozenset()}


def metrics_of(expression: str) -> frozenset[str]:
    """The names of metrics in an expression."""
    bare = STRING.sub('""', expression)
    bare = GROUPING.sub(" ", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    return frozenset(NAME.findall(bare)) - KEYWORDS


def selected(expression: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each metric with the labels that its selector asks for."""
    for name, matchers in SELECTOR.findall(STRING.sub('""', expression)):
        yield name, frozenset(MATCHER.findall(matchers))


def grouped(expression: str) -> frozenset[str]:
    """Labels that results are added up or joined by."""
    lists = GROUPING.findall(STRING.sub('""', expression))
    return frozenset(label for each in lists for label in re.findall(r"\w+", each))


def unknown(expression: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """What is wrong with an expression's names."""
    names = metrics_of(expression)
    wrong = [f"no metric {name}" for name in names - set(known)]
    for name, labels in selected(expression):
        wrong += [f"{name} has no {each}" for each in labels - known.get(name, labels) - TARGET]
    there = frozenset().union(*(known.get(name, frozenset()) for name in names))
    wrong += [f"nothing has {each}" for each in grouped(expression) - there - TARGET]
    return wrong


def _series(metric: Any) -> Iterator[tuple[str, frozenset[str]]]:
    if isinstance(metric, Lookup):
        yield metric._name, frozenset(metric._labels)
    if isinstance(metric, MetricWrapperBase):
        labels = frozenset(metric._labelnames)
        for suffix in SUFFIXES.get(str(metric._type), ("",)):
            yield f"{metric._name}{suffix}", labels | ({"le"} if suffix == "_bucket" else set())
