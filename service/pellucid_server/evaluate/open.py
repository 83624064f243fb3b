"""From the name of a data set, as a request has it, to its files."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pellucid_server.errors import InvalidInput, NotFound, OutsideRoot
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.sources.archive import archive_files
from pellucid_server.evaluate.sources.folder import Folder
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.opened import Opened
from pellucid_server.evaluate.sources.remote import remote_files
from pellucid_server.evaluate.sources.single import Single
from pellucid_server.evaluate.sources.stored import Stored
from pellucid_server.evaluate.uploads import Uploads

_REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_UPLOAD = re.compile(r"uploads/[0-9a-f]{64}")


@dataclass(frozen=True)
class Places:
    """Where data sets may lie."""

    roots: Sequence[Path] = ()
    remotes: Sequence[str] = ()
    """Schemes, `s3`, or beginnings of URIs, `s3://bucket/folder`."""
    uploads: Uploads | None = None
    limits: Limits = field(default_factory=Limits)
    opened: Opened = field(default_factory=Opened)


def open_dataset_files(uri: str, places: Places, check: Callable[[], None] = lambda: None) -> Files:
    """The files of a folder, of an archive, of one file and those beside it, or of an upload.

    `check` is called while an archive is read for the first time, and may raise to give up.

    Raises:
        OutsideRoot: the URI leads out of what may be read.
        NotFound: nothing is there.
        InvalidInput: it is no URI, or an archive that is damaged or over a limit.
        Overloaded: the storage fails, or is full.
    """
    if _UPLOAD.fullmatch(uri):
        if places.uploads is None:
            raise NotFound("this server takes no uploads", field=FIELD)
        return places.uploads.open(uri, places.opened, check)
    if _REMOTE.match(uri):
        return remote_files(uri, places.remotes, places.limits, places.opened, check)
    path = _resolved(_path(uri), places.roots)
    if path.is_dir():
        return Folder(path, places.roots, uri)
    beside = Folder(path.parent, places.roots, uri)
    with beside.open(path.name) as file:
        stored = Stored(os.dup(file.fileno()), uri)
    archive = places.opened.get(
        stored.identity, lambda: archive_files(stored, places.limits, check)
    )
    return archive or Single(beside, path.name)


def _resolved(path: Path, roots: Sequence[Path]) -> Path:
    """The place of a path under the first root that has it, links followed."""
    if not roots:
        raise OutsideRoot(
            "this server reads no data sets: its setting `data_roots` is empty", field=FIELD
        )
    folders = [root.resolve() for root in roots]
    places = [Path(os.path.realpath(folder / path)) for folder in folders]
    allowed = [place for place in places if any(place.is_relative_to(folder) for folder in folders)]
    if not allowed:
        raise OutsideRoot(
            "the data set lies outside of the folders that this server may read", field=FIELD
        )
    for place in allowed:
        if place.exists():
            return place
    raise NotFound("no data set of that name under the folders that may be read", field=FIELD)


def _path(uri: str) -> Path:
    parts = urlsplit(uri) if uri.startswith("file:") else None
    if parts is not None and parts.netloc not in {"", "localhost"}:
        raise InvalidInput(f"a `file:` URI has no host, this one has {parts.netloc!r}", field=FIELD)
    path = uri if parts is None else unquote(parts.path)
    if not path or "\0" in path:
        raise InvalidInput("name a data set: a path, a URI or an upload", field=FIELD)
    return Path(path)
