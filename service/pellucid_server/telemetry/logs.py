"""Structured logs on standard error; libraries that use `logging` are routed through."""

import io
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from pellucid_server.config import Logging

NO_CALL: Mapping[str, str] = MappingProxyType({})
OF_CALL: ContextVar[Mapping[str, str]] = ContextVar("of_call", default=NO_CALL)
"""What all log lines of the call have that this thread works for."""


def add_call(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Puts it before the rest of a line."""
    return {**OF_CALL.get(), **event}


SHARED: tuple[Processor, ...] = (
    add_call,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
NOISY = ("alembic", "grpc", "openvino", "asyncio", "PIL", "sqlalchemy", "urllib3")
"""Loggers that are heard from warnings on."""


def set_up_logs(settings: Logging, stream: TextIO | None = None) -> None:
    """Sends every log of the process to a stream, as JSON lines or for the eye."""
    out = cast("TextIO", Lossy(stream or sys.stderr))  # as far as logs need one
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    rendering = _rendering(console=console, colors=out.isatty())
    # Our own logs do not pass through `logging`, which takes ten times as long.
    structlog.configure(
        processors=[*SHARED, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED, processors=[strip, *rendering]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


class Lossy(io.TextIOBase):
    """A stream that loses what it cannot write: a full disk must not fail calls."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def _rendering(*, console: bool, colors: bool) -> list[Processor]:
    if console:
        plain = structlog.dev.plain_traceback  # its default shows local variables: tokens, images
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
