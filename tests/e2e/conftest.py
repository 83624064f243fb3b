"""One server of the zoo for all tests, and clients of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import pellucid

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which the server may read, beside one from which it may not."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "allowed"
    root.mkdir()
    photo = (SAMPLES / "coffee.png").read_bytes()
    (root / "coffee.png").write_bytes(photo)
    (folder / "secret.png").write_bytes(photo)
    (root / "link.png").symlink_to(folder / "secret.png")
    return root


@pytest.fixture(scope="session")
def server(serve: Callable[..., Any], data_root: Path) -> Any:
    """The zoo, with limits low enough to be tried."""
    return serve(
        ROOT / "models",
        f"--data-roots={data_root}",
        "--limits-message-bytes=4000000",
        "--limits-image-pixels=4000000",
    )


@pytest.fixture(scope="session")
def client(server: Any) -> Iterator[pellucid.Client]:
    """The client as callers use it."""
    with pellucid.Client(server.target) as client:
        yield client


@pytest.fixture(scope="session")
def channel(server: Any) -> Iterator[grpc.Channel]:
    """A bare channel, for what the client would not send."""
    with grpc.insecure_channel(server.target) as channel:
        yield channel
