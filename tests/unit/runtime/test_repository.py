import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pellucid_server.errors import InvalidInput, ModelUnavailable, NotFound
from pellucid_server.runtime.repository import ModelRepository
from pellucid_server.runtime.served import ServedModel
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Task

if TYPE_CHECKING:
    from tests.unit.runtime.conftest import Folder, Observed


def test_the_zoo_is_served(zoo: Path) -> None:
    repository = ModelRepository(zoo, Metrics())
    repository.scan()
    assert {
        entry.name: [str(each.state) for each in entry.versions] for entry in repository.entries()
    } == {path.parent.name: ["ready"] for path in sorted(zoo.glob("*/1"))}
    layers = repository.get("efficientnet-lite0").layers
    assert [layer.name for layer in layers if layer.default] == ["features"]


class TestServing:
    def test_what_is_there_at_the_start_is_served_at_once(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        assert repository.get("cat") is repository.get("cat", "1")
        assert repository.entry("cat").default_version == 1

    def test_a_new_version_is_served_when_its_files_rest(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        """The older one answers until then, and is unloaded after."""
        folder.good("cat", 1, "old")
        repository.scan()
        old = repository.get("cat")
        folder.good("cat", 2, "new")
        repository.scan()
        assert repository.get("cat") is old
        assert repository.states("cat") == {2: "loading", 1: "ready"}
        repository.scan()
        assert repository.tag("cat") == "new"
        assert repository.states("cat") == {2: "ready", 1: "unloaded"}
        assert repository.unloaded == [old]

    def test_a_half_copied_version_is_not_read(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        """Each look finds more bytes; the reader sees only the last of them."""
        repository.scan()
        whole = folder.good("source", 1)
        copy = folder.root / "cat" / "1"
        copy.mkdir(parents=True)
        data = (whole / "model.xml").read_bytes()
        for end in range(100, len(data), len(data) // 3):
            (copy / "model.xml").write_bytes(data[:end])
            repository.scan()
            assert repository.states("cat") == {1: "loading"}
        (copy / "model.xml").write_bytes(data)
        shutil.copy(whole / "model.bin", copy)
        repository.settle()
        assert repository.states("cat") == {1: "ready"}

    def test_a_broken_new_version_leaves_the_last_good_one(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        folder.broken("cat", 2)
        repository.settle()
        assert repository.get("cat") is served
        assert repository.states("cat") == {2: "failed", 1: "ready"}
        assert "model.xml" in repository.reason("cat", 2)
        assert repository.unloaded == []

    def test_a_repaired_version_is_served(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        folder.broken("cat", 2)
        repository.scan()
        assert repository.states("cat") == {2: "failed", 1: "ready"}
        folder.good("cat", 2, "repaired")
        repository.settle()
        assert repository.tag("cat") == "repaired"
        assert repository.states("cat") == {2: "ready", 1: "unloaded"}

    def test_replaced_files_are_read_again(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1, "old")
        repository.scan()
        old = repository.get("cat")
        folder.good("cat", 1, "new")
        repository.settle()
        assert repository.tag("cat") == "new"
        assert repository.unloaded == [old]

    def test_broken_replacements_leave_what_was_read(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        folder.broken("cat", 1)
        repository.settle()
        assert repository.get("cat", "1") is served
        assert repository.states("cat") == {1: "ready"}
        assert "the model read before stays served" in repository.reason("cat", 1)

    def test_files_that_vanish_leave_what_was_read(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        path = folder.good("cat", 1)
        repository.scan()
        for file in path.iterdir():
            file.unlink()
        repository.settle()
        assert repository.tag("cat") == "tiny"
        assert "no model file" in repository.reason("cat", 1)

    def test_a_removed_version_is_unloaded_for_the_one_before(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1, "old")
        folder.good("cat", 2, "new")
        repository.scan()
        new = repository.get("cat")
        shutil.rmtree(folder.root / "cat" / "2")
        repository.scan()
        assert repository.get("cat") is new
        repository.scan()
        assert repository.tag("cat") == "old"
        assert repository.states("cat") == {1: "ready"}
        assert repository.unloaded == [new]

    def test_a_version_that_is_swapped_by_renames_is_served_throughout(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1, "old")
        repository.scan()
        new = folder.good("staged", 1, "new")
        (folder.root / "cat" / "1").rename(folder.root / "cat" / "old")
        repository.scan()
        assert repository.tag("cat") == "old"
        new.rename(folder.root / "cat" / "1")
        repository.scan()
        assert repository.tag("cat") == "old"
        repository.scan()
        assert repository.tag("cat") == "new"

    def test_a_removed_model_is_gone(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        shutil.rmtree(folder.root / "cat")
        repository.settle()
        assert repository.entries() == ()
        assert repository.unloaded == [served]

    def test_a_root_that_is_away_changes_nothing(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        away = folder.root.rename(folder.root.with_name("away"))
        repository.settle()
        assert repository.tag("cat") == "tiny"
        away.rename(folder.root)
        repository.settle()
        assert repository.unloaded == []

    def test_one_broken_model_does_not_touch_another(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.broken("a", 1)
        folder.good("b", 1)
        folder.described("c", "tsk: raw")
        folder.good("c", 1)
        repository.scan()
        assert [repository.states(name) for name in "abc"] == [
            {1: "failed"}, {1: "ready"}, {1: "failed"},
        ]  # fmt: skip


class TestDescriptions:
    def test_a_changed_description_is_read_with_the_model(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.described("cat", "task: classification\nlabels: [a, b]")
        repository.scan()
        folder.described("cat", "task: classification\nlabels: [c, d]")
        repository.settle()
        assert repository.get("cat").spec.labels == ("c", "d")
        assert len(repository.unloaded) == 1

    def test_a_changed_labels_file_counts(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        folder.described("cat", "task: classification\nlabels: labels.txt")
        (folder.root / "cat" / "labels.txt").write_text("a\nb")
        repository.scan()
        (folder.root / "cat" / "labels.txt").write_text("cat\ndog")
        repository.settle()
        assert repository.get("cat").spec.labels == ("cat", "dog")

    @pytest.mark.parametrize("yaml", ["tsk: raw", "task: classification\ntarget_layer: nowhere"])
    def test_a_broken_description_leaves_what_was_read(
        self, folder: "Folder", repository: "Observed", yaml: str
    ) -> None:
        folder.good("cat", 1)
        folder.described("cat", "task: classification")
        repository.scan()
        served = repository.get("cat")
        folder.described("cat", yaml)
        repository.settle()
        assert repository.get("cat") is served
        assert "unknown key" in repository.reason("cat", 1) or "nowhere" in repository.reason(
            "cat", 1
        )

    def test_a_repaired_description_is_read(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        folder.described("cat", "tsk: raw")
        repository.scan()
        assert "Did you mean 'task'" in repository.reason("cat", 1)
        folder.described("cat", "task: classification")
        repository.settle()
        assert repository.get("cat").spec.task is Task.CLASSIFICATION

    def test_what_concerns_the_folder_only_reads_nothing_again(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.described("cat", "task: classification")
        repository.scan()
        served = repository.get("cat")
        folder.described("cat", "task: classification\naliases: [kitten]\nversions: [1]")
        (folder.root / "cat" / "README.md").write_text("A card.")
        repository.settle()
        assert repository.get("kitten") is served


class TestVersions:
    def test_without_pins_only_the_newest_is_read(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        for version in (1, 2, 10):
            folder.good("cat", version)
        repository.scan()
        assert repository.states("cat") == {10: "ready", 2: "unloaded", 1: "unloaded"}

    def test_pins_say_what_is_served(self, folder: "Folder", repository: "Observed") -> None:
        for version in (1, 2, 3):
            folder.good("cat", version)
        folder.described("cat", "versions: [1, 2, 7]")
        repository.scan()
        assert repository.states("cat") == {7: "failed", 3: "unloaded", 2: "ready", 1: "ready"}
        assert "no folder" in repository.reason("cat", 7)
        assert repository.get("cat").version == 2

    def test_the_default_can_be_pinned(self, folder: "Folder", repository: "Observed") -> None:
        for version in (1, 2, 3):
            folder.good("cat", version)
        folder.described("cat", "default_version: 1")
        repository.scan()
        assert repository.states("cat") == {3: "ready", 2: "unloaded", 1: "ready"}
        assert repository.get("cat").version == 1

    def test_a_pinned_default_that_fails_is_not_replaced_silently(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.broken("cat", 1)
        folder.good("cat", 2)
        folder.described("cat", "default_version: 1")
        repository.scan()
        assert repository.get("cat", "2").version == 2
        with pytest.raises(ModelUnavailable, match="cat version 1 cannot be served"):
            repository.get("cat")

    def test_pins_that_change_load_and_unload(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        for version in (1, 2):
            folder.good("cat", version)
        folder.described("cat", "versions: [1]")
        repository.scan()
        first = repository.get("cat")
        folder.described("cat", "versions: [2]")
        repository.settle()
        assert repository.states("cat") == {2: "ready", 1: "unloaded"}
        assert repository.unloaded == [first]


class TestAliases:
    def test_a_model_answers_to_its_aliases(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        folder.described("cat", "aliases: [parent, kitten]")
        repository.scan()
        assert repository.get("kitten") is repository.get("parent", "1") is repository.get("cat")
        assert repository.entry("kitten").name == "cat"
        assert repository.entry("cat").spec.aliases == ("parent", "kitten")

    def test_of_two_new_models_the_first_by_name_has_the_alias(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        for name in ("b", "a"):
            folder.good(name, 1)
            folder.described(name, "aliases: [parent]")
        repository.scan()
        assert repository.entry("parent").name == "a"
        assert repository.entry("b").spec.aliases == ()
        assert repository.reason("b", 1) == "alias 'parent' is taken by a"

    def test_who_has_an_alias_keeps_it(self, folder: "Folder", repository: "Observed") -> None:
        """The later one is refused it, and gets it when it is free."""
        folder.good("b", 1)
        folder.described("b", "aliases: [parent]")
        repository.scan()
        folder.good("a", 1)
        folder.described("a", "aliases: [parent]")
        repository.settle()
        assert repository.entry("parent").name == "b"
        assert repository.states("a") == {1: "ready"}
        assert repository.reason("a", 1) == "alias 'parent' is taken by b"
        folder.described("b", "aliases: []")
        repository.settle()
        assert repository.entry("parent").name == "a"

    def test_a_folder_wins_over_an_alias(self, folder: "Folder", repository: "Observed") -> None:
        folder.good("cat", 1)
        folder.described("cat", "aliases: [dog]")
        folder.good("dog", 1)
        repository.scan()
        assert repository.get("dog").name == "dog"
        assert repository.reason("cat", 1) == "alias 'dog' is taken by dog"


class TestCalls:
    def test_an_unloaded_model_stays_so_until_it_is_loaded(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.good("cat", 2)
        repository.scan()
        served = repository.get("cat")
        assert repository.unload("cat").default_version is None
        repository.settle()
        assert repository.states("cat") == {2: "unloaded", 1: "unloaded"}
        assert repository.unloaded == [served]
        with pytest.raises(ModelUnavailable, match="call LoadModel"):
            repository.get("cat")
        assert repository.load("cat").default_version == 2
        assert repository.get("cat") is not served

    def test_an_unloaded_model_comes_back_when_its_files_change(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        repository.unload("cat")
        repository.settle()
        folder.good("cat", 1, "new")
        repository.settle()
        assert repository.tag("cat") == "new"

    def test_a_new_version_is_served_though_the_old_one_was_unloaded(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        repository.unload("cat")
        folder.good("cat", 2)
        repository.settle()
        assert repository.states("cat") == {2: "ready", 1: "unloaded"}

    def test_unloading_the_newest_does_not_bring_an_older_one(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.good("cat", 2)
        repository.scan()
        repository.unload("cat", "2")
        repository.settle()
        assert repository.states("cat") == {2: "unloaded", 1: "unloaded"}

    def test_unloading_a_failed_version_leaves_the_others(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.broken("cat", 2)
        repository.scan()
        repository.unload("cat", "2")
        repository.settle()
        assert repository.states("cat") == {2: "unloaded", 1: "ready"}

    def test_a_load_of_one_version_does_not_fail_for_another(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        folder.broken("cat", 2)
        assert repository.load("cat", "1").default_version == 1

    def test_an_older_version_can_be_loaded_and_stays(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1, "old")
        folder.good("cat", 2, "new")
        repository.scan()
        entry = repository.load("cat", "1")
        repository.settle()
        assert repository.states("cat") == {2: "ready", 1: "ready"}
        assert entry.default_version == 2
        assert repository.tag("cat", "1") == "old"
        folder.good("cat", 3)
        repository.settle()
        assert repository.states("cat") == {3: "ready", 2: "unloaded", 1: "ready"}

    def test_load_reads_again_even_where_nothing_changed(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        assert repository.load("cat").versions[0].served is repository.get("cat") is not served
        assert repository.unloaded == [served]

    def test_load_finds_what_no_look_has_seen(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        assert repository.load("cat").default_version == 1

    def test_a_load_that_fails_leaves_what_was_read(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        folder.broken("cat", 1)
        with pytest.raises(ModelUnavailable, match=r"cat version 1 cannot be served: model\.xml"):
            repository.load("cat", "1")
        assert repository.get("cat") is served

    def test_a_load_succeeds_where_an_older_version_does(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        """As the settings ask: the newest that works."""
        folder.good("cat", 1)
        folder.broken("cat", 2)
        assert repository.load("cat").default_version == 1

    def test_a_load_of_a_removed_version_does_not_find_it(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.good("cat", 2)
        repository.scan()
        shutil.rmtree(folder.root / "cat" / "2")
        with pytest.raises(NotFound, match="it has 1"):
            repository.load("cat", "2")

    def test_a_load_with_a_broken_description_says_so(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.described("cat", "tsk: raw")
        with pytest.raises(ModelUnavailable, match=r"model\.yaml: tsk: unknown key"):
            repository.load("cat")

    def test_a_load_of_an_empty_model_says_so(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.described("cat", "task: raw")
        repository.scan()
        with pytest.raises(ModelUnavailable, match="no version folder"):
            repository.load("cat")
        with pytest.raises(ModelUnavailable, match="add cat/1"):
            repository.get("cat")


class TestNames:
    @pytest.fixture
    def served(self, folder: "Folder", repository: "Observed") -> "Observed":
        folder.good("cat", 1)
        folder.good("cat", 2)
        folder.broken("dog", 1)
        repository.scan()
        return repository

    @pytest.mark.parametrize("call", ["get", "load", "unload", "entry"])
    @pytest.mark.parametrize(
        ("name", "hint"),
        [("cta", "Did you mean 'cat'"), ("zebra", "Known: cat, dog"), ("", "Known")],
    )
    def test_an_unknown_name_names_the_known(
        self, served: "Observed", call: str, name: str, hint: str
    ) -> None:
        with pytest.raises(NotFound, match=hint) as caught:
            getattr(served, call)(name)
        assert caught.value.field == "model_name"

    @pytest.mark.parametrize("call", ["get", "load", "unload"])
    def test_an_unknown_version_names_the_known(self, served: "Observed", call: str) -> None:
        with pytest.raises(NotFound, match=r"cat has no version 3; it has 2, 1") as caught:
            getattr(served, call)("cat", "3")
        assert caught.value.field == "model_version"

    @pytest.mark.parametrize("call", ["get", "load", "unload"])
    @pytest.mark.parametrize(
        "version", ["0", "-1", "01", "1.0", "latest", " 1", "\uff11", "9" * 30]
    )
    def test_a_version_is_a_positive_whole_number(
        self, served: "Observed", call: str, version: str
    ) -> None:
        with pytest.raises(InvalidInput, match="positive whole number") as caught:
            getattr(served, call)("cat", version)
        assert caught.value.field == "model_version"

    def test_a_version_that_is_not_served_says_why(self, served: "Observed") -> None:
        with pytest.raises(ModelUnavailable, match=r"not loaded .*call LoadModel") as caught:
            served.get("cat", "1")
        assert caught.value.field == "model_version"
        with pytest.raises(ModelUnavailable, match=r"dog version 1 cannot be served: model\.xml"):
            served.get("dog")


class TestAround:
    def test_metrics_count_loads_and_what_is_served(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        folder.good("cat", 1)
        folder.broken("dog", 1)
        repository.scan()
        repository.load("cat")
        value = repository.metrics.registry.get_sample_value
        assert value("pellucid_models_loaded") == 1
        loads = "pellucid_model_loads_total"
        assert value(loads, {"model": "cat", "outcome": "success"}) == 2
        assert value(loads, {"model": "dog", "outcome": "failure"}) == 1
        repository.unload("cat")
        assert value("pellucid_models_loaded") == 0

    def test_metrics_tell_the_states_of_a_model_s_versions(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        """Also of one that stays served though its newer files are broken: `degraded`."""
        folder.good("cat", 1)
        folder.broken("dog", 1)
        repository.scan()
        value, states = repository.metrics.registry.get_sample_value, "pellucid_model_versions"
        assert value(states, {"model": "cat", "state": "ready"}) == 1
        assert value(states, {"model": "dog", "state": "failed"}) == 1
        folder.broken("cat", 1)
        with pytest.raises(ModelUnavailable):
            repository.load("cat")
        assert value(states, {"model": "cat", "state": "ready"}) is None
        assert value(states, {"model": "cat", "state": "degraded"}) == 1

    def test_a_refused_model_is_failed(self, folder: "Folder", tmp_path: Path) -> None:
        """The engine's check, which knows the tasks, decides with the repository's own."""

        def refuse(served: ServedModel) -> None:
            raise InvalidInput(f"{served.name} has too few labels", field="labels")

        folder.good("cat", 1)
        repository = ModelRepository(tmp_path, Metrics(), check=refuse)
        repository.scan()
        with pytest.raises(ModelUnavailable, match=r"model\.yaml: labels: cat has too few"):
            repository.get("cat")

    def test_readers_never_wait_for_a_load(
        self, folder: "Folder", repository: "Observed", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.good("cat", 1)
        repository.scan()
        served = repository.get("cat")
        started, release = threading.Event(), threading.Event()
        read = repository._loader.read

        def slow(path: Path, declared: ModelSpec | None) -> ServedModel:
            started.set()
            assert release.wait(30)
            return read(path, declared)

        monkeypatch.setattr(repository._loader, "read", slow)
        folder.good("cat", 2)
        thread = threading.Thread(target=repository.settle)
        thread.start()
        assert started.wait(30)
        assert repository.get("cat") is served
        assert repository.states("cat") == {2: "loading", 1: "ready"}
        with pytest.raises(ModelUnavailable, match="is being read: try again"):
            repository.get("cat", "2")
        release.set()
        thread.join()
        assert repository.get("cat").version == 2

    def test_files_that_change_under_the_reader_are_read_again(
        self, folder: "Folder", repository: "Observed", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was read may be half old, half new."""
        path = folder.good("cat", 1, "old")
        read = repository._loader.read

        def disturbed(path: Path, declared: ModelSpec | None) -> ServedModel:
            served = read(path, declared)
            os.utime(path / "model.bin", ns=(1, 1))
            return served

        monkeypatch.setattr(repository._loader, "read", disturbed)
        repository.scan()
        assert "changed while" in repository.reason("cat", 1)
        monkeypatch.setattr(repository._loader, "read", read)
        assert path.exists()
        repository.settle()
        repository.settle()
        assert repository.states("cat") == {1: "ready"}

    def test_the_background_watch_serves_and_ends(
        self, folder: "Folder", repository: "Observed"
    ) -> None:
        repository.start()
        folder.good("cat", 1)
        wait_until(lambda: any(each.default_version for each in repository.entries()))
        repository.close()
        assert repository._thread is not None
        assert not repository._thread.is_alive()

    def test_the_background_watch_outlives_a_bug(
        self, folder: "Folder", repository: "Observed", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        look, calls = repository._watch.look, []

        def fail_once() -> object:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError
            return look()

        monkeypatch.setattr(repository._watch, "look", fail_once)
        folder.good("cat", 1)
        repository.start()
        wait_until(lambda: bool(repository.entries()))


def wait_until(condition: Callable[[], bool]) -> None:
    """Gives the background thread the time it needs; the test's timeout ends it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.005)
