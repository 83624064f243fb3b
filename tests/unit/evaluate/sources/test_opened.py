import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import Files
from pellucid_server.evaluate.sources.folder import Folder
from pellucid_server.evaluate.sources.opened import Opened


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Folder(tmp_path, (tmp_path,), "set")


def test_what_is_open_is_not_opened_again_by_any_thread(files: Files) -> None:
    opened, made = Opened(), []

    def make() -> Files:
        time.sleep(0.01)
        made.append(1)
        return files

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: opened.get("a", make), range(16))) == [files] * 16
    assert len(made) == 1


def test_the_least_recently_used_goes_first(files: Files) -> None:
    opened = Opened(keep=2)
    made: list[str] = []

    def make(key: str) -> Files:
        made.append(key)
        return files

    for key in "abacab":
        opened.get(key, partial(make, key))
    assert made == ["a", "b", "c", "b"]


def test_failures_and_what_is_no_archive_are_not_kept(files: Files) -> None:
    opened = Opened()

    def fail() -> Files:
        raise InvalidInput("damaged")

    with pytest.raises(InvalidInput):
        opened.get("a", fail)
    assert opened.get("a", lambda: None) is None
    assert opened.get("a", lambda: files) is files
