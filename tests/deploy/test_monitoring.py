"""Rules and dashboard: they parse, name what the server exposes, and fire when they must."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from .promql import exposed, metrics_of, unknown

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/pellucid"
RULES_FILE = CHART / "files/rules.yaml"
RULES = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
SCENARIOS = sorted((Path(__file__).parent / "monitoring").glob("*.yaml"))
DASHBOARD = json.loads((CHART / "files/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PAGE = (ROOT / "docs/monitoring.md").read_text()
LABEL_VALUES = re.compile(r"label_values\((.+), \w+\)")
COLUMNS = 24


def expressions() -> list[str]:
    """Everything that the dashboard asks Prometheus, with its variables filled in."""
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    queries = (each.get("definition", "") for each in DASHBOARD["templating"]["list"])
    asked += [found[1] for query in queries if (found := LABEL_VALUES.fullmatch(query))]
    asked = [each.replace("$__rate_interval", "5m") for each in asked]
    return [re.sub(r"\$(namespace|job|pod|model)", ".*", each) for each in asked]


@cache
def known() -> dict[str, frozenset[str]]:
    """What the server exposes, and what the rules record: named after the labels it has."""
    levels = {
        rule["record"]: rule["record"].partition(":")[0] for rule in RULES if "record" in rule
    }
    return {
        **exposed(),
        **{name: frozenset(level.split("_")) for name, level in levels.items()},
    }


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    checked = promtool("check", "rules", "--lint-fatal", RULES_FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("scenarios", SCENARIOS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_not_just_below_the_line(scenarios: Path) -> None:
    done = promtool("test", "rules", scenarios)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_scenario() -> None:
    told = "".join(path.read_text() for path in SCENARIOS)
    assert [
        name
        for name in ALERTS
        if f'alertname="{name}"' not in told and f"alertname: {name}\n" not in told
    ] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_and_labels_that_the_server_has(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"], known()) == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"
    assert f"\n### {name}\n" in PAGE
    labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    there = frozenset().union(*(known()[each] for each in metrics_of(rule["expr"])))
    assert labels <= there | {"namespace", "job", "instance"}


def test_the_page_has_no_runbook_of_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (Pellucid\w+)$", PAGE, re.MULTILINE)) == set(ALERTS)


def test_the_page_tells_every_metric() -> None:
    told = set(re.findall(r"^\| `(pellucid_\w+)`", PAGE, re.MULTILINE))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}
    assert told == {name for name in families if name.startswith("pellucid_")}


def test_the_dashboard_is_that_of_its_description() -> None:
    command = [sys.executable, str(ROOT / "tools/dashboard.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_promtool_parses_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"expression:{index}", "expr": each} for index, each in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_panels_name_metrics_and_labels_that_the_server_has(expression: str) -> None:
    assert metrics_of(expression)
    assert unknown(expression, known()) == []


def test_the_chart_scales_on_a_metric_that_the_server_has() -> None:
    template = (CHART / "templates/scaledobject.yaml").read_text()
    names = set(re.findall(r"\bpellucid_\w+", template))
    assert names
    assert names <= set(exposed())


def test_a_metric_or_label_that_is_not_there_is_found() -> None:
    """The checks above test something."""
    there = {"a_total": frozenset({"x"}), "up": frozenset[str]()}
    assert unknown('sum by (x, job) (rate(a_total{x="b"}[5m])) and on (job) up', there) == []
    assert unknown('sum by (y) (rate(b_total{x="}"}[5m]) / a_total{z="x"})', there) == [
        "no metric b_total",
        "a_total has no z",
        "nothing has y",
    ]


def test_the_dashboard_suits_grafana_11_and_12() -> None:
    assert DASHBOARD["schemaVersion"] == 39
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert "__inputs" not in DASHBOARD, "it is provisioned, not imported"
    assert {panel["type"] for panel in PANELS} == {"timeseries", "stat", "heatmap"}
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["unit"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    names = [each["name"] for each in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "namespace", "job", "pod", "model"]


def test_panels_have_numbers_and_places_of_their_own() -> None:
    assert max(Counter(panel["id"] for panel in DASHBOARD["panels"]).values()) == 1
    taken: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        across = range(place["x"], place["x"] + place["w"])
        taken.update((x, place["y"] + down) for x in across for down in range(place["h"]))
    assert max(taken.values()) == 1
