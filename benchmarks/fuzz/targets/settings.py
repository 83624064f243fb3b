"""The file of settings."""

import tempfile
from contextlib import suppress
from pathlib import Path

from pellucid_server.command_line import SettingsError, read_settings

FILE = Path(tempfile.mkdtemp(prefix="fuzz-")) / "settings.yaml"


def take(data: bytes) -> None:
    """Reads it as a server that starts."""
    FILE.write_bytes(data)
    with suppress(SettingsError):
        read_settings(["--config", str(FILE)], {})


SEEDS = [b"port: 1\nlimits:\n  inputs: 3\ntenant_weights: a=2\n"]
