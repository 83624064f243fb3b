"""What operators rely on: logs, metrics, health, draining, the demo."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from PIL import Image

import pellucid

ROOT = Path(__file__).resolve().parents[2]
COFFEE = ROOT / "samples" / "coffee.png"
MODEL = "efficientnet-lite0"


def test_each_call_is_one_line_of_the_log(server: Any, client: pellucid.Client) -> None:
    """With request id, model, version, queue and compute time, status."""
    client.predict(COFFEE, model=MODEL)
    line = [e for e in server.events() if e.get("method", "").endswith("/Predict")][-1]
    assert line["model"] == MODEL
    assert line["version"] == "1"
    assert line["status"] == "OK"
    assert line["request_id"]
    assert line["compute_seconds"] > 0
    assert line["queue_seconds"] >= 0
    assert line["seconds"] >= line["compute_seconds"]


def test_metrics_tell_of_the_work(server: Any, client: pellucid.Client) -> None:
    """After a prediction and an explanation every promised metric has a value."""
    client.predict(COFFEE, model=MODEL)
    client.explain(COFFEE, model=MODEL, num_masks=40).result()
    with urlopen(f"http://{server.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    values = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if not line.startswith("#")
    }
    explain = "pellucid.v1.ExplanationService/Explain"
    assert values[f'pellucid_requests_total{{method="{explain}",model="{MODEL}",status="OK"}}'] >= 1
    assert values[f'pellucid_masks_total{{method="rise",model="{MODEL}"}}'] >= 40
    assert values[f'pellucid_explanation_masks_count{{method="rise",model="{MODEL}"}}'] >= 1
    assert values[f'pellucid_queue_wait_seconds_count{{model="{MODEL}",priority="explain"}}'] > 0
    assert values[f'pellucid_compute_seconds_count{{device="CPU",model="{MODEL}"}}'] > 0
    assert values[f'pellucid_batch_size_bucket{{le="1.0",model="{MODEL}"}}'] > 0
    assert values['pellucid_queue_length{priority="explain"}'] == 0
    assert values['pellucid_device_up{device="CPU"}'] == 1
    assert values["pellucid_decode_seconds_count"] > 0
    assert values["pellucid_models_loaded"] == 7
    assert values["process_resident_memory_bytes"] > 1e7


def test_models_show_what_they_take_and_where_they_run(client: pellucid.Client) -> None:
    client.predict(COFFEE, model=MODEL)
    model = client.model(MODEL)
    (version,) = model.versions
    assert [port.name for port in version.inputs] == ["image"]
    assert (version.device, version.precision) == ("CPU", "f32")
    assert next(layer for layer in version.layers if layer.default).name == "features"
    assert len(model.labels) == 1000


def test_health_serves_every_service(client: pellucid.Client) -> None:
    for service in ("", "pellucid.v1.InferenceService", "pellucid.v1.ExplanationService"):
        assert client.health(service).name == "SERVING"


def test_running_calls_end_and_new_ones_are_refused_on_sigterm(serve: Callable[..., Any]) -> None:
    """An explanation that runs when SIGTERM comes gives its result; the exit status is 0."""
    server = serve(ROOT / "models")
    with pellucid.Client(server.target, retries=0) as client:
        started = threading.Event()
        results: list[pellucid.Explanation] = []

        def explain() -> None:
            stream = client.explain(COFFEE, model=MODEL, num_masks=200, progress_interval=0.05)
            results.append(stream.result(progress=lambda _: started.set()))

        thread = threading.Thread(target=explain)
        thread.start()
        assert started.wait(30)
        server.process.terminate()
        time.sleep(0.3)
        with (
            pellucid.Client(server.target, retries=0) as late,
            pytest.raises(pellucid.UnavailableError),
        ):
            late.predict(COFFEE, model=MODEL, timeout=5)
        thread.join(60)
        assert results[0].evaluations == 201
        assert server.process.wait(30) == 0


@pytest.mark.timeout(400)
def test_the_demo_makes_its_pictures_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Seventeen pictures that open; its server said that it stopped."""
    command = [sys.executable, "tools/demo.py", "--masks", "32", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "espresso" in done.stdout
    pictures = [path for path in tmp_path.iterdir() if path.suffix in {".png", ".jpg"}]
    assert len(pictures) == 17
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    assert '"event": "stopped"' in (tmp_path / "server.log").read_text()
