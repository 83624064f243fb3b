import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pellucid_server.config import StartError
from pellucid_server.rpc.access.watched import Watched, Watcher
from pellucid_server.telemetry.metrics import Metrics


def number(contents: Sequence[bytes]) -> int:
    return int(contents[0])


def reloads(metrics: Metrics, outcome: str) -> float | None:
    labels = {"file": "number", "outcome": outcome}
    return metrics.registry.get_sample_value("pellucid_reloads_total", labels)


def test_a_changed_file_is_used(file: Path) -> None:
    """Also where neither size nor time tells that it changed: a mount swaps links."""
    file.write_text("1")
    metrics = Metrics()
    watched = Watched("number", [file], number, metrics)
    file.write_text("2")
    watched.look()
    assert watched.value == 2
    assert reloads(metrics, "used") == 1


def test_a_link_that_leads_elsewhere_is_a_change(file: Path, tmp_path: Path) -> None:
    """As Kubernetes changes a mounted secret."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1" if name == "old" else "2")
    link, fresh = tmp_path / "link", tmp_path / "fresh"
    link.symlink_to("old")
    file.symlink_to("link/file")
    watched = Watched("number", [file], number, Metrics())
    fresh.symlink_to("new")
    fresh.replace(link)
    watched.look()
    assert watched.value == 2


@pytest.mark.parametrize("broken", ["x", None])
def test_what_cannot_be_used_is_told_once_and_the_old_stays(file: Path, broken: str | None) -> None:
    file.write_text("1")
    metrics = Metrics()
    watched = Watched("number", [file], number, metrics)
    file.unlink() if broken is None else file.write_text(broken)
    with capture_logs() as logs:
        watched.look()
        watched.look()
    assert watched.value == 1
    assert [(entry["log_level"], entry["what"]) for entry in logs] == [("error", "number")]
    assert reloads(metrics, "refused") == 1
    file.write_text("3")
    watched.look()
    assert watched.value == 3


@pytest.mark.parametrize(("text", "reason"), [("x", "invalid literal"), (None, "cannot read")])
def test_at_start_the_file_must_be_good(file: Path, text: str | None, reason: str) -> None:
    if text:
        file.write_text(text)
    with pytest.raises(StartError, match=reason):
        Watched("number", [file], number, Metrics())


def test_the_watcher_looks_again_after_a_look_that_failed() -> None:
    looked = threading.Event()
    looks = []

    class Clumsy:
        def look(self) -> None:
            looks.append(1)
            if len(looks) > 1:
                looked.set()
            raise RuntimeError

    with capture_logs():
        watcher = Watcher([Clumsy()], interval=0.001)
        watcher.start()
        assert looked.wait(30)
        watcher.stop()
