"""Data sets that are sent: what, in which pieces, and again where the connection broke."""

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import pellucid
from pellucid._transport import local_files, patience
from pellucid._transport.local_files import read
from pellucid._transport.sending import Sending
from pellucid.v1 import evaluation_pb2

CHUNK = 2**20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.001)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files that are sent, one of them of three chunks, and two that are hidden."""
    root = tmp_path / "set"
    contents = {
        "b.txt": b"",
        "cat/1.jpg": b"one" * CHUNK,
        "cat/2.jpg": b"two",
        "dog/deep/1.jpg": b"two",
        ".git/config": b"hidden",
        ".DS_Store": b"hidden",
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


SENT = ["b.txt", "cat/1.jpg", "cat/2.jpg", "dog/deep/1.jpg"]


def named(evaluations: Any) -> list[Any]:
    """The files of the data set that was made last."""
    found: list[Any] = evaluations.asked(list)[-1]
    return found


def test_a_folder_is_sent_with_its_paths(client: Any, evaluations: Any, folder: Path) -> None:
    found = client.upload_dataset(folder)
    assert [each.path for each in named(evaluations)] == SENT
    assert (found.files, found.bytes) == (4, 3 * CHUNK + 6)
    assert found.name.startswith("uploads/")
    assert found.expire_time.year == 2027
    for each in named(evaluations):
        content = (folder / each.path).read_bytes()
        assert bytes(evaluations.files[each.sha256]) == content
        assert each.sha256 == hashlib.sha256(content).digest()


def test_nothing_is_sent_twice(client: Any, evaluations: Any, folder: Path) -> None:
    """Two equal files go once to a server that has the first when it is asked."""
    first = client.upload_dataset(folder)
    assert client.upload_dataset(folder).name == first.name
    assert evaluations.chunks[-1] == 0
    (folder / "cat/3.jpg").write_bytes(b"three")
    assert client.upload_dataset(folder).name != first.name
    assert evaluations.chunks[-1] == 1


def test_a_broken_upload_goes_on_where_it_broke(
    client: Any, evaluations: Any, folder: Path
) -> None:
    evaluations.breaks = [1, 0, 1]
    client.upload_dataset(folder)
    assert evaluations.chunks[:3] == [1, 0, 1]
    assert sum(evaluations.chunks) == 4, "three of the large file, one of the two equal ones"
    assert bytes(evaluations.files[named(evaluations)[1].sha256]) == b"one" * CHUNK


def test_a_connection_that_never_holds_is_given_up(
    client: Any, evaluations: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.05)
    monkeypatch.setattr(patience, "LONGEST_DELAY", 0.01)
    evaluations.breaks = [0] * 10_000
    with pytest.raises(pellucid.UnavailableError):
        client.upload_dataset(folder)
    assert len(evaluations.breaks) < 10_000


def test_without_retries_a_break_is_an_error(
    make: Callable[..., Any], evaluations: Any, folder: Path
) -> None:
    evaluations.breaks = [1]
    with pytest.raises(pellucid.UnavailableError):
        make(retries=0).upload_dataset(folder)


def test_a_server_that_refuses_is_not_asked_again(
    client: Any, evaluations: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def refuse(_named: list[Any], context: Any) -> Any:
        tries.append(1)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the quota is full")

    monkeypatch.setattr(evaluations, "_committed", refuse)
    with pytest.raises(pellucid.ResourceExhaustedError, match="the quota is full"):
        client.upload_dataset(folder)
    assert len(tries) == 1


def test_a_server_that_refuses_at_once_is_heard(
    client: Any, evaluations: Any, folder: Path
) -> None:
    """Its status may meet parts on their way, which asyncio's gRPC then tells instead of it."""

    def refuse(request_iterator: Any, context: Any) -> Any:
        next(request_iterator)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the quota is full")

    evaluations.refuse = refuse
    for _ in range(20):
        with pytest.raises(pellucid.ResourceExhaustedError, match="the quota is full"):
            client.upload_dataset(folder)


def test_progress_counts_what_the_server_had_already(
    client: Any, evaluations: Any, folder: Path
) -> None:
    evaluations.breaks = [2]
    seen: list[pellucid.UploadProgress] = []
    client.upload_dataset(folder, progress=seen.append)
    total = 3 * CHUNK + 6
    assert {(each.total, each.files) for each in seen} == {(total, 4)}
    reading = [each.done for each in seen if each.stage == "reading"]
    assert reading == [0, 3 * CHUNK, 3 * CHUNK + 3, total]
    sending = [each.done for each in seen if each.stage == "sending"]
    assert (sending[0], sending[-1]) == (0, total)
    assert 2 * CHUNK in sending


def test_what_progress_raises_ends_the_upload(client: Any, folder: Path) -> None:
    def stop(progress: pellucid.UploadProgress) -> None:
        if progress.stage == "sending" and progress.done:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.upload_dataset(folder, progress=stop)


def test_a_file_that_shrinks_meanwhile_ends_the_upload(
    client: Any, evaluations: Any, folder: Path
) -> None:
    """And the server does not take what arrived for the whole data set."""

    def shrink(progress: pellucid.UploadProgress) -> None:
        if progress.stage == "sending" and progress.done < 2:
            (folder / "dog/deep/1.jpg").write_bytes(b"")

    evaluations.files[hashlib.sha256(b"two").digest()] = bytearray(b"t")
    (folder / "cat/2.jpg").unlink()
    with pytest.raises(pellucid.InvalidArgumentError, match="was changed while it was sent"):
        client.upload_dataset(folder, progress=shrink)
    assert not evaluations.asked(list)


def test_an_archive_is_one_file(client: Any, evaluations: Any, tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.jpg", b"one")
    client.upload_dataset(path)
    assert [each.path for each in named(evaluations)] == ["set.zip"]


def test_a_path_is_sent_and_evaluated(client: Any, evaluations: Any, folder: Path) -> None:
    seen: list[str] = []
    client.evaluate(folder, model="lights", on_upload=lambda each: seen.append(each.stage)).result()
    (request,) = evaluations.asked(evaluation_pb2.EvaluateDatasetRequest)
    assert request.dataset.startswith("uploads/")
    assert {"reading", "sending"} == set(seen)


@pytest.mark.parametrize(
    ("kind", "upload", "sent"),
    [(Path, None, True), (Path, False, False), (str, None, False), (str, True, True)],
)
def test_texts_are_the_servers_and_paths_are_ours(
    client: Any, evaluations: Any, folder: Path, kind: type, upload: Any, sent: Any
) -> None:
    client.evaluate(kind(folder), model="lights", upload=upload).result()
    (request,) = evaluations.asked(evaluation_pb2.EvaluateDatasetRequest)
    assert request.dataset.startswith("uploads/") is sent


def test_a_calibration_set_may_be_sent_too(client: Any, evaluations: Any, folder: Path) -> None:
    client.optimize("lights", dataset=folder).result()
    assert evaluations.asked(list)


@pytest.mark.parametrize("answer", [[], [0, 0, 0, 9], [0, 0, -1, 0], [0] * 5])
def test_an_answer_that_does_not_fit_is_the_servers_fault(folder: Path, answer: list[int]) -> None:
    response = evaluation_pb2.FindUploadedFilesResponse(received_bytes=answer)
    with pytest.raises(pellucid.InternalError, match="does not fit"):
        Sending(read(folder), None).received(response)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pellucid.InvalidArgumentError, match="no files in") as caught:
        read(tmp_path)
    assert caught.value.field == "dataset"


def test_what_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    with pytest.raises(pellucid.InvalidArgumentError, match="UTF-8"):
        read(tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "links"
    root.mkdir()
    (root / "set").symlink_to(folder)
    (root / "file.jpg").symlink_to(folder / "cat/2.jpg")
    (folder / "cat" / "up").symlink_to(root)
    (root / "dead").symlink_to(tmp_path / "nowhere")
    assert [each.name for each in read(root)] == ["file.jpg", *(f"set/{name}" for name in SENT)]


def test_digests_are_of_the_whole_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_files, "CHUNK", 7)
    (file,) = [each for each in read(folder) if each.name == "cat/2.jpg"]
    assert b"".join(file.chunks(1)) == b"wo"
    assert file.message(1).offset == 1
