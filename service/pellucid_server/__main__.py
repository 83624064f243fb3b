"""The command: settings become a server that runs until it is told to stop."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

import structlog

from pellucid._version import __version__
from pellucid_server.command_line import PROGRAM, SettingsError, read_settings
from pellucid_server.composition import compose
from pellucid_server.config import Settings, StartError
from pellucid_server.rpc.access.exposure import warnings
from pellucid_server.rpc.access.issue import issue
from pellucid_server.rpc.server import address
from pellucid_server.telemetry.logs import set_up_logs

log = structlog.get_logger()

BAD_SETTINGS = 2
CANNOT_START = 1
EXHAUSTED = 3
PULSE = 0.5


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once."""
    set_up_logs(settings.log)
    stopping: SimpleQueue[int] = SimpleQueue()  # which may be put to wherever a signal interrupts
    signals: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if signals:
            os._exit(128 + number)
        signals.append(number)
        stopping.put(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    application = compose(settings)
    pool = application.engine.pool
    pool.hear(lambda able: application.tell_able(able=able), lambda: stopping.put(0))
    application.start()
    endpoint = application.endpoint
    log.info(
        "listening",
        version=__version__,
        grpc=application.target,
        metrics=address(settings.host, endpoint.port) if endpoint else None,
        encrypted=settings.tls.certificate is not None,
    )
    warn(settings)
    _wait(stopping)
    log.info("stopping", drain_seconds=settings.drain_seconds)
    application.stop()
    log.info("stopped")
    if pool.exhausted:
        raise SystemExit(EXHAUSTED)


def _wait(stopping: SimpleQueue[int]) -> None:
    # A signal that comes just before this blocks is not seen until it wakes.
    while True:
        with suppress(Empty):
            stopping.get(timeout=PULSE)
            return


def warn(settings: Settings) -> None:
    """Says what whoever started the server may not have meant."""
    for warning in warnings(settings):
        log.warning(warning)
    if settings.state is None:
        log.warning("evaluations and uploads are gone when the server ends: set --state")


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the settings and serves."""
    try:
        given = sys.argv[1:] if argv is None else argv
        if given[:1] == ["token"]:
            issue(given[1:])
        else:
            run(read_settings(given))
    except SettingsError as error:
        _fail(error.problems, BAD_SETTINGS)
    except StartError as error:
        _fail([str(error)], CANNOT_START)


def _fail(problems: Sequence[str], code: int) -> None:
    for problem in problems:
        sys.stderr.write(f"{PROGRAM}: {problem}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
