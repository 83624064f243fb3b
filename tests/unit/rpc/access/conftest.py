from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def provider(identity_providers: Callable[..., Any]) -> Iterator[Any]:
    """An identity provider on loopback."""
    with identity_providers().serving() as provider:
        yield provider


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.yaml"
