"""How the client reaches a server: target, credentials, options of the channel."""

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import grpc

from pellucid._transport.bearer import Token, bearer
from pellucid.errors import REQUEST_ID, InvalidArgumentError

Options = Sequence[tuple[str, str | int]]

_RECEIVE_BYTES = 256 * 2**20
_RETRY_BUFFER_BYTES = 64 * 2**20  # gRPC's own 256 KiB would never retry a photo

_NAME = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[ -~]*")

# gRPC's core cancels what arrives just as a server stops (grpc/grpc#41785): another server
# takes it. What the caller itself cancels is not tried again.
_RETRIED = [
    {"service": "pellucid.v1.InferenceService", "method": "Predict"},
    {"service": "pellucid.v1.ExplanationService"},
    {"service": "pellucid.v1.ModelService", "method": "ListModels"},
    {"service": "pellucid.v1.ModelService", "method": "GetModel"},
    *(
        {"service": "pellucid.v1.EvaluationService", "method": method}
        for method in (
            "WatchEvaluation",
            "FindUploadedFiles",
            "ListEvaluations",
            "GetEvaluation",
            "ListExamples",
            "RenderExample",
            "CompareEvaluations",
        )
    ),
    {"service": "grpc.health.v1.Health", "method": "Check"},
]
"""Calls that change nothing; gRPC retries a stream only before its first message."""


@dataclass(frozen=True)
class Tls:
    """Certificates in PEM, as bytes or paths.

    No `root_certificates`: those that gRPC ships; a key and a chain: mutual TLS; a `server_name`:
    the name in the server's certificate, where it is reached by another.
    """

    root_certificates: bytes | str | PathLike[str] | None = None
    private_key: bytes | str | PathLike[str] | None = None
    certificate_chain: bytes | str | PathLike[str] | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Credentials of a channel."""
        if (self.private_key is None) != (self.certificate_chain is None):
            raise InvalidArgumentError(
                "mutual TLS needs both private_key and certificate_chain", field="tls"
            )
        return grpc.ssl_channel_credentials(
            _pem(self.root_certificates), _pem(self.private_key), _pem(self.certificate_chain)
        )


@dataclass(frozen=True)
class Endpoint:
    """A server and how to speak to it; sends the token over TLS, or on this machine.

    Raises:
        InvalidArgumentError: a token for another machine without TLS, or what headers
            cannot carry.
    """

    target: str
    tls: Tls | bool | None = None
    token: Token | None = field(default=None, repr=False)
    metadata: Mapping[str, str] | None = None
    attempts: int = 4
    options: Options = ()

    def __post_init__(self) -> None:
        if self.token and not self.tls and not is_loopback(self.target):
            raise InvalidArgumentError(
                f"the token would travel unencrypted to {self.target}: set tls", field="token"
            )
        if self.token:
            bearer(self.token)
        for name, value in (self.metadata or {}).items():
            if not _NAME.fullmatch(name) or not _TEXT.fullmatch(value):
                raise InvalidArgumentError(
                    f"metadata {name!r}: names are lower case, values printable ASCII",
                    field="metadata",
                )

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Those of an encrypted channel; `None` without TLS."""
        if not self.tls:
            return None
        return (Tls() if self.tls is True else self.tls).credentials()

    def channel(self) -> grpc.Channel:
        """A channel for synchronous code."""
        credentials, options = self.credentials(), self.channel_options()
        if credentials:
            return grpc.secure_channel(self.target, credentials, options)
        return grpc.insecure_channel(self.target, options)

    def call_metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """What every call sends beside its request."""
        token = (("authorization", f"Bearer {bearer(self.token)}"),) if self.token else ()
        return ((REQUEST_ID, request_id), *token, *(self.metadata or {}).items())

    def channel_options(self) -> list[tuple[str, Any]]:
        """Options of the channel; the caller's come last, and win."""
        return [
            ("grpc.max_receive_message_length", _RECEIVE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.per_rpc_retry_buffer_size", _RETRY_BUFFER_BYTES),
            ("grpc.service_config", self._service_config()),
            *self._server_name(),
            *self.options,
        ]

    def _server_name(self) -> Options:
        name = self.tls.server_name if isinstance(self.tls, Tls) else None
        return [("grpc.ssl_target_name_override", name)] if name else []

    def _service_config(self) -> str:
        config: dict[str, Any] = {}
        if self.target.startswith("dns:") or "," in self.target:
            config["loadBalancingConfig"] = [{"round_robin": {}}]
            config["healthCheckConfig"] = {"serviceName": ""}  # who says that it goes gets no calls
        if self.attempts > 1:
            policy = {
                "maxAttempts": min(self.attempts, 5),  # gRPC allows no more
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            }
            config["methodConfig"] = [{"name": _RETRIED, "retryPolicy": policy}]
        return json.dumps(config)


_SCHEME = re.compile(r"(?P<scheme>dns|ipv4|ipv6|unix|unix-abstract):(?://[^/]*/)?")
_PORT = re.compile(r":\d+$")


def is_loopback(target: str) -> bool:
    """Whether a target, every address of it, is on this machine."""
    scheme = _SCHEME.match(target)
    if scheme and scheme["scheme"].startswith("unix"):
        return True
    addresses = target[scheme.end() if scheme else 0 :].split(",")
    return all(_is_loopback_host(_host(address)) for address in addresses)


def _host(address: str) -> str:
    bare = address.count(":") > 1 and "]" not in address  # an IPv6 address without a port
    return address if bare else _PORT.sub("", address).strip("[]")


def _is_loopback_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _pem(value: bytes | str | PathLike[str] | None) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else Path(value).read_bytes()
