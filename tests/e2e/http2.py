"""A gRPC client made of bytes, which does what no library would: it stalls, or answers nothing."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
PATIENCE = 30


class Http2:
    """A connection; it takes `window` bytes of each answer, and answers pings if it is `alive`."""

    def __init__(self, target: str, *, window: int = 65535, alive: bool = True) -> None:
        host, port = target.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._alive = alive
        self._streams = 0
        self._sending = threading.Lock()
        self.frames: list[tuple[int, int, bytes]] = []
        """What came: type, stream, payload."""
        self.closed = threading.Event()
        self._socket.sendall(PREFACE)
        self._send(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window))
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def call(self, method: str, message: bytes, *, share: float = 1.0) -> int:
        """Sends a call with one message, or only a share of it; its stream."""
        self._streams += 1
        stream = 2 * self._streams - 1
        self._send(HEADERS, END_HEADERS, stream, _headers(method))
        framed = struct.pack(">BI", 0, len(message)) + message
        sent = framed[: max(1, int(len(framed) * share))]
        for start in range(0, len(sent), 16000):
            self._send(DATA, 0, stream, sent[start : start + 16000])
        if share == 1.0:
            self._send(DATA, END_STREAM, stream, b"")
        return stream

    def wait_for(self, kind: int, stream: int) -> bytes:
        """The payload of the first frame of its kind."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for found, of, payload in tuple(self.frames):
                if (found, of) == (kind, stream):
                    return payload
            time.sleep(0.02)
        raise AssertionError(f"no frame {kind} of stream {stream} came: {self.frames}")

    def close(self) -> None:
        """Hangs up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reading.join()
        self._socket.close()

    def _send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
        with self._sending, suppress(OSError):
            self._socket.sendall(head + payload)

    def _read(self) -> None:
        with suppress(OSError):
            for kind, flags, stream, payload in self._received():
                self.frames.append((kind, stream, payload))
                if kind in {PING, SETTINGS} and not flags & ACK and self._alive:
                    self._send(kind, ACK, 0, payload if kind == PING else b"")
        self.closed.set()

    def _received(self) -> Iterator[tuple[int, int, int, bytes]]:
        with self._socket.makefile("rb") as stream:
            while len(head := stream.read(9)) == 9:
                size = int.from_bytes(head[:3], "big")
                kind, flags, number = struct.unpack(">BBI", head[3:])
                yield kind, flags, number & 0x7FFFFFFF, stream.read(size)


def _headers(method: str) -> bytes:
    """A request's headers, each a literal that is not indexed."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{method}",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


def _text(value: str) -> bytes:
    assert len(value) < 127, "longer lengths take more bytes"
    return bytes([len(value)]) + value.encode()
