"""Object stores and other places that fsspec reaches; only this module knows it."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot, Overloaded, PellucidError
from pellucid_server.evaluate.files import (
    FIELD,
    Files,
    absent,
    checked_path,
    failure,
    is_hidden,
    joined,
    too_large,
)
from pellucid_server.evaluate.sources.archive import archive_files
from pellucid_server.evaluate.sources.compressed import CHUNK
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.opened import Opened
from pellucid_server.evaluate.sources.single import Single
from pellucid_server.evaluate.sources.spool import Spool
from pellucid_server.evaluate.sources.stored import Stored, buffered


def remote_files(
    uri: str, allowed: Sequence[str], limits: Limits, opened: Opened, check: Callable[[], None]
) -> Files:
    """The files under `s3://bucket/folder` and the like; an archive is fetched whole.

    `allowed` has schemes, `s3`, and beginnings of URIs, `s3://bucket/folder`.

    Raises:
        OutsideRoot: the URI is not allowed.
        InvalidInput: the server lacks what reads it.
        NotFound: nothing is there.
        Overloaded: the store does not answer.
    """
    _check_allowed(uri, allowed)
    parts = urlsplit(uri)
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    system, root = _connected(uri, name)
    with _translated("", name):
        if system.isdir(root):
            return Remote(system, root, name)
        if not system.isfile(root):
            raise NotFound(f"there is no data set {name!r}", field=FIELD)
        version = system.ukey(root)
    folder, _, file = root.rstrip("/").rpartition("/")
    beside = Remote(system, folder, name)
    archive = opened.get(
        (uri, version),
        lambda: archive_files(_fetched(beside, file, limits, check), limits, check),
    )
    return archive or Single(beside, file)


class Remote(Files):
    """A folder of an fsspec file system. It remembers the names of one folder at a time."""

    def __init__(self, system: Any, root: str, name: str) -> None:
        self.name = name
        self._system = system
        self._root = root.rstrip("/")
        self._newest: tuple[str, Sequence[str], Sequence[str]] | None = None

    def folders(self, under: str = "") -> Sequence[str]:
        return self._listed(checked_path(under))[1]

    def files(self, under: str = "") -> Iterator[str]:
        folder = checked_path(under)
        for name in self._listed(folder)[2]:
            yield joined(folder, name)

    def has(self, path: str) -> bool:
        with _translated(path, self.name):
            return bool(self._system.isfile(self._full(path)))

    def open(self, path: str) -> BinaryIO:
        with _translated(path, self.name):
            if not self._system.isfile(self._full(path)):
                raise absent(path, self.name)
            file = self._system.open(self._full(path), "rb")
        return buffered(_Guarded(file, path, self.name))

    def size(self, path: str) -> int:
        with _translated(path, self.name):
            size = self._system.info(self._full(path)).get("size")
        if size is None:
            raise InvalidInput(f"the store does not tell the size of {path[:200]!r}", field=FIELD)
        return int(size)

    def read(self, path: str, limit: int) -> bytes:
        with _translated(path, self.name):
            # One request, where opening takes several.
            data = bytes(self._system.cat_file(self._full(path), start=0, end=limit + 1))
        if len(data) > limit:
            raise too_large(path, len(data), limit)
        return data

    def _full(self, path: str) -> str:
        return f"{self._root}/{checked_path(path)}".rstrip("/")

    def _listed(self, folder: str) -> tuple[str, Sequence[str], Sequence[str]]:
        newest = self._newest
        if newest is None or newest[0] != folder:
            newest = self._newest = (folder, *self._names(self._full(folder)))
        return newest

    def _names(self, place: str) -> tuple[Sequence[str], Sequence[str]]:
        """Names of the folders and of the files in a folder."""
        names: dict[str, list[str]] = {"directory": [], "file": []}
        try:
            with _translated("", self.name):
                entries = self._system.ls(place, detail=True)
        except NotFound:
            entries = []
        for entry in entries:
            path = entry["name"].rstrip("/")
            name = path.rpartition("/")[2]
            # Object stores list a folder's marker as a file in it.
            if path.strip("/") != place.strip("/") and not is_hidden(name):
                names.setdefault(entry["type"], []).append(name)
        return sorted(set(names["directory"])), sorted(names["file"])


class _Guarded(io.RawIOBase):
    """A remote file whose failures are the domain's."""

    def __init__(self, file: Any, path: str, name: str) -> None:
        super().__init__()
        self._file, self._path, self._name = file, path, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        with _translated(self._path, self._name):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _translated(self._path, self._name):
            return int(self._file.seek(offset, whence))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _translated(path: str, name: str) -> Iterator[None]:
    try:
        yield
    except PellucidError:
        raise
    except OSError as error:
        raise failure(error, path, name) from error
    except Exception as error:  # the stores' libraries share no class of errors
        raise Overloaded(
            f"{name} does not answer: {type(error).__name__}", retry_after=5
        ) from error


def _check_allowed(uri: str, allowed: Sequence[str]) -> None:
    scheme = uri.partition("://")[0]
    is_plain = "::" not in uri and ".." not in unquote(uri).split("/")
    if is_plain and any(_begins(uri, scheme, beginning) for beginning in allowed):
        return
    known = ", ".join(allowed) or "none"
    raise OutsideRoot(
        f"the server does not read this URI; the setting `datasets.remotes` allows: {known}",
        field=FIELD,
    )


def _begins(uri: str, scheme: str, beginning: str) -> bool:
    if "://" not in beginning:
        return scheme == beginning
    return uri == beginning or uri.startswith(beginning.rstrip("/") + "/")


def _connected(uri: str, name: str) -> tuple[Any, str]:
    try:
        core = import_module("fsspec.core")
    except ImportError:
        raise InvalidInput(
            "reading remote data sets needs `pip install 'pellucid[remote]'` on the server",
            field=FIELD,
        ) from None
    with _translated("", name):
        try:
            # A cache of listings would grow with the data set.
            system, root = core.url_to_fs(uri, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InvalidInput(f"{name} cannot be read here: {error}", field=FIELD) from error
    return system, str(root)


def _fetched(beside: Remote, file: str, limits: Limits, check: Callable[[], None]) -> Stored:
    with beside.open(file) as source, Spool(limits) as spool:
        while chunk := source.read(CHUNK):
            check()
            spool.write(chunk)
        return spool.stored(beside.name)
