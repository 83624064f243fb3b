"""gRPC calls by hand: the same message again and again, for a hundredth of what a client costs.

HTTP/2 as RFC 9113 has it, and no more of it than that: one request is sent, and of an answer it is
seen whether it has a message, and whether its status says when to try again.
"""

import asyncio
import struct
from collections import deque
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
TABLE_SIZE, INITIAL_WINDOW, TRUE_BINARY = 1, 4, 0xFE03
FRAME, HEAD = 16_384, 9
ROOM = 2**30
"""Bytes that servers may send before they ask."""
RETRY = b"google.rpc.RetryInfo"


@dataclass
class Answer:
    """What came of a call."""

    ended: "asyncio.Future[None]"
    message: bool = False
    retry: bool = False
    """Whether its status says when to try again."""


class Connection(asyncio.Protocol):
    """A connection, and the calls on it."""

    def __init__(self, authority: str, path: str, message: bytes) -> None:
        self._headers = _block(authority, path)
        self._body = struct.pack(">BL", 0, len(message)) + message
        self._answers: dict[int, Answer] = {}
        self._waiting: deque[int] = deque()
        self._stream, self._room, self._rest = 1, 65_535, b""

    def call(self) -> Answer:
        """Sends the message, as soon as the server has room for it."""
        stream, self._stream = self._stream, self._stream + 2
        answer = Answer(asyncio.get_running_loop().create_future())
        self._answers[stream] = answer
        self._waiting.append(stream)
        self._send()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # of create_connection
        self._transport = transport
        wishes = ((TABLE_SIZE, 0), (INITIAL_WINDOW, ROOM), (TRUE_BINARY, 1))
        settings = b"".join(struct.pack(">HL", *wish) for wish in wishes)
        room = _frame(WINDOW, 0, 0, struct.pack(">L", ROOM))
        transport.write(PREFACE + _frame(SETTINGS, 0, 0, settings) + room)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        start = 0
        while len(data) - start >= HEAD:
            end = start + HEAD + int.from_bytes(data[start : start + 3])
            if end > len(data):
                break
            kind, flags = data[start + 3], data[start + 4]
            stream = int.from_bytes(data[start + 5 : start + HEAD])
            self._read(kind, flags, stream, data[start + HEAD : end])
            start = end
        self._rest = data[start:]

    def connection_lost(self, error: Exception | None) -> None:
        for answer in self._answers.values():
            answer.ended.set_exception(ConnectionError(f"the server hung up: {error}"))

    def _read(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW and not stream:
            self._room += int.from_bytes(payload)
            self._send()
        elif kind in {SETTINGS, PING} and not flags & ACK:
            self._transport.write(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif answer := self._answers.get(stream):
            answer.message |= kind == DATA and bool(payload)
            answer.retry |= kind == HEADERS and RETRY in payload
            if kind == RESET or (kind in {DATA, HEADERS} and flags & END_STREAM):
                del self._answers[stream]
                answer.ended.set_result(None)

    def _send(self) -> None:
        while self._waiting and self._room >= len(self._body):
            stream = self._waiting.popleft()
            self._room -= len(self._body)
            frames = [_frame(HEADERS, END_HEADERS, stream, self._headers)]
            for start in range(0, len(self._body), FRAME):
                last = start + FRAME >= len(self._body)
                part = self._body[start : start + FRAME]
                frames.append(_frame(DATA, END_STREAM * last, stream, part))
            self._transport.write(b"".join(frames))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBL", kind, flags, stream) + payload


def _block(authority: str, path: str) -> bytes:
    """The headers in HPACK (RFC 7541): indices of its table, and literals."""
    post, http, with_path, with_authority, with_type, new = 0x83, 0x86, 0x04, 0x01, b"\x0f\x10", 0
    return b"".join(
        (
            bytes((post, http, with_path)),
            _text(path),
            bytes((with_authority,)),
            _text(authority),
            with_type + _text("application/grpc"),
            bytes((new,)) + _text("te") + _text("trailers"),
        )
    )


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()
