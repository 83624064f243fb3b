"""Whom a crash is blamed on: processes die for real, and the next one reads what they left."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime import suspects as module
from pellucid_server.runtime.served import Subject
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.telemetry.metrics import Metrics

A, B = Subject("a", 1, "files"), Subject("b", 2, "files")
DIE = """
import os, signal, sys
from contextlib import ExitStack
from pathlib import Path
from pellucid_server.runtime.served import Subject
from pellucid_server.runtime.suspects import Suspects

suspects, how = Suspects(Path(sys.argv[1])), sys.argv[2]
with ExitStack() as stack:
    for what, name in (each.split(":") for each in sys.argv[3:]):
        key = name if what == "evaluating" else Subject(name, {"a": 1, "b": 2}[name], "files")
        stack.enter_context(getattr(suspects, what)(key))
    with suspects.running(Subject("done", 1, "files")):
        pass
    os.kill(os.getpid(), getattr(signal, how))
"""

Die = Callable[..., None]


@pytest.fixture
def die(tmp_path: Path) -> Die:
    """Ends a process by a signal, in the midst of things."""

    def run(how: str, *doing: str) -> None:
        command = [sys.executable, "-c", DIE, str(tmp_path), how, *doing]
        done = subprocess.run(command, check=False, capture_output=True)
        assert done.returncode == -getattr(signal, how), done.stderr.decode()

    return run


def opened(folder: Path) -> Suspects:
    """As the next process has them; this one tells nothing, and takes no signals."""
    found = Suspects(folder, metrics=Metrics())
    found.close()
    return found


def test_who_was_in_work_in_a_crash_is_a_suspect_and_in_a_second_one_refused(
    tmp_path: Path, die: Die
) -> None:
    """Of two that were there first, one crashes alone: the other one is left a suspect."""
    die("SIGSEGV", "running:a", "running:b", "evaluating:evaluations/1")
    found = opened(tmp_path)
    assert A in found
    assert B in found
    assert Subject("done", 1, "files") not in found
    assert found.crashed_evaluations == ["evaluations/1"]
    found.check(A)
    die("SIGABRT", "running:a")
    found = opened(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"a version 1 .*in work in 2 crashes.*LoadModel"):
        found.check(A)
    found.check(B)
    assert found.crashed_evaluations == []
    assert not list((tmp_path / "running").iterdir()), "each end is told once"
    with pytest.raises(ModelUnavailable):
        opened(tmp_path).check(A)


def test_who_was_killed_is_blamed_on_nobody(tmp_path: Path, die: Die) -> None:
    """But what was read then is tried out aside the next time: a stack may have overflowed."""
    die("SIGKILL", "running:a", "reading:b", "evaluating:evaluations/1")
    found = opened(tmp_path)
    assert A not in found
    assert B in found
    found.check(B)
    assert found.crashed_evaluations == []
    assert B not in opened(tmp_path)


def test_a_process_that_lives_is_not_taken_for_dead(tmp_path: Path) -> None:
    living = Suspects(tmp_path, metrics=Metrics())
    with living.reading(A):
        assert A not in opened(tmp_path)
    living.close()


def test_stalls_add_up_to_a_refusal_that_stays(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.stalled(A, "it hung")
    first.check(A)
    second = opened(tmp_path)
    second.stalled(A, "it hung")
    with pytest.raises(ModelUnavailable, match="it hung"):
        opened(tmp_path).check(A)


def test_other_files_are_another_model(tmp_path: Path) -> None:
    found = opened(tmp_path)
    found.refuse(A, "it is bad")
    with pytest.raises(ModelUnavailable, match=r"^it is bad; replace its files or call LoadModel"):
        found.admit(A)
    found.admit(A._replace(files="others"))
    assert A not in found
    assert A not in opened(tmp_path)


def test_a_pardon_is_for_a_version_or_for_all(tmp_path: Path) -> None:
    found = opened(tmp_path)
    second = A._replace(version=2)
    for each in (A, second, B):
        found.refuse(each, "it is bad")
    found.pardon("a", 2)
    assert [each in found for each in (A, second, B)] == [True, False, True]
    found.pardon("a")
    assert [each in opened(tmp_path) for each in (A, second, B)] == [False, False, True]


def test_a_suspect_that_runs_well_is_none_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBATION", 3)
    found = opened(tmp_path)
    found.stalled(A, "it hung")
    for _ in range(3):
        assert A in found
        with found._careful(A, module.NOBODY):
            pass
    assert A not in found
    assert A not in opened(tmp_path)


def test_suspects_run_one_at_a_time_and_others_beside_them() -> None:
    """One that is given up keeps nobody waiting."""
    found, entered, leave = Suspects(), threading.Event(), threading.Event()
    found.stalled(A, "it hung")
    found.stalled(B, "it hung")

    def run(subject: Subject) -> None:
        with found.running(subject):
            entered.set()
            leave.wait(30)

    first = threading.Thread(target=run, args=(A,), daemon=True)
    first.start()
    assert entered.wait(30)
    with found.running(Subject("other", 1, "")):
        pass
    entered.clear()
    second = threading.Thread(target=run, args=(B,), daemon=True)
    second.start()
    assert not entered.wait(0.2)
    found.give_up()
    assert entered.wait(30)
    leave.set()
    first.join(30)
    second.join(30)


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faults").write_text("a file")
    found = Suspects(tmp_path / "faults", metrics=Metrics())
    with found.running(A):
        found.refuse(A, "it is bad")
    with pytest.raises(ModelUnavailable):
        found.check(A)
    assert "cannot remember a suspect" in "".join(capfd.readouterr())


def test_refusals_are_counted() -> None:
    metrics = Metrics()
    found = Suspects(metrics=metrics)
    found.refuse(A, "it is bad")
    found.stalled(B, "it hung")
    assert metrics.registry.get_sample_value("pellucid_models_refused") == 1


def test_what_is_told_is_no_more_after_a_good_end(tmp_path: Path) -> None:
    """Even where somebody else's rubbish lies beside it."""
    (tmp_path / "running" / "rubbish").mkdir(parents=True)
    (tmp_path / "running" / "rubbish" / "slots").write_bytes(b"\\1" * 7)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "rubbish.json").write_text("[")
    found = Suspects(tmp_path, metrics=Metrics())
    assert len(list((tmp_path / "running").iterdir())) == 1
    found.close()
    assert not list((tmp_path / "running").iterdir())
