import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.uploads import Uploaded, Uploads

QUOTA = 10**7
EXPIRY = 1000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def make(root: Path) -> Callable[..., Uploads]:
    """A server's view of the store; each is as a process of its own."""

    def make_it(
        *, quota: int = QUOTA, expiry: float = EXPIRY, limits: Limits | None = None
    ) -> Uploads:
        return Uploads(root, quota=quota, expiry=expiry, limits=limits or Limits())

    return make_it


@pytest.fixture
def uploads(make: Callable[..., Uploads]) -> Uploads:
    return make()


@pytest.fixture
def send() -> Callable[[Uploads, Mapping[str, bytes]], Uploaded]:
    """Uploads a tree whole, in pieces of 1000 bytes, as a client does."""

    def send_it(uploads: Uploads, tree: Mapping[str, bytes]) -> Uploaded:
        listed = [(path, hashlib.sha256(data).digest(), data) for path, data in tree.items()]
        for _, sha256, data in listed:
            start = uploads.received(sha256, len(data))
            if start < len(data) or not data:
                assert uploads.write(sha256, len(data), start, pieces(data[start:])) == len(data)
        return uploads.commit((path, sha256, len(data)) for path, sha256, data in listed)

    return send_it


def pieces(data: bytes) -> Iterable[bytes]:
    return (data[start : start + 1000] for start in range(0, len(data), 1000))
