"""Version folders appear at once or not at all."""

import fcntl
import os
from pathlib import Path

import pytest

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.optimize.new_version import NewVersion, new_version
from pellucid_server.runtime.watch import Watch


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "cat"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.xml").write_text("parent")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(version: NewVersion) -> None:
    (version.content / "model.xml").write_text("made")
    (version.scratch / "notes").write_text("thrown away")


def test_what_is_published_is_there_and_nothing_else(model: Path) -> None:
    with new_version(model, 1) as version:
        fill(version)
        assert version.publish() == 2
        assert (model / "2" / "model.xml").read_text() == "made"
    assert names(model) == ["1", "2"]
    assert names(model / "2") == ["model.xml"]


def test_the_folder_has_the_usual_permissions(model: Path) -> None:
    """As if its owner had made it, so that other users' servers may read it."""
    with new_version(model, 1) as version:
        fill(version)
        version.publish()
    assert (model / "2").stat().st_mode == (model / "1").stat().st_mode


def test_what_is_not_published_is_gone(model: Path) -> None:
    with new_version(model, 1) as version:
        fill(version)
    assert names(model) == ["1"]


def test_the_repository_does_not_see_it_before(model: Path) -> None:
    watch = Watch(model.parent)
    before = watch.peek().files
    with new_version(model, 1) as version:
        fill(version)
        assert watch.peek().files == before
        version.publish()
        assert watch.peek().versions("cat").keys() == {1, 2}


@pytest.mark.parametrize(
    ("there", "number"),
    [(["7"], 8), (["9", "10"], 11), (["2", "03", "x", "0"], 3)],
    ids=["a gap", "as numbers, not as texts", "only what the repository takes for versions"],
)
def test_the_number_is_the_next_after_the_largest(
    model: Path, there: list[str], number: int
) -> None:
    for name in there:
        (model / name).mkdir()
    with new_version(model, 1) as version:
        fill(version)
        assert version.publish() == number


def test_a_number_that_is_taken_meanwhile_is_not_replaced(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is an empty folder, or arrives between the look and the renaming."""
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        if target.name == "3" and not target.exists():
            target.mkdir()
            (target / "model.xml").write_text("somebody's")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    with new_version(model, 1) as version:
        fill(version)
        (model / "2").mkdir()
        assert version.publish() == 4
    assert (model / "3" / "model.xml").read_text() == "somebody's"


def test_what_a_killed_server_left_is_removed(model: Path) -> None:
    old = model / ".optimize-old"
    (old / "1").mkdir(parents=True)
    (old / "lock").touch()
    with new_version(model, 1):
        assert not old.exists()


def test_what_another_server_works_on_stays(model: Path) -> None:
    other = model / ".optimize-other"
    other.mkdir()
    with (other / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with new_version(model, 1):
            assert other.exists()


def test_an_error_of_the_work_is_not_taken_for_the_repository_s(model: Path) -> None:
    """An OSError of a data set is not one of the model repository."""
    with pytest.raises(ConnectionError), new_version(model, 1):
        raise ConnectionError


def test_a_repository_that_cannot_be_written(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with new_version(model, 1) as version:
        fill(version)
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(ModelUnavailable, match="No space left on device") as error:
            version.publish()
    assert error.value.field == "model_name"
    assert names(model) == ["1"]


def test_a_model_whose_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"), new_version(tmp_path / "dog", 1):
        pass
