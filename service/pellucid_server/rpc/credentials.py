import ssl
from pathlib import Path

import grpc

from pellucid_server.config import StartError, Tls


def server_credentials(tls: Tls) -> grpc.ServerCredentials | None:
    """Certificates from their files; None: no encryption.

    Raises:
        StartError: a file cannot be read, or the key is not the certificate's.
    """
    if tls.certificate is None or tls.key is None:
        return None
    certificate, key = _read(tls.certificate), _read(tls.key)
    client_ca = _read(tls.client_ca) if tls.client_ca else None
    _check(tls.certificate, tls.key, tls.client_ca)
    return grpc.ssl_server_credentials(
        [(key, certificate)], client_ca, require_client_auth=client_ca is not None
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from error


def _check(certificate: Path, key: Path, client_ca: Path | None) -> None:
    """Says what gRPC's core would only call a port that cannot be bound."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise StartError(f"{certificate} and {key} are no PEM pair: {error.reason}") from error
    try:
        if client_ca:
            context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise StartError(f"{client_ca} holds no PEM certificate: {error.reason}") from error
