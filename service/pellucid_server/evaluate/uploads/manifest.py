"""The list of an upload's files: lines of JSON, each a path, a digest and a size, by path."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD
from pellucid_server.evaluate.sources.index import Index
from pellucid_server.evaluate.sources.limits import Limits


class Entry(NamedTuple):
    """A file of an upload."""

    path: str
    digest: str
    size: int


def indexed(listed: Iterable[Entry], limits: Limits) -> Index:
    """Files by path.

    Raises:
        InvalidInput, OutsideRoot: a path is not allowed, or used twice; or over a limit.
    """
    # An archive is a file here; `file_bytes` is about those in it.
    index = Index(replace(limits, file_bytes=limits.total_bytes))
    for entry in listed:
        if index.find(entry.path) is not None:
            raise InvalidInput(f"two files have the path {entry.path[:200]!r}", field=FIELD)
        index.add(entry.path, entry.size, bytes.fromhex(entry.digest))
    return index


def line(entry: Entry) -> bytes:
    """An entry as it is written."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def entries(manifest: Path) -> Iterator[Entry]:
    """The entries of a manifest; raises InvalidInput where it is not what its name says."""
    content = hashlib.sha256()
    with manifest.open("rb") as lines:
        for text in lines:
            content.update(text)
            yield _entry(text)
    if content.hexdigest() != manifest.name:
        raise _damaged()


def _entry(text: bytes) -> Entry:
    try:
        path, digest, size = json.loads(text)
        return Entry(str(path), bytes.fromhex(digest).hex(), int(size))
    except (ValueError, TypeError):
        raise _damaged() from None


def _damaged() -> InvalidInput:
    return InvalidInput("the upload is damaged on the server: upload it again", field=FIELD)
