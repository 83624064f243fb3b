"""What the shared options say: which server, and how to print."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid import Client, Tls


@dataclass(frozen=True)
class Session:
    """The shared options."""

    server: str
    tls: Tls | None
    token: str | Path | None = field(repr=False)
    timeout: float | None
    json: bool
    quiet: bool

    def client(self) -> Client:
        """A client of the server."""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines are not for people
        given: dict[str, Any] = {} if self.timeout is None else {"timeout": self.timeout}
        return Client(self.server, tls=self.tls, token=self.token, **given)

    def stream_timeout(self, default: float) -> float:
        """Seconds for a call that streams."""
        return default if self.timeout is None else self.timeout
