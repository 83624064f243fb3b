import errno
import io
import json
import logging
import uuid
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from pellucid_server.config import Logging
from pellucid_server.telemetry.logs import OF_CALL, set_up_logs


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_logs_are_json_lines() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(), stream)
    structlog.get_logger().info("served", model="m")
    (line,) = lines(stream)
    assert (line["event"], line["model"], line["level"]) == ("served", "m", "info")
    assert "timestamp" in line


def test_lines_of_a_call_have_what_it_is_known_by() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(), stream)
    known = OF_CALL.set({"request_id": "r"})
    structlog.get_logger().info("within")
    logging.getLogger("somebody").warning("within")
    OF_CALL.reset(known)
    structlog.get_logger().info("after")
    assert [line.get("request_id") for line in lines(stream)] == ["r", "r", None]


def test_the_standard_library_s_logs_come_in_the_same_form() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(), stream)
    logging.getLogger("somebody").warning("trouble with %s", "x")
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("trouble with x", "warning")


def test_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(level="debug"), stream)
    logging.getLogger("grpc._server").info("noise")
    logging.getLogger("grpc._server").warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_the_level_is_that_of_the_settings() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(level="warning"), stream)
    structlog.get_logger().info("served")
    structlog.get_logger().warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_an_exception_is_one_line_with_its_traceback() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(), stream)
    structlog.get_logger().error("failed", exc_info=ValueError("deep"))
    (line,) = lines(stream)
    assert "ValueError: deep" in str(line["exception"])


def test_the_console_form_is_for_the_eye() -> None:
    stream = io.StringIO()
    set_up_logs(Logging(format="console"), stream)
    structlog.get_logger().info("served", model="m")
    assert "served" in stream.getvalue()
    assert "model=m" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_does_not_show_what_variables_hold(format: Literal["json", "console"]) -> None:  # noqa: A002 - the setting's name
    """Tokens, for one."""
    stream = io.StringIO()
    set_up_logs(Logging(format=format), stream)

    def check(token: str) -> None:
        raise RuntimeError(len(token))

    secret = uuid.uuid4().hex
    try:
        check(secret)
    except RuntimeError:
        structlog.get_logger().exception("a mistake")
    assert "RuntimeError: 32" in stream.getvalue()
    assert secret not in stream.getvalue()


def test_lines_that_cannot_be_written_are_lost_and_nothing_else() -> None:
    """Those that come when there is room again are written."""
    stream = io.StringIO()
    set_up_logs(Logging(), Full(stream))
    for number in range(3):
        Full.full = number == 1
        structlog.get_logger().info("ours", number=number)
        logging.getLogger("library").warning("theirs %d", number)
    assert [line["event"] for line in lines(stream)] == ["ours", "theirs 0", "ours", "theirs 2"]


class Full(io.StringIO):
    """A stream to a disk that may be full."""

    full = False

    def __init__(self, stream: io.StringIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        if Full.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._stream.write(text)
