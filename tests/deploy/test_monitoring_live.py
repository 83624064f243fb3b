"""A real Prometheus reads a real server: rules are evaluated, the dashboard is not empty."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

import pellucid

from .test_monitoring import DASHBOARD, PANELS, ROOT, RULES_FILE

pytestmark = pytest.mark.e2e

MODEL = "efficientnet-lite0"
PATIENCE = 60
QUIET = {
    "Calls by status, without OK",
    "Inferences for nobody",
    "Refusals by reason",
    "Refusals of tenants' rates and rights",
    "Changed files of access and certificates",
    "Certificate ends in",
    "Versions that are not well",
    "How well maps were known: the worst tenth, and the median",
}
"""Panels that are empty where nothing is wrong, or before some explanation had many masks."""


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes one server every second."""

    url: str

    def get(self, path: str, **arguments: str) -> Any:
        """What its API answers."""
        address = f"{self.url}/api/v1/{path}?{urlencode(arguments)}"
        with urlopen(address) as response:  # noqa: S310  # our own, on loopback
            return json.load(response)["data"]

    def has(self, expression: str) -> bool:
        """Whether an expression has a value now."""
        return bool(self.get("query", query=expression)["result"])


@pytest.fixture(scope="module")
def busy(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that has predicted, explained and evaluated."""
    root = tmp_path_factory.mktemp("data")
    for label, photo in {"espresso": "coffee.png", "tabby cat": "chelsea.png"}.items():
        (root / "set" / label).mkdir(parents=True)
        shutil.copy(ROOT / "samples" / photo, root / "set" / label)
    server = serve(ROOT / "models", f"--data-roots={root}", "--memory-bytes=4000000000")
    with pellucid.Client(server.target) as client:
        coffee = ROOT / "samples/coffee.png"
        client.predict(coffee, model=MODEL)
        list(client.explain(coffee, model=MODEL, num_masks=50).results())
        client.evaluate("set", model=MODEL).result()
    return server


@pytest.fixture(scope="module")
def prometheus(busy: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    labels = {"namespace": "vision", "pod": "pellucid-0"}
    targets = [{"targets": [busy.metrics], "labels": labels}]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES_FILE)],
        "scrape_configs": [{"job_name": "pellucid", "static_configs": targets}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        found = Prometheus(f"http://{address}")
        wait_until_it_has_scraped_twice(found)
        yield found
    finally:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_it_has_scraped_twice(prometheus: Prometheus) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if prometheus.has("count_over_time(pellucid_build_info[1m]) >= 3"):
                return
        except (URLError, ConnectionError):
            pass
        time.sleep(0.2)
    raise AssertionError("Prometheus did not get ready")


def filled_in(expression: str) -> str:
    expression = expression.replace("$__rate_interval", "1m")
    for choice in DASHBOARD["templating"]["list"]:
        expression = expression.replace(f"${choice['name']}", ".*")
    return expression


def test_prometheus_reads_the_server(prometheus: Prometheus, busy: Any) -> None:
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert busy.metrics in target["scrapeUrl"]


def test_every_panel_shows_something(prometheus: Prometheus) -> None:
    """But for those of what went wrong, which are answered all the same."""
    empty = {
        panel["title"]
        for panel in PANELS
        for target in panel["targets"]
        if not prometheus.has(filled_in(target["expr"]))
    }
    assert empty <= QUIET


def test_the_rules_are_evaluated_and_nothing_fires(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    assert [
        rule["name"] for group in groups for rule in group["rules"] if rule.get("lastError")
    ] == []
    assert [alert["labels"] for alert in prometheus.get("alerts")["alerts"]] == []


def test_the_choices_at_the_top_have_values(prometheus: Prometheus) -> None:
    for name, expected in {"namespace": "vision", "job": "pellucid", "pod": "pellucid-0"}.items():
        values = prometheus.get(f"label/{name}/values", **{"match[]": "pellucid_build_info"})
        assert values == [expected]
    values = prometheus.get("label/model/values", **{"match[]": "pellucid_model_versions"})
    assert MODEL in values


def test_the_server_s_own_words_suit_prometheus(busy: Any) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    with urlopen(f"http://{busy.metrics}/metrics") as response:
        text = response.read()
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
