"""A clock that is set by an hour while the server works; needs libfaketime (Debian: libfaketime).

The whole process of the server sees the other time, gRPC's core too; the tests' own does not.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import pellucid

from .conftest import SAMPLES, write_classifier, write_noise

pytestmark = pytest.mark.e2e

IMAGES = 60
PHOTO = (SAMPLES / "coffee.png").read_bytes()
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Any]:
    """Sets the clock of servers that are started afterwards by so much."""
    if LIBRARY is None:
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return offset.write_text


def test_calls_and_evaluations_go_on(
    clock: Callable[[str], Any],
    serve: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With their deadlines; an evaluation ends with every row, and so does an Explain."""
    models = write_classifier(tmp_path / "models", "net", side=64, layers=8, channels=64)
    write_noise(tmp_path / "data" / "set", IMAGES, 64)
    server = serve(models, f"--data-roots={tmp_path / 'data'}", "--evaluations-lease-seconds=2")
    monkeypatch.undo()
    with pellucid.Client(server.target, retries=0) as client:
        client.predict(PHOTO, model="net", timeout=30)
        evaluation = client.evaluate("set", model="net")
        explained = client.explain(PHOTO, model="net", num_masks=100, timeout=60)
        for step in ("+1h", "+0", "-1h", "+0"):
            clock(step)
            for _ in range(3):
                client.predict(PHOTO, model="net", timeout=30)
                time.sleep(0.1)
            assert client.health() is pellucid.Health.SERVING
        assert explained.result().evaluations == 101
        assert evaluation.result().images == IMAGES
    times = [datetime.fromisoformat(event["timestamp"]) for event in server.events()]
    assert max(times) - min(times) > timedelta(minutes=110), "the clock was set"
