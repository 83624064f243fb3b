"""Data sets that clients send."""

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from pellucid.v1 import evaluation_pb2
from pellucid_server.call import Call
from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.uploads import Uploaded, Uploads


class UploadReader:
    """Takes a stream of files apart, and keeps each as it comes."""

    def __init__(
        self, parts: Iterator[evaluation_pb2.UploadDatasetRequest], uploads: Uploads, call: Call
    ) -> None:
        self._parts = parts
        self._uploads = uploads
        self._call = call
        self._next: evaluation_pb2.UploadFile | None = None

    def files(self) -> Iterator[tuple[str, bytes, int]]:
        """Path, SHA-256 and size of each file, once it is kept.

        Raises:
            InvalidInput: the stream begins with a chunk, a part is empty, or a file is wrong.
        """
        first = next(self._parts, None)
        if first is None or first.WhichOneof("part") != "file":
            raise InvalidInput("an upload begins with a file", field="file")
        self._next = first.file
        while self._next is not None:
            file, self._next = self._next, None
            self._uploads.write(file.sha256, file.size, file.offset, self._chunks())
            yield file.path, file.sha256, file.size

    def _chunks(self) -> Iterator[bytes]:
        for part in self._parts:
            self._call.check()
            match part.WhichOneof("part"):
                case "chunk":
                    yield part.chunk
                case "file":
                    self._next = part.file
                    return
                case _:
                    raise InvalidInput("a part has a file or a chunk", field="part")


def encode_uploaded(uploaded: Uploaded) -> evaluation_pb2.UploadDatasetResponse:
    """What was received."""
    expire_time = Timestamp()
    expire_time.FromNanoseconds(round(uploaded.expires * 1e9))
    return evaluation_pb2.UploadDatasetResponse(
        dataset=uploaded.name,
        files=uploaded.files,
        bytes=uploaded.bytes,
        expire_time=expire_time,
    )
