import shutil
import socket
import subprocess
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from pellucid_server.telemetry.exposition import MetricsEndpoint, expose
from pellucid_server.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    """Every metric with a value, so that every one is exposed."""
    metrics = Metrics()
    metrics.requests.labels("s/m", "model", "OK").inc()
    metrics.request_seconds.labels("s/m").observe(0.1)
    metrics.in_flight.labels("s/m").inc()
    metrics.queue_seconds.labels("model", "explain").observe(0.1)
    metrics.queue_length.labels("explain").set(3)
    metrics.cancelled_inferences.labels("CPU").inc()
    metrics.device_up.labels("CPU").set(1)
    metrics.device_failures.labels("CPU").inc()
    metrics.compute_seconds.labels("model", "CPU").observe(0.1)
    metrics.batch_size.labels("model").observe(1)
    metrics.masks.labels("model", "rise").inc()
    metrics.masks_per_second.labels("model", "rise").set(1)
    metrics.model_loads.labels("model", "success").inc()
    return metrics


@pytest.fixture
def endpoint(metrics: Metrics) -> Iterator[MetricsEndpoint]:
    endpoint = expose(metrics.registry, "127.0.0.1", 0)
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


def test_an_address_in_use_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            expose(Metrics().registry, "127.0.0.1", taken.getsockname()[1])


def test_closing_frees_the_port(metrics: Metrics) -> None:
    endpoint = expose(metrics.registry, "127.0.0.1", 0)
    endpoint.close()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", endpoint.port)) != 0
