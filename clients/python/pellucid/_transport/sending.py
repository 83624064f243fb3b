"""An upload as it stands: what the server has, and what is still to be sent."""

from collections.abc import Iterator, Sequence

from pellucid._transport.local_files import LocalFile, OnProgress
from pellucid._wire import common
from pellucid.errors import InternalError
from pellucid.uploads import UploadedDataset, UploadProgress
from pellucid.v1 import evaluation_pb2 as pb


class Sending:
    """What both flavours send, and in which order."""

    def __init__(self, files: Sequence[LocalFile], progress: OnProgress | None) -> None:
        self._files = files
        self._progress = progress
        self._received: Sequence[int] = ()
        self._total = sum(each.size for each in files)
        self._most = -1

    def questions(self) -> Iterator[pb.FindUploadedFilesRequest]:
        """The files, to ask how much of each is there."""
        return (pb.FindUploadedFilesRequest(file=each.message()) for each in self._files)

    def received(self, response: pb.FindUploadedFilesResponse) -> bool:
        """Notes what is there; whether that is more than ever before.

        Raises:
            InternalError: the answer does not fit the question.
        """
        sizes = [each.size for each in self._files]
        there = list(response.received_bytes)
        if len(there) != len(sizes) or not all(
            0 <= part <= size for part, size in zip(there, sizes, strict=True)
        ):
            raise InternalError("the server's list of received files does not fit the data set")
        self._received = there
        more = sum(there) > self._most
        self._most = max(self._most, sum(there))
        self._tell(sum(there))
        return more

    def parts(self) -> Iterator[pb.UploadDatasetRequest]:
        """Every file, with the bytes that are not there yet; of equal files the first alone."""
        done = sum(self._received)
        whole: set[bytes] = set()
        for file, there in zip(self._files, self._received, strict=True):
            offset = file.size if file.sha256 in whole else there
            whole.add(file.sha256)
            done += offset - there
            yield pb.UploadDatasetRequest(file=file.message(offset))
            for chunk in file.chunks(offset):
                yield pb.UploadDatasetRequest(chunk=chunk)
                done += len(chunk)
                self._tell(done)
        self._tell(done)

    def _tell(self, done: int) -> None:
        if self._progress:
            self._progress(UploadProgress("sending", done, self._total, len(self._files)))


def uploaded(response: pb.UploadDatasetResponse) -> UploadedDataset:
    """The data set that the server made of it."""
    return UploadedDataset(
        name=response.dataset,
        files=response.files,
        bytes=response.bytes,
        expire_time=common.when(response, "expire_time"),
    )
