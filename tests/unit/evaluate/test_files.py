import errno

import pytest

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot, Overloaded
from pellucid_server.evaluate.files import checked_path, failure, is_hidden, joined


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("", ""),
        (".", ""),
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a/./b/", "a/b"),
        ("a/..b/c..", "a/..b/c.."),
        ("bücher/日本.png", "bücher/日本.png"),
    ],
)
def test_paths_lose_what_says_nothing(path: str, clean: str) -> None:
    assert checked_path(path) == clean


@pytest.mark.parametrize("path", ["..", "../a", "a/../b", "a/..", "/a", "/", "//a"])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(OutsideRoot, match="leads out") as caught:
        checked_path(path)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize("path", ["a\0b", "a\udcffb", "a" * 5000, "a/" * 200 + "b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """NUL, half a surrogate, too long, too deep."""
    with pytest.raises(InvalidInput) as caught:
        checked_path(path)
    assert caught.value.field == "dataset"


@pytest.mark.parametrize(
    ("name", "hidden"),
    [(".DS_Store", True), ("__MACOSX", True), ("a\udcff", True), ("a.jpg", False), ("_a", False)],
)
def test_hidden_names(name: str, *, hidden: bool) -> None:
    assert is_hidden(name) is hidden


def test_names_join_below_the_root_and_below_a_folder() -> None:
    assert (joined("", "a"), joined("a/b", "c")) == ("a", "a/b/c")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, NotFound),
        (errno.ENOTDIR, NotFound),
        (errno.ELOOP, NotFound),
        (errno.EACCES, InvalidInput),
        (errno.ENOSPC, Overloaded),
        (errno.EIO, Overloaded),
        (errno.EMFILE, Overloaded),
    ],
)
def test_what_the_system_says_of_a_file_is_told_from_what_it_says_of_itself(
    number: int, kind: type[Exception]
) -> None:
    """A failing disk is not a wrong annotation."""
    assert type(failure(OSError(number, "so it is"), "a.jpg", "set")) is kind
