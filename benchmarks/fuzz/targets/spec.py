"""model.yaml."""

import tempfile
from contextlib import suppress
from pathlib import Path

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.spec_file import read_spec

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
ZOO = Path(__file__).resolve().parents[3] / "models"


def take(data: bytes) -> None:
    """Reads it from a model's folder."""
    (FOLDER / "model.yaml").write_bytes(data)
    with suppress(ModelUnavailable):
        read_spec(FOLDER)


SEEDS = [path.read_bytes() for path in sorted(ZOO.glob("*/model.yaml"))]
