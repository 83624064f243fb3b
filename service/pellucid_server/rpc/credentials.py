"""The server's certificates, which are read again when their files change."""

import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import grpc

from pellucid_server.config import Tls
from pellucid_server.rpc.access.expiry import expiry
from pellucid_server.rpc.access.watched import Watched
from pellucid_server.telemetry.metrics import Metrics

NO_PASSPHRASE = "-"  # noqa: S105  # a passphrase of nothing
"""An encrypted key is refused, where OpenSSL would ask on the terminal."""


class Certificates:
    """A key, its certificate, and the authority of clients: those of the files as they are.

    Raises:
        StartError: a file cannot be read, or the key is not the certificate's.
    """

    def __init__(
        self, certificate: Path, key: Path, client_ca: Path | None, metrics: Metrics
    ) -> None:
        self._files = [certificate, key, *([client_ca] if client_ca else [])]
        self._metrics = metrics
        self._lock = threading.Lock()
        self._watched = Watched("certificate", self._files, self._checked, metrics)
        self._told = self._watched.value
        self._publish()

    def look(self) -> None:
        """Looks whether the files changed."""
        self._watched.look()
        self._publish()

    def credentials(self) -> grpc.ServerCredentials:
        """Those of a port; each new connection gets the certificate of its time."""
        mutual = len(self._files) > 2
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._told),
            cast("Callable[[], grpc.ServerCertificateConfiguration]", self._news),
            require_client_authentication=mutual,
        )

    def _news(self) -> grpc.ServerCertificateConfiguration | None:
        """What changed since gRPC asked last; None, of which its stubs do not know: nothing."""
        with self._lock:
            if self._watched.value is self._told:
                return None
            self._told = self._watched.value
            return _configuration(self._told)

    def _checked(self, contents: Sequence[bytes]) -> Sequence[bytes]:
        """Says what gRPC's core would only log.

        Raises:
            ValueError: they are of no use together, or changed in the middle.
        """
        _check(*self._files)
        try:
            now = [path.read_bytes() for path in self._files]
        except OSError:
            now = []
        if now != list(contents):
            raise ValueError(f"{self._files[0]} changed while it was read")
        return contents

    def _publish(self) -> None:
        self._metrics.certificate_expiry.set(expiry(self._watched.value[0]))


def certificates(tls: Tls, metrics: Metrics) -> Certificates | None:
    """Those of the settings; None: no encryption.

    Raises:
        StartError: they cannot be used.
    """
    if tls.certificate is None or tls.key is None:
        return None
    return Certificates(tls.certificate, tls.key, tls.client_ca, metrics)


def _configuration(contents: Sequence[bytes]) -> grpc.ServerCertificateConfiguration:
    certificate, key, *client_ca = contents
    return grpc.ssl_server_certificate_configuration([(key, certificate)], *client_ca)


def _check(certificate: Path, key: Path, client_ca: Path | None = None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=NO_PASSPHRASE)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise ValueError(f"{certificate} and {key} are no PEM pair: {reason}") from None
    try:
        if client_ca:
            context.load_verify_locations(client_ca)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise ValueError(f"{client_ca} holds no PEM certificate: {reason}") from None
