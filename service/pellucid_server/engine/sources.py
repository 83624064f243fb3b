"""What callers send, as images: bytes decoded, URIs read from allowed roots alone."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.imaging.decode import Decoded, decode_image, decode_reduced
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import EncodedImage, Image, Size, Source, TensorInput


@dataclass(frozen=True)
class SourceReader:
    """Turns what callers send into images, within the limits."""

    roots: Sequence[Path]
    max_pixels: int
    max_bytes: int
    metrics: Metrics

    def image(self, source: Source, field: str) -> Image:
        """Decodes an image or reads it from an allowed root; `field` names it in errors.

        Raises:
            InvalidInput: not an image, or not one within the limits.
            OutsideRoot, NotFound: a URI that leads elsewhere, or nowhere.
        """
        data, place = self._data(source, field)
        with self.metrics.decode_seconds.time():
            return decode_image(data, max_pixels=self.max_pixels, field=place)

    def reduced(self, source: Source, needed: Size, field: str) -> Decoded:
        """As `image`, but a large JPEG may come smaller, at least twice `needed`."""
        data, place = self._data(source, field)
        with self.metrics.decode_seconds.time():
            return decode_reduced(data, needed, max_pixels=self.max_pixels, field=place)

    def _data(self, source: Source, field: str) -> tuple[bytes, str]:
        if isinstance(source, TensorInput):
            raise InvalidInput("an image is needed here: set `image` or `uri`", field=field)
        if isinstance(source, EncodedImage):
            return source.data, f"{field}.image"
        return self._read(source.value, f"{field}.uri"), f"{field}.uri"

    def _read(self, uri: str, field: str) -> bytes:
        if not self.roots:
            raise OutsideRoot(
                "this server reads no URIs: its setting `data_roots` is empty", field=field
            )
        candidates = [self._inside(root, _path(uri, field)) for root in self.roots]
        allowed = [path for path in candidates if path is not None]
        if not allowed:
            raise OutsideRoot(
                "the URI leads out of the folders that this server may read", field=field
            )
        for path in allowed:
            if (data := self._contents(path, field)) is not None:
                return data
        raise NotFound("no file of that name under the folders that may be read", field=field)

    @staticmethod
    def _inside(root: Path, path: Path) -> Path | None:
        root = root.resolve()
        resolved = (root / path).resolve()
        return resolved if resolved.is_relative_to(root) else None

    def _contents(self, path: Path, field: str) -> bytes | None:
        try:
            # The path was resolved: a link in it now was put there since, and is not followed.
            # A pipe would block: it is opened without waiting and then refused.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            self._check(handle, path, field)
            return _read_all(handle)
        finally:
            os.close(handle)

    def _check(self, handle: int, path: Path, field: str) -> None:
        state = os.fstat(handle)
        if Path(f"/proc/self/fd/{handle}").readlink() != path:
            raise OutsideRoot("the file was moved while it was read", field=field)
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput("the URI names no regular file", field=field)
        if state.st_size > self.max_bytes:
            raise InvalidInput(
                f"the file has {state.st_size} bytes; the limit is {self.max_bytes} "
                "(setting `limits.message_bytes`)",
                field=field,
                reason="message_size",
            )


def _read_all(handle: int) -> bytes:
    with os.fdopen(handle, "rb", closefd=False) as file:
        return file.read()


def _path(uri: str, field: str) -> Path:
    parts = urlsplit(uri) if uri.startswith("file:") else None
    if parts is None and "://" in uri:
        scheme = uri.split("://", maxsplit=1)[0]
        raise InvalidInput(
            f"only `file:` URIs and relative paths are read, not {scheme!r}", field=field
        )
    if parts is not None and parts.netloc not in {"", "localhost"}:
        raise InvalidInput(f"a `file:` URI has no host, this one has {parts.netloc!r}", field=field)
    path = uri if parts is None else unquote(parts.path)
    if not path or "\0" in path:
        raise InvalidInput("the URI names no file", field=field)
    return Path(path)
