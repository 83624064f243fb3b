import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.uploads.layout import Layout
from pellucid_server.evaluate.uploads.ledger import Ledger
from pellucid_server.evaluate.uploads.manifest import entries
from pellucid_server.evaluate.uploads.partial import Partial


def sweep(layout: Layout, ledger: Ledger, before: float) -> None:
    """Removes what was not used since `before`, seconds since 1970, and counts what is left.

    Data sets go first, then whole files that no data set has, and partial ones.
    """
    with layout.locked(alone=True), closing(sqlite3.connect("")) as named:
        named.execute("CREATE TABLE named (digest TEXT PRIMARY KEY) WITHOUT ROWID")
        for manifest in _left(layout.sets, before):
            _note(named, manifest)
        for folder in layout.blobs.iterdir():
            for blob in folder.iterdir():
                if blob.stat().st_mtime < before and not _is_named(named, blob.name):
                    blob.unlink()
        for partial in layout.partials.iterdir():
            if partial.stat().st_mtime < before:
                _remove_unless_open(partial)
        ledger.set(ledger.count())


def _left(sets: Path, before: float) -> Iterator[Path]:
    """The manifests that stay; the others are removed."""
    for manifest in sets.iterdir():
        if manifest.stat().st_mtime < before:
            manifest.unlink()
        elif not manifest.name.startswith("."):
            yield manifest


def _note(named: sqlite3.Connection, manifest: Path) -> None:
    try:
        rows = ((entry.digest,) for entry in entries(manifest))
        named.executemany("INSERT OR IGNORE INTO named VALUES (?)", rows)
    except InvalidInput:
        # Nobody can open a damaged list: what only it names may go.
        return


def _is_named(named: sqlite3.Connection, digest: str) -> bool:
    found = named.execute("SELECT 1 FROM named WHERE digest = ?", (digest,)).fetchone()
    return found is not None


def _remove_unless_open(path: Path) -> None:
    try:
        partial = Partial(path)
    except (BlockingIOError, FileNotFoundError):
        return
    path.unlink()
    partial.close()
