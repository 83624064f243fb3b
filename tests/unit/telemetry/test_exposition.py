import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from pellucid_server.telemetry.exposition import CONNECTIONS, MetricsEndpoint, expose
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.readiness import Readiness


@pytest.fixture
def metrics() -> Metrics:
    """Every metric with a value, so that every one is exposed."""
    metrics = Metrics()
    metrics.requests.labels("s/m", "model", "OK").inc()
    metrics.request_seconds.labels("s/m", "model", "success").observe(0.1)
    metrics.in_flight.labels("s/m").inc()
    metrics.queue_seconds.labels("model", "explain").observe(0.1)
    metrics.queue_length.labels("explain").set(3)
    metrics.cancelled_inferences.labels("CPU").inc()
    metrics.device_up.labels("CPU").set(1)
    metrics.device_failures.labels("CPU").inc()
    metrics.compute_seconds.labels("model", "CPU").observe(0.1)
    metrics.batch_size.labels("model").observe(1)
    metrics.masks.labels("model", "rise").inc()
    metrics.explanation_masks.labels("model", "rise").observe(300)
    metrics.explanation_correlation.labels("model", "rise").observe(0.9)
    metrics.build.labels("1.0", "2026.4").set(1)
    metrics.evaluations.labels("model", "succeeded").inc()
    metrics.evaluation_images.labels("model").inc()
    metrics.evictions.labels("model").inc()
    metrics.compile_seconds.labels("model").observe(1)
    metrics.model_versions.of(lambda: {("model", "ready"): 1.0})
    metrics.uploads_bytes.of_one(lambda: 0)
    metrics.model_loads.labels("model", "success").inc()
    return metrics


@pytest.fixture
def readiness(metrics: Metrics) -> Readiness:
    return Readiness(metrics)


@pytest.fixture
def endpoint(metrics: Metrics, readiness: Readiness) -> Iterator[MetricsEndpoint]:
    endpoint = expose(metrics.registry, readiness, "127.0.0.1", 0)
    yield endpoint
    endpoint.close()


def scrape(endpoint: MetricsEndpoint) -> str:
    with urlopen(f"http://127.0.0.1:{endpoint.port}/metrics") as response:
        text: str = response.read().decode()
    return text


def test_every_metric_is_exposed(endpoint: MetricsEndpoint, metrics: Metrics) -> None:
    text = scrape(endpoint)
    for family in metrics.registry.collect():
        assert f"# HELP {family.name}" in text
    assert 'pellucid_requests_total{method="s/m",model="model",status="OK"} 1.0' in text


def test_prometheus_own_linter_finds_nothing(endpoint: MetricsEndpoint) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=scrape(endpoint),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_an_address_in_use_is_an_error(metrics: Metrics, readiness: Readiness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            expose(metrics.registry, readiness, "127.0.0.1", taken.getsockname()[1])


def test_closing_frees_the_port(metrics: Metrics, readiness: Readiness) -> None:
    endpoint = expose(metrics.registry, readiness, "127.0.0.1", 0)
    endpoint.close()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", endpoint.port)) != 0


def ask(endpoint: MetricsEndpoint, path: str) -> tuple[int, Any]:
    try:
        with urlopen(f"http://127.0.0.1:{endpoint.port}{path}") as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def test_probes_tell_how_the_server_stands(endpoint: MetricsEndpoint, readiness: Readiness) -> None:
    """It lives all the time; what it waits for is said whenever it is asked."""
    unread = ["model a", "model b"]
    readiness.wait_for("the store")
    assert ask(endpoint, "/readyz") == (503, {"status": "starting", "waits_for": ["the store"]})
    readiness.watch(lambda: unread)
    assert ask(endpoint, "/readyz")[1]["waits_for"] == ["model a", "model b"]
    unread.pop(0)
    assert ask(endpoint, "/readyz")[1]["waits_for"] == ["model b"]
    readiness.serve()
    assert ask(endpoint, "/readyz") == (200, {"status": "ready", "waits_for": []})
    readiness.leave()
    code, told = ask(endpoint, "/readyz")
    assert (code, told["status"]) == (503, "draining")
    assert ask(endpoint, "/livez") == (200, {"status": "alive"})


def test_a_path_that_is_not_there_names_those_that_are(endpoint: MetricsEndpoint) -> None:
    code, told = ask(endpoint, "/metric")
    assert code == 404
    assert "/metrics" in told["paths"]


def test_callers_that_say_nothing_keep_no_more_than_a_few_threads(
    endpoint: MetricsEndpoint,
) -> None:
    """Those beyond are hung up on, and when the others go, probes are answered again."""
    where = ("127.0.0.1", endpoint.port)
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(where)) for _ in range(CONNECTIONS)]
        with socket.create_connection(where, timeout=30) as refused:
            assert refused.recv(1) == b""
        assert len(silent) == CONNECTIONS
    for _ in range(100):
        try:
            assert ask(endpoint, "/livez")[0] == 200
        except OSError:  # the places of those that went are not free yet
            continue
        break
    assert ask(endpoint, "/livez")[0] == 200
