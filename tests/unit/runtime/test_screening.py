"""What becomes of files that are tried out first; that a crash takes only the process is e2e."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino as ov
import pytest

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.loader import Loader
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.screening import main, screen
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.telemetry.metrics import Metrics

Write = Callable[[ov.Model, Path], Path]
Make = Callable[..., ov.Model]


def ends_with(code: int) -> Callable[..., Any]:
    return lambda command, **_: subprocess.CompletedProcess(command, code)


@pytest.mark.parametrize("code", [0, 1, -signal.SIGKILL])
def test_bad_files_pass_and_so_does_what_was_killed(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Whoever reads them next knows better; killed: for want of memory, or by hand."""
    monkeypatch.setattr(subprocess, "run", ends_with(code))
    screen(Path("folder"))


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE])
def test_files_that_crash_are_refused(monkeypatch: pytest.MonkeyPatch, how: signal.Signals) -> None:
    monkeypatch.setattr(subprocess, "run", ends_with(-how))
    with pytest.raises(ModelUnavailable, match=f"crashes .{how.name}.: the files are damaged"):
        screen(Path("folder"))


def test_files_that_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(command: Any, *, timeout: float, **_: Any) -> Any:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(ModelUnavailable, match="did not end within 5 s"):
        screen(Path("folder"), 5)


def test_trying_out_reads_and_compiles(
    tmp_path: Path, write: Write, make_graph: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is no model ends in peace."""
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr("pellucid_server.runtime.screening.KILL_FIRST", tmp_path / "none" / "none")
    main([str(write(make_graph(), tmp_path / "net" / "1"))])
    main([str(tmp_path)])


@pytest.fixture
def tried() -> list[str]:
    return []


def test_files_are_tried_out_once_the_first_look_is_over(
    tmp_path: Path, write: Write, make_graph: Make, tried: list[str]
) -> None:
    """So that a start is quick; those of suspects are always."""
    suspects = Suspects()
    loader = Loader(tmp_path, suspects, lambda folder: tried.append(folder.parent.name))
    folders = [write(make_graph(), tmp_path / name / "1") for name in ("first", "bad", "later")]
    loader.read(folders[0], None)
    suspects.stalled(loader.read(folders[1], None).subject, "it hung")
    assert tried == []
    loader.read(folders[1], None)
    assert tried == ["bad"]
    loader.careful = True
    loader.read(folders[2], None)
    assert tried == ["bad", "later"]


def test_what_failed_to_be_tried_out_is_not_tried_again_until_somebody_asks(
    tmp_path: Path, write: Write, make_graph: Make, tried: list[str]
) -> None:
    def fails(folder: Path) -> None:
        tried.append(folder.parent.name)
        if len(tried) == 1:
            raise ModelUnavailable("it crashes")

    suspects = Suspects()
    repository = ModelRepository(tmp_path, Metrics(), suspects=suspects, screen=fails)
    repository._loader.careful = True
    write(make_graph(), tmp_path / "net" / "1")
    repository.scan()
    repository.scan()
    (version,) = repository.entry("net").versions
    assert (version.state, tried) == ("failed", ["net"])
    assert version.reason.startswith("it crashes; replace its files or call LoadModel")
    assert repository.load("net").versions[0].state == "ready"


def test_a_version_that_is_refused_while_it_is_served_makes_way_for_the_one_before(
    tmp_path: Path, write: Write, make_graph: Make
) -> None:
    suspects = Suspects()
    repository = ModelRepository(tmp_path, Metrics(), suspects=suspects)
    for number in (1, 2):
        write(make_graph(), tmp_path / "net" / str(number))
    repository.scan()
    suspects.refuse(repository.get("net").subject, "it hangs")
    repository.scan()
    assert repository.get("net").version == 1
    newest, _ = repository.entry("net").versions
    assert (newest.state, newest.reason[:8]) == ("failed", "it hangs")
